"""memtap: taps the memory of this process.

Sampling heap profiler: `memtap.memprof`. A trace from inside: `memtap.record`. Whose memory it is: `memtap.label`. Reading
traces: `memtap.open`; of what is recorded now: `memtap.query`. Rows of a torch training loop: `memtap.torch`. A service over time: `memtap.monitoring`. Process snapshots and garbage collector: `memtap.memsnap`. Exact accounts of what a program reports itself: `memtap.tracker`.
"""

from typing import TYPE_CHECKING, Any, List

# Imported when first asked for: `import memtap` costs nothing, in every pytest run too (pytest loads our plugin).
_HOME = {
    "__version__": "_memtap",
    "TraceError": "profile",
    "open": "profile",
    "label": "labels",
    "label_tasks": "labels",
    "listen": "_agent",
    "query": "_query",
    "record": "recording",
    "AllocationSample": "memprof",
    "AllocationSite": "memprof",
    "FramePointerHealth": "memprof",
    "HeapProfiler": "memprof",
    "HeapSnapshot": "memprof",
    "ProfilerStats": "memprof",
    "StackFrame": "memprof",
    "get_snapshot": "memprof",
    "GCMonitor": "gcmonitor",
    "MemoryMonitor": "monitoring",
    "MemoryScope": "memsnap",
    "MemorySnapshot": "memsnap",
    "capture_memory_snapshot": "memsnap",
    "LeakCandidate": "tracker",
    "MemoryEvent": "tracker",
    "MemoryStatistics": "tracker",
    "MemoryTracker": "tracker",
    "step": "torch",
}

_MODULES = ("gcmonitor", "memprof", "memsnap", "monitoring", "torch", "tracker")

if TYPE_CHECKING:  # "as" makes a name the package's own for type checkers, which do not compute __all__
    from memtap import gcmonitor as gcmonitor
    from memtap import memprof as memprof
    from memtap import memsnap as memsnap
    from memtap import monitoring as monitoring
    from memtap import torch as torch
    from memtap import tracker as tracker
    from memtap._memtap import VERSION as __version__
    from memtap._query import query as query
    from memtap.gcmonitor import GCMonitor as GCMonitor
    from memtap._agent import listen as listen
    from memtap.labels import label as label
    from memtap.labels import label_tasks as label_tasks
    from memtap.memprof import AllocationSample as AllocationSample
    from memtap.memprof import AllocationSite as AllocationSite
    from memtap.memprof import FramePointerHealth as FramePointerHealth
    from memtap.memprof import HeapProfiler as HeapProfiler
    from memtap.memprof import HeapSnapshot as HeapSnapshot
    from memtap.memprof import ProfilerStats as ProfilerStats
    from memtap.memprof import StackFrame as StackFrame
    from memtap.memprof import get_snapshot as get_snapshot
    from memtap.memsnap import MemoryScope as MemoryScope
    from memtap.memsnap import MemorySnapshot as MemorySnapshot
    from memtap.memsnap import capture_memory_snapshot as capture_memory_snapshot
    from memtap.monitoring import MemoryMonitor as MemoryMonitor
    from memtap.profile import TraceError as TraceError
    from memtap.profile import open as open  # noqa: A004 - memtap.open is the name
    from memtap.recording import record as record
    from memtap.torch import step as step
    from memtap.tracker import LeakCandidate as LeakCandidate
    from memtap.tracker import MemoryEvent as MemoryEvent
    from memtap.tracker import MemoryStatistics as MemoryStatistics
    from memtap.tracker import MemoryTracker as MemoryTracker

__all__ = [*_HOME]


if not TYPE_CHECKING:  # a type checker would believe in any name

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
    """What completion offers: the names of the package, not those it needs itself."""
    return sorted([*_HOME, *_MODULES, *(name for name in globals() if name.startswith("__"))])


def load_ipython_extension(ipython: Any) -> None:
    """`%load_ext memtap`: the cell magic `%%memtap` (memtap.jupyter)."""
    from memtap.jupyter import load_ipython_extension as load

    load(ipython)
