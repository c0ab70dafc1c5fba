"""compat/: programs written for other names run on memtap unchanged, each in a child interpreter with compat/ on the path."""

import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import textwrap

import pytest

COMPAT = pathlib.Path(__file__).resolve().parents[2] / "compat"

# The examples of the documents that these names come from, word for word.
SCOPE_EXAMPLE = """
>>> with MemoryProfiler("model_load") as profiler:
...     model = load_model()
>>> print(profiler.report())
"""
GC_EXAMPLE = """
>>> debugger = GCDebugger()
>>> debugger.start()
>>> # ... run code ...
>>> debugger.stop()
>>> print(debugger.report())
"""
FUNCTION_EXAMPLE = """
>>> with memory_profile("data_load") as prof:
...     data = load_data()
>>> print(prof.delta())
"""
BASIC_EXAMPLE = """
import spprof.memprof as memprof

memprof.start(sampling_rate_kb=512)

# ... application code ...
import numpy as np
data = np.random.randn(10000, 10000)

snapshot = memprof.get_snapshot()
print(f"Estimated heap: {snapshot.estimated_heap_bytes / 1e9:.2f} GB")
print(f"Live samples: {snapshot.live_samples}")

for site in snapshot.top_allocators(5):
    print(f"{site['function']}: {site['estimated_bytes'] / 1e6:.1f} MB")

memprof.stop()
"""
COMBINED_EXAMPLE = """
import spprof
import spprof.memprof as memprof

# Both profilers can run simultaneously
spprof.start(interval_ms=10)
memprof.start(sampling_rate_kb=512)

# ... workload ...

cpu_profile = spprof.stop()
mem_snapshot = memprof.get_snapshot()
memprof.stop()

cpu_profile.save("cpu_profile.json")
mem_snapshot.save("mem_profile.json")
"""
LOW_SAMPLE_EXAMPLE = """
snapshot = memprof.get_snapshot()
if snapshot.live_samples < 100:
    print(f"⚠️ Low sample count ({snapshot.live_samples}). "
          f"Estimates may have high variance.")
"""


def child(code, cwd=None, compat=True, path=()):
    paths = [*map(str, path), *([str(COMPAT)] if compat else []), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONIOENCODING": "utf-8",
                   "PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
                            cwd=cwd and str(cwd), env=environment, timeout=300)
    assert result.returncode == 0, result.stderr
    return result.stdout


def program(example):
    """The statements of an example written as an interactive session."""
    return "\n".join(line[4:] for line in example.strip().splitlines())


# ---- observability.stats.MemorySnapshot ------------------------------------------------------------------------------


def test_ax_03_the_scope_example():
    report = eval(child("from observability.stats.MemorySnapshot import MemoryProfiler\n"
                        "load_model = lambda: bytearray(16 << 20)\n" + program(SCOPE_EXAMPLE)))
    assert report["name"] == "model_load"
    assert 15.9 < report["delta"]["python_current_delta_mb"] < 16.5


def test_ax_03_the_gc_example():
    example = program(GC_EXAMPLE).replace("# ... run code ...", "import gc; gc.collect()")
    report = eval(child("from observability.stats.MemorySnapshot import GCDebugger\n" + example))
    assert report["total_collections"] >= 1 and report["total_objects"] > 1000


def test_ax_03_the_function_example():
    delta = eval(child("from observability.stats.MemorySnapshot import memory_profile\n"
                       "load_data = lambda: bytearray(16 << 20)\n" + program(FUNCTION_EXAMPLE)))
    assert sorted(delta) == ["elapsed_seconds", "gc_objects_delta", "gpu_allocated_delta_mb", "python_current_delta_mb",
                             "rss_delta_mb"]
    assert 15.9 < delta["python_current_delta_mb"] < 16.5


@pytest.mark.parametrize("module", ["MemorySnapshot", "memory_snapshot"])
def test_every_documented_name_is_there(module):
    assert child(textwrap.dedent(f"""
        import observability.stats.{module} as found
        from observability.stats.{module} import (MemorySnapshot, MemoryProfiler, GCDebugger, capture_memory_snapshot,
                                                  memory_profile, freeze_gc_heap, unfreeze_gc_heap, gc_stats)
        import memtap.memsnap
        assert found is memtap.memsnap and MemorySnapshot is memtap.memsnap.MemorySnapshot
        print(capture_memory_snapshot().rss_mb > 1)
    """)) == "True\n"


def test_other_parts_of_the_namespace_are_not_hidden(tmp_path):
    (tmp_path / "observability").mkdir()
    (tmp_path / "observability" / "mine.py").write_text("value = 7")
    code = "import observability.mine, observability.stats.MemorySnapshot; print(observability.mine.value)"
    assert child(code, path=[tmp_path]) == "7\n"


# ---- spprof ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ax_03_the_basic_example():
    if importlib.util.find_spec("numpy") is None:
        pytest.skip("no numpy")
    lines = child(BASIC_EXAMPLE).splitlines()
    assert 0.72 <= float(lines[0].split()[2]) <= 0.88  # 800 MB at 512 KB: one standard deviation is 0.02
    assert int(lines[1].split()[2]) >= 1
    assert float(lines[2].split()[-2]) > 700


def test_ax_03_the_combined_example(tmp_path):
    workload = "kept = [bytearray(1 << 20) for _ in range(64)]\nimport time\nuntil = time.thread_time() + 0.3\n" \
               "while time.thread_time() < until: sum(range(1000))"  # of CPU time: all samplers have their chance
    child(COMBINED_EXAMPLE.replace("# ... workload ...", workload), cwd=tmp_path)
    cpu, memory = (json.loads((tmp_path / name).read_text()) for name in ("cpu_profile.json", "mem_profile.json"))
    assert cpu["profiles"][0]["endValue"] == sum(cpu["profiles"][0]["weights"]) > 0
    # 64 blocks of 1 MiB at 512 KiB: each is sampled with 1 - exp(-2) = 0.86; fewer than 30 of 64 has p < 1e-12
    assert memory["profiles"][0]["endValue"] > 30 << 20


def test_ax_03_the_low_sample_example():
    output = child("import spprof.memprof as memprof\nmemprof.start()\n" + LOW_SAMPLE_EXAMPLE)
    assert output.startswith("⚠️ Low sample count (") and output.endswith("). Estimates may have high variance.\n")


def test_ax_04_memory_profiler_is_the_right_class_everywhere():
    assert child(textwrap.dedent("""
        import memtap, memtap.memprof, memtap.memsnap
        import spprof.memprof as memprof
        from observability.stats.MemorySnapshot import MemoryProfiler as Scope
        assert memprof is memtap.memprof and memprof.MemoryProfiler is memtap.memprof.MemoryProfiler
        assert Scope is memtap.memsnap.MemoryProfiler is not memprof.MemoryProfiler
        assert not hasattr(memtap, "MemoryProfiler")
        print("ok")
    """)) == "ok\n"


CPU = """
import json, os, spprof, sys, threading, time
def busy_here(seconds):  # of CPU time, which a busy machine gives late
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        sum(range(500))
"""


def test_the_cpu_sampler_sees_the_busy_function_of_every_thread(tmp_path):
    child(CPU + textwrap.dedent("""
        spprof.start(interval_ms=2)
        assert spprof.is_active()
        thread = threading.Thread(target=busy_here, args=(0.4,), name="worker")
        thread.start(); thread.join()
        profile = spprof.stop()
        assert not spprof.is_active() and profile.duration_s >= 0.4
        profile.save("out.json"); profile.save("out.txt", format="collapsed")
        hits = sum(n for stack, n in profile.samples.items() if any(site[0] == "busy_here" for site in stack))
        assert hits >= 5, profile.samples
    """), cwd=tmp_path)
    content = json.loads((tmp_path / "out.json").read_text())
    assert any(frame["name"] == "busy_here" for frame in content["shared"]["frames"])
    assert len(content["profiles"][0]["samples"]) == len(content["profiles"][0]["weights"])
    assert "busy_here" in (tmp_path / "out.txt").read_text()


def test_the_cpu_samplers_errors(tmp_path):
    assert child(CPU + textwrap.dedent("""
        def error(action):
            try:
                action()
            except Exception as found:
                return f"{type(found).__name__}: {found}"
        print(error(spprof.stop))
        print(error(lambda: spprof.start(interval_ms=0)))
        spprof.start()
        print(error(spprof.start))
        child = os.fork()
        if child == 0:  # the sampler stayed with the parent
            os._exit(0 if not spprof.is_active() and error(spprof.stop) else 1)
        print(os.waitpid(child, 0)[1])
        print(error(lambda: spprof.stop().save("x", format="pdf")))
        spprof.start(); spprof.stop()
    """), cwd=tmp_path).splitlines() == [
        "RuntimeError: Profiler not running", "ValueError: interval_ms must be >= 1", "RuntimeError: Profiler already running",
        "0", "ValueError: Unknown format: pdf",
    ]


# ---- opting in -------------------------------------------------------------------------------------------------------


def test_the_names_are_absent_without_opting_in():
    code = "import importlib.util as u; assert u.find_spec('spprof') is None and u.find_spec('observability') is None"
    child(code, compat=False)


def test_it_installs_with_pip(tmp_path):
    pytest.importorskip("pip")
    code = "import setuptools; v = int(setuptools.__version__.split('.')[0])\nif v < 71: import wheel\nprint(v)"
    version = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    if not version or int(version) < 61:
        pytest.skip("needs setuptools 61 or later, which reads pyproject.toml, with wheel before 71")
    source = tmp_path / "source"
    shutil.copytree(str(COMPAT), str(source), ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build"))
    offline = ["-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, "--target", str(tmp_path / "site"), str(source)],
                   check=True, timeout=300)
    found = sorted(str(path.relative_to(tmp_path / "site")) for path in (tmp_path / "site").rglob("*.py"))
    assert found == ["observability/stats/MemorySnapshot.py", "observability/stats/memory_snapshot.py", "spprof/__init__.py",
                     "spprof/_cpu.py", "spprof/memprof.py"]
    script = tmp_path / "site" / "bin" / "probing"
    assert "from memtap._command import main" in script.read_text() and os.access(str(script), os.X_OK)
    code = "import observability.stats.MemorySnapshot as m, spprof; print(m.__name__, spprof.__file__)"
    name, file = child(code, compat=False, path=[tmp_path / "site"]).split()
    assert name == "memtap.memsnap" and file == str(tmp_path / "site" / "spprof" / "__init__.py")
