"""A stand-in for torch: modules, optimizers and their global hooks as torch 2 has them, tensors that are only as large as theirs.

No gradients are computed and no values kept. tests/python/test_torch.py runs the same programs with the real one (make test-torch).
"""


__version__ = "2-fake"


class dtype:
    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return "torch." + self.name


float32, int32 = dtype("float32"), dtype("int32")


class Size(tuple):
    def __repr__(self):
        return f"torch.Size({list(self)})"


class Tensor:
    device = "cpu"

    def __init__(self, *shape, dtype=float32):
        self.shape, self.dtype = Size(shape), dtype
        self._storage = bytearray(self.element_size() * self.nelement())

    def nelement(self):
        count = 1
        for size in self.shape:
            count *= size
        return count

    def element_size(self):
        return 4

    def sum(self):
        return Tensor(1)

    def backward(self):
        pass


def randn(*shape):
    return Tensor(*shape)


from torch import cuda, nn, optim  # noqa: E402
