"""memtap timeline: the heap over time. Truth is what the program allocated, and what the other reports say of the same moments."""

import csv
import io
import sys

import pytest
from conftest import MEMTAP, memtap, memtap_json, run

MIB = 1 << 20

STAIRS = """
held = []
for size in (3, 5, 7):
    held.append(bytearray(size << 20))
held.pop()
gone = bytearray(1 << 20)
"""


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    path = tmp_path_factory.mktemp("timeline") / "x.mtap"
    result = run([MEMTAP, "run", "-q", "-o", path, "--", sys.executable, "-c", STAIRS])
    assert result.returncode == 0, result.stderr
    return path


def test_intervals_are_equal_and_end_with_the_recording(trace):
    points, stats = memtap_json("timeline", "-n", "50", trace), memtap_json("stats", trace)
    ends = [point["time_s"] for point in points]
    steps = [b - a for a, b in zip([0.0, *ends], ends)]
    assert len(points) == 50 and ends == sorted(ends)
    assert max(steps[:-1]) - min(steps[:-1]) < 2e-9 and steps[-1] <= steps[0] + 2e-9
    assert abs(ends[-1] - stats["duration_s"]) < 2e-9


def test_the_largest_interval_holds_the_peak(trace):
    points, stats = memtap_json("timeline", trace), memtap_json("stats", trace)
    assert len(points) == 1000
    assert max(point["heap_max_bytes"] for point in points) == stats["peak_bytes"] >= 15 * MIB
    largest = max(points, key=lambda point: point["heap_max_bytes"])
    step = points[0]["time_s"]
    assert largest["time_s"] - step - 1e-8 <= stats["peak_time_s"] <= largest["time_s"] + 1e-8
    assert all(point["heap_bytes"] <= point["heap_max_bytes"] for point in points)


def test_what_was_held_is_what_the_table_says_of_that_moment(trace):
    points = memtap_json("timeline", "-n", "7", trace)
    for point in points[:-1]:
        rows = memtap_json("table", "--at", f"{point['time_s']:.9f}", "--by", "type", trace)
        assert sum(row["bytes"] for row in rows) == point["heap_bytes"]
        assert sum(row["count"] for row in rows) == point["allocations"]


def test_every_format_says_the_same(trace):
    points = memtap_json("timeline", "-n", "9", trace)
    rows = list(csv.DictReader(io.StringIO(memtap("timeline", "-n", "9", "-f", "csv", trace).stdout.decode(), newline="")))
    assert [int(row["heap_bytes"]) for row in rows] == [point["heap_bytes"] for point in points]
    assert [float(row["time_s"]) for row in rows] == pytest.approx([point["time_s"] for point in points], abs=2e-9)
    lines = memtap("timeline", "-n", "9", "-f", "ndjson", trace).stdout.decode().splitlines()
    assert len(lines) == 9 and all(line.startswith("{") for line in lines)


def test_a_table_fits_80_columns_and_its_longest_bar_is_the_peak(trace):
    text = memtap("timeline", trace).stdout.decode().splitlines()
    assert all(len(line) <= 80 for line in text)
    bars = [line.count("#") for line in text[2:]]
    most = [point["heap_max_bytes"] for point in memtap_json("timeline", "-n", "20", trace)]
    assert len(bars) == 20 and bars[most.index(max(most))] == max(bars) == 32


def test_an_aggregate_trace_does_not_know_it(tmp_path):
    path = tmp_path / "a.mtap"
    assert run([MEMTAP, "run", "-q", "--aggregate", "-o", path, "--", sys.executable, "-c", "pass"]).returncode == 0
    refused = memtap("timeline", path, check=False)
    assert refused.returncode == 2 and b"the heap over time" in refused.stderr
