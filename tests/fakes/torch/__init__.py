"""A stand-in for torch: modules, optimizers and their global hooks as torch 2 has them, tensors that are only as large as theirs.

No gradients are computed and no values kept. tests/python/test_torch.py runs the same programs with the real one (make test-torch).
"""


__version__ = "2-fake"


class Tensor:
    def __init__(self, *shape):
        self.shape = shape
        count = 1
        for size in shape:
            count *= size
        self._storage = bytearray(4 * count)

    def sum(self):
        return Tensor(1)

    def backward(self):
        pass


def randn(*shape):
    return Tensor(*shape)


from torch import cuda, nn, optim  # noqa: E402
