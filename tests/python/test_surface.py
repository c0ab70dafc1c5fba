"""What the package offers: names at the top, types, texts, and values that survive pickling."""

import ast
import copy
import importlib
import inspect
import os
import pathlib
import pickle
import subprocess
import sys

import pytest

import memtap
from memtap import _memtap

PACKAGE = pathlib.Path(memtap.__file__).resolve().parent
CANONICAL = {"AllocationSample", "AllocationSite", "FramePointerHealth", "GCMonitor", "HeapProfiler", "HeapSnapshot", "listen",
             "LeakCandidate", "MemoryEvent", "MemoryMonitor", "MemoryScope", "MemorySnapshot", "MemoryStatistics", "MemoryTracker", "ProfilerStats",
             "StackFrame", "TraceError", "capture_memory_snapshot", "get_snapshot", "label", "label_tasks", "open", "query", "record", "step"}
MODULES = ("memprof", "memsnap", "tracker", "gcmonitor", "monitoring", "torch", "profile", "recording", "labels")

USER = """
import memtap
import memtap.memprof as memprof
from memtap.tracker import MemoryTracker

with memtap.record("x.mtap", mode="sample", rate=1 << 20) as recording:
    reveal_type(recording.path)
with memtap.open("x.mtap") as trace:
    reveal_type(trace.leaks(rows=1))
    for record in trace.records():
        reveal_type(record.size)
memprof.start(64)
reveal_type(memprof.get_snapshot().diff(memprof.get_snapshot()).samples[0].stack[0].line)
tracker = MemoryTracker()
tracker.track_allocation(1, 2, "GPU")
reveal_type(tracker.get_statistics().peak_bytes)
reveal_type(tracker.detect_potential_leaks()[0].age_ms)
reveal_type(memtap.capture_memory_snapshot().rss_mb)


@memtap.record("y.mtap")
def job(count: int) -> str:
    return "x" * count


reveal_type(job(3))
tracker.track_allocation("1", 2, "GPU")  # WRONG
memtap.record("x.mtap", mod="sample")  # WRONG
memprof.start("64")  # WRONG
memtap.MemoryProfiler  # WRONG
"""
REVEALED = ["str | None", "list[dict[str, Any]]", "int", "int", "int", "float", "float", "str"]


def test_names_at_the_top_are_the_canonical_ones():
    assert set(memtap.__all__) == CANONICAL | {"__version__"}
    public = {name for name in dir(memtap) if not name.startswith("_")}
    assert public == CANONICAL | {"memprof", "memsnap", "tracker", "gcmonitor", "monitoring", "torch"}
    for name in CANONICAL:
        value = getattr(memtap, name)
        assert value.__name__ == name and value.__module__.split(".")[0] == "memtap", name
    namespace = {}
    exec("from memtap import *", namespace)
    assert CANONICAL < set(namespace)


def test_ax_04_the_top_has_no_memory_profiler_and_each_module_its_own():
    assert not hasattr(memtap, "MemoryProfiler")
    classes = {importlib.import_module("memtap." + name).MemoryProfiler for name in ("memprof", "memsnap", "tracker")}
    assert classes == {memtap.HeapProfiler, memtap.MemoryScope, memtap.MemoryTracker}


@pytest.mark.parametrize("module", MODULES)
def test_everything_public_has_a_docstring(module):
    module = importlib.import_module("memtap." + module)
    missing = [name for name in module.__all__ if callable(getattr(module, name)) and not inspect.getdoc(getattr(module, name))]
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value):
            missing += [f"{name}.{key}" for key, member in vars(value).items()
                        if key[0].islower() and inspect.isfunction(member) and not inspect.getdoc(member)]
    assert not missing
    assert inspect.getdoc(module)


def test_signatures_can_be_asked_for():
    for name in ("track_allocation", "track_deallocation", "track_reallocation", "track_snapshot", "set_step", "reset_peak"):
        assert "self" in inspect.signature(getattr(memtap.MemoryTracker, name)).parameters
    assert list(inspect.signature(memtap.MemoryTracker().track_allocation).parameters) == ["address", "size_bytes", "allocation_type"]


# ---- values ----------------------------------------------------------------------------------------------------------------


def tracked():
    tracker = memtap.MemoryTracker(capture_stack_traces=True)
    tracker.track_allocation(1, 10, "CPU")
    tracker.track_allocation(2, 20, "GPU")
    tracker.track_deallocation(1)
    return tracker


def values():
    tracker = tracked()
    frame = memtap.StackFrame(1, "f", "x.py", 3, True)
    sample = memtap.AllocationSample(16, 100, 120, 120, 5, None, [frame])
    health = memtap.FramePointerHealth(1, 10, 3.5, 1)
    return [frame, sample, health, memtap.HeapSnapshot([sample], 1, 1, 120, 7, health), tracker.get_statistics(),
            tracker.events()[0], tracker.events()[2], tracker.detect_potential_leaks(0)[0], memtap.capture_memory_snapshot()]


@pytest.mark.parametrize("value", values(), ids=lambda value: type(value).__name__)
def test_values_survive_pickle_and_copy(value):
    for twin in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
        assert type(twin) is type(value) and twin == value
        for name in ("age_ms", "score", "allocation_type", "timestamp", "timestamp_ns", "event_id", "gpu_devices"):
            assert getattr(twin, name, None) == getattr(value, name, None)


def test_texts_are_short_and_say_what_it_is():
    snapshot = memtap.HeapSnapshot(values()[1:2] * 10000, 10000, 10000, 1, 1, values()[2])
    assert len(repr(snapshot)) < 500 and "live_samples=10000" in repr(snapshot)
    assert repr(tracked()) == "<memtap.MemoryTracker: enabled, 20 bytes in 1 allocations>"
    assert repr(memtap.MemoryScope("load")) == "<memtap.MemoryScope 'load', not used>"
    with memtap.MemoryScope("load") as scope:
        assert repr(scope) == "<memtap.MemoryScope 'load', open>"
    assert repr(scope).startswith("<memtap.MemoryScope 'load', rss ")
    with memtap.GCMonitor() as monitor:
        assert repr(monitor).startswith("<memtap.GCMonitor: watching, ")


# ---- types -----------------------------------------------------------------------------------------------------------------


def stub():
    """{name of the stub: None, or the names in its class}"""
    tree = ast.parse((PACKAGE / "_memtap.pyi").read_text(encoding="utf-8"))
    names = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            members = (item.target.id if isinstance(item, ast.AnnAssign) else item.name
                       for item in node.body if isinstance(item, (ast.AnnAssign, ast.FunctionDef)))
            names[node.name] = {name for name in members if not name.startswith("__")}
        elif isinstance(node, ast.FunctionDef):
            names[node.name] = None
        elif isinstance(node, ast.AnnAssign):
            names[node.target.id] = None
    return names


def test_stub_has_the_names_of_the_extension():
    names = stub()
    assert (PACKAGE / "py.typed").exists()
    assert set(names) - {"EventReader"} == {name for name in vars(_memtap) if not name.startswith("__")}
    for name, members in names.items():
        if members is not None and name != "EventReader":
            assert members == {key for key in vars(getattr(_memtap, name)) if not key.startswith("__")}, name


def mypy(tmp_path, *arguments):
    pytest.importorskip("mypy")
    environment = {**os.environ, "MYPYPATH": str(PACKAGE.parent)}
    environment.pop("PYTHONPATH", None)  # mypy would take the package from there as an installed one
    command = [sys.executable, "-m", "mypy", "--strict", "--no-color-output", "--cache-dir", str(tmp_path / "cache"), *arguments]
    return subprocess.run(command, cwd=str(tmp_path), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True, timeout=600)


@pytest.mark.install  # once, not for each interpreter
@pytest.mark.slow
def test_package_passes_the_type_checker(tmp_path):
    (tmp_path / "mypy.ini").write_text("[mypy]\n[mypy-memtap.jupyter]\nignore_errors = True\n")  # IPython has no strict types
    done = mypy(tmp_path, "-p", "memtap")
    assert done.returncode == 0, done.stdout


@pytest.mark.install
@pytest.mark.slow
def test_users_see_types_and_mistakes(tmp_path):
    (tmp_path / "user.py").write_text(USER)
    done = mypy(tmp_path, "user.py", "--follow-imports", "silent")
    revealed = [line.partition('Revealed type is "')[2].rstrip('"') for line in done.stdout.splitlines() if "Revealed" in line]
    plain = [text.replace("builtins.", "").replace("Union[str, None]", "str | None") for text in revealed]
    assert plain == REVEALED, done.stdout
    wrong = {number for number, text in enumerate(USER.splitlines(), 1) if "WRONG" in text}
    reported = {int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error:" in line}
    assert reported == wrong, done.stdout
