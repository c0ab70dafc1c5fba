"""memtap: taps the memory of this process.

Sampling heap profiler: `memtap.memprof`. A trace from inside: `memtap.record`. Reading traces: `memtap.open`. Process
snapshots and garbage collector: `memtap.memsnap`. Exact accounts of what a program reports itself: `memtap.tracker`.
"""

from typing import TYPE_CHECKING, Any, List

# Imported when first asked for: `import memtap` costs nothing, in every pytest run too (pytest loads our plugin).
_HOME = {
    "__version__": "_memtap",
    "TraceError": "profile",
    "open": "profile",
    "record": "recording",
    "AllocationSample": "memprof",
    "FramePointerHealth": "memprof",
    "HeapProfiler": "memprof",
    "HeapSnapshot": "memprof",
    "ProfilerStats": "memprof",
    "StackFrame": "memprof",
    "GCMonitor": "gcmonitor",
    "MemoryScope": "memsnap",
    "MemorySnapshot": "memsnap",
    "capture_memory_snapshot": "memsnap",
    "MemoryEvent": "tracker",
    "MemoryStatistics": "tracker",
    "MemoryTracker": "tracker",
}

_MODULES = ("gcmonitor", "memprof", "memsnap", "tracker")

if TYPE_CHECKING:
    from memtap._memtap import VERSION as __version__
    from memtap.gcmonitor import GCMonitor
    from memtap.memprof import AllocationSample, FramePointerHealth, HeapProfiler, HeapSnapshot, ProfilerStats, StackFrame
    from memtap.memsnap import MemoryScope, MemorySnapshot, capture_memory_snapshot
    from memtap.profile import TraceError, open  # noqa: A004 - memtap.open is the name
    from memtap.recording import record
    from memtap.tracker import MemoryEvent, MemoryStatistics, MemoryTracker

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    import importlib

    if name in _MODULES:
        return importlib.import_module(f"memtap.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'memtap' has no attribute {name!r}")
    home = importlib.import_module(f"memtap.{_HOME[name]}")
    value = home.VERSION if name == "__version__" else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> List[str]:
    return sorted({*globals(), *_HOME, *_MODULES})


def load_ipython_extension(ipython):
    """`%load_ext memtap`: the cell magic `%%memtap` (memtap.jupyter)."""
    from memtap.jupyter import load_ipython_extension as load

    load(ipython)
