"""`memtap top`: a process that runs, watched: its numbers, its screen, its keys, and what is given back at the end."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest
from conftest import MEMTAP, memtap, memtap_json
from screen import Screen
from watched import Watched, may_trace_siblings

MIB = 1 << 20
PATIENT = ("--timeout", "60s", "--max-stop", "10s")  # a loaded machine is no failure
needs_ptrace = pytest.mark.skipif(os.uname().machine != "x86_64" or not may_trace_siblings(),
                                  reason="attach is for x86-64, and kernel.yama.ptrace_scope must allow it")


@pytest.fixture
def watched(any_python, tmp_path):
    """Recorded, every allocation, into x.mtap."""
    with Watched(any_python, tmp_path / "x.mtap") as program:
        program.trace = tmp_path / "x.mtap"
        yield program


def look(*arguments):
    return json.loads(memtap("top", "--once", "--json", "-n", "0", *arguments).stdout)


def held_by(looked, function="hold"):
    return [site for site in looked["sites"] if site["function"] == function]


def top(target, *options, **size):
    return Screen([MEMTAP, "top", "--interval", "100ms", *options, str(target)], **size)


# ---- numbers --------------------------------------------------------------------------------------------------------


def test_a_look_says_what_each_line_holds_as_leaks_does(watched):
    watched.do(f"hold {5 * MIB}")
    watched.do(f"hold {3 * MIB}")
    for target in (watched.pid, watched.trace):
        looked = look(target)
        (held,) = held_by(looked)
        assert 8 * MIB <= held["bytes"] < 8 * MIB + 1000
        assert held["file"].endswith("py_watched.py") and held["by"] == "bytearray" and held["line"] > 0
        assert (looked["pid"], looked["program"], looked["mode"], looked["recording"]) == (watched.pid, "py_watched.py", "exact", True)
        assert sum(site["bytes"] for site in looked["sites"]) == looked["heap_bytes"]
        assert looked["rss_bytes"] > looked["anonymous_bytes"] > 8 * MIB
        assert looked["threads"] == 1
    leaks = {(row["function"], row["file"], row["line"]): (row["bytes"], row["count"]) for row in memtap_json("leaks", watched.trace)}
    sites = {(site["function"], site["file"], site["line"]): (site["bytes"], site["count"]) for site in look(watched.pid)["sites"]}
    assert sites == leaks
    watched.end()


def test_looks_follow_what_happens_and_end_with_the_recording(watched):
    watched.do(f"hold {5 * MIB}")
    argv = [str(MEMTAP), "top", "-f", "json", "--batch", "0", "-i", "100ms", str(watched.pid)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    lines = (json.loads(line) for line in process.stdout)
    first = next(lines)
    assert held_by(first)[0]["since_mark_bytes"] == 0
    watched.do(f"hold {7 * MIB}")
    grown = next(looked for looked in lines if held_by(looked)[0]["bytes"] > 12 * MIB)
    assert 7 * MIB <= held_by(grown)[0]["since_mark_bytes"] < 7 * MIB + 1000
    assert held_by(grown)[0]["rate_bytes_per_s"] > 0 and grown["growth_bytes_per_s"] > 0
    watched.do("drop")
    next(looked for looked in lines if not held_by(looked))
    watched.end()
    last = list(lines)[-1]
    assert not last["recording"] and last["rss_bytes"] is None
    _, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, b"")


def test_an_aggregate_is_watched_by_its_sums(any_python, tmp_path):
    with Watched(any_python, tmp_path / "x.mtap", ("--aggregate",)) as program:
        program.do(f"hold {5 * MIB}")
        looked = look(program.pid)
        (held,) = held_by(looked)
        assert (looked["mode"], looked["growth_bytes_per_s"], held["age_s"], held["rate_bytes_per_s"]) == ("aggregate", None, None, None)
        assert 5 * MIB <= held["bytes"] < 5 * MIB + 1000
        program.process.communicate(b"end\n", timeout=300)  # run notes what an aggregate lacks
        assert program.process.returncode == 0


def test_text_is_one_frame_a_look_without_escapes(watched):
    watched.do(f"hold {5 * MIB}")
    text = memtap("top", "--batch", "2", "--interval", "100ms", watched.pid).stdout.decode()
    assert "\x1b" not in text
    assert len(re.findall(r"^memtap top \d+ · py_watched\.py · python 3\.\d+ · 1 thread · exact", text, re.M)) == 2
    assert len(re.findall(r"^ *5\.00 MiB .* py_watched\.py:\d+ hold ← bytearray$", text, re.M)) == 2
    by_thread = memtap("top", "--threads", watched.pid).stdout.decode()
    assert re.search(rf"\({watched.pid}\)$", by_thread, re.M), by_thread


def test_what_cannot_be_watched_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "text").write_text("no trace")
    for arguments, code, words in (((), 2, "one PID"), (("--interval", "1ms", "1"), 2, "at least 100ms"), (("--once", "--batch", "2", "1"), 2, "--batch"),
                                   ((tmp_path / "none.mtap",), 1, "none.mtap"), ((tmp_path / "text",), 1, "not a memtap trace"),
                                   (("4194304",), 3, "no process")):
        result = memtap("top", *arguments, check=False)
        assert (result.returncode, result.stdout) == (code, b""), (arguments, result)
        assert words in result.stderr.decode(), (arguments, result.stderr)


# ---- the screen --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", (80, 140))
def test_a_screen_shows_the_line_that_holds_and_follows_it(watched, columns):
    watched.do(f"hold {5 * MIB}")
    with top(watched.pid, columns=columns) as screen:
        screen.wait_for(r"^ +5\.00 MiB +0 .* py_watched\.py:\d+ hold")
        assert screen.alternate and not screen.cursor_shown
        watched.do(f"hold {20 * MIB}")
        screen.wait_for(r"^ +25\.0 MiB +\+20\.0 MiB .* py_watched\.py:\d+ hold")
        screen.type("m")
        screen.wait_for(r"^ +25\.0 MiB +0 .* py_watched\.py:\d+ hold")
        watched.do("drop")
        screen.wait_for(r" hold", gone=True)
        assert all(len(line) <= columns for line in screen.lines.values())
        screen.type("q")
        assert screen.ended() == 0


def test_keys_sort_pause_find_and_show_stacks(watched):
    watched.do(f"hold {5 * MIB}")
    with top(watched.pid) as screen:
        screen.wait_for(r" hold ← bytearray")
        screen.type("\r")
        screen.wait_for(r"^      py_watched\.py:\d+ main")
        screen.type("\r")
        screen.wait_for(r"^      py_watched\.py:\d+ main", gone=True)
        screen.type("ss")
        screen.wait_for(r"\(by rate\)")
        screen.type("/HOLD")
        screen.wait_for(r"find: HOLD")
        screen.wait_for(r"import", gone=True)
        screen.type("\r")
        screen.wait_for(r"esc ends it\)$")
        screen.type("\x1b")
        screen.wait_for(r"find:", gone=True)
        screen.type("t")
        screen.wait_for(rf"\({watched.pid}\)$")
        screen.type("t")
        screen.wait_for(r" hold ← bytearray")
        screen.type("n")
        screen.wait_for(r" hold ← bytearray")
        screen.type("p")
        screen.wait_for(r"PAUSED")
        watched.do(f"hold {20 * MIB}")
        screen.type("s")
        screen.wait_for(r"\(by blocks\)")
        assert re.search(r"^ +5\.00 MiB .* hold", screen.text(), re.M)
        screen.type("p")
        screen.wait_for(r"^ +25\.0 MiB .* hold")
        screen.type("q")
        assert screen.ended() == 0


def test_what_is_shown_is_written_to_a_file(watched, tmp_path):
    folder = tmp_path / "written"
    folder.mkdir()
    watched.do(f"hold {5 * MIB}")
    with top(watched.pid, cwd=folder) as screen:
        screen.wait_for(r" hold ← bytearray")
        screen.type("p")
        screen.wait_for(r"PAUSED")
        for name in (f"memtap-top-{watched.pid}.txt", f"memtap-top-{watched.pid}.2.txt"):
            screen.type("w")
            screen.wait_for(rf"written to {re.escape(name)}")
            text = (folder / name).read_text()
            assert text.startswith(f"memtap top {watched.pid} ") and "\x1b" not in text
            assert re.search(r"^ +5\.00 MiB .* hold ← bytearray$", text, re.M)
        screen.type("q")
        assert screen.ended() == 0
    assert len(list(folder.iterdir())) == 2


def test_a_screen_takes_another_size(watched):
    watched.do(f"hold {5 * MIB}")
    with top(watched.pid, columns=140) as screen:
        screen.wait_for(r"^memtap top .* · RSS ")
        for columns, rows in ((60, 12), (80, 40), (100, 20)):
            screen.resize(columns, rows)
            screen.signal(signal.SIGWINCH)
            screen.wait_for(rf"\A(?:.*\n){{{rows - 1}}} ↑↓ .*\Z")
            assert all(len(line) <= columns for line in screen.lines.values()), screen.text()
        screen.type("q")
        assert screen.ended() == 0


def test_names_of_the_program_do_not_drive_the_terminal(watched):
    watched.do("evil")
    with top(watched.pid, columns=140) as screen:  # whose screen knows no other sequence than memtap's
        screen.wait_for(r"\\x1b\[2J\\x07evil\.py:2 f")
        assert b"\x07" not in screen.log
        screen.type("q")
        assert screen.ended() == 0


@pytest.mark.parametrize("number, code", ((signal.SIGINT, 0), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGHUP, -signal.SIGHUP)))
def test_a_signal_gives_the_terminal_back(watched, number, code):
    with top(watched.pid) as screen:
        screen.wait_for(r"^memtap top")
        screen.signal(number)
        assert screen.ended() == code
    watched.end()


def test_a_stop_gives_the_terminal_back_until_it_goes_on(watched):
    watched.do(f"hold {5 * MIB}")
    with top(watched.pid) as screen:
        screen.wait_for(r" hold")
        screen.type("\x1a")
        assert int(screen.report("stopped")) == signal.SIGTSTP
        assert screen.is_given_back()
        screen.type("\n")
        watched.do(f"hold {20 * MIB}")
        screen.wait_for(r"^ +25\.0 MiB .* hold")
        assert screen.alternate
        screen.type("q")
        assert screen.ended() == 0


def test_several_watch_one_process_and_one_that_is_killed_disturbs_nobody(watched):
    watched.do(f"hold {5 * MIB}")
    with top(watched.pid) as one, top(watched.trace) as other, top(watched.pid) as third:
        for screen in (one, other, third):
            screen.wait_for(r"^ +5\.00 MiB .* hold")
        third.signal(signal.SIGKILL)
        assert int(third.report("ended")) == -signal.SIGKILL
        watched.do(f"hold {20 * MIB}")
        for screen in (one, other):
            screen.wait_for(r"^ +25\.0 MiB .* hold")
        watched.end()
        for screen in (one, other):
            screen.wait_for(r"PROCESS ENDED")
            screen.type("q")
            assert screen.ended() == 0


def test_what_a_process_executes_is_watched_on(watched):
    watched.do(f"hold {20 * MIB}")
    with top(watched.pid) as screen:
        screen.wait_for(r"^ +20\.0 MiB .* hold")
        watched.do("again")
        screen.wait_for(r"executed another program: this is its trace")
        watched.do(f"hold {5 * MIB}")
        screen.wait_for(r"^ +5\.00 MiB .* hold")
        screen.type("q")
        assert screen.ended() == 0


# ---- what is not recorded -------------------------------------------------------------------------------------------


def traces_of(pid):
    links = []
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            links.append(os.readlink(f"/proc/{pid}/fd/{number}"))
        except FileNotFoundError:
            pass
    return [link for link in links if link.endswith(".mtap")]


@needs_ptrace
def test_a_process_that_is_not_recorded_is_attached_to_and_let_go(any_python, tmp_path):
    with Watched(any_python) as program, top(program.pid, *PATIENT, "-o", str(tmp_path / "y.mtap")) as screen:
        screen.wait_for(r"sample 512 KiB")
        assert traces_of(program.pid) == [str(tmp_path / "y.mtap")]
        for _ in range(8):
            program.do(f"hold {20 * MIB}")  # forty times what is between two samples: all are sampled but for one in e^40
        screen.wait_for(r"^ +160 MiB .* hold")
        screen.type("q")
        assert screen.ended() == 0
        assert "is not recorded any more" in screen.log.decode()
        assert traces_of(program.pid) == []
        program.end()
    assert pathlib.Path(tmp_path / "y.mtap").exists()


@needs_ptrace
def test_a_signal_at_any_time_after_attach_ends_the_recording(any_python, tmp_path):
    with Watched(any_python) as program:
        argv = [MEMTAP, "top", "--batch", "0", "-i", "100ms", *PATIENT, "-o", tmp_path / "y.mtap", program.pid]
        process = subprocess.Popen([str(a) for a in argv], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        end = time.monotonic() + 300
        while not traces_of(program.pid):  # there as soon as it is attached, before the first look
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0 and b"is not recorded any more" in err, err
        assert traces_of(program.pid) == []
        program.end()


@needs_ptrace
def test_a_viewer_that_only_reads_lets_the_recording_go_on(any_python, tmp_path):
    with Watched(any_python) as program:
        memtap("attach", "--mode", "exact", *PATIENT, "-o", tmp_path / "z.mtap", program.pid)
        program.do(f"hold {20 * MIB}")
        assert 20 * MIB <= held_by(look(program.pid))[0]["bytes"] < 21 * MIB
        assert traces_of(program.pid) == [str(tmp_path / "z.mtap")]
        memtap("detach", *PATIENT, program.pid)
        program.end()


@needs_ptrace
def test_a_process_that_was_attached_to_is_attached_to_again_after_exec(any_python, tmp_path):
    with Watched(any_python) as program, top(program.pid, *PATIENT, "-o", str(tmp_path / "y.mtap")) as screen:
        screen.wait_for(r"sample 512 KiB")
        program.do("again")
        screen.wait_for(r"executed another program: this is its trace")
        assert traces_of(program.pid) == [str(tmp_path / "y.2.mtap")]
        for _ in range(8):
            program.do(f"hold {20 * MIB}")
        screen.wait_for(r"^ +160 MiB .* hold")
        screen.type("q")
        assert screen.ended() == 0
        assert traces_of(program.pid) == []
        program.end()


@needs_ptrace
@pytest.mark.parametrize("how", (("--once",), ("--batch", "2", "-i", "100ms"), ("--once", "--json")))
def test_a_look_at_a_process_that_is_not_recorded_shows_something_and_leaves_nothing(any_python, tmp_path, how):
    with Watched(any_python) as program:
        program.do(f"churn {20 * MIB}")  # whenever the recording begins, there is something new to be seen
        result = memtap("top", *how, *PATIENT, program.pid, cwd=tmp_path)
        out, err = result.stdout.decode(), result.stderr.decode()
        assert re.search(r'^ *\d.* py_watched\.py:\d+ churn|"function": ?"churn"', out, re.M), (out, err)
        assert f"process {program.pid} was not recorded; its recording began" in err
        assert "what was recorded is removed (-o FILE keeps it)" in err
        assert os.listdir(tmp_path) == [] and traces_of(program.pid) == []
        program.end()


@needs_ptrace
def test_an_idle_process_is_waited_for_and_said_to_hold_nothing_new(any_python, tmp_path):
    with Watched(any_python) as program:
        result = memtap("top", "--once", *PATIENT, "-o", "kept.mtap", program.pid, cwd=tmp_path)
        assert b"nothing is alive that was recorded" in result.stdout
        assert b"`memtap leaks kept.mtap` reads what was" in result.stderr
        assert [name for name in os.listdir(tmp_path) if name.endswith(".mtap")] == ["kept.mtap"]
        program.end()
