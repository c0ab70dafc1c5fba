"""A device whose memory is what a test says it is."""

numbers = {"allocated": 0, "peak": 0, "reserved": 0, "reserved_peak": 0}
asked = []
_initialized = False


def init():
    global _initialized
    _initialized = True


def is_initialized():
    return _initialized


def take(count):
    """Memory is given out (or taken back: count below 0)."""
    numbers["allocated"] += count
    numbers["peak"] = max(numbers["peak"], numbers["allocated"])
    numbers["reserved"] = numbers["reserved_peak"] = max(numbers["reserved"], numbers["allocated"] + 1000)


def memory_stats_as_nested_dict():
    asked.append("stats")
    return {"allocated_bytes": {"all": {"current": numbers["allocated"], "peak": numbers["peak"]}},
            "reserved_bytes": {"all": {"current": numbers["reserved"], "peak": numbers["reserved_peak"]}}}
