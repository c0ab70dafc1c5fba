"""memtap: taps the memory of this process.

Sampling heap profiler: `memtap.memprof`. A trace from inside: `memtap.record`. Reading traces: `memtap.open`. Process
snapshots and garbage collector: `memtap.memsnap`. Exact accounts of what a program reports itself: `memtap.tracker`.
"""

from typing import TYPE_CHECKING, Any, List

from memtap._memtap import VERSION as __version__
from memtap.profile import TraceError, open  # noqa: A004 - memtap.open is the name
from memtap.recording import record

# Imported when first asked for: `import memtap` stays light.
_HOME = {
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

if TYPE_CHECKING:
    from memtap.gcmonitor import GCMonitor
    from memtap.memprof import AllocationSample, FramePointerHealth, HeapProfiler, HeapSnapshot, ProfilerStats, StackFrame
    from memtap.memsnap import MemoryScope, MemorySnapshot, capture_memory_snapshot
    from memtap.tracker import MemoryEvent, MemoryStatistics, MemoryTracker

__all__ = ["TraceError", "__version__", "open", "record", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'memtap' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"memtap.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> List[str]:
    return sorted({*globals(), *_HOME})


def load_ipython_extension(ipython):
    """`%load_ext memtap`: the cell magic `%%memtap` (memtap.jupyter)."""
    from memtap.jupyter import load_ipython_extension as load

    load(ipython)
