"""Devices (FAKE_GPUS: how many, none where it is not said) whose memory is what a test says it is, the same for each."""

import os

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


def device_count():
    return int(os.environ.get("FAKE_GPUS", "0"))


def is_available():
    return device_count() > 0


def memory_allocated(device=0):
    return numbers["allocated"]


def memory_reserved(device=0):
    return numbers["reserved"]


def max_memory_allocated(device=0):
    return numbers["peak"]


def max_memory_reserved(device=0):
    return numbers["reserved_peak"]
