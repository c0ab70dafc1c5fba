"""Tables of what a process is now: its Python objects, collector and tensors, the GPUs of the machine, and when memory ran out.

GPUs are those of tests/fakes/nvml.c, a stand-in for NVIDIA's library; tensors are those of a stand-in for torch."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from armed import Armed
from conftest import MEMTAP, TESTS, memtap
from watched import Watched

PROGRAM = """
import gc, sys, types
class Node:
    __slots__ = ("next",)
class Costly:
    def __sizeof__(self):
        raise SystemExit("never called")
class Named(type):
    @property
    def __module__(cls):
        raise SystemExit("never called")
class Odd(metaclass=Named): pass
def never(*_): raise SystemExit("never called")
class Equal(type):
    __eq__ = never
class Hashed(Equal):
    __hash__ = never
class Unhashable(metaclass=Equal): pass
class Hash(metaclass=Hashed): pass
class Callable:
    __call__ = never
class Sized:
    __sizeof__ = Callable()
torch = types.ModuleType("torch")
class TensorBase:
    def __init__(self, *shape): self._shape = shape
    shape, dtype, device = property(lambda self: self._shape), property(lambda self: "torch.float32"), property(lambda self: "cpu")
    requires_grad = property(lambda self: True)
    def numel(self):
        n = 1
        for side in self._shape: n *= side
        return n
    def element_size(self): return 4
class Tensor(TensorBase): pass
class OwnTensor(Tensor):
    numel = element_size = never
    shape = dtype = device = requires_grad = property(never)
torch.Tensor, torch._C = Tensor, types.SimpleNamespace(TensorBase=TensorBase)
gc.disable()
nodes = [Node() for _ in range(5000)]
costly, odd = [Costly() for _ in range(20)], [Odd() for _ in range(30)]
own = [[kind() for _ in range(7)] for kind in (Unhashable, Hash, Sized)]
print("ready", flush=True)
for line in sys.stdin:
    exec(line)
    print("ok", flush=True)
"""


def ask(target, sql, **environment):
    result = subprocess.run([MEMTAP, "query", "-f", "json", str(target), sql], capture_output=True, text=True, env={**os.environ, **environment})
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout), result.stderr


class Program(Armed):
    def do(self, code):
        self.process.stdin.write(code.encode() + b"\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == b"ok\n"


@pytest.fixture
def program(any_python):
    with Program(any_python, "-S", "-c", PROGRAM).ready() as armed:
        yield armed
        assert armed.finish(b"print(gc.isenabled(), len(nodes))\n")[0].startswith(b"False ")


def test_objects_are_counted_by_type_and_grow(program):
    sql = "SELECT type, count, bytes, growth FROM memory.objects WHERE type IN ('__main__.Node', '__main__.Costly') ORDER BY type"
    rows, notes = ask(program.pid, sql)
    slots = rows[-1]
    assert (slots["type"], slots["count"], slots["growth"]) == ("__main__.Node", 5000, 0) and slots["bytes"] >= 5000 * 24
    assert (rows[0]["type"], rows[0]["count"]) == ("__main__.Costly", 20) and rows[0]["bytes"] > 0
    assert "could run no Python for" in notes
    program.do("nodes += [Node() for _ in range(123)]")
    assert ask(program.pid, sql)[0][-1] == {**slots, "count": 5123, "growth": 123, "bytes": slots["bytes"] // 5000 * 5123}
    program.do("del nodes[:]")
    assert ask(program.pid, sql)[0][-1] == {"type": "__main__.Node", "count": 0, "bytes": 0, "growth": -5000}


def test_types_that_compare_and_hash_by_code_of_their_own_are_counted(program):
    rows, _ = ask(program.pid, "SELECT type, count FROM memory.objects WHERE type IN ('__main__.Unhashable', '__main__.Hash', '__main__.Sized') ORDER BY type")
    assert rows == [{"type": f"__main__.{name}", "count": 7} for name in ("Hash", "Sized", "Unhashable")]


def test_the_collector_says_what_it_has_done(program):
    rows, _ = ask(program.pid, "SELECT * FROM memory.gc")
    assert [row["generation"] for row in rows] == [0, 1, 2] and {row["enabled"] for row in rows} == {0} and {row["process"] for row in rows} == {program.pid}
    before = rows[2]["collections"]
    program.do("gc.collect(); gc.collect(); gc.enable()")
    rows, _ = ask(program.pid, "SELECT * FROM memory.gc")
    assert rows[2]["collections"] == before + 2 and rows[0]["enabled"] == 1 and rows[0]["threshold"] > 0
    program.do("gc.disable()")


def test_tensors_of_a_stand_in_for_torch(program):
    rows, notes = ask(program.pid, "SELECT * FROM memory.tensors")
    assert rows == [] and f"process {program.pid}, which has not imported torch" in notes
    program.do("sys.modules['torch'] = torch; held = [Tensor(1024, 256), OwnTensor(3)]; again = [held[0]]")
    rows, _ = ask(program.pid, "SELECT * FROM memory.tensors ORDER BY size_mb DESC")
    assert rows == [
        {"process": program.pid, "size_mb": 1.0, "shape": "[1024, 256]", "dtype": "torch.float32", "device": "cpu", "requires_grad": 1, "referrers": 2},
        {"process": program.pid, "size_mb": 12 / 2**20, "shape": "[3]", "dtype": "torch.float32", "device": "cpu", "requires_grad": 1, "referrers": 1}]
    assert ask(program.pid, "SELECT sum(size_mb) AS mb FROM memory.tensors")[0] == [{"mb": 1 + 12 / 2**20}]


def test_who_cannot_be_asked_is_said(tmp_path):
    with Watched(sys.executable) as plain:
        rows, notes = ask(plain.pid, "SELECT * FROM memory.objects")
        assert rows == [] and f"memory.objects has no rows of process {plain.pid}: it is not armed; `memtap attach {plain.pid}`" in notes
    with Armed("cat") as armed:
        rows, notes = ask(armed.pid, "SELECT * FROM memory.gc")
        assert rows == [] and "the process runs no Python" in notes
    with Armed(sys.executable, "-c", "input()", env={"MEMTAP_ALLOW_EVAL": "0"}) as armed:
        rows, notes = ask(armed.pid, "SELECT * FROM memory.gc")
        assert rows == [] and "MEMTAP_ALLOW_EVAL=0" in notes
    (tmp_path / "ended.py").write_text("x = bytes(100)")
    memtap("run", "-q", "-o", tmp_path / "ended.mtap", tmp_path / "ended.py")
    for table in ("objects", "gc", "tensors", "smaps"):
        rows, notes = ask(tmp_path / "ended.mtap", f"SELECT * FROM memory.{table}")
        assert rows == [] and f"memory.{table} has rows of processes that run" in notes


@pytest.fixture
def nvml(tmp_path):
    if shutil.which("cc") is None:
        pytest.skip("no C compiler for the fake NVML")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "libnvidia-ml.so.1", TESTS / "fakes/nvml.c"], check=True)
    return {"LD_LIBRARY_PATH": os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("LD_LIBRARY_PATH")]))}


def test_gpus_of_a_fake_driver(nvml):
    with Watched(sys.executable) as plain:
        fake = {**nvml, "FAKE_NVML_DEVICES": "2", "FAKE_NVML_PID": str(plain.pid)}
        rows, _ = ask(plain.pid, "SELECT * FROM gpu.devices", **fake)
        assert rows == [{"backend": "nvml", "device_id": i, "name": f"Fake GPU {i}", "memory_model": None, "chip": None, "uuid": f"GPU-{i}",
                         "compute_capability": f"{9 + i}.6", "total_mem_bytes": (i + 1) << 30} for i in range(2)]
        rows, _ = ask(plain.pid, "SELECT * FROM gpu.utilization", **fake)
        assert all(row.pop("ts") > 1_600_000_000_000_000 for row in rows)
        first_namespace = os.readlink("/proc/self/ns/pid") == "pid:[4026531836]"
        assert rows == [{"backend": "nvml", "device_id": i, "name": f"Fake GPU {i}", "free_bytes": (i + 1) * 768 << 20, "total_bytes": (i + 1) << 30,
                         "used_bytes": (i + 1) * 256 << 20, "mem_used_pct": 25.0, "gpu_util_pct": 10.0 * (i + 1),
                         "driver_mem_bytes": (i + 1) * 128 << 20 if first_namespace else None} for i in range(2)]


def test_no_driver_or_one_that_fails_is_said(nvml):
    with Watched(sys.executable) as plain:
        rows, notes = ask(plain.pid, "SELECT * FROM gpu.devices", **nvml, FAKE_NVML_INIT="9")
        assert rows == [] and "gpu.devices has no rows: the NVIDIA driver does not answer" in notes
        rows, notes = ask(plain.pid, "SELECT * FROM gpu.utilization", **nvml, FAKE_NVML_DEVICES="0")
        assert (rows, notes) == ([], "")


def test_the_first_allocation_that_failed_is_an_event(tmp_path):
    (tmp_path / "program.py").write_text("try:\n    bytearray(1 << 60)\nexcept MemoryError:\n    pass\n")
    memtap("run", "-q", "-o", tmp_path / "program.mtap", tmp_path / "program.py")
    rows, _ = ask(tmp_path / "program.mtap", "SELECT kind, asked_bytes > 1 << 59 AS large, time_s > 0 AS timed, killed FROM process.oom_events")
    assert rows == [{"kind": "allocation failed", "large": 1, "timed": 1, "killed": None}]
