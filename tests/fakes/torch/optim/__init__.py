from torch.optim.optimizer import Optimizer
from torch.optim import optimizer as optimizer


class SGD(Optimizer):
    pass


class Adam(Optimizer):
    pass
