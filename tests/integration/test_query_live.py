"""`memtap query` of processes that run: recorded ones by their numbers, several at once, and what is known of one that is not recorded."""

import json
import os
import subprocess
import sys

import pytest
from armed import HELLO, Armed
from conftest import MEMTAP, memtap
from watched import Watched

HELD = 30_000_000


def ask(*arguments):
    """(rows, notes)."""
    result = subprocess.run([MEMTAP, "query", "-f", "json", *map(str, arguments)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout), result.stderr


def refused(*arguments):
    result = subprocess.run([MEMTAP, "query", *map(str, arguments)], capture_output=True, text=True)
    assert result.stdout == ""
    return result.returncode, result.stderr


@pytest.fixture
def two(tmp_path):
    with Watched(sys.executable, tmp_path / "a.mtap") as a, Watched(sys.executable, tmp_path / "b.mtap") as b:
        a.do(f"hold {HELD}")
        b.do(f"hold {2 * HELD}")
        yield a, b


def test_recorded_processes_are_told_apart(two):
    a, b = two
    sql = "SELECT process, max(bytes) AS bytes FROM memory.allocations GROUP BY process ORDER BY bytes"
    rows, notes = ask(a.pid, b.pid, sql)
    assert [row["process"] for row in rows] == [a.pid, b.pid]
    assert HELD <= rows[0]["bytes"] < HELD + 100 and 2 * HELD <= rows[1]["bytes"] < 2 * HELD + 100
    assert "not recorded" not in notes
    assert ask(a.pid, a.pid, sql)[0] == rows[:1]  # named twice, it is there once
    a.do(f"hold {3 * HELD}")
    assert ask(a.pid, sql)[0][0]["bytes"] >= 3 * HELD  # as it is now


def test_a_process_that_is_not_recorded_has_what_the_system_says(two):
    recorded, _ = two
    with Watched(sys.executable) as plain:
        plain.do(f"hold {HELD}")
        rows, notes = ask(plain.pid, "SELECT process, rss_bytes, time_s FROM process.memory")
        assert len(rows) == 1 and rows[0]["process"] == plain.pid and rows[0]["rss_bytes"] > HELD and rows[0]["time_s"] is None and notes == ""
        rows, notes = ask(plain.pid, "SELECT sum(size_bytes) AS size, count(*) AS n FROM memory.smaps WHERE permissions LIKE 'r-xp'")
        assert rows[0]["size"] > 0 and notes == ""
        rows, notes = ask(plain.pid, "SELECT * FROM memory.allocations")
        assert rows == [] and f"process {plain.pid} is not recorded" in notes and f"memtap attach {plain.pid}" in notes
        rows, notes = ask(recorded.pid, plain.pid, "SELECT DISTINCT process FROM memory.sites")
        assert rows == [{"process": recorded.pid}] and f"process {plain.pid} is not recorded" in notes
        rows, _ = ask(recorded.pid, plain.pid, "SELECT DISTINCT process FROM memory.smaps")
        assert {row["process"] for row in rows} == {recorded.pid, plain.pid}


def test_an_armed_process_is_asked_also_by_its_address(tmp_path):
    with Armed(sys.executable, "-c", "input()", listen="127.0.0.1:0") as armed:
        rows, _ = ask(armed.pid, "SELECT process FROM process.memory")
        assert rows == [{"process": armed.pid}]
        memtap("attach", "-q", "-o", tmp_path / "armed.mtap", armed.pid)
        with armed.connect() as connection:
            port = connection.ask(HELLO)[1]["PORT"]
        for target in (armed.pid, f"127.0.0.1:{port}"):
            rows, notes = ask(target, "SELECT DISTINCT process FROM process.memory")
            assert rows == [{"process": armed.pid}] and "not recorded" not in notes
        armed.finish()


def test_what_is_no_process_is_said():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    code, text = refused(ended.pid, "SELECT 1")
    assert code == 3 and f"there is no process {ended.pid}" in text
    code, text = refused("unix:/nonexistent/socket", "SELECT 1")
    assert code == 3 and "/nonexistent/socket" in text
    code, text = refused("no-such-file", "SELECT 1")
    assert code == 1 and "no-such-file" in text


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to have another user's process")
def test_another_users_process_is_refused():
    with Watched(sys.executable) as plain:
        result = subprocess.run([MEMTAP, "query", str(plain.pid), "SELECT count(*) FROM memory.smaps"], user=65534, group=65534, extra_groups=[],
                                cwd="/", capture_output=True, text=True)
        assert result.returncode == 3 and str(plain.pid) in result.stderr
