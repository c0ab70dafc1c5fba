"""memtap.record(mode="sample", max_file=...): the file stays below its size for ever and knows all that is alive, whoever follows it.

Blocks are much larger than the rate, so each is a sample (the chance that one is not: e**-100).
"""

import os
import re
import subprocess

import pytest
from childprogram import answer
from leakyprogram import MEMTAP

import memtap

MIB = 1 << 20
KEPT, LEAST = 400, 100_000

# Keeps KEPT blocks, each of a size of its own, and makes and frees others until six times the size of the file went through it;
# looks meanwhile, by one handle that follows. What is alive of these sizes is what is kept.
PROGRAM = """
PATH, MOST, KEPT, LEAST = sys.argv[1] + "/a", 1 << 20, 400, 100_000

def on_disk():
    folder = os.path.dirname(PATH)
    return sum(os.stat(os.path.join(folder, name)).st_blocks * 512 for name in os.listdir(folder))

def kept_alive(trace):
    return sorted(s.size - 1 for s in trace.snapshot(resolve=False).live if LEAST < s.size <= LEAST + KEPT)

def churn():
    for _ in range(20_000):
        bytearray(50_000)

with memtap.record(PATH, mode="sample", rate=500, python_allocators=False, max_file=MOST):
    keep = [bytearray(LEAST + i) for i in range(KEPT)]
    most, looks = 0, []
    big = [bytearray(1 << 20) for _ in range(64)]
    del big
    with memtap.open(PATH) as trace:
        while os.stat(PATH).st_size < 6 * MOST:
            churn()
            most = max(most, on_disk())
            looks.append(kept_alive(trace) == list(range(LEAST, LEAST + KEPT)))
say(most=most, looks=looks, churned=20_000 * 50_001 * len(looks), dropped=memtap.open(PATH).stats()["dropped_events"])
"""


@pytest.fixture(scope="module")
def bounded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bounded")
    return answer(PROGRAM, folder), str(folder / "a")


def test_the_file_stays_below_its_size_and_who_follows_it_sees_all_that_is_alive(bounded):
    found, path = bounded
    assert found["most"] <= MIB and found["dropped"] == 0
    assert len(found["looks"]) > 6 and all(found["looks"])
    with memtap.open(path) as trace:
        alive = sorted(s.size for s in trace.snapshot(resolve=False).live if LEAST < s.size <= LEAST + KEPT)
        assert alive == [LEAST + 1 + i for i in range(KEPT)]  # a bytearray has a byte more


def test_totals_the_peak_and_the_timeline_are_since_the_start(bounded):
    found, path = bounded
    with memtap.open(path) as trace:
        stats, timeline = trace.stats(), trace.timeline(points=100)
    assert found["churned"] <= stats["total_allocated_bytes"] <= found["churned"] + 300 * MIB  # each is a sample
    assert 64 * MIB + KEPT * LEAST < stats["peak_bytes"] < 300 * MIB
    assert max(point["heap_max_bytes"] for point in timeline) == pytest.approx(stats["peak_bytes"], abs=1)
    assert timeline[0]["time_s"] < 0.1 * stats["duration_s"] and len(timeline) <= 100


def test_numbers_that_begin_at_the_horizon_say_since_when(bounded):
    _, path = bounded
    with memtap.open(path) as trace:
        warning = next(warning for warning in trace.stats()["warnings"] if "--max-file" in warning)
    since = re.search(r"since ([\d.]+ \w+);", warning).group(1)
    text = subprocess.run([MEMTAP, "stats", path], check=True, capture_output=True, text=True).stdout
    line = {label: line for label in ("allocated in total", "temporary", "deallocations") for line in text.splitlines() if line.startswith(label)}
    assert line["deallocations"].endswith(f", since {since}") and line["temporary"].endswith(f", since {since}")
    assert "since" not in line["allocated in total"]


def test_what_it_cannot_answer_is_said_and_refused(bounded):
    _, path = bounded
    with memtap.open(path) as trace:
        assert any("--max-file" in warning for warning in trace.stats()["warnings"])
        with pytest.raises(ValueError, match="of what was freed before .* nothing is left"):
            trace.table(at="0.001")
        for asked in ("live_at(0.001)", "between(0, 0.001)", "diff(0.001, 'end')"):
            with pytest.raises(ValueError, match="is not known.* of what was freed before .* nothing is left"):
                trace.sql(f"SELECT count(*) FROM memory.{asked}")
        assert trace.sql("SELECT count(*) AS n FROM memory.between(0, 'end')")
        assert os.stat(path).st_blocks * 512 <= MIB < os.stat(path).st_size
