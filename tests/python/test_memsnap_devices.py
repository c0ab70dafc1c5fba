"""Device memory in memtap.memsnap: a stand-in for torch in this process, one for NVIDIA's library in child interpreters."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import textwrap
import types

import pytest

from memtap.memsnap import capture_memory_snapshot

FAKES = pathlib.Path(__file__).resolve().parents[1] / "fakes"
MIB = 1024 * 1024


def child(code, **environment):
    """Output of a program; it must end well."""
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], env={**os.environ, **environment},
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return result.stdout


def fake_torch(initialized, asked, devices=2):
    """A stand-in for torch with device 1 current."""

    def answer(name, value):
        def call(*arguments):
            asked.append(name)
            return value
        return call

    cuda = types.SimpleNamespace(
        is_available=lambda: True, is_initialized=lambda: initialized, device_count=lambda: devices,
        memory_allocated=answer("allocated", 10 * MIB), memory_reserved=answer("reserved", 20 * MIB),
        max_memory_allocated=answer("peak", 30 * MIB),
        get_device_properties=lambda index: types.SimpleNamespace(name=f"Fake {index}", total_memory=1024 * MIB))
    return types.SimpleNamespace(cuda=cuda)


def test_torch_is_asked_when_it_is_there(monkeypatch):
    asked = []
    monkeypatch.setitem(sys.modules, "torch", fake_torch(True, asked))
    snapshot = capture_memory_snapshot()
    assert (snapshot.gpu_allocated_mb, snapshot.gpu_reserved_mb, snapshot.gpu_peak_mb) == (10, 20, 30)
    assert [device["name"] for device in snapshot.gpu_devices] == ["Fake 0", "Fake 1"]
    assert {device["source"] for device in snapshot.gpu_devices} == {"torch"}
    assert len(snapshot.to_dict()) == 12 and "gpu_devices" not in snapshot.to_dict()
    assert snapshot.to_dict(include_devices=True)["gpu_devices"] == snapshot.gpu_devices


def test_torch_is_left_alone_when_not_asked_for_or_not_initialised(monkeypatch):
    asked = []
    monkeypatch.setitem(sys.modules, "torch", fake_torch(True, asked))
    snapshot = capture_memory_snapshot(include_gpu=False)
    assert (snapshot.gpu_allocated_mb, snapshot.gpu_devices) == (0.0, [])
    monkeypatch.setitem(sys.modules, "torch", fake_torch(False, asked))
    capture_memory_snapshot()
    assert asked == []


def test_a_torch_that_raises_breaks_nothing(monkeypatch):
    def broken(*arguments):
        raise RuntimeError("CUDA error: device-side assert triggered")

    torch = fake_torch(True, [])
    torch.cuda.memory_reserved = broken
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert capture_memory_snapshot().gpu_allocated_mb == 0.0
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))  # half imported
    assert capture_memory_snapshot().gpu_allocated_mb == 0.0


@pytest.fixture
def nvml(tmp_path):
    """nvml(code, FAKE_NVML_…=…, flags=[…]): runs a program with tests/fakes/nvml.c as its NVIDIA library."""

    def run(code, flags=(), cuda=True, **environment):
        libraries = tmp_path / "-".join(["lib", *(flag.lstrip("-") for flag in flags)])
        libraries.mkdir(exist_ok=True)
        (libraries / "empty.c").write_text("")
        if shutil.which("cc") is None:
            pytest.skip("no C compiler for the fake NVML")
        for target, source, options in (("libnvidia-ml.so.1", FAKES / "nvml.c", flags),
                                        ("libcuda.so.1", libraries / "empty.c", ["-Wl,-soname,libcuda.so.1"])):
            subprocess.run(["cc", "-shared", "-fPIC", *options, "-o", str(libraries / target), str(source)], check=True)
        prologue = "import ctypes; ctypes.CDLL('libcuda.so.1')\n" if cuda else ""
        search = os.pathsep.join(filter(None, [str(libraries), os.environ.get("LD_LIBRARY_PATH")]))
        return child(prologue + textwrap.dedent(code), LD_LIBRARY_PATH=search, **environment)

    return run


DESCRIBE = """
    import json
    from memtap.memsnap import capture_memory_snapshot
    s = capture_memory_snapshot()
    print(json.dumps([[s.gpu_allocated_mb, s.gpu_reserved_mb, s.gpu_peak_mb], s.gpu_devices]))
"""


@pytest.mark.parametrize("flags", [[], ["-DFIRST_ABI"]], ids=["v3", "v1"])
def test_driver_totals_without_torch(nvml, flags):
    totals, devices = json.loads(nvml(DESCRIBE, flags, FAKE_NVML_DEVICES="2"))
    assert totals == [128 + 256] * 3  # both of this process's entries, on both devices
    assert devices == [
        {"index": 0, "name": "Fake GPU 0", "uuid": "GPU-0", "total_mb": 1024, "used_mb": 256, "free_mb": 768,
         "process_mb": 128, "source": "nvml"},
        {"index": 1, "name": "Fake GPU 1", "uuid": "GPU-1", "total_mb": 2048, "used_mb": 512, "free_mb": 1536,
         "process_mb": 256, "source": "nvml"},
    ]


def test_a_process_without_cuda_uses_no_device(nvml):
    totals, devices = json.loads(nvml(DESCRIBE, cuda=False, FAKE_NVML_DEVICES="1"))
    assert totals == [0, 0, 0] and devices[0]["process_mb"] == 0 and devices[0]["used_mb"] == 256


def test_a_share_the_driver_does_not_tell_is_unknown(nvml):
    totals, devices = json.loads(nvml(DESCRIBE, FAKE_NVML_DEVICES="1", FAKE_NVML_PIDS="unknown"))
    assert totals == [0, 0, 0] and devices[0]["process_mb"] is None


def test_foreign_pids_are_not_taken_for_an_answer_inside_a_container(nvml):
    _, devices = json.loads(nvml(DESCRIBE, FAKE_NVML_DEVICES="1", FAKE_NVML_PIDS="other"))
    first_namespace = os.readlink("/proc/self/ns/pid") == "pid:[4026531836]"
    assert devices[0]["process_mb"] == (0 if first_namespace else None)


@pytest.mark.parametrize("environment", [{"FAKE_NVML_INIT": "9"}, {"FAKE_NVML_DEVICES": "0"}], ids=["fails", "none"])
def test_a_driver_without_devices_is_no_error(nvml, environment):
    assert json.loads(nvml(DESCRIBE, **environment)) == [[0, 0, 0], []]


def test_a_child_forked_during_a_question_to_the_driver_does_not_hang(nvml, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    output = nvml("""
        import os, threading
        from memtap import memsnap
        gate = os.environ['FAKE_NVML_GATE']
        found = []
        thread = threading.Thread(target=lambda: found.extend(memsnap.capture_memory_snapshot().gpu_devices))
        thread.start()
        while not os.path.exists(gate + '.there'):
            pass
        child = os.fork()
        if child == 0:
            os._exit(len(memsnap.capture_memory_snapshot().gpu_devices) + 40)
        status = os.waitpid(child, 0)[1]
        open(gate, 'rb').read()
        thread.join()
        print(os.WEXITSTATUS(status) if os.WIFEXITED(status) else status, len(found))
    """, FAKE_NVML_DEVICES="1", FAKE_NVML_GATE=str(gate))
    assert output == "40 1\n"


def test_a_forked_child_begins_a_peak_of_its_own(nvml):
    output = nvml("""
        import os
        from memtap.memsnap import capture_memory_snapshot
        os.environ['FAKE_NVML_UNIT'] = '2'
        high = capture_memory_snapshot().gpu_peak_mb
        os.environ['FAKE_NVML_UNIT'] = '1'
        low = capture_memory_snapshot()
        if os.fork() == 0:
            os._exit(int(capture_memory_snapshot().gpu_peak_mb))
        print(high, low.gpu_peak_mb, low.gpu_allocated_mb, os.WEXITSTATUS(os.wait()[1]))
    """, FAKE_NVML_DEVICES="1")
    assert output == "256.0 256.0 128.0 128\n"
