"""The queries of a guide to memory analysis, taken from its text as they stand, give what they must on a table that is known."""

import json
import re
import subprocess

import pytest

import tracefile
import tracewrite
from conftest import MEMTAP, TESTS, memtap

GUIDE = TESTS / "guides/memory-analysis.md"
# A query between the quotes of a shell command.
QUERY = re.compile(r'^probing \$ENDPOINT query "\n(.*?)\n"', re.M | re.S)


def queries():
    found = QUERY.findall(GUIDE.read_text())
    assert len(found) == 10
    return found


QUERIES = dict(zip("2 3 7 8 16 19 21 22a 23a 23b".split(), queries()))  # by the blocks of the guide


@pytest.fixture(scope="module")
def table_k(tmp_path_factory):
    return tracewrite.table_k(tmp_path_factory.mktemp("k") / "k.mtap")


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    return tracewrite.Writer().save(tmp_path_factory.mktemp("empty") / "empty.mtap")


def ask(trace, sql):
    """Rows as lists, in the order of the columns."""
    return [list(row.values()) for row in json.loads(memtap("query", "-f", "json", trace, sql).stdout)]


def total(rows, column):
    return sum(row[column] for row in rows)


def test_trend_of_the_last_steps(table_k):
    rows = ask(table_k, QUERIES["2"])
    assert len(rows) == 40 and rows[0] == [590, "post forward", 410, 415]
    assert [total(rows, column) for column in (0, 2, 3)] == [23780, 16041, 16191]


def test_growth_is_a_filter_of_window_functions(table_k):
    assert ask(table_k, QUERIES["3"]) == [[595, "post forward", 617.5, 407.5, 210], [596, "post forward", 408, 617.5, -209.5]]


def test_steps_that_vary(table_k):
    assert ask(table_k, QUERIES["7"]) == [[598, 429, 0, 429], [595, 617.5, 397.5, 220]]


def test_growth_rate(table_k):
    assert ask(table_k, QUERIES["8"]) == [[595, "post forward", 210]]


def test_buckets_of_ten_steps(table_k):
    rows = ask(table_k, QUERIES["16"])
    assert len(rows) == 40 and rows[0] == [500, "post forward", 367.25, 374.5, 360, 20]
    assert [row[5] for row in rows if row[:2] == [590, "post step"]] == [9] and total(rows, 5) == 599


def test_phases_of_training(table_k):
    rows = ask(table_k, QUERIES["19"])
    assert [row[0] for row in rows] == ["End Phase", "Late Phase", "Mid Phase", "Early Phase"]
    assert [row[1] for row in rows] == pytest.approx([303.6395, 291, 278.5, 266], abs=5e-5)
    assert [row[2:] for row in rows] == [[617.5, 749], [417, 750], [404.5, 750], [392, 750]]


def test_alerts_on_a_moving_average(table_k):
    assert ask(table_k, QUERIES["21"]) == [[595, 617.5, 423.5, "POTENTIAL_MEMORY_LEAK"]]


def test_growth_over_the_last_steps(table_k):
    assert ask(table_k, QUERIES["22a"]) == [[267.5, 617.5, 100]]


def test_profile_by_module(table_k):
    rows = ask(table_k, QUERIES["23a"])
    by_module = {(row[0], row[1]): row[2:] for row in rows}
    assert len(rows) == len(by_module) == 6 and by_module["net", "post forward"] == [396.75, 617.5]
    assert total(rows, 2) == pytest.approx(2306.51, abs=5e-3)


def test_pattern_within_hundred_steps(table_k):
    rows = ask(table_k, QUERIES["23b"])
    assert len(rows) == 100 and [row[0] for row in rows] == list(range(100))
    assert rows[0][1:] == pytest.approx([335, 28.762349126466134], rel=1e-12)
    assert rows[98][1:] == pytest.approx([350.75, 114.04315371424497], rel=1e-12)
    assert total(rows, 1) == pytest.approx(35958.41667, abs=5e-6)


def test_a_recording_without_training_has_no_rows(empty):
    for name, sql in QUERIES.items():
        assert ask(empty, sql) == ([[None, None, 0]] if name == "22a" else []), name


def test_a_file_for_json_has_json(table_k, tmp_path):
    path = tmp_path / "current_memory_profile.json"
    with open(path, "wb") as out:
        subprocess.run([MEMTAP, "query", table_k, QUERIES["23a"]], stdout=out, check=True)
    rows = json.loads(path.read_text())
    assert len(rows) == 6 and set(rows[0]) == {"module", "stage", "avg_memory_mb", "peak_memory_mb"}


def test_rows_of_a_step_stay_in_the_order_of_its_hooks(tmp_path):
    write = tracewrite.Writer()
    for number, step in enumerate((1, 0, 1, 0)):
        write.torch(clock=write.start_clock, step=step, seq=9 - number, module="m", stage=f"s{number}")
    path = write.save(tmp_path / "t.mtap")
    assert ask(path, "SELECT step, stage FROM python.torch_trace") == [[0, "s1"], [0, "s3"], [1, "s0"], [1, "s2"]]
    assert ask(path, "SELECT step FROM python.torch_trace ORDER BY step DESC") == [[1], [1], [0], [0]]


def test_every_column_is_what_was_recorded(tmp_path):
    write = tracewrite.Writer(pid=7, start_realtime_ns=2_000_000_000)
    for key, value in (("rank", "3"), ("world_size", "8"), ("role", "trainer"), ("micro_batches", "2")):
        write.note(f"torch.{key}", value)
    write.torch(clock=write.start_clock + 5_000_000, step=4, micro_step=8, seq=2, module="net", stage="post forward", source="cpu_alloc",
                allocated=3 << 20, max_allocated=4 << 20, cached=5 << 20, max_cached=6 << 20, offset_ns=1_500_000_000,
                duration_ns=250_000_000, allocated_delta=-(1 << 19), max_allocated_delta=1 << 20)
    path = write.save(tmp_path / "t.mtap")
    assert json.loads(memtap("query", "-f", "json", path, "SELECT * FROM python.torch_trace").stdout) == [{
        "process": 7, "timestamp": 2_005_000, "step": 4, "micro_step": 8, "local_step": 4, "global_step": 4, "micro_batches": 2,
        "rank": 3, "world_size": 8, "role": "trainer", "seq": 2, "module": "net", "stage": "post forward", "allocated": 3,
        "max_allocated": 4, "cached": 5, "max_cached": 6, "time_offset": 1.5, "duration": 0.25, "allocated_delta": -0.5,
        "max_allocated_delta": 1, "source": "cpu_alloc"}]


def test_packing_keeps_the_rows(tmp_path):
    path = tracewrite.table_k(tmp_path / "k.mtap", steps=30)
    before = tracefile.load(path).torch
    rows = ask(path, "SELECT * FROM python.torch_trace")
    memtap("pack", path)
    assert len(before) == 180 and tracefile.load(path).torch == before and ask(path, "SELECT * FROM python.torch_trace") == rows
    lines = [line for line in memtap("parse", path).stdout.decode().splitlines() if line.startswith("torch ")]
    assert len(lines) == 180


def test_ranges_and_orders_agree_with_a_whole_scan(table_k):
    whole = ask(table_k, "SELECT step, seq FROM python.torch_trace")
    for condition, keep in (("step > 10.5", lambda s: s > 10.5), ("step >= 599", lambda s: s >= 599), ("step < 3", lambda s: s < 3),
                            ("step = 7", lambda s: s == 7), ("step BETWEEN 5 AND 6", lambda s: 5 <= s <= 6), ("step > 5 AND step <= 4", lambda s: False),
                            ("step = 7.5", lambda s: False), ("step > NULL", lambda s: False), ("step < '9'", lambda s: s < 9), ("step > 'x'", lambda s: False),
                            ("step IN (3, 598)", lambda s: s in (3, 598)), ("+step = 8", lambda s: s == 8)):
        kept = [row for row in whole if keep(row[0])]
        assert ask(table_k, f"SELECT step, seq FROM python.torch_trace WHERE {condition}") == kept, condition
        down = sorted(kept, key=lambda row: -row[0])
        assert [row[0] for row in ask(table_k, f"SELECT step FROM python.torch_trace WHERE {condition} ORDER BY step DESC")] == [row[0] for row in down]
    assert ask(table_k, "SELECT max(step), min(step) FROM python.torch_trace") == [[599, 0]]
