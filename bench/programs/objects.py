"""Objects and dicts: instances, attribute dictionaries, string keys, sorting."""

import body


class Point:
    """An instance with a dictionary."""

    def __init__(self, x, y):
        self.x = x
        self.y = y

    def moved(self, by):
        """A new point."""
        return Point(self.x + by, self.y - by)


def make_objects():
    """2,000 objects, two dictionaries of them, one sorted list."""
    points = [Point(i, i * 0.5) for i in range(1000)]
    by_name = {f"point-{i}": point.moved(3) for i, point in enumerate(points)}
    sums = {}
    for name, point in by_name.items():
        key = name[-2:]
        sums[key] = sums.get(key, 0) + point.x
    return sorted(sums.items(), key=lambda item: item[1])


if __name__ == "__main__":
    body.run(make_objects, 400)
