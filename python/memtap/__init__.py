"""memtap: taps the memory of this process.

Sampling heap profiler: `memtap.memprof`. A trace from inside: `memtap.record`. Reading traces: `memtap.open`. Process
snapshots and garbage collector: `memtap.memsnap`. Exact accounts of what a program reports itself: `memtap.tracker`.
"""

from memtap._memtap import VERSION as __version__

__all__ = ["__version__"]
