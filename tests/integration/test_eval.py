"""`memtap eval`: what code sees and shows, how it ends, and that the program is as it was."""

import json
import os
import re
import signal
import subprocess
import threading

import pytest
from armed import Armed, sockets_of, until
from conftest import MEMTAP, TESTS, find_interpreter, memtap, run

PROGRAM = TESTS / "targets/py_evaluated.py"
EXTRA = {f"extra-{n}": line.split()[-1] for n, line in enumerate(os.environ.get("MEMTAP_EXTRA_PYTHONS", "").splitlines()) if line.strip()}
END = b"module TextIOWrapper True the program's model the program's i False\n"


@pytest.fixture(scope="module", params=["3.8", "3.11", "3.12", "3.13", *EXTRA])
def path(request):
    return EXTRA.get(request.param) or find_interpreter(request.param) or pytest.skip(f"no Python {request.param} on this machine")


@pytest.fixture(scope="module")
def program(path):
    """One that waits; it must be at its end as if nothing had been."""
    with Armed(path, "-S", PROGRAM, "quiet").ready() as armed:
        yield armed
        assert evaluate(armed, "import threading\n[t.name for t in threading.enumerate()]") == "['MainThread']\n"
        out, err = armed.finish()
        assert (out, err) == (b"end [0, 0, 0]\n" + END, b"")


@pytest.fixture
def one(any_python):
    with Armed(any_python, "-S", PROGRAM, "quiet").ready() as armed:
        yield armed


def ask(armed, code, *options, **how):
    return memtap("eval", "-q", *options, armed.pid, code, check=False, **how)


def evaluate(armed, code):
    done = ask(armed, code)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


def envelope(armed, code, *options):
    done = ask(armed, code, "--format", "json", *options)
    return done.returncode, json.loads(done.stdout)


# ---- names and values -----------------------------------------------------------------------------------------------------

def test_names_stay_and_those_of_the_program_are_seen(program):
    assert evaluate(program, "x = 1") == ""
    assert evaluate(program, "print(x)") == "1\n"
    assert evaluate(program, "for i in range(3): pass\nprint(i, model)") == "2 the program's model\n"
    assert evaluate(program, "import __main__; __main__.i") == "\"the program's i\"\n"
    assert evaluate(program, "def f():\n    return model, x\n[f() for _ in range(1)]") == "[(\"the program's model\", 1)]\n"


def test_names_of_the_program_are_those_of_now(any_python):
    with Armed(any_python, PROGRAM, "computes").ready() as armed:
        code = "import time\nfirst = counter\nwhile counter == first: time.sleep(0.001)\nprint(counter > first)"
        assert evaluate(armed, code) == "True\n"
        armed.finish()


def test_the_last_expression_is_shown(program):
    assert evaluate(program, "1 + 1") == "2\n"
    assert evaluate(program, "y = 5; y") == "5\n"
    assert evaluate(program, "None") == ""
    assert evaluate(program, "  \n") == ""
    assert evaluate(program, "'é\\U0001F600'") == "'é\U0001F600'\n"


def test_standard_input_is_empty(program):
    done = ask(program, "input()")
    assert done.returncode == 1 and done.stderr.endswith(b"EOFError: EOF when reading a line\n")
    assert evaluate(program, "import sys; sys.stdin.read()") == "''\n"


def test_streams_are_files_as_ever(program):
    code = ("import io, sys\nprint(isinstance(sys.stdout, io.TextIOBase), sys.stdout.encoding)\nsys.stdout.buffer.write(b'raw\\n')\n"
            "print('to err', file=sys.stderr)\nimport contextlib\nheld = io.StringIO()\n"
            "with contextlib.redirect_stdout(held):\n    print('held')\nprint(repr(held.getvalue()))")
    done = ask(program, code)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"True utf-8\nraw\n'held\\n'\n", b"to err\n")


def test_much_output_comes_whole(program):
    text = evaluate(program, "for n in range(30000): print(n, 'x' * 90)")
    assert text == "".join(f"{n} {'x' * 90}\n" for n in range(30000))


def test_what_code_starts_can_be_ended(program):
    """By signals, as what the program starts itself."""
    code = "import subprocess\nchild = subprocess.Popen(['sleep', '3600'])\nchild.terminate()\nchild.wait()"
    assert evaluate(program, code) == "-15\n"
    masks = "import signal, threading\nmasks = []\nthread = threading.Thread(target=lambda: masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, [])))"
    assert evaluate(program, masks + "\nthread.start()\nthread.join()\nmasks") == "[set()]\n"


def test_signals_that_the_program_blocks_stay_blocked(any_python):
    source = "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGTERM])\nprint('ready', flush=True)\ninput()"
    with Armed(any_python, "-c", source).ready() as armed:
        assert evaluate(armed, "import signal\nsorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, [])))") == "[10, 15]\n"
        armed.finish()


def test_no_warning_is_drawn(path):
    source = "print('ready', flush=True)\ninput()\nimport sys\nprint(type(sys).__name__, type(sys).__module__)"
    for options in (("-W", "error"), ("-X", "dev")):
        with Armed(path, "-I", "-S", *options, "-c", source).ready() as armed:
            assert evaluate(armed, "import sys\nprint(1)\ntype(sys).__name__") == "1\n'module'\n"
            assert armed.finish() == (b"module builtins\n", b"")


# ---- failures -------------------------------------------------------------------------------------------------------------

def test_what_was_printed_before_an_exception_is_kept(program):
    done = ask(program, "print('before')\n1/0")
    assert (done.returncode, done.stdout) == (1, b"before\n")
    lines = done.stderr.decode().splitlines()
    assert lines[0] == "Traceback (most recent call last):" and lines[-1] == "ZeroDivisionError: division by zero"
    assert re.fullmatch(r'  File "<memtap eval \d+>", line 2, in <module>', lines[1]) and lines[2] == "    1/0"


def test_json_has_all_of_it(program):
    code, answer = envelope(program, "print('é')\nraise ValueError('no\\nsuch')")
    assert code == 1 and list(answer) == ["status", "output", "error", "traceback", "held_gil_s"]
    assert (answer["status"], answer["output"], answer["error"]) == ("error", "é\n", "ValueError: no\nsuch")
    assert answer["traceback"][0] == "Traceback (most recent call last):"
    code, answer = envelope(program, "2")
    assert (code, answer["status"], answer["output"], answer["error"], answer["traceback"]) == (0, "ok", "2\n", None, [])


def test_exiting_ends_the_code_alone(program):
    assert evaluate(program, "import sys\nprint(1)\nsys.exit()\nprint(2)") == "1\n"
    done = ask(program, "import sys; sys.exit('reason')")
    assert done.returncode == 1 and done.stderr.endswith(b"SystemExit: reason\n")
    assert evaluate(program, "3") == "3\n"


def test_a_syntax_error_is_one(program):
    done = ask(program, "x = = 1")
    assert (done.returncode, done.stdout) == (1, b"") and b"SyntaxError: invalid syntax\n" in done.stderr


def cut_short(armed, code, error):
    """The answer to code that takes too long, with that error. On a busy machine it may not have begun in its time, or a thread that was
    interrupted have had no turn: then once more."""

    def answer():
        exit_code, found = envelope(armed, code, "--timeout", "200ms")
        assert exit_code == 4, found
        return found if error in found["error"] else None

    return until(answer, f"never: {error}")


def test_an_endless_loop_is_interrupted_and_the_program_lives(program):
    answer = cut_short(program, "print('in')\nwhile True:\n    len('')", "memtap.TimeLimit: the code took longer than it may (--timeout)")
    assert (answer["status"], answer["output"]) == ("timeout", "in\n") and answer["held_gil_s"] > 0
    assert answer["traceback"][0] == "Traceback (most recent call last):"
    cut_short(program, "try:\n    while True:\n        len('')\nexcept Exception: pass", "memtap.TimeLimit")
    assert evaluate(program, "4") == "4\n"


def test_a_loop_in_c_is_left_alone_and_nothing_else_begins(one):
    assert cut_short(one, "sum(range(10**14))", "the code has not ended")["status"] == "timeout"
    code, answer = envelope(one, "1", "--timeout", "100ms")
    assert (code, answer["status"]) == (4, "busy")
    assert one.process.poll() is None


def test_the_gil_may_not_be_had(any_python):
    with Armed(any_python, "-c", "print('ready', flush=True)\nsum(range(10**14))").ready() as armed:
        until(lambda: "did not begin" in (envelope(armed, "1", "--timeout", "200ms")[1]["error"] or ""), "it always had the GIL")


def test_ctrl_c_interrupts_the_code(one):
    code = "import time\nprint('in', flush=True)\nwhile True:\n    time.sleep(0.001)"
    with subprocess.Popen([MEMTAP, "eval", str(one.pid), code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as client:
        assert client.stdout.readline() == b"in\n"
        client.send_signal(signal.SIGINT)
        assert client.wait() == -signal.SIGINT
    assert evaluate(one, "5") == "5\n"


def test_who_prints_without_end_to_nobody_is_interrupted(one):
    with subprocess.Popen([MEMTAP, "eval", str(one.pid), "while True: print('x' * 1000)"], stdout=subprocess.PIPE) as client:
        assert client.stdout.read(1) == b"x"
        client.kill()
    assert evaluate(one, "5") == "5\n"


# ---- the program ----------------------------------------------------------------------------------------------------------

CODE = "import time\nfor n in range(40):\n    print('EVAL', n)\n    if n % 4 == 0: time.sleep(0.001)\nimport sys\nlength = sys.stdout.write('EVAL end\\n')"
PRINTED = "".join(f"EVAL {n}\n" for n in range(40)) + "EVAL end\n"


@pytest.mark.parametrize("rounds", [15, pytest.param(400, marks=pytest.mark.slow)])
@pytest.mark.parametrize("mode", ["prints", "replaces"])
def test_output_of_each_side_stays_its_own(path, mode, rounds):
    with Armed(path, "-S", PROGRAM, mode).ready() as armed:
        came = []
        reader = threading.Thread(target=lambda: came.append(armed.process.stdout.read()))
        reader.start()
        for _ in range(rounds):
            assert evaluate(armed, CODE) == PRINTED
        armed.process.stdin.write(b"\n")
        armed.process.stdin.close()
        reader.join()
        assert armed.process.wait() == 0 and armed.process.stderr.read() == b""
    *lines, end, last = came[0].decode().splitlines(keepends=True)
    counts = json.loads(end[4:])
    assert last.encode() == END
    for number in range(3):
        assert [line for line in lines if line.startswith(f"app {number} ")] == [f"app {number} {n}\n" for n in range(counts[number])]
    assert len(lines) == sum(counts)


def test_sleeping_code_does_not_hold_the_program(any_python):
    with Armed(any_python, PROGRAM, "steps").ready() as armed:
        code = "import time\nbefore = counter\nwhile counter < before + 20: time.sleep(0.002)\nprint('went on')"
        assert evaluate(armed, code) == "went on\n"
        assert evaluate(armed, "import asyncio\nasync def f(): return 7\nasyncio.new_event_loop().run_until_complete(f())") == "7\n"
        armed.finish()


def test_threads_of_the_program_are_as_it_thinks(path):
    with Armed(path, "-I", "-S", "-c", "print('ready', flush=True)\ninput()").ready() as armed:
        code = "import threading\nprint(threading.main_thread() is not threading.current_thread(), threading.main_thread().ident != threading.get_ident())"
        assert evaluate(armed, code) == "True True\n"
        assert evaluate(armed, "import logging; logging.getLogger('a').handlers, len(threading.enumerate())") == "([], 1)\n"
        assert armed.finish() == (b"", b"")


def test_code_that_forks_leaves_one_program(program):
    code = "import os\nchild = os.fork()\nif child:\n    print(os.waitpid(child, 0)[1])\nelse:\n    print('lost')"
    assert evaluate(program, code) == "0\n"


def test_a_fork_child_of_the_program_prints_as_ever(any_python):
    source = ("import os, sys, time\nsys.stdout.write('ready\\n')\nsys.stdout.flush()\nsys.stdin.readline()\npid = os.fork()\n"
              "if pid == 0:\n    print('child')\n    sys.stdout.flush()\n    os._exit(0)\nos.waitpid(pid, 0)\nprint('parent')")
    with Armed(any_python, "-W", "ignore", "-c", source).ready() as armed:
        with subprocess.Popen([MEMTAP, "eval", str(armed.pid), "import time\nprint('in', flush=True)\nwhile True: time.sleep(0.001)"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as client:
            assert client.stdout.readline() == b"in\n"
            assert armed.finish() == (b"child\nparent\n", b"")
            client.wait()


def test_a_fork_child_of_an_evaluated_program_is_asked_by_itself(path):
    source = ("import os, sys\nprint('ready', flush=True)\nname = 'parent'\nsys.stdin.readline()\nif os.fork() == 0:\n    name = 'child'\n"
              "    sys.stdin.readline()\n    os._exit(0)\nprint('forked', flush=True)\nos.wait()")
    with Armed(path, "-W", "ignore", "-c", source).ready() as armed:
        with subprocess.Popen([MEMTAP, "eval", "-q", str(armed.pid), "import time\nprint('in', flush=True)\nwhile name: time.sleep(0.001)"],
                              stdout=subprocess.PIPE) as client:
            assert client.stdout.readline() == b"in\n"
            armed.process.stdin.write(b"\n")
            armed.process.stdin.flush()
            assert armed.process.stdout.readline() == b"forked\n"
            child, = map(int, open(f"/proc/{armed.pid}/task/{armed.pid}/children").read().split())
            until(lambda: sockets_of(child), "the child does not listen")
            assert memtap("eval", "-q", child, "name, print(1)").stdout == b"1\n('child', None)\n"
            client.kill()
        assert evaluate(armed, "name") == "'parent'\n"
        armed.finish()


def test_the_program_ends_while_code_runs(path):
    for code in ("time.sleep(3600)", "while True: len('')"):
        with Armed(path, "-S", PROGRAM, "quiet").ready() as armed:
            with subprocess.Popen([MEMTAP, "eval", str(armed.pid), f"import time\nprint('in', flush=True)\n{code}"],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) as client:
                assert client.stdout.readline() == b"in\n"
                out, err = armed.finish()
                assert err == b"" and out.startswith(b"end [0, 0, 0]\n")
                assert client.wait() == 3 and b"has closed the connection" in client.stderr.read()


def test_what_code_allocates_is_not_the_programs(tmp_path, any_python):
    trace = tmp_path / "a.mtap"
    environment = {**os.environ, "MEMTAP_LISTEN": "1"}
    with subprocess.Popen([MEMTAP, "run", "-q", "-o", trace, any_python, PROGRAM, "quiet"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          env=environment) as recorded:
        assert recorded.stdout.readline() == b"ready\n"
        rows = until(lambda: [row for row in json.loads(memtap("list", "-f", "json").stdout) if row["trace"] == str(trace)], "it listens")
        memtap("eval", rows[0]["pid"], "kept = [bytearray(7_000_001) for _ in range(10)]\nlen(kept)")
        recorded.communicate(b"\n")
    assert f'\nnote "control" "eval by user {os.geteuid()}"\n'.encode() in memtap("parse", trace).stdout  # that there was one is told
    table = memtap("table", "--total", "--all", "-n", "1000", "-f", "json", trace).stdout
    assert sum(row["bytes"] for row in json.loads(table)) < 40_000_000


# ---- who may, and how it is asked for -------------------------------------------------------------------------------------

def test_it_can_be_forbidden(any_python):
    for options in ({"env": {"MEMTAP_ALLOW_EVAL": "0"}}, {}):
        with Armed(any_python, "-c", "import os\nos.environ['MEMTAP_ALLOW_EVAL'] = '0'\nprint('ready', flush=True)\ninput()", **options).ready() as armed:
            done = ask(armed, "print(1)")
            assert (done.returncode, done.stdout) == (3, b"") and b"MEMTAP_ALLOW_EVAL=0" in done.stderr


def test_no_python_and_no_process():
    with Armed("/bin/sleep", "600") as armed:
        done = ask(armed, "1")
        assert (done.returncode, done.stderr) == (1, b"memtap eval: the process runs no Python\n")
    done = memtap("eval", 2 ** 22 + 1, "1", check=False)
    assert done.returncode == 3 and b"there is no process" in done.stderr


def test_ways_to_give_the_code(one, tmp_path):
    file = tmp_path / "code.py"
    file.write_text("print(6 * 7)\n")
    there = {**os.environ, "MEMTAP_ENDPOINT": str(one.pid)}
    for arguments, how in ((("eval", "-f", file, one.pid), {}), (("eval", one.pid, "-"), {"input": b"42"}), ((one.pid, "eval", "42"), {}),
                           (("-t", one.pid, "eval", "42"), {}), (("eval", "42"), {"env": there}), (("eval", "-f", file), {"env": there})):
        assert memtap(*arguments, **how).stdout == b"42\n"


@pytest.mark.parametrize("arguments, says", [
    (("1", "a", "b"), b"give a TARGET and one CODE"), ((), b"give a TARGET and one CODE"), (("-f", "x", "1", "code"), b"give a TARGET beside -f FILE"),
    (("-f", "json", "1"), b"--format json"), (("-f", "/nonexistent/x.py", "1"), b"cannot read /nonexistent/x.py"), (("--timeout", "soon", "1", "1"), b"soon")])
def test_wrong_usage(arguments, says):
    done = memtap("eval", *arguments, check=False)
    assert done.returncode == 2 and says in done.stderr, done.stderr


def test_a_terminal_gets_nothing_that_drives_it(one):
    leader, follower = os.openpty()
    with subprocess.Popen([MEMTAP, "eval", "-q", str(one.pid), "print('a\\x1b[2J\\tb', end='')"], stdout=follower, stderr=follower) as client:
        os.close(follower)
        assert client.wait() == 0
    assert os.read(leader, 100) == b"a\\x1b[2J\tb"
    os.close(leader)


def test_a_format_beside_code_is_a_format(one, tmp_path):
    assert json.loads(memtap("eval", "-f", "json", one.pid, "1 + 1").stdout)["output"] == "2\n"
    assert memtap("eval", "-f", "text", one.pid, "1 + 1").stdout == b"2\n"
    (tmp_path / "json").write_text("40 + 2")
    assert memtap("eval", "-f", "json", one.pid, cwd=tmp_path).stdout == b"42\n"
    refused = memtap("eval", "-f", "json", one.pid, "1 + 1", cwd=tmp_path, check=False)
    assert refused.returncode == 2 and b"--format json" in refused.stderr


def test_code_with_a_nul_is_refused(one):
    done = memtap("eval", one.pid, "-", input=b"print(1)\0print(2)", check=False)
    assert done.returncode == 2 and b"NUL byte in it, at 8" in done.stderr


def test_how_long_the_gil_was_held_is_said(one):
    done = memtap("eval", one.pid, "import time\nend = time.thread_time() + 0.2\nwhile time.thread_time() < end: pass")
    found = re.fullmatch(rb"memtap eval: the program's own Python stood still for ([\d.]+) ms in all, while the code held the GIL\n", done.stderr)
    assert found and float(found[1]) > 0
