from torch.nn.modules.module import Module
from torch.nn import modules as modules


class Linear(Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.outputs = outputs

    def forward(self, x):
        import torch

        return torch.Tensor(x.shape[0], self.outputs)


class Sequential(Module):
    def __init__(self, *modules):
        super().__init__()
        for index, module in enumerate(modules):
            setattr(self, str(index), module)

    def forward(self, x):
        for module in self._modules.values():
            x = module(x)
        return x
