"""Medians, spreads and paired comparisons of rounds. Every comparison is within a round: the machine drifts."""

import statistics


def median(values):
    """Median of a non-empty list."""
    return statistics.median(values)


def summary(values):
    """Median, minimum, maximum and number of a list of numbers."""
    return {"median": median(values), "min": min(values), "max": max(values), "rounds": len(values)}


def _pairs(rows, base_rows, key):
    """(value, base value) of the rounds that both configurations finished."""
    base = {row["round"]: row[key] for row in base_rows if key in row}
    return [(row[key], base[row["round"]]) for row in rows if key in row and row["round"] in base]


def ratio(rows, base_rows, key):
    """Summary of value / base over the rounds, or None."""
    pairs = _pairs(rows, base_rows, key)
    return summary([value / base for value, base in pairs if base > 0]) if pairs else None


def distance(rows, base_rows, key):
    """Median over the rounds of |value / base - 1|, or None."""
    pairs = _pairs(rows, base_rows, key)
    distances = [abs(value / base - 1) for value, base in pairs if base > 0]
    return median(distances) if distances else None


def added(rows, base_rows, key):
    """Summary of value - base over the rounds, or None."""
    pairs = _pairs(rows, base_rows, key)
    return summary([value - base for value, base in pairs]) if pairs else None


def middle(rows, key):
    """Median of one key, or None when no row has it."""
    values = [row[key] for row in rows if key in row]
    return median(values) if values else None


def lowest(rows, key):
    """Minimum of one key, or None when no row has it."""
    values = [row[key] for row in rows if key in row]
    return min(values) if values else None
