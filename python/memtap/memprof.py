"""memtap.memprof: an always-on sampling profiler of this process's heap.

    import memtap.memprof as memprof

    memprof.start(sampling_rate_kb=512)
    ...
    for site in memprof.get_snapshot().top_allocators(5):
        print(site["function"], site["file"], site["line"], site["estimated_bytes"])
    memprof.stop()

Every allocation of every thread (malloc and its family, C++ new, Python's own allocator) has the chance 1 − exp(−size/rate)
to become a sample; a sample then stands for size / (1 − exp(−size/rate)) bytes, which makes every sum unbiased, for every
size (docs/sampling.md). Samples carry merged native and Python stacks. Address ranges a program maps itself (mmap) are in
traces of `memtap run` and `memtap.record`, not here.

Nothing has to be preloaded: start() patches the calls in the running process. A process started by `memtap run`, or inside
`memtap.record`, is being recorded already: then start() looks at that recording from now on, at its rate (an exact one has
all allocations as samples), and stop() leaves it running; when it ends, the profiler goes on alone and from nothing.

Lifecycle: start and stop as often as you like, with the same or another rate; samples accumulate. stop() takes no new samples
but goes on watching frees, so nothing looks leaked that was freed later. shutdown() is for good. A fork child starts anew: it
has no samples of its parent and may call start(). What a signal handler or finalizer allocates that runs in the middle of one
of these functions is not seen; frees are.

1 KB is 1024 bytes. Times are CLOCK_MONOTONIC in ns, as time.monotonic_ns(). All functions may be called from any thread.
Samples go to a file memtap-memprof-PID-*.mtap in the temporary folder, which `memtap stats FILE` reads also after a crash; it is
removed at exit, or, where a process could not (`_exit`, SIGKILL), when memprof next starts in another one.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import warnings
from typing import Any, Dict, List, Optional

from memtap import _agent, _leftovers, _memtap
from memtap._heap import AllocationSample, AllocationSite, FramePointerHealth, HeapSnapshot, KeptStacks, ProfilerStats, StackFrame

__all__ = [
    "AllocationSample",
    "AllocationSite",
    "FramePointerHealth",
    "HeapProfiler",
    "HeapSnapshot",
    "MemProfStats",
    "MemoryProfiler",
    "ProfilerStats",
    "StackFrame",
    "get_snapshot",
    "get_stats",
    "shutdown",
    "start",
    "stop",
]

MemProfStats = ProfilerStats

FREED_SAMPLES_MAX = 65536  # kept for get_snapshot(include_freed=True)
TRACE_BYTES_MAX = 1 << 30  # of the file with the samples: days at 512 KiB; from then on what was freed long ago is given up for it
_RATE_KB_MAX = 1 << 40
_FIRST_TABLE_ENTRIES = 4096  # of the agent's live table, which doubles when half full


def _no_stacks() -> Dict[bool, KeptStacks]:
    """By whether names are looked up."""
    return {True: KeptStacks(), False: KeptStacks()}


_initialized = False  # has been started once in this process
_running = False
_shutdown = False
_rate_bytes = 0
_session: Optional[Any] = None  # _memtap.Recording of the trace with our samples
_stacks = _no_stacks()  # of the session's snapshots
_since = 0  # clock of our first sample
_own_path: Optional[str] = None  # of a trace of our own
_swept = False  # what dead processes left
_joined_path: Optional[str] = None  # of somebody else's that we look at instead
_parents: List[Any] = []  # sessions a fork child was born with: never touched again


# ---- lifecycle ------------------------------------------------------------------------------------------------------


def _checked_rate(sampling_rate_kb: Any) -> int:
    if isinstance(sampling_rate_kb, bool) or not isinstance(sampling_rate_kb, int):
        raise TypeError(f"sampling_rate_kb must be an int, not {type(sampling_rate_kb).__name__}")
    if sampling_rate_kb < 1:
        raise ValueError("sampling_rate_kb must be >= 1")
    if sampling_rate_kb > _RATE_KB_MAX:
        raise ValueError(f"sampling_rate_kb must be <= {_RATE_KB_MAX}")
    return sampling_rate_kb * 1024


def start(sampling_rate_kb: int = 512) -> None:
    """Takes samples from now on, one in sampling_rate_kb KiB on average: at 512, next to no cost; less is finer.

    RuntimeError: running already; after shutdown; or nothing can be intercepted. TypeError, ValueError: not an int, < 1.
    OSError: the temporary folder is not writable. 1 to 2**40.
    """
    global _initialized, _running, _rate_bytes
    rate = _checked_rate(sampling_rate_kb)
    with _agent.lock:
        if _shutdown:
            raise RuntimeError("Cannot restart after shutdown")
        if _running:
            raise RuntimeError("Profiler already running")
        _agent.load()
        with _agent.unrecorded():
            _begin(rate)
        _rate_bytes = rate
        _running = True
        _initialized = True


def stop(missing_ok: bool = False) -> None:
    """Takes no new samples; frees of earlier ones are still seen. RuntimeError: not running (unless missing_ok)."""
    global _running
    with _agent.lock:
        if not _running:
            if missing_ok:
                return
            raise RuntimeError("Profiler not running")
        if _own_path is not None:
            with contextlib.suppress(_memtap.AgentError):  # it has stopped by itself: a full disk
                _memtap.agent_pause()
        _running = False


def shutdown() -> None:
    """The end, for good: hooks are taken back where that can be done, the trace is removed. Idempotent."""
    global _running, _shutdown
    with _agent.lock:
        if _shutdown:
            return
        _shutdown = True
        _running = False
        _let_go()


def _begin(rate: int) -> None:
    """Goes on in our trace, joins a recording under way, or begins a trace."""
    present = _agent.state()
    if present["mode"] == "off":
        _begin_trace(rate)
    elif present["path"] == _own_path:
        _memtap.agent_resume(rate)
    elif present["path"] != _joined_path:
        _join(present)


def _join(present: Dict[str, Any]) -> None:
    """Looks at somebody else's recording from now on, and at the rate it has."""
    global _session, _since, _joined_path
    if present["mode"] == "aggregate":
        raise RuntimeError("Profiler not available: this process is recorded in aggregate mode, which keeps no samples")
    session = _memtap.Recording([present["path"]])
    _forget_trace()
    _session = session
    _since = session.totals()["last_ns"] + 1
    _joined_path = present["path"]
    _agent.set_on_end(_go_on_alone)


def _go_on_alone() -> None:
    """The recording we looked at has ended: its owner is not to suffer if we cannot go on."""
    if not _running or _joined_path is None or _agent.state()["path"] != _joined_path:
        return
    try:
        with _agent.unrecorded():
            _begin_trace(_rate_bytes)
    except (RuntimeError, OSError) as error:
        warnings.warn(f"memtap.memprof takes no more samples: {error}", RuntimeWarning, stacklevel=4)


def _sweep_once() -> None:
    global _swept
    if not _swept:
        _swept = True
        _leftovers.sweep("memprof")


def _begin_trace(rate: int) -> None:
    global _session, _since, _own_path
    _sweep_once()
    path = _leftovers.private_path("memprof")
    try:
        _agent.start(path, "sample", 1, True, True, TRACE_BYTES_MAX)
    except _agent.NoHooks:
        raise RuntimeError("Interposition hooks failed") from None
    _forget_trace()
    _own_path = path
    try:
        _session = _memtap.Recording([path])
        if not _self_test():
            raise RuntimeError("Interposition hooks failed")
        _memtap.agent_resume(rate)
        _since = _session.totals()["last_ns"] + 1
    except BaseException:
        _let_go()
        raise
    _agent.set_give_way(_give_way)
    _remove_at_worker_exit()


def _remove_at_worker_exit() -> None:
    """Worker processes of multiprocessing end without atexit."""
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        from multiprocessing import util

        util.Finalize(None, _at_worker_exit, args=(os.getpid(), _own_path), exitpriority=0)


def _at_worker_exit(pid: int, path: str) -> None:
    if pid == os.getpid() and path == _own_path:
        shutdown()


def _self_test() -> bool:
    """At a rate of one byte every allocation is a sample: is a large one of ours seen?"""
    before: int = _memtap.agent_state()["live_samples"]
    _memtap.agent_leave()
    try:
        block = bytearray(1 << 16)
        after: int = _memtap.agent_state()["live_samples"]
        del block
    finally:
        _memtap.agent_enter()
    return after > before


def _give_way() -> None:
    """Another user wants the agent: a profiler that is only watching frees lets it go; what it has seen stays readable."""
    if not _running and _own_path is not None and _memtap.agent_state()["path"] == _own_path:
        with contextlib.suppress(_memtap.AgentError):
            _memtap.agent_stop()


def _forget_trace() -> None:
    global _session, _stacks, _own_path, _joined_path
    if _session is not None:
        _session.close()
    _stacks = _no_stacks()
    if _own_path is not None:
        with contextlib.suppress(OSError):
            os.unlink(_own_path)
    _session = None
    _own_path = None
    _joined_path = None


def _let_go() -> None:
    if _own_path is not None:
        with contextlib.suppress(_memtap.AgentError):
            _memtap.agent_stop()
            _memtap.agent_remove_hooks()
    _agent.set_give_way(None)
    _agent.set_on_end(None)
    _forget_trace()


def _in_fork_child() -> None:
    """The agent does not record in a child, and the session's lock may be held by a thread that is not here."""
    global _running, _session, _stacks, _own_path, _joined_path, _since
    if _session is not None:
        _parents.append(_session)
    _session = None
    _stacks = _no_stacks()
    _own_path = None
    _joined_path = None
    _since = 0
    _running = False
    _agent.set_give_way(None)
    _agent.set_on_end(None)


os.register_at_fork(after_in_child=_in_fork_child)
atexit.register(shutdown)


# ---- asking ---------------------------------------------------------------------------------------------------------


def _present_session() -> Any:
    session = _session
    if session is None:
        why = "has been shut down" if _shutdown else "is not initialized: call start() first"
        raise RuntimeError(f"Memory profiler {why}")
    if _running and _own_path is not None and _memtap.agent_state()["mode"] == "off":
        warnings.warn(
            f"memtap.memprof records no more: {_own_path} is full, or its disk is; stop() and start() begin a new one",
            RuntimeWarning,
            stacklevel=3,
        )
    return session


def get_snapshot(include_freed: bool = False, resolve: bool = True) -> HeapSnapshot:
    """The sampled allocations that are alive now, with their stacks; while the profiler runs and after stop().

    include_freed: also the last 65,536 freed ones, in freed_samples, with lifetime_ns.
    resolve: False leaves native frames as addresses, which opens no binary and is faster.
    RuntimeError: never started, or shut down.
    """
    session = _present_session()
    with _agent.unrecorded():
        limit = FREED_SAMPLES_MAX if include_freed else 0
        live, freed, stacks, totals = session.snapshot(limit, _since, resolve)
        known = _stacks[bool(resolve)].of(stacks)
        frames = {number: stack.frames[:] for number, stack in known.items()}  # lists are the caller's, frames are shared
        return HeapSnapshot(
            samples=[
                AllocationSample(a, size, weight, weight, t, None, frames[stack], label=label, task=task)
                for a, size, weight, t, _, stack, label, task in live
            ],
            total_samples=totals["total_samples"],
            live_samples=totals["live_samples"],
            estimated_heap_bytes=totals["live_weight_bytes"],
            timestamp_ns=totals["cut_ns"],
            frame_pointer_health=_health([known[row[5]].native_depth for row in live]),
            freed_samples=[
                AllocationSample(a, size, weight, weight, t, lifetime, frames[stack], label=label, task=task)
                for a, size, weight, t, _, stack, label, task, lifetime in freed
            ],
        )


def _health(depths: List[int]) -> FramePointerHealth:
    shallow = sum(1 for depth in depths if depth < 2)
    total = len(depths)
    return FramePointerHealth(shallow, total, sum(depths) / total if total else 0.0, min(depths) if depths else 0)


def get_stats() -> ProfilerStats:
    """Counters, without stacks and so cheaper than a snapshot. RuntimeError: never started, or shut down."""
    session = _present_session()
    with _agent.unrecorded():
        totals = session.totals(_since)
        return ProfilerStats(
            total_samples=totals["total_samples"],
            live_samples=totals["live_samples"],
            freed_samples=totals["freed_samples"],
            unique_stacks=totals["unique_stacks"],
            estimated_heap_bytes=totals["live_weight_bytes"],
            heap_map_load_percent=_table_load_percent(totals["live_samples"]),
            collisions=totals["double_allocations"],
            sampling_rate_bytes=1 if totals["exact"] else _present_rate(),
            shallow_stack_warnings=totals["broken_stacks"],
            death_during_birth=totals["unknown_frees"],
            zombie_races_detected=totals["double_allocations"],
            own_cpu_seconds=totals["agent_cpu_ns"] / 1e9,
            own_bytes=totals["agent_bytes"],
            dropped_events=totals["dropped_events"],
        )


def _present_rate() -> int:
    joined = _memtap.agent_state() if _joined_path is not None else None
    return joined["rate_bytes"] if joined and joined["path"] == _joined_path and joined["rate_bytes"] else _rate_bytes


def _table_load_percent(live: int) -> float:
    entries = _FIRST_TABLE_ENTRIES
    while live * 2 > entries:
        entries *= 2
    return 100.0 * live / entries


class HeapProfiler:
    """Samples a block of code: `with HeapProfiler() as p: ...` and then p.snapshot, which is set also after an exception.

    The profiler must not be running; it is stopped at the end of the block.
    """

    def __init__(self, sampling_rate_kb: int = 512) -> None:
        self.sampling_rate_kb = sampling_rate_kb
        self._snapshot: Optional[HeapSnapshot] = None

    @property
    def snapshot(self) -> Optional[HeapSnapshot]:
        """What was alive at the end of the block; None before."""
        return self._snapshot

    def __enter__(self) -> "HeapProfiler":
        start(self.sampling_rate_kb)
        return self

    def __exit__(self, *exception: Any) -> None:
        if _session is not None:
            self._snapshot = get_snapshot()
        stop(missing_ok=True)


MemoryProfiler = HeapProfiler
