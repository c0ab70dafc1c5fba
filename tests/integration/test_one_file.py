"""One run leaves one file, touches nothing else, and survives the death of memtap and a person's file operations."""

import os
import signal
import subprocess

import pytest
import tracefile
from conftest import MEMTAP, TIMEOUT_S, memtap, memtap_json, run

SH = "/bin/sh"


def processes(path):
    """The pids of the lines of `memtap parse`."""
    return [int(line.split()[1]) for line in memtap("parse", path).stdout.decode().splitlines() if line.startswith("process ")]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_all_processes_are_in_the_file_the_run_began_with(tmp_path):
    path = tmp_path / "x.mtap"
    script = "stat -c %i x.mtap; stat -c %a x.mtap.d; (true; /bin/true); exec /bin/echo end"
    result = memtap("run", "-q", "-o", path, "--", SH, "-c", script, cwd=tmp_path)
    inode, mode, end = result.stdout.decode().split()
    assert (int(inode), mode, end) == (path.stat().st_ino, "700", "end")
    assert names(tmp_path) == ["x.mtap"]
    run_ = tracefile.load_run(path)
    assert len({trace.pid for trace in run_}) >= 4 and run_[0].command[0].endswith("sh")
    assert processes(path) == [trace.pid for trace in run_]
    assert [trace.exit_status for trace in run_ if trace.pid == run_[0].pid] == [0, 1]  # of the last image
    assert memtap_json("stats", path)["processes"] == len(run_)


@pytest.mark.parametrize("option", ["--pack", "--no-pack"])
def test_the_reports_are_those_of_the_parts(tmp_path, option, target):
    path = tmp_path / "x.mtap"
    memtap("run", "-q", option, "-o", path, "--", SH, "-c", f"{target('sizes')}; {target('sizes')}; true", cwd=tmp_path)
    stats = memtap_json("stats", path)
    assert stats["processes"] == 3
    assert stats["allocations"] == sum(sum(e.kind == "alloc" for e in trace.events) for trace in tracefile.load_run(path))


def test_a_program_that_leaves_no_trace_itself_is_followed(tmp_path, target):
    """A static program starts a dynamic one: the file is that one's."""
    path = tmp_path / "x.mtap"
    static = target("runs_static")
    result = memtap("run", "-q", "-o", path, "--", static, "/bin/echo", "hi")
    assert result.stdout == b"hi\n" and names(tmp_path) == ["x.mtap"]
    assert tracefile.load(path).command == ["/bin/echo", "hi"]


def test_what_is_not_a_regular_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "x.99.mtap")
    script = "mkfifo x.mtap.d/99.mtap; ln -s /etc/passwd x.mtap.d/98.mtap; true; /bin/true"
    memtap("run", "-q", "-o", "x.mtap", "--", SH, "-c", script, cwd=tmp_path)
    assert len(processes(tmp_path / "x.mtap")) >= 3
    assert names(tmp_path / "x.mtap.d") == ["98.mtap", "99.mtap"]
    memtap("summary", tmp_path)


def test_force_removes_what_its_own_earlier_run_left(tmp_path):
    path, others = tmp_path / "x.mtap", tmp_path / "x.mtap.d"
    for name in ("x.mtap", "x.2026.mtap"):
        memtap("run", "-q", "-o", name, "--", SH, "-c", "true", cwd=tmp_path)
    others.mkdir()
    (others / "77.mtap").write_bytes(path.read_bytes())
    (others / "78.mtap").write_text("not a trace")
    refused = memtap("run", "-o", "y.mtap", "-q", "true", cwd=tmp_path)
    kept = (tmp_path / "x.2026.mtap").read_bytes()
    memtap("run", "-q", "-f", "-o", path, "--", SH, "-c", "true")
    assert refused.returncode == 0
    assert names(others) == ["78.mtap"] and (tmp_path / "x.2026.mtap").read_bytes() == kept
    assert len(processes(path)) == 1


def test_a_recording_that_goes_on_is_not_replaced(tmp_path):
    path = tmp_path / "x.mtap"
    first = subprocess.Popen([MEMTAP, "run", "-q", "-o", path, "--", "/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    first.stdin.write(b"a\n")
    first.stdin.flush()
    assert first.stdout.readline() == b"a\n"
    inode = path.stat().st_ino
    second = run([MEMTAP, "run", "-q", "-f", "-o", path, "--", SH, "-c", f"touch {tmp_path}/started"])
    assert second.returncode == 2 and second.stderr.count(b"\n") == 1
    assert str(tracefile.load(path).pid).encode() in second.stderr
    assert not (tmp_path / "started").exists()
    first.stdin.close()
    assert first.stdout.read() == b"" and first.wait(TIMEOUT_S) == 0
    assert path.stat().st_ino == inode and tracefile.load(path).command == ["/bin/cat"]


def kill_memtap(path, script="(/bin/cat); /bin/echo end"):
    """Kills it while cat waits; returns it, whose pipes are the program's."""
    tool = subprocess.Popen([MEMTAP, "run", "-q", "-o", path, "--", SH, "-c", script], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE)
    tool.stdin.write(b"a\n")
    tool.stdin.flush()
    assert tool.stdout.readline() == b"a\n"
    tool.send_signal(signal.SIGKILL)
    tool.wait(TIMEOUT_S)
    return tool


def end_program(tool):
    tool.stdin.close()
    assert tool.stdout.read() == b"end\n"  # and everybody has ended: nobody has the pipe any more


def test_when_memtap_is_killed_every_process_is_found(tmp_path):
    path = tmp_path / "x.mtap"
    end_program(kill_memtap(path))
    commands = [trace.command[0] for trace in tracefile.load_run(path)]
    assert len(commands) >= 3 and {"/bin/sh", "/bin/cat", "/bin/echo"} <= set(commands)
    assert sorted(processes(path)) == sorted(trace.pid for trace in tracefile.load_run(path))
    assert memtap_json("stats", path)["processes"] == len(commands)
    memtap("run", "-q", "-f", "-o", path, "true")
    assert names(tmp_path) == ["x.mtap"]


def rows(path):
    return memtap_json("table", "-n", "0", path)


def test_pack_puts_what_a_killed_memtap_left_into_the_file(tmp_path):
    path, copy = tmp_path / "x.mtap", tmp_path / "copy.mtap"
    tool = kill_memtap(path)
    early = run([MEMTAP, "pack", path])
    assert early.returncode == 1 and b"still being recorded" in early.stderr
    end_program(tool)
    traces = {(trace.pid, trace.start_realtime) for trace in tracefile.load_run(path)}
    wanted = rows(path)
    memtap("pack", "-q", "-o", copy, path)
    assert [name for name in names(tmp_path) if name[0] != "."] == ["copy.mtap", "x.mtap", "x.mtap.d"]
    memtap("pack", "-q", path)
    assert names(tmp_path) == ["copy.mtap", "x.mtap"]
    for packed in (copy, path):
        assert rows(packed) == wanted
        assert {(trace.pid, trace.start_realtime) for trace in tracefile.load_run(packed)} == traces
    before = path.read_bytes()
    memtap("pack", "-q", path)  # and once more: nothing is there twice
    assert path.read_bytes() == before


def test_pack_takes_once_what_was_put_there_before(tmp_path):
    """memtap was killed between two steps: what lies in FILE.d is in FILE already."""
    path, others = tmp_path / "x.mtap", tmp_path / "x.mtap.d"
    end_program(kill_memtap(path))
    kept = {other.name: other.read_bytes() for other in others.iterdir()}
    wanted = rows(path)
    first = tracefile.load(path).pid
    memtap("pack", "-q", path)
    others.mkdir()
    for name, data in kept.items():
        (others / name).write_bytes(data)
    memtap("pack", "-q", path)
    assert names(tmp_path) == ["x.mtap"] and rows(path) == wanted
    assert len(processes(path)) == sum(name[0] != "." for name in kept) + 1 and processes(path)[0] == first


def test_pack_finishes_what_was_begun_in_the_file_itself(tmp_path):
    """memtap was killed while it put the packed form of FILE, whole in FILE.d, into FILE."""
    path, others, copy = tmp_path / "x.mtap", tmp_path / "x.mtap.d", tmp_path / "copy.mtap"
    end_program(kill_memtap(path))
    for other in others.iterdir():
        other.unlink()
    memtap("pack", "-q", "-o", copy, path)
    (others / f"{tracefile.load(path).pid}.mtap").write_bytes(copy.read_bytes())
    state_at, rewriting = 80, 6
    with open(path, "r+b") as file:
        file.seek(state_at)
        file.write(rewriting.to_bytes(4, "little"))
        file.seek(5000)
        file.write(bytes(1000))
    memtap("pack", "-q", path)
    assert names(tmp_path) == ["copy.mtap", "x.mtap"] and path.read_bytes() == copy.read_bytes()


def test_a_trace_that_was_moved_is_left_where_it_is(tmp_path):
    seen = "until ls -l /proc/$PPID/fd | grep -q x.mtap$; do :; done"  # memtap has the trace open
    script = f"{seen}; mv x.mtap kept.mtap; echo note > x.mtap; /bin/true"
    result = memtap("run", "-o", "x.mtap", "--", SH, "-c", script, cwd=tmp_path)
    said = [line for line in result.stderr.decode().splitlines() if "no longer the trace of this run" in line]
    assert len(said) == 1 and str(tmp_path / "kept.mtap") in said[0] and "x.mtap.d" in said[0]
    assert (tmp_path / "x.mtap").read_text() == "note\n"
    assert len(tracefile.load(tmp_path / "kept.mtap").events) > 0
    assert len(names(tmp_path / "x.mtap.d")) >= 2
    assert len(processes(tmp_path / "kept.mtap")) == 1
    memtap("summary", tmp_path / "x.mtap.d")


def test_a_daemon_goes_on_in_the_folder(tmp_path):
    """It outlives memtap and reads from a pipe that only the test holds open."""
    path = tmp_path / "x.mtap"
    ours, daemons = os.pipe()
    read_end, write_end = os.pipe()
    os.write(write_end, b"first\n")
    script = f"/bin/cat </dev/fd/{read_end} >/dev/fd/{daemons} 2>/dev/null & read line </dev/fd/{ours}"
    result = run([MEMTAP, "run", "-o", path, "--", SH, "-c", script], pass_fds=(read_end, daemons, ours))
    os.close(read_end)
    os.close(daemons)
    assert result.returncode == 0 and b"1 process of the run still records" in result.stderr
    (trace,) = (tmp_path / "x.mtap.d").glob("[0-9]*.mtap")
    assert len(processes(path)) >= 2
    os.write(write_end, b"more\n")
    os.close(write_end)
    assert os.read(ours, 100) == b"more\n"
    assert os.read(ours, 100) == b""  # it has ended
    os.close(ours)
    assert tracefile.load(trace).command == ["/bin/cat"] and len(processes(path)) >= 2


def test_the_processes_that_held_the_peak_are_named_and_the_rest_summed(tmp_path, target):
    path = tmp_path / "x.mtap"
    helpers = "/bin/true; " * 8
    memtap("run", "-q", "-o", path, "--", SH, "-c", f"{helpers} {target('linked')}; true", cwd=tmp_path)
    stats = memtap_json("stats", path)
    *shown, rest = stats["by_process"]
    assert shown[0]["command"] == target("linked")
    assert sum(row["peak_bytes"] for row in (*shown, rest)) == stats["peak_bytes"]
    assert sum(row["peak_bytes"] for row in shown) >= 0.95 * stats["peak_bytes"]
    pids = {trace.pid for trace in tracefile.load_run(path)}
    assert rest["pid"] is None and rest["processes"] == len(pids) - len(shown) > 0
    assert f"{rest['processes']} others" in memtap("stats", path).stdout.decode()
