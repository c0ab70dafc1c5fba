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
