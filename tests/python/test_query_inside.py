"""memtap.query: SQL over what this process is recorded as."""

import os
import subprocess
import sys
import threading
import weakref

import pytest

import memtap
from leakyprogram import run_memtap
from memtap import _query

HELD = "SELECT count(*), sum(bytes) FROM memory.allocations WHERE size_bytes BETWEEN 70000 AND 70100"


def test_rows_are_what_is_alive_now(tmp_path):
    with memtap.record(tmp_path / "a.mtap"):
        held = [bytearray(70001)]
        (before,) = memtap.query(HELD)
        held.append(bytearray(70002))
        (after,) = memtap.query(HELD)
        assert (before[0], after[0]) == (1, 2) and after[1] > before[1] + 70000
        rows = memtap.query("SELECT process, max(rss_bytes) AS rss FROM process.memory")
        assert rows.columns == ["process", "rss"] and rows[0][0] == os.getpid() and rows[0][1] > 1 << 20
        del held[:]
        assert memtap.query(HELD)[0][0] == 0


def test_its_own_memory_is_not_recorded(tmp_path):
    with memtap.record(tmp_path / "a.mtap"):
        kept = memtap.query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000) SELECT i, 'text ' || i FROM n")
        assert len(kept) == 20000
        assert memtap.query("SELECT coalesce(sum(bytes), 0) < 500000 FROM memory.allocations") == [(1,)]


def test_the_first_one_is_not_recorded_either(tmp_path):
    (tmp_path / "program.py").write_text(
        "import sys, memtap\n"
        "with memtap.record(sys.argv[1]):\n"
        "    memtap.query\n"
        "    own = memtap.query('SELECT coalesce(sum(bytes), 0) FROM memory.allocations')[0][0]\n"
        "print(own)\n")
    done = subprocess.run([sys.executable, tmp_path / "program.py", tmp_path / "a.mtap"], stdout=subprocess.PIPE, check=True)
    assert float(done.stdout) < 50000


def test_where_nothing_is_recorded_it_is_said(tmp_path):
    with pytest.raises(RuntimeError, match="memtap run"):
        memtap.query("SELECT 1")
    with memtap.record(tmp_path / "a.mtap"):
        assert memtap.query("SELECT 1") == [(1,)]
        with pytest.raises(ValueError, match="no such column: nope"):
            memtap.query("SELECT nope FROM memory.sites")
    with pytest.raises(RuntimeError, match="not recorded"):
        memtap.query("SELECT 1")
    with memtap.record(tmp_path / "b.mtap"):
        assert memtap.query("SELECT count(*) FROM process.memory WHERE process = " + str(os.getpid()))[0][0] >= 1


def test_threads_take_turns(tmp_path):
    with memtap.record(tmp_path / "a.mtap"):
        held, results = [bytearray(70001)], []
        threads = [threading.Thread(target=lambda: results.extend(memtap.query(HELD))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [count for count, _ in results] == [1] * 4 and held


def test_a_fork_child_does_not_close_what_a_thread_that_is_not_there_may_be_asking(tmp_path):
    with memtap.record(tmp_path / "a.mtap"):
        memtap.query("SELECT 1")
        was = weakref.ref(_query._opened[1])
        pid = os.fork()
        if pid == 0:
            os._exit(0 if _query._opened is None and was() is not None else 1)
        assert os.waitpid(pid, 0)[1] == 0


def test_a_program_under_memtap_run_asks_too_and_so_do_its_children(tmp_path):
    (tmp_path / "program.py").write_text(
        "import os, memtap\n"
        "held = [bytearray(70001)]\n"
        f"HELD = {HELD!r}\n"
        "print(memtap.query(HELD)[0][0], flush=True)\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    held.append(bytearray(80001))\n"
        "    rows = memtap.query('SELECT process FROM memory.allocations WHERE size_bytes BETWEEN 80000 AND 80100')\n"
        "    os.write(1, b'child %d\\n' % (rows == [(os.getpid(),)]))\n"
        "    os._exit(0)\n"
        "os.waitpid(pid, 0)\n")
    done = run_memtap("run", "-q", "-o", tmp_path / "a.mtap", tmp_path / "program.py")
    assert done.stdout.decode().split("\n")[:2] == ["1", "child 1"]
