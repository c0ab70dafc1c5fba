"""Looks at the own process that is being recorded: LIVE samples alive, equal work before each look. Prints processor time of the
asking thread, medians of the looks, and how many events the first and the last look of each kind read.

    looks.py LIVE
"""

import json
import os
import statistics
import sys
import tempfile
import time

import memtap
from memtap import memprof

LOOKS, CHURN, SIZE = 6, 20_000, 16_384


def timed(ask):
    """Milliseconds, and the answer."""
    begun = time.thread_time_ns()
    answer = ask()
    return (time.thread_time_ns() - begun) / 1e6, answer


def churn():
    """The work between two looks: samples that come and go."""
    for _ in range(CHURN):
        bytearray(SIZE)


def look_by_memprof(live):
    """Snapshots and totals: of a profiler whose every block is a sample."""
    memprof.start(sampling_rate_kb=1)
    kept = [bytearray(SIZE) for _ in range(live)]
    first, _ = timed(memprof.get_snapshot)
    later, totals, idle = [], [], []
    for _ in range(LOOKS):
        churn()
        totals.append(timed(memprof.get_stats)[0])
        idle.append(timed(memprof.get_stats)[0])
        later.append(timed(memprof.get_snapshot)[0])
    memprof.shutdown()
    return {"first_ms": first, "later_ms": statistics.median(later), "stats_ms": statistics.median(totals),
            "idle_stats_ms": statistics.median(idle), "kept": len(kept)}


def look_by_trace():
    """Reports: of an exact recording of this process."""
    path = os.path.join(tempfile.gettempdir(), f"memtap-looks-{os.getpid()}.mtap")
    reports, read = [], [0]
    try:
        with memtap.record(path):
            with memtap.open(path) as trace:
                for _ in range(LOOKS):
                    churn()
                    reports.append(timed(trace.stats)[0])
                    read.append(trace.info["events_read"])
    finally:
        os.unlink(path)
    events = [after - before for before, after in zip(read, read[1:])]
    return {"report_ms": statistics.median(reports[1:]), "last_by_first_events": events[-1] / events[1]}


if __name__ == "__main__":
    print("BENCH", json.dumps({**look_by_memprof(int(sys.argv[1])), **look_by_trace()}))
