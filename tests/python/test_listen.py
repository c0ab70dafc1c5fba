"""memtap.listen(): a Python program that can be asked, without having been started for it."""

import os
import re
import subprocess
import sys

import pytest

PROGRAM = """
import os, sys, warnings
warnings.simplefilter("error")
import memtap
memtap.listen(*sys.argv[1:])
memtap.listen(*sys.argv[1:])
with open("/proc/net/unix") as sockets:
    names = sockets.read().count("@memtap-%d-" % os.getpid())
pid = os.fork()
if pid == 0:
    grandchild = os.fork()
    if grandchild == 0:
        os._exit(0)
    os.waitpid(grandchild, 0)
    os._exit(len(os.listdir("/proc/self/task")))
threads_of_child = os.waitpid(pid, 0)[1] >> 8
print(names, threads_of_child)
"""

FROM_A_WORKER = """
import ctypes, memtap, os, threading, time
armed = threading.Event()
def work():
    memtap.listen()
    armed.set()
    while open("/proc/self/stat").read().rpartition(") ")[2][0] != "Z":
        time.sleep(0.01)
    os.write(1, b"main has ended\\n")
threading.Thread(target=work).start()
armed.wait()
ctypes.CDLL(None).pthread_exit(None)
"""


def listens(*arguments, **environment):
    return subprocess.run([sys.executable, "-c", PROGRAM, *arguments], env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=300)


def test_it_listens_once_and_its_children_do_not():
    done = listens()
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 1\n", "")


def test_an_address_for_others_needs_a_token():
    done = listens("0.0.0.0:0", MEMTAP_TOKEN="")
    assert done.returncode == 1 and re.search(r"OSError: cannot listen at 0\.0\.0\.0:0", done.stderr)
    done = listens("0.0.0.0:0", MEMTAP_TOKEN="sesame")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 1\n", "")


@pytest.mark.parametrize("address", ["", "nowhere", "127.0.0.1", "127.0.0.1:99999"])
def test_what_is_no_address_is_refused(address):
    assert listens(address).returncode == 1


def test_the_last_thread_ends_a_program_armed_by_it():
    done = subprocess.run([sys.executable, "-c", FROM_A_WORKER], capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "main has ended\n", "")
