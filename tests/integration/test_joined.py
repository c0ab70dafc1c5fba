"""What reports say of a process that was joined while it ran: what it had before, and that it still runs."""

import os
import re

import pytest
from conftest import memtap, memtap_json
from watched import Watched, may_trace_siblings

MIB = 1 << 20
BEFORE, AFTER = 96 * MIB, 16 * MIB
PATIENT = ("--timeout", "60s", "--max-stop", "10s")  # a loaded machine is no failure
WORDS = "allocated before memtap came"

pytestmark = [pytest.mark.skipif(os.uname().machine != "x86_64", reason="attach is for x86-64"),
              pytest.mark.skipif(not may_trace_siblings(), reason="kernel.yama.ptrace_scope forbids it without CAP_SYS_PTRACE")]


@pytest.fixture
def joined(any_python, tmp_path):
    """Joined when it held 96 MiB at a line, and 16 MiB more now."""
    with Watched(any_python) as program:
        program.trace = tmp_path / "x.mtap"
        program.do(f"hold {BEFORE}")
        memtap("attach", *PATIENT, "--mode", "exact", "-o", program.trace, program.pid)
        program.do(f"hold {AFTER}")
        yield program


def detach(program):
    memtap("detach", *PATIENT, program.pid)


def test_what_was_there_before_is_a_part_of_its_own(joined):
    detach(joined)
    stats = memtap_json("stats", joined.trace)
    assert BEFORE <= stats["rss_before_bytes"] < BEFORE + 32 * MIB  # the interpreter's own
    assert stats["rss_slack_bytes"] < 8 * MIB
    parts = ("rss_file_bytes", "rss_own_bytes", "rss_inherited_bytes", "rss_unmeasured_bytes", "rss_before_bytes", "rss_slack_bytes", "peak_bytes")
    assert sum(stats[part] for part in parts) - stats["untouched_bytes"] == stats["rss_peak_bytes"]
    assert WORDS in stats["rss_note"]
    for command in ("summary", "stats", "memory"):
        assert WORDS in " ".join(memtap(command, joined.trace).stdout.decode().split()), command
    memory = memtap_json("memory", joined.trace)
    (before,) = (part["bytes"] for part in memory["parts"] if part["part"] == "before")
    assert before == stats["rss_before_bytes"]


def test_a_process_recorded_from_its_start_had_nothing_before(any_python, tmp_path):
    with Watched(any_python, tmp_path / "x.mtap") as program:
        program.do(f"hold {AFTER}")
        program.end()
    assert memtap_json("stats", tmp_path / "x.mtap")["rss_before_bytes"] == 0


def test_what_still_runs_is_alive_now_in_every_report(joined):
    for command in ("summary", "stats", "leaks"):
        text = memtap(command, joined.trace).stdout.decode()
        assert re.search(r"^ *alive .*\bnow$|^alive now |alive now$", text, re.M), text
        assert "ended" not in text and "at the end" not in text, text
    detach(joined)
    assert "alive at the end " in memtap("stats", joined.trace).stdout.decode()


def test_the_allocator_of_python_is_known_however_often_it_is_joined(joined):
    with_first = memtap_json("stats", joined.trace)["python_allocator"]
    detach(joined)
    again = joined.trace.with_name("again.mtap")
    memtap("attach", *PATIENT, "-o", again, joined.pid)
    joined.do(f"hold {MIB}")
    assert (with_first, memtap_json("stats", again)["python_allocator"]) == ("pymalloc", "pymalloc")


def amounts(command, *arguments):
    result = memtap_json(command, *arguments)
    rows = result if isinstance(result, list) else [result]
    return [{key: row.get(key) for key in ("function", "line", "bytes", "count", "leaked_bytes", "status")} for row in rows]


def test_every_report_takes_the_number_of_a_process_that_is_recorded(joined, tmp_path):
    for command in ("summary", "table", "tree", "stats", "leaks"):
        assert amounts(command, joined.pid) == amounts(command, joined.trace), command
    assert memtap_json("timeline", joined.pid)
    assert amounts("leaks", f"{joined.pid}@0%") == []
    changes = memtap_json("diff", f"{joined.pid}@0%", joined.pid)
    assert AFTER <= changes["bytes"] < AFTER + MIB
    memtap("export", "--format", "collapsed", "-o", tmp_path / "x.txt", joined.pid)
    assert "hold" in (tmp_path / "x.txt").read_text()
    memtap("flamegraph", "-o", tmp_path / "x.html", joined.pid)
    assert (tmp_path / "x.html").read_text().startswith("<!doctype html>")
    detach(joined)
    for command in ("summary", "table", "tree", "stats", "leaks", "timeline"):
        result = memtap(command, joined.pid, check=False)
        assert (result.returncode, result.stdout) == (3, b"")
        assert f"process {joined.pid} is not recorded; `memtap attach {joined.pid}`" in result.stderr.decode()


def test_a_file_with_the_name_of_a_number_is_that_file(joined, tmp_path):
    detach(joined)
    number = tmp_path / str(joined.pid)
    joined.trace.rename(number)
    assert memtap("stats", number.name, cwd=tmp_path).returncode == 0


def test_what_is_neither_a_file_nor_a_process_is_said_so():
    for command in (("leaks", "nosuch.mtap"), ("diff", "nosuch.mtap", "other.mtap"), ("run", "./nosuch")):
        result = memtap(*command, check=False)
        assert result.returncode in (1, 127) and re.search(r"nosuch(\.mtap)?: (not found|there is no such file)", result.stderr.decode()), result.stderr
        assert b"process" not in result.stderr
    result = memtap("leaks", 4194304, check=False)
    assert result.returncode == 3 and b"there is no process 4194304" in result.stderr and b"no file" in result.stderr


def test_an_idle_process_has_nothing_left_and_is_told_how_to_go_on(any_python, tmp_path):
    with Watched(any_python) as program:
        memtap("attach", *PATIENT, "--mode", "exact", "-o", tmp_path / "x.mtap", program.pid)
        text = memtap("leaks", program.pid).stdout.decode()
        assert "what the process had before is not known" in text and f"memtap memory {program.pid} " in text
        assert "--min-age" not in text
