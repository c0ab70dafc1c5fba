"""What a report to memtap.tracker costs from Python (acceptance A2-17, A2-18).

Usage: PYTHONPATH=build/python python3 bench/micro/tracker.py [PAIRS] [ROUNDS]

PAIRS allocations of distinct addresses, then as many deallocations; least of ROUNDS, in CPU time of the process (a busy
machine lets others run meanwhile), without stacks and with stacks of depth 10. Beside them the calibrating number, a million
calls of a C function with three arguments that does nothing worth mentioning (`max` of three small integers), and publishing
to a callable. Prints one line `BENCH {json}`.
"""

import json
import sys
import time

from memtap.tracker import MemoryTracker

DEPTH = 10


def calibrate():
    """Seconds for a million calls with three arguments."""
    call, begin = max, time.process_time()
    for i in range(1_000_000):
        call(i, 1, 2)
    return time.process_time() - begin


def report(pairs, **options):
    """Seconds for so many allocations and deallocations."""
    publisher = options.pop("publisher", None)
    tracker = MemoryTracker(auto_snapshot=False, **options)
    if publisher is not None:
        tracker.add_publisher(publisher)
    allocate, free = tracker.track_allocation, tracker.track_deallocation
    begin = time.process_time()
    for i in range(pairs):
        allocate(0x10000 + i * 64, 64, "CPU")
    for i in range(pairs):
        free(0x10000 + i * 64, 64)
    seconds = time.process_time() - begin
    stats = tracker.get_statistics()
    assert (stats.allocation_count, stats.deallocation_count, stats.current_bytes) == (pairs, pairs, 0)
    return seconds


def deep(levels, function):
    """Calls function below so many Python frames."""
    return function() if levels == 0 else deep(levels - 1, function)


def least(rounds, function, scale=1.0):
    """The least of several runs, in ms."""
    return round(min(function() for _ in range(rounds)) * 1e3 * scale, 1)


def main():
    """Measures and prints."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 500_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    few = max(pairs // 50, 1)
    plain = least(rounds, lambda: report(pairs))
    stacks = least(rounds, lambda: deep(DEPTH, lambda: report(pairs, capture_stack_traces=True)))
    print("BENCH", json.dumps({
        "bench": "tracker-python", "python": sys.version.split()[0], "pairs": pairs,
        "calibration_ms": least(rounds, calibrate), "plain_ms": plain, "stacks_ms": stacks,
        "stacks_ratio": round(stacks / plain, 2),
        "published_us_per_event": round(least(rounds, lambda: report(few, publisher=lambda event: None)) * 1e3 / (2 * few), 2),
    }))


if __name__ == "__main__":
    main()
