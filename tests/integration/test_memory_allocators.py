"""`memtap memory` of programs with jemalloc and tcmalloc: what these say of themselves, and that rows add up."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile

import pytest
from armed import PATIENCE_S, until
from conftest import interpreter, memtap
from test_memory import Program, explained, pytestmark  # noqa: F401

MIB = 1 << 20
# Free pages are given back as time passes; what is read a moment later would be less.
KEPT = {name: "dirty_decay_ms:-1,muzzy_decay_ms:-1" for name in ("MALLOC_CONF", "JE_MALLOC_CONF")} | {"TCMALLOC_RELEASE_RATE": "0"}
PATIENT = ("--timeout", "60s", "--max-stop", "10s")

# Keeps every other one of its blocks, and says at each line what its allocator says.
SAYS = """
import ctypes, json, sys
kept = [bytearray(600 + i * 7919 % 8000) for i in range(20000)]
del kept[::2]
lib = ctypes.CDLL(None)
size = ctypes.c_size_t
def jemalloc(name):
    value, room = size(), size(8)
    assert lib.mallctl(name.encode(), ctypes.byref(value), ctypes.byref(room), None, size(0)) == 0, name
    return value.value
def tcmalloc(name):
    value = size()
    assert lib.MallocExtension_GetNumericProperty(name.encode(), ctypes.byref(value)), name
    return value.value
print("ready", flush=True)
for line in sys.stdin:
    if hasattr(lib, "mallctl"):
        epoch, room = ctypes.c_uint64(1), size(8)
        assert lib.mallctl(b"epoch", ctypes.byref(epoch), ctypes.byref(room), ctypes.byref(epoch), size(8)) == 0
        used, own, resident = (jemalloc("stats." + name) for name in ("allocated", "metadata", "resident"))
    else:
        used, own = tcmalloc("generic.current_allocated_bytes"), 0
        resident = tcmalloc("generic.heap_size") - tcmalloc("tcmalloc.pageheap_unmapped_bytes")
    print(json.dumps({"in_use": used, "own": own, "slack": resident - used - own}), flush=True)
"""


def library(name):
    for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"):
        path = pathlib.Path(folder, name)
        if path.exists():
            return str(path)
    return pytest.skip(f"no {name} on this machine")


def near(got, want, parts):
    return abs(got - want) <= want / parts


@pytest.mark.parametrize("name", ["libjemalloc.so.2", "libtcmalloc.so.4", "libtcmalloc_minimal.so.4"])
def test_an_allocator_is_asked_and_rows_add_up(name, tmp_path):
    with Program(interpreter("3.11"), "-c", SAYS, env={**os.environ, **KEPT, "LD_PRELOAD": library(name)}) as program:
        assert program.read() == b"ready\n"
        assert explained(program.pid)[0]["allocator"] is None  # nobody is there to be asked
        memtap("attach", *PATIENT, "-o", tmp_path / "x.mtap", program.pid)
        answer, parts = explained(program.pid)
        program.say("say")
        truth = json.loads(program.read())
        memtap("detach", *PATIENT, program.pid)
    said = answer["allocator"]
    assert said["name"] == re.search("jemalloc|tcmalloc", name)[0]
    assert near(said["in_use_bytes"], truth["in_use"], 20) and truth["in_use"] > 40 * MIB
    assert near(said["slack_bytes"], truth["slack"], 20) and truth["slack"] > 10 * MIB
    assert near(said["own_bytes"], truth["own"], 20)
    assert near(parts["other_used"], truth["in_use"], 20) and near(parts["other_slack"], truth["slack"], 20)
    assert parts.get("unexplained", 0) <= answer["rss_bytes"] / 50


class Redis:
    def __init__(self, folder):
        self.path = f"{folder}/redis"
        options = ["--port", "0", "--unixsocket", self.path, "--save", "", "--appendonly", "no", "--dir", folder]
        self.process = subprocess.Popen([shutil.which("redis-server"), *options], stdout=subprocess.DEVNULL, env={**os.environ, **KEPT})
        self.pid = self.process.pid
        self.socket = until(self.connect, "redis does not listen")

    def connect(self):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(PATIENCE_S)
        with contextlib.suppress(OSError):
            client.connect(self.path)
            return client
        client.close()
        return None

    def ask(self, *words):
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in map(str.encode, words)))
        answer = self.socket.makefile("rb")
        line = answer.readline()
        return answer.read(int(line[1:])) if line[:1] == b"$" and line[1:2] != b"-" else line

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.socket.close()
        self.process.kill()
        self.process.wait()


def test_redis_is_explained(tmp_path):
    if shutil.which("redis-server") is None:
        pytest.skip("no redis-server on this machine")
    with tempfile.TemporaryDirectory() as short, Redis(short) as redis:  # a name of a socket has to fit into 108 bytes
        redis.ask("eval", "for i = 1, 100000 do redis.call('set', 'k' .. i, string.rep('x', 200)) end", "0")
        redis.ask("eval", "for i = 1, 100000 do if i % 3 ~= 0 then redis.call('del', 'k' .. i) end end", "0")
        memtap("attach", *PATIENT, "-o", tmp_path / "x.mtap", redis.pid)
        answer, parts = explained(redis.pid)
        report = redis.ask("memory", "malloc-stats").decode()  # jemalloc's own, of this moment: what INFO says is refreshed by a timer
        memtap("detach", *PATIENT, redis.pid)
    said = answer["allocator"]
    if said is None:
        pytest.skip("this redis has another allocator than jemalloc, or one that nobody can ask")
    allocated, resident = map(int, re.search(r"^Allocated: (\d+),.* resident: (\d+),", report, re.M).groups())
    assert near(said["in_use_bytes"], allocated, 20) and near(said["slack_bytes"], resident - allocated - said["own_bytes"], 20)
    assert parts["other_slack"] > 5 * MIB
    assert parts.get("unexplained", 0) <= answer["rss_bytes"] / 50
