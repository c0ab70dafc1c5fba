"""The sampler against known truth: no bias, and intervals that cover.

The statistics, with the probability that a correct sampler fails:

mean: 200 runs (threads) of one size at one rate are recorded; their mean is the total over 200. An allocation is sampled
with p = 1 - exp(-size/rate) and the estimate of a run of n has relative variance (1-p)/(p n). COUNT is chosen so that the
relative standard deviation of the mean is at most 0.5 %: the bar of 2 % is four standard deviations, false alarm 6e-5 a
case, 1e-3 for all. Where p is 1 in double precision the estimate must be exact.

coverage: of each run's live bytes, `memtap table` gives the estimate and the half width of its 95 % interval; over 2,000
runs in five cases the share that holds the truth must lie in 93-97 %. One standard deviation of that share is 0.5 %, so
the bar is four of them: false alarm 6e-5 for an exact 95 %. HT intervals with 60 samples cover 94.5 %, which leaves three.

Seeds are fixed (MEMTAP_SEED) and printed, so a result repeats until the sampler changes.
"""

import math
import os

import pytest

KIB, MIB = 1024, 1024 * 1024
RATES = {"64K": 64 * KIB, "512K": 512 * KIB, "4M": 4 * MIB}
SIZES = {"64B": 64, "1000B": 1000, "32K": 32 * KIB, "1M": MIB, "100M": 100 * MIB}
RUNS = 200
RELATIVE_SD = 0.005


def inclusion(size, rate):
    return -math.expm1(-size / rate)


def count_per_run(size, rate):
    """Allocations a run so that RUNS runs together have the relative standard deviation wanted."""
    p = inclusion(size, rate)
    return max(10, math.ceil((1 - p) / p / RELATIVE_SD**2 / RUNS))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("size", SIZES)
def test_the_mean_of_two_hundred_runs_is_within_two_percent(record, target, size, rate):
    count = count_per_run(SIZES[size], RATES[rate])
    seed = 1000 + SIZES[size] % 977 + RATES[rate] % 983
    print(f"MEMTAP_SEED={seed} count={count}")
    recording = record(target("sizes"), SIZES[size], RUNS, count, "freed", mode="sample", options=["--rate", rate],
                       env={**os.environ, "MEMTAP_SEED": str(seed)})
    truth = RUNS * count * SIZES[size]
    stats = recording.stats
    assert stats["rate_bytes"] == RATES[rate]
    assert stats["total_allocated_bytes"] == pytest.approx(truth, rel=0.02)
    assert stats["allocations"] == pytest.approx(RUNS * count, rel=0.02)
    if inclusion(SIZES[size], RATES[rate]) > 1 - 1e-9:
        assert stats["total_allocated_bytes"] == pytest.approx(truth, rel=1e-6)


# size, rate, blocks a run: about 60 samples or more each, at most some 400 MiB of touched memory a process.
COVERAGE = [(64, "64K", 61_440), (1000, "64K", 3_932), (32 * KIB, "512K", 960), (MIB, "4M", 300), (200_000, "512K", 200)]
COVERAGE_RUNS = 100
COVERAGE_PROCESSES = 4


def intervals(record, target, case, process):
    """[(estimate, half width)] of each run of one process."""
    size, rate, count = case
    seed = 77_000 + 100 * COVERAGE.index(case) + process
    print(f"MEMTAP_SEED={seed} case={case}")
    recording = record(target("sizes"), size, COVERAGE_RUNS, count, "kept", mode="sample", options=["--rate", rate],
                       env={**os.environ, "MEMTAP_SEED": str(seed)})
    rows = recording.report("table", "--leaks", "--by", "thread", "-n", 1000)
    rows = [row for row in rows if "run-" in str(row["thread"])]
    found = [(row["bytes"], row["bytes_ci95"]) for row in rows]
    return found + [(0, 0)] * (COVERAGE_RUNS - len(found))


def test_the_95_percent_interval_covers_the_truth_93_to_97_percent_of_the_time(record, target):
    covered = total = 0
    for case in COVERAGE:
        truth, hits = case[0] * case[2], 0
        for process in range(COVERAGE_PROCESSES):
            for estimate, half_width in intervals(record, target, case, process):
                hits += abs(estimate - truth) <= half_width
                total += 1
        print(f"{case}: {hits} of {COVERAGE_PROCESSES * COVERAGE_RUNS}")
        covered += hits
    assert total == 2000
    assert 0.93 <= covered / total <= 0.97, covered / total


def test_stats_state_their_intervals(record, target):
    recording = record(target("sizes"), 1000, 20, 5000, "kept", mode="sample", options=["--rate", "64K"])
    truth = 20 * 5000 * 1000
    stats = recording.stats
    for key in ("total_allocated_bytes", "leaked_bytes", "peak_bytes"):
        assert 0 < stats[f"{key}_ci95"] < 0.2 * truth
        assert abs(stats[key] - truth) < 6 / 1.96 * stats[f"{key}_ci95"]  # six standard deviations: false alarm 1e-8
    assert stats["allocations_ci95"] > 0 and stats["leaked_allocations_ci95"] > 0


def test_a_rate_of_one_byte_samples_everything(record, target):
    recording = record(target("threads"), 10, 100, "keep", mode="sample", options=["--rate", "1"])
    truth = recording.truth["case_worker"]
    assert recording.live_by_case()["case_worker"] == (truth["live"], pytest.approx(truth["live_bytes"], rel=1e-5))


def test_the_documented_estimator_follows_from_the_samples(record, target):
    """The report's total is the Horvitz-Thompson sum of docs/sampling.md over the recorded samples; what a sample grew by is the
    difference of what it stands for."""
    recording = record(target("exchange"), 1, 20_000, mode="sample", options=["--rate", "32K"])
    total = variance = 0.0
    live, grown = {}, {}  # by address; by stream: what goes on
    for event in recording.trace.events:
        if event.kind == "alloc":
            p = inclusion(max(event.size, 1), event.rate)
            live[event.addr] = event.size / p, event.size**2 * (1 - p) / p**2
            before = grown.pop(event.stream, (0, 0)) if event.is_realloc else (0, 0)
            total += max(0, live[event.addr][0] - before[0])
            variance += live[event.addr][1] - before[1]
        elif event.kind == "free" and event.addr in live:
            ended = live.pop(event.addr)
            if event.goes_on:
                grown[event.stream] = ended
        elif event.kind == "map" and event.map_kind == 0:
            total += event.size
    stats = recording.stats
    assert stats["total_allocated_bytes"] == pytest.approx(total, rel=1e-6)
    assert stats["total_allocated_bytes_ci95"] == pytest.approx(1.96 * math.sqrt(variance), rel=1e-3)
