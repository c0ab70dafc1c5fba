"""numpy: temporaries of 8 KB to 4 MB, reductions, a matrix product, many tiny arrays."""

import numpy

import body

GENERATOR = numpy.random.default_rng(7)
SMALL = GENERATOR.random(1000)
LARGE = GENERATOR.random(500_000)
MATRIX = GENERATOR.random((120, 120))


def compute():
    """About 700 arrays."""
    total = 0.0
    for i in range(100):
        total += float((SMALL * i + SMALL).sum())
        total += float(numpy.array([i, i + 1, i + 2]).mean())
    mixed = numpy.sqrt(LARGE * 2.0 + 1.0)
    return total + float(mixed[::7].sum()) + float((MATRIX @ MATRIX).trace())


if __name__ == "__main__":
    body.run(compute, 150)
