"""--total: everything that was ever allocated, in every report. Truth is what the program allocated and what stats counts."""

import sys

import pytest
from conftest import MEMTAP, memtap, memtap_json, run

MIB = 1 << 20

CHURN = """
def churn():
    for size in range(40):
        bytearray((1 << 20) + size)

def hold():
    return bytearray(5 << 20)

churn()
held = hold()
"""


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("total")
    (folder / "churn.py").write_text(CHURN)
    result = run([MEMTAP, "run", "-q", "-o", folder / "x.mtap", "--", sys.executable, folder / "churn.py"])
    assert result.returncode == 0, result.stderr
    return folder / "x.mtap"


def rows_of(function, rows):
    return [row for row in rows if row["function"] == function]


def test_rows_have_what_was_freed_too(trace):
    (churn,) = rows_of("churn", memtap_json("table", "--by", "function", "--total", trace))
    (hold,) = rows_of("hold", memtap_json("table", "--by", "function", "--total", trace))
    sizes = 40 * MIB + sum(range(40)) + 40  # and the NUL behind each
    assert sizes <= churn["bytes"] < sizes + 20000 and churn["bytes"] == churn["total_bytes"]
    assert 5 * MIB < hold["bytes"] < 5 * MIB + 1000
    (peak,) = rows_of("churn", memtap_json("table", "--by", "function", trace)) or [{"bytes": 0}]
    assert peak["bytes"] < 2 * MIB


def test_reports_add_up_to_what_stats_counts(trace):
    stats = memtap_json("stats", trace)
    table, tree = memtap_json("table", "--total", trace), memtap_json("tree", "--total", trace)
    assert sum(row["bytes"] for row in table) == stats["total_allocated_bytes"]
    assert sum(row["count"] for row in table) == stats["allocations"]
    assert sum(row["self_bytes"] for row in tree) == stats["total_allocated_bytes"]
    assert b"allocated in all" in memtap("summary", "--total", trace).stdout


def test_it_is_a_question_of_its_own(trace):
    refused = memtap("table", "--total", "--peak", trace, check=False)
    assert refused.returncode == 2 and b"--total" in refused.stderr
    same = memtap_json("diff", "--total", trace, trace)
    assert same["bytes"] == same["count"] == 0


def test_an_aggregate_trace_knows_it(tmp_path):
    path = tmp_path / "a.mtap"
    assert run([MEMTAP, "run", "-q", "--aggregate", "-o", path, "--", sys.executable, "-c", "pass"]).returncode == 0
    rows = memtap_json("table", "--total", path)
    assert sum(row["bytes"] for row in rows) == memtap_json("stats", path)["total_allocated_bytes"] > 0
