"""A stand-in for torch, no torch: as much of it as the programs of tests/guides/memory-analysis.md touch. FAKE_GPUS: how many it has;
each has 3 GiB reserved and a third of it allocated."""

import os


class dtype:
    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return "torch." + self.name


float32, int32 = dtype("float32"), dtype("int32")


class Size(tuple):
    def __repr__(self):
        return "torch.Size(%s)" % list(self)


class Tensor:
    def __init__(self, rows, columns, kind=float32):
        self.shape, self.dtype, self.device = Size((rows, columns)), kind, "cpu"
        self.kept = []  # so that the garbage collector knows it

    def nelement(self):
        return self.shape[0] * self.shape[1]

    def element_size(self):
        return 4


class cuda:
    GIB = 1024 ** 3

    @staticmethod
    def device_count():
        return int(os.environ.get("FAKE_GPUS", "0"))

    @classmethod
    def is_available(cls):
        return cls.device_count() > 0

    @classmethod
    def memory_allocated(cls, device=0):
        return cls.GIB

    @classmethod
    def memory_reserved(cls, device=0):
        return 3 * cls.GIB

    max_memory_allocated = memory_allocated
    max_memory_reserved = memory_reserved
