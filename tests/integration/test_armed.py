"""An armed program does what it would have done: forks, namespaces, closed descriptors, filters, ends; and stays reachable."""

import contextlib
import os
import random
import socket
import subprocess
import tempfile

import pytest
from armed import AGENT, BAD, HEAD, HELLO, OK, PATIENCE_S, Armed, Connection, frame, sockets_of, until
from conftest import TARGETS, interpreter, run

TARGET = str(TARGETS / "armed")
SLEEPER = ("/bin/sleep", "600")

FORKS = """
import os, sys, threading
for i in range(50):
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    assert os.waitpid(pid, 0)[1] == 7 << 8
print("forked", flush=True)
sys.stdin.readline()
"""
CHILD = """
import os, sys
ends, held = os.pipe()
child = os.fork()
if child == 0:
    os.close(held)
    os.read(ends, 1)  # until the parent has ended
    os._exit(0)
print(child, flush=True)
sys.stdin.readline()
"""
POOL = """
import multiprocessing, sys
def square(x):
    return x * x
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(3) as pool:
        print(sum(pool.map(square, range(1000))), flush=True)
"""


@pytest.fixture(autouse=True)
def own_sockets(monkeypatch):
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)


def answers(pid):
    """Does it, now or at its next sockets?"""
    for name in sockets_of(pid):
        try:
            with Connection(name) as connection:
                if (connection.ask(HELLO) or (None,))[0] == OK:
                    return True
        except OSError:
            pass
    return False


def waits(pid):
    """Is a thread other than the main one in ppoll? Until then ours may still be opening its sockets."""
    for thread in set(os.listdir(f"/proc/{pid}/task")) - {str(pid)}:
        with open(f"/proc/{pid}/task/{thread}/syscall") as file:
            if file.read().startswith("271 "):
                return True
    return False


@pytest.mark.parametrize("word", ["forks", "storm", "unshare", "setns", "closefrom", "setuid"])
def test_a_program_does_the_same(word):
    plain = run([TARGET, word])
    with Armed(TARGET, "wait", word, "wait", alone=True) as program:
        until(lambda: waits(program.pid), "nobody waits")
        program.process.stdin.write(b"\n")
        program.process.stdin.flush()
        assert program.process.stdout.readline() == b"wait 0\n"
        assert program.process.stdout.readline() == plain.stdout
        until(lambda: answers(program.pid), "not reachable afterwards")
        assert program.finish() == (b"wait 0\n", b"")


def test_it_is_woken_in_another_network():
    plain = run([TARGET, "net"])
    with Armed(TARGET, "wait", "net", alone=True, env={"XDG_RUNTIME_DIR": "/nonexistent"}) as program:  # the abstract socket alone
        assert program.finish(b"\n") == (b"wait 0\n" + plain.stdout, b"")


def test_children_that_are_followed_are_armed_too(any_python):
    with Armed(any_python, "-c", CHILD) as program:
        child = int(program.process.stdout.readline())
        until(lambda: answers(child), "the child does not answer")
        until(lambda: answers(program.pid), "the parent does not answer")


def test_a_filter_ends_it():
    with Armed(TARGET, "jail", wait=False) as program:
        assert program.process.stdout.readline() == b"jail 1\n"
        program.finish(None)


def test_the_last_thread_of_the_program_ends_it():
    with Armed(TARGET, "wait", "exit") as program:
        assert program.finish(b"\n") == (b"wait 0\nexit 0\n", b"")


@pytest.mark.parametrize("version", ["3.8", "3.12", "3.13"])
def test_python_forks_without_a_word(version):
    with Armed(interpreter(version), "-W", "error", "-c", FORKS) as program:
        assert program.process.stdout.readline() == b"forked\n"
        until(lambda: answers(program.pid), "not reachable after fork")
        assert program.finish() == (b"", b"")
    assert run([interpreter(version), "-W", "error", "-c", POOL], env={**os.environ, "LD_PRELOAD": str(AGENT), "MEMTAP_LISTEN": "1"}).stdout == b"332833500\n"


def test_exec_arms_the_next_program():
    with Armed("/bin/sh", "-c", "read line; exec sleep 600") as program:
        before = program.name
        program.process.stdin.write(b"\n")
        program.process.stdin.flush()
        until(lambda: answers(program.pid) and sockets_of(program.pid) != [before], "the next program does not answer")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_another_user_is_refused():
    code = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect('\\0' + input()); s.sendall({frame(HELLO)!r}); print(len(s.recv(100)))"
    with Armed(*SLEEPER) as program:
        for user, wanted in ((0, True), (65534, False)):
            done = subprocess.run(["/usr/bin/python3", "-c", code], input=program.name.encode(), user=user, capture_output=True, check=False,
                                  timeout=PATIENCE_S)
            assert (done.returncode == 0 and int(done.stdout) > 0) == wanted, done


def test_a_planted_folder_is_not_used():
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        target = os.path.join(folder, "elsewhere")
        os.mkdir(target)
        os.symlink(target, os.path.join(folder, "memtap"))
        with Armed(*SLEEPER, env={"XDG_RUNTIME_DIR": folder}) as program:
            assert answers(program.pid) and os.listdir(target) == []
        os.unlink(os.path.join(folder, "memtap"))
        os.mkdir(os.path.join(folder, "memtap"), 0o700)
        os.chmod(os.path.join(folder, "memtap"), 0o777)
        with Armed(*SLEEPER, env={"XDG_RUNTIME_DIR": folder}) as program:
            assert answers(program.pid) and os.listdir(os.path.join(folder, "memtap")) == []


def test_garbage_closes_the_connection_and_nothing_else():
    seed = random.randrange(1 << 32)
    print("seed", seed)
    bytes_of = random.Random(seed)
    with Armed(*SLEEPER) as program:
        for _ in range(200):
            data = bytearray(frame(bytes_of.randrange(8), "A=1", "RATE=x"))
            for _ in range(bytes_of.randrange(1, 6)):
                data[bytes_of.randrange(len(data))] = bytes_of.randrange(256)
            with program.connect() as connection, contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.socket.sendall(data)
                connection.socket.shutdown(socket.SHUT_WR)
                while connection.socket.recv(65536):
                    pass
        assert answers(program.pid) and program.threads() == 2


def test_frames_that_are_too_large_or_have_no_end_are_refused():
    with Armed(*SLEEPER) as program:
        for bad in (frame(HELLO, length=(16 << 20) + 1), frame(HELLO, version=2), frame(HELLO, magic=7)):
            with program.connect() as connection, contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.socket.sendall(bad)
                assert connection.socket.recv(1) in (b"", b"H")
        with program.connect() as connection:
            connection.socket.sendall(HEAD.pack(0x3143544D, 1, HELLO, 0, 3) + b"A=1")
            assert connection.reply()[0] == BAD


def test_a_slow_client_and_many_clients_hold_up_nobody():
    with Armed(*SLEEPER) as program:
        slow = program.connect()
        slow.socket.sendall(frame(HELLO)[:7])
        full = [program.connect() for _ in range(12)]
        for connection in full:
            assert connection.ask(HELLO)[0] == OK
        deaf = program.connect()  # asks, and never reads an answer
        deaf.socket.settimeout(1)
        try:
            for _ in range(20000):
                deaf.socket.sendall(frame(HELLO))
        except OSError:
            pass
        assert full[0].ask(HELLO)[0] == OK
        for connection in (slow, deaf, *full):
            connection.socket.close()
        until(lambda: answers(program.pid), "not reachable")
