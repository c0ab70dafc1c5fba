"""A small program with a memory story: sensors are read, smoothed and indexed; one cache is never emptied."""
import json

import numpy

CACHE = {}


def read_sensors(count, samples):
    """Rows of random measurements, float64."""
    generator = numpy.random.default_rng(7)
    return generator.normal(size=(count, samples))


def smooth(matrix, width=16):
    """Moving average of every row; the intermediate copies are temporary."""
    kernel = numpy.ones(width) / width
    return numpy.array([numpy.convolve(row, kernel, mode="same") for row in matrix])


def index_events(matrix):
    """Python objects: a dict for every value far from its row's mean."""
    events = []
    for row_number, row in enumerate(matrix):
        limit = 2.5 * row.std()
        for column in numpy.flatnonzero(abs(row - row.mean()) > limit):
            events.append({"row": row_number, "column": int(column), "value": float(row[column])})
    return events


def remember(batch, matrix):
    """Every batch keeps a copy for good."""
    CACHE[batch] = matrix[:, ::4].copy()  # the leak


def main():
    total = 0
    for batch in range(8):
        raw = read_sensors(64, 8192)
        clean = smooth(raw)
        events = index_events(raw)
        remember(batch, clean)
        total += len(json.loads(json.dumps(events)))
    print(f"{total} events in {len(CACHE)} batches")


if __name__ == "__main__":
    main()
