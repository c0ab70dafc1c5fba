"""memtap: taps the memory of this process.

Sampling heap profiler: `memtap.memprof`. A trace from inside: `memtap.record`. Reading traces: `memtap.open`. Process
snapshots and garbage collector: `memtap.memsnap`. Exact accounts of what a program reports itself: `memtap.tracker`.
"""

from memtap._memtap import VERSION as __version__
from memtap.profile import TraceError, open  # noqa: A004 - memtap.open is the name

__all__ = ["TraceError", "__version__", "open"]


def load_ipython_extension(ipython):
    """`%load_ext memtap`: the cell magic `%%memtap` (memtap.jupyter)."""
    from memtap.jupyter import load_ipython_extension as load

    load(ipython)
