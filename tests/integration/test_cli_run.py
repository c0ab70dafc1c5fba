"""memtap run: what it promises about the program, the names and places of its trace, and what it tells at the end."""

import json
import os
import pathlib
import pty
import re
import shutil
import signal
import subprocess
import sys

import pytest
from conftest import MEMTAP, TIMEOUT_S, memtap, memtap_json, run

SH = "/bin/sh"


@pytest.fixture
def tape(tmp_path):
    """tape(program…, options=…): memtap run -q -o out.mtap in an empty folder; gives the finished process."""

    def start(*program, options=("-q",), **kwargs):
        return run([MEMTAP, "run", *options, "-o", tmp_path / "out.mtap", "--", *program], **kwargs)

    return start


# ---- the program is not disturbed --------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 3, 77, 255])
def test_the_exit_code_is_the_programs(tape, code):
    result = tape(SH, "-c", f"exit {code}")
    assert (result.returncode, result.stdout, result.stderr) == (code, b"", b"")


def test_a_deadly_signal_is_128_plus_n(tape):
    result = tape(SH, "-c", "kill -SEGV $$")
    assert result.returncode == 128 + signal.SIGSEGV
    assert b"killed by signal 11" in result.stderr


def test_streams_folder_and_limits_are_the_programs(tape, tmp_path):
    script = "pwd; ulimit -n; ulimit -c; umask; cat; echo err >&2"
    bare = run([SH, "-c", script], input=b"in\n", cwd=tmp_path)
    taped = tape(SH, "-c", script, input=b"in\n", cwd=tmp_path)
    assert (taped.stdout, taped.stderr) == (bare.stdout, bare.stderr)


def test_two_descriptors_of_the_agents_are_in_the_program_and_no_program_it_starts_sees_them(tape):
    """The trace's and its journal's, where programs do not look: not among the first numbers, and closed on exec."""
    listing = "import fcntl, json, os; print(json.dumps([(f, fcntl.fcntl(f, fcntl.F_GETFD)) for f in range(2000) if os.path.exists(f'/proc/self/fd/{f}')]))"
    bare = json.loads(run([sys.executable, "-c", listing]).stdout)
    seen = json.loads(tape(sys.executable, "-c", listing).stdout)
    extra = [row for row in seen if row not in bare]
    assert [row for row in seen if row in bare] == bare
    assert len(extra) <= 2 and all(fd >= 100 and flags == 1 for fd, flags in extra), extra


def test_signal_dispositions_and_mask_are_the_programs(tape):
    def states(output):
        return [line for line in output.decode().splitlines() if line.startswith(("SigBlk", "SigIgn"))]

    bare = run(["cat", "/proc/self/status"])
    assert states(tape("cat", "/proc/self/status").stdout) == states(bare.stdout)


def test_what_was_preloaded_before_stays_preloaded(tape, tmp_path):
    result = tape(SH, "-c", "echo $LD_PRELOAD", env={**os.environ, "LD_PRELOAD": "libm.so.6"})
    agent, other = result.stdout.decode().split(":")
    assert agent.endswith("libmemtap-agent.so") and other.strip() == "libm.so.6"


@pytest.mark.parametrize("name", ["TERM", "HUP", "USR1", "USR2"])
def test_signals_sent_to_memtap_are_passed_on(tmp_path, name):
    script = f"trap 'echo got; exit 9' {name}; echo ready; while :; do sleep 0.01; done"
    process = subprocess.Popen([MEMTAP, "run", "-q", "-o", tmp_path / "x.mtap", SH, "-c", script], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(getattr(signal, "SIG" + name))
    assert process.stdout.read() == b"got\n"
    assert process.wait(TIMEOUT_S) == 9


def test_ctrl_c_goes_to_the_program_and_memtap_finishes(tmp_path):
    """On a terminal of its own: the line discipline signals the whole foreground group."""
    script = "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.01; done"
    path = tmp_path / "x.mtap"
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(MEMTAP, [str(MEMTAP), "run", "-o", str(path), SH, "-c", script])
    seen = b""
    while b"ready" not in seen:
        seen += os.read(terminal, 4096)
    os.write(terminal, b"\x03")
    try:
        while True:
            seen += os.read(terminal, 4096)
    except OSError:
        pass  # the terminal is gone: everybody has exited
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    assert b"caught" in seen and b"peak" in seen
    assert path.exists()


def test_the_clock_page_is_no_file(tape):
    result = tape(SH, "-c", "readlink $MEMTAP_TICK")
    assert result.stdout.startswith(b"/memfd:memtap-tick")


def test_the_clock_page_cannot_be_changed_by_a_program(tape):
    code = ("import fcntl, os\n"
            "page = os.open(os.environ['MEMTAP_TICK'], os.O_RDWR)\n"
            "for act in (lambda: os.ftruncate(page, 0), lambda: os.ftruncate(page, 8192), lambda: fcntl.fcntl(page, 1033, 8)):\n"
            "    try: act(); print('done')\n"
            "    except OSError: print('refused')\n")
    assert tape(sys.executable, "-c", code).stdout == b"refused\n" * 3


@pytest.mark.parametrize("length", [0, 8192])
def test_a_file_in_the_clock_page_s_place_is_not_mapped(tape, tmp_path, length):
    """Somebody has set the variable; the file is emptied while the program lives, and it does not die of it."""
    fake = tmp_path.parent / f"{tmp_path.name}.fake"
    fake.write_bytes(b"\1" * length)
    code = ("import os\n"
            "os.truncate(os.environ['MEMTAP_TICK'], 0)\n"
            "kept = [bytearray(600) for _ in range(20_000)]\n"
            "print(open('/proc/self/maps').read().count(os.environ['MEMTAP_TICK']))\n")
    result = tape(SH, "-c", f"MEMTAP_TICK={fake} exec {sys.executable} -c \"$0\"", code)
    assert result.stdout == b"0\n"


def test_nothing_but_the_trace_is_left_in_the_folder(tape, tmp_path):
    tape("true")
    assert [p.name for p in tmp_path.iterdir()] == ["out.mtap"]


# ---- starting -----------------------------------------------------------------------------------------------------


def test_programs_that_cannot_start_give_what_a_shell_gives(tape, tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    for program, code in (("no-such-program", 127), ("./no/such", 127), (plain, 126), (tmp_path, 126), ("gone.py", 127)):
        result = tape(program)
        assert result.returncode == code and len(result.stderr.splitlines()) == 1, program
    assert [p.name for p in tmp_path.iterdir()] == ["plain"]


def test_a_script_without_a_first_line_is_run_by_the_shell(tape, tmp_path):
    script = tmp_path / "plain"
    script.write_text('echo "$0" "$@"; exit 6\n')
    script.chmod(0o755)
    bare = subprocess.run(f"'{script}' a 'b c'", shell=True, capture_output=True, check=False)
    taped = tape(script, "a", "b c")
    assert (taped.returncode, taped.stdout) == (bare.returncode, bare.stdout) == (6, f"{script} a b c\n".encode())


def test_a_missing_interpreter_is_named(tape, tmp_path):
    script = tmp_path / "bad"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    result = tape(script)
    assert result.returncode == 127 and b"interpreter" in result.stderr


def test_memtap_can_be_recorded_by_memtap(tmp_path):
    result = memtap("run", "-q", "-o", tmp_path / "outer.mtap", MEMTAP, "run", "-q", "-o", tmp_path / "inner.mtap", SH, "-c",
                    "echo nested; exit 3", check=False)
    assert (result.returncode, result.stdout) == (3, b"nested\n")
    commands = {path.name: json.loads(memtap("stats", "-f", "json", path).stdout)["command"] for path in tmp_path.iterdir()}
    assert commands["inner.mtap"].startswith("/bin/sh") and commands["outer.mtap"].startswith(str(MEMTAP))


def test_an_existing_trace_is_kept_unless_told(tmp_path):
    path = tmp_path / "x.mtap"
    path.write_text("precious")
    (tmp_path / "x.77.mtap").write_text("a stranger's")
    result = memtap("run", "-q", "-o", path, SH, "-c", "touch started", check=False, cwd=tmp_path)
    assert result.returncode == 2 and b"-f" in result.stderr
    assert path.read_text() == "precious" and not (tmp_path / "started").exists()
    memtap("run", "-q", "-f", "-o", path, "true")
    assert path.read_bytes()[:8] == b"\x89MTAP\r\n\x1a"
    assert (tmp_path / "x.77.mtap").read_text() == "a stranger's"


@pytest.mark.parametrize("output", ["no/such/folder/x.mtap", "/proc/x.mtap", ".", "/dev/null"])
def test_an_impossible_output_stops_before_the_program(tmp_path, output):
    result = memtap("run", "-o", output, SH, "-c", "touch started", check=False, cwd=tmp_path)
    assert result.returncode == 2 and result.stderr.count(b"\n") == 1
    assert not (tmp_path / "started").exists()


def test_the_default_name_has_program_and_pid(tmp_path, any_python):
    (tmp_path / "app.py").write_text("import os; print(os.getpid())")
    result = memtap("run", "app.py", cwd=tmp_path, env={**os.environ, "MEMTAP_PYTHON": str(any_python)})
    assert [p.name for p in tmp_path.glob("*.mtap")] == [f"memtap-app.{int(result.stdout)}.mtap"]


def test_python_files_modules_and_code_run_like_python_does(tmp_path, any_python):
    environment = {**os.environ, "MEMTAP_PYTHON": str(any_python)}
    show = "import sys; print(sys.argv, __name__, sys.flags.optimize)"
    (tmp_path / "shown.py").write_text(show)
    for form in (["shown.py"], ["-m", "shown"], ["-c", show]):
        arguments = [*form, "-x", "--rate", "7"]
        bare = run([any_python, *arguments], cwd=tmp_path)
        taped = memtap("run", "-q", "-f", "-o", "x.mtap", *arguments, cwd=tmp_path, env=environment)
        assert taped.stdout == bare.stdout, form


def test_a_musl_program_runs_unrecorded(tmp_path, tape):
    """One whose loader has musl's name, and is glibc's: what counts is that it is not shown the agent."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc")
    (tmp_path / "ld-musl-x86_64.so.1").symlink_to("/lib64/ld-linux-x86-64.so.2")
    source = tmp_path / "m.c"
    source.write_text('#include <stdio.h>\n#include <stdlib.h>\nint main(void) { printf("%s", getenv("LD_PRELOAD") ? "shown" : "alone"); '
                      'return 4; }\n')
    built = run(["gcc", f"-Wl,--dynamic-linker={tmp_path}/ld-musl-x86_64.so.1", "-o", tmp_path / "m", source])
    assert built.returncode == 0, built.stderr.decode()
    result = tape(tmp_path / "m")
    assert (result.returncode, result.stdout) == (4, b"alone")
    assert result.stderr.count(b"\n") == 1 and b"musl" in result.stderr


def test_a_static_program_is_named_as_such(tmp_path, tape):
    if shutil.which("gcc") is None:
        pytest.skip("no gcc")
    source = tmp_path / "s.c"
    source.write_text("int main(void) { return 4; }\n")
    if run(["gcc", "-static", "-o", tmp_path / "s", source]).returncode != 0:
        pytest.skip("no static libc")
    result = tape(tmp_path / "s")
    assert result.returncode == 4
    assert b"statically linked" in result.stderr


def test_the_biggest_place_fits_the_terminal(tmp_path):
    program = tmp_path / "app.py"
    program.write_text(f"def {'long_' * 12}name(): return bytearray(8 << 20)\nkept = {'long_' * 12}name()\n")
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["COLUMNS"] = "80"
        os.execv(MEMTAP, [str(MEMTAP), "run", "-o", str(tmp_path / "out.mtap"), "--", sys.executable, str(program)])
    shown = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # all ends of the terminal are closed
            break
        shown += part
    os.close(terminal)
    assert os.waitpid(pid, 0)[1] == 0
    lines = shown.decode().splitlines()
    (at,) = (i for i, line in enumerate(lines) if line.lstrip().startswith("biggest"))
    assert "app.py:1 " + "long_" * 10 in lines[at] and lines[at].endswith(":")
    assert lines[at + 1].strip().startswith("8.00 MiB in ") and lines[at + 1].endswith(" what is alive")
    assert all(len(line) <= 80 for line in lines if str(tmp_path) not in line)


def test_a_line_that_holds_much_is_bigger_than_an_import(tape, tmp_path):
    """A twentieth of what is alive is enough; and the summary's rows are the program's, imports summed below them."""
    program = tmp_path / "app.py"
    program.write_text("import asyncio, http.server, unittest, xml.dom.minidom\nkept = bytearray(600 << 10)\n")
    lines = tape(program, options=()).stderr.decode().splitlines()
    (biggest,) = (line for line in lines if line.split()[0] == "biggest")
    assert "app.py:2 <module>" in biggest and "600 KiB in " in biggest
    held = {row["function"]: row["bytes"] for row in memtap_json("table", "--leaks", tmp_path / "out.mtap")}
    assert held["import asyncio"] > 1 << 20
    rows = memtap_json("summary", tmp_path / "out.mtap")
    assert (rows[0]["function"], rows[0]["line"], rows[0]["bytes"] >= 600 << 10) == ("<module>", None, True)
    assert "start-up and imports" in memtap("summary", tmp_path / "out.mtap").stdout.decode()


def test_a_small_program_of_few_stacks_has_its_biggest_line(tape, target):
    lines = tape(target("sizes"), 1000, 1, 500, "kept", options=()).stderr.decode().splitlines()
    (biggest,) = (line for line in lines if line.split()[0] == "biggest")
    assert "sizes.c:" in biggest and "488 KiB in 500 blocks" in biggest


def test_the_closing_lines_tell_of_the_run_and_of_the_next_command(tape, target, tmp_path):
    lines = tape(target("footprint"), "same", 8 << 20, options=()).stderr.decode().splitlines()
    assert lines[0].startswith("memtap: footprint, ") and ", 1 thread → " in lines[0] and "out.mtap (" in lines[0]
    assert [line.split()[0] for line in lines[1:]] == ["peak", "alive", "biggest", "next:"]
    assert lines[1].split()[1:5] == ["8.00", "MiB", "at", lines[1].split()[4]] and "(RSS " in lines[1]
    assert "footprint.c:" in lines[3] and lines[3].endswith("8.00 MiB in 1 block, 100 % of what is alive")
    assert lines[4].startswith("next: memtap summary ")
    for command in lines[4].removeprefix("next: ").split(" · "):
        assert run([MEMTAP, *command.split()[1:]]).returncode == 0
    said = memtap("summary", tmp_path / "out.mtap").stdout.decode().splitlines()
    assert said[0].endswith(f"footprint same {8 << 20}") and said[2:5] == lines[1:4]


def test_the_closing_lines_say_who_held_the_peak(tape, target):
    """The shell, a helper of its own and one process that holds nearly everything."""
    lines = tape(SH, "-c", f"/bin/true; {target('footprint')} same {8 << 20}; true", options=()).stderr.decode().splitlines()
    assert ", 3 processes → " in lines[0]
    held = next(line for line in lines if line.startswith("  held by  "))
    assert re.fullmatch(r"  held by  footprint \(\d+\) \d+ %, 2 others \d %", held)
    assert any(line.startswith("  alive ") and line.endswith("when their processes ended") for line in lines)


def test_what_exec_put_in_the_place_of_a_launcher_is_the_program(tape):
    lines = tape("env", SH, "-c", "exec /bin/echo hi", options=()).stderr.decode().splitlines()
    assert lines[0].startswith("memtap: echo, ") and ", 1 thread → " in lines[0]


def test_exit_status_and_rss_reach_the_trace(tape, tmp_path):
    tape(SH, "-c", "exit 7")
    stats = json.loads(memtap("stats", "-f", "json", tmp_path / "out.mtap").stdout)
    assert stats["exit_code"] == 7 and stats["rss_peak_bytes"] > 100_000
    assert stats["command"] == "/bin/sh -c 'exit 7'"


def test_variables_mirror_options_and_flags_win(tmp_path):
    environment = {**os.environ, "MEMTAP_MODE": "sample", "MEMTAP_RATE": "64K", "MEMTAP_QUIET": "1"}
    for options, mode in (([], "sample"), (["--mode", "exact"], "exact")):
        path = tmp_path / f"{mode}.mtap"
        assert memtap("run", *options, "-o", path, "true", env=environment).stderr == b""
        stats = json.loads(memtap("stats", "-f", "json", path).stdout)
        assert stats["mode"] == mode
        assert stats["rate_bytes"] == (65536 if mode == "sample" else 0)


def test_no_pack_leaves_the_raw_trace(tape, tmp_path):
    tape("true", options=("-q", "--no-pack"))
    path = tmp_path / "out.mtap"
    raw, before = path.stat().st_size, memtap("stats", "-f", "json", path).stdout
    memtap("pack", "-q", path)
    assert path.stat().st_size < raw
    after = json.loads(memtap("stats", "-f", "json", path).stdout)
    assert {**after, "trace_bytes": 0} == {**json.loads(before), "trace_bytes": 0}


@pytest.mark.parametrize("options", [[], ["--no-pack"]], ids=["packed", "as it is"])
def test_the_closing_lines_are_those_of_the_trace_that_is_left(tmp_path, any_python, options):
    """They are read before the trace is packed; its size and what a summary says of it are those of the packed one."""
    trace = tmp_path / "x.mtap"
    program = "kept = [bytes(50_000) for _ in range(200)]"
    closing = run([MEMTAP, "run", *options, "-o", trace, "--", any_python, "-c", program]).stderr.decode().splitlines()
    summary = memtap("summary", trace).stdout.decode().splitlines()
    said = re.fullmatch(r"memtap: .*?, (.*) → .*x\.mtap \((.*)\)", closing[0])
    assert summary[1].strip() == f"{said[1]}, {said[2]}"
    for label in ("  peak ", "  alive ", "  biggest "):
        (line,) = [line for line in closing if line.startswith(label)]
        assert line in summary
