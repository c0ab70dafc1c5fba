"""numpy arrays of known sizes, each made in a function of its own; prints {"function": bytes}."""

import json

import numpy
from py_truth import leave

KEPT = []
SIZES = {}


def keep(name, array):
    KEPT.append(array)
    SIZES[name] = array.nbytes


def make_zeros():
    keep("make_zeros", numpy.zeros(1_000_003, dtype=numpy.int8))


def make_floats():
    keep("make_floats", numpy.ones((311, 313), dtype=numpy.float64))


def make_by_arithmetic():
    keep("make_by_arithmetic", KEPT[1] * 2.0 + 1.0)


def make_and_drop():
    numpy.zeros(2_000_003, dtype=numpy.int8)


make_zeros()
make_floats()
make_by_arithmetic()
make_and_drop()
print(json.dumps(SIZES))
leave()
