"""Blocks that get their size by reallocs, sampled, against known truth: no bias, and intervals that cover.

A block of size s must be a sample with p = 1 - exp(-s / rate) however it came to that size. The sizes are such that glibc
gives first and last size the same slack, so that what a block grew by is known to the byte. The statistics are those of
test_estimates.py: COUNT is chosen so that the relative standard deviation of a mean is at most 0.5 %, the bar of 2 % is four of
them (6e-5 a case, 1e-3 for all); coverage has the same bar and false alarm. Growth by small steps is recorded when it is 1/64
of the block: where a block is as large as the rate or larger, up to that much is missing from the estimate, and the bar is
what it may be off in all.

Seeds are fixed (MEMTAP_SEED) and printed.
"""

import math
import os

import pytest
from test_estimates import COVERAGE_RUNS, KIB, MIB, RELATIVE_SD, inclusion

FREED = [("doubled", 1 * KIB, "64K"), ("doubled", 32 * KIB, "512K"), ("doubled", 1 * MIB, "512K"), ("doubled", 4 * MIB, "4M"),
         ("stepped", 8 * KIB, "64K"), ("stepped", 64 * KIB, "16K"), ("handed", 1 * KIB, "64K"), ("handed", 256 * KIB, "512K")]
KEPT = [("doubled", 32 * KIB, "64K"), ("shrunk", 32 * KIB, "64K"), ("shrunk", 16 * KIB, "32K"), ("handed", 32 * KIB, "64K")]
COVERAGE = [("doubled", 1 * KIB, "64K", 3_840), ("stepped", 4 * KIB, "64K", 960), ("shrunk", 16 * KIB, "256K", 960),
            ("handed", 256 * KIB, "512K", 160)]
COVERAGE_PROCESSES = 5


def in_bytes(rate):
    return int(rate[:-1]) * {"K": KIB, "M": MIB}[rate[-1]]


def blocks_wanted(size, rate):
    p = inclusion(size, rate)
    return max(400, math.ceil((1 - p) / p / RELATIVE_SD**2))


def seeded(number):
    print(f"MEMTAP_SEED={number}")
    return {**os.environ, "MEMTAP_SEED": str(number)}


@pytest.fixture
def grown(record, target):
    """grown(how, size, rate, runs, what, seed): statistics of enough blocks that came to their size so, and how many."""

    def start(how, size, rate, runs, what, seed):
        count = math.ceil(blocks_wanted(size, in_bytes(rate)) / runs)
        recording = record(target("grows"), how, size, runs, count, what, mode="sample", options=["--rate", rate],
                           env=seeded(seed))
        return recording.stats, runs * count

    return start


@pytest.mark.parametrize(("how", "size", "rate"), FREED)
def test_what_blocks_grew_by_is_what_was_allocated(grown, how, size, rate):
    stats, blocks = grown(how, size, rate, 100, "freed", 4000 + FREED.index((how, size, rate)))
    assert stats["total_allocated_bytes"] == pytest.approx(blocks * size, rel=0.02)
    assert stats["leaked_allocations"] == 0


@pytest.mark.parametrize(("how", "size", "rate"), KEPT)
def test_what_is_alive_does_not_depend_on_how_it_came_to_its_size(grown, how, size, rate):
    stats, blocks = grown(how, size, rate, 10, "kept", 5000 + KEPT.index((how, size, rate)))
    assert stats["leaked_bytes"] == pytest.approx(blocks * size, rel=0.02)
    assert stats["leaked_allocations"] == pytest.approx(blocks, rel=0.02)
    assert stats["dropped_events"] == 0


def intervals(record, target, case, process):
    """[(estimate, half width)] of each run of one process."""
    how, size, rate, count = case
    recording = record(target("grows"), how, size, COVERAGE_RUNS, count, "kept", mode="sample", options=["--rate", rate],
                       env=seeded(88_000 + 100 * COVERAGE.index(case) + process))
    rows = recording.report("table", "--leaks", "--by", "thread", "-n", 1000)
    found = [(row["bytes"], row["bytes_ci95"]) for row in rows if "run-" in str(row["thread"])]
    return found + [(0, 0)] * (COVERAGE_RUNS - len(found))


def test_the_95_percent_interval_covers_the_truth_93_to_97_percent_of_the_time(record, target):
    covered = total = 0
    for case in COVERAGE:
        hits = 0
        for process in range(COVERAGE_PROCESSES):
            for estimate, half_width in intervals(record, target, case, process):
                hits += abs(estimate - case[1] * case[3]) <= half_width
                total += 1
        print(f"{case}: {hits} of {COVERAGE_PROCESSES * COVERAGE_RUNS}")
        covered += hits
    assert total == 2000
    assert 0.93 <= covered / total <= 0.97, covered / total
