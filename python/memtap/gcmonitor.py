"""Every collection of CPython's cyclic garbage collector: when it began, how long it took, what it found.

The collector announces itself: `gc.callbacks` are called with ``"start"`` and ``"stop"`` around each collection, so nothing
is polled and nothing is missed. Two layers:

* `GCRing`: one callback, counters per generation and a bounded ring of `GCCollection`; the core that others build on.
* `GCMonitor`: feeds a `memtap.tracker.MemoryTracker` (one start and one end event a collection), keeps statistics, forces
  collections, and reports patterns that cost time (`pattern_report`).

Durations are those between our own two callbacks, in ns of the monotonic clock; they include callbacks of others that run
in between. A collection counts for the generation that was collected, once. Works on every CPython from 3.8 on, also
without a global interpreter lock (the collector itself never runs twice at a time). PyPy has no such callbacks.
"""

from __future__ import annotations

import collections
import datetime
import gc
import os
import threading
import time
from typing import Any, Callable, Deque, Dict, List, NamedTuple, Optional, Tuple

__all__ = ["GCCollection", "GCMonitor", "GCPattern", "GCPatternReport", "GCRing", "GCStatistics", "RangeError"]

GENERATIONS = 3
_NS_PER_S = 1_000_000_000


class RangeError(ValueError):
    """A number outside its range (a negative size, generation 3)."""


class GCCollection(NamedTuple):
    """One finished collection."""

    generation: int  # that was collected: 0, 1, 2
    start_ns: int  # monotonic clock
    duration_ns: int
    collected: int  # objects found unreachable
    uncollectable: int
    timestamp: float  # epoch seconds of the end

    @property
    def end_ns(self) -> int:
        """Monotonic clock at the end."""
        return self.start_ns + self.duration_ns


class GCRing:
    """Observes the collector: counters and the last `capacity` collections.

    `on_start(generation, start_ns)` and `on_end(collection)` run inside the collector's callback, so they must be quick and
    must not need a lock that the interrupted code can hold. What they raise is counted in `errors`, never passed on: the
    collector would print it. start() and stop() may be called any number of times; other callbacks stay as they are.
    """

    def __init__(self, capacity: int = 4096, on_start: Optional[Callable[[int, int], object]] = None,
                 on_end: Optional[Callable[[GCCollection], object]] = None) -> None:
        """capacity: collections kept, at least 1. Raises RangeError."""
        if capacity < 1:
            raise RangeError(f"capacity must be at least 1, not {capacity}")
        self._on_start = on_start
        self._on_end = on_end
        self._ring: Deque[GCCollection] = collections.deque(maxlen=capacity)
        self._callback = self._observe  # one object, so that it can be found again in gc.callbacks
        self._pending: Optional[Tuple[int, int]] = None  # generation and start of the collection under way
        self._switch = threading.RLock()  # a finaliser may stop a ring while another is started
        self.errors = 0
        self.clear()

    def clear(self) -> None:
        """Forgets the collections and counters so far."""
        self._ring.clear()
        self.counts = [0] * GENERATIONS
        self.total_ns = 0
        self.total_collected = 0
        self.total_uncollectable = 0
        self.since_ns = time.monotonic_ns()  # start of the window that the counters cover

    @property
    def running(self) -> bool:
        """Is the callback registered?"""
        return self._callback in gc.callbacks

    def start(self) -> None:
        """Begins to observe."""
        with self._switch:
            if self._callback not in gc.callbacks:
                self._pending = None
                gc.callbacks.append(self._callback)

    def stop(self) -> None:
        """Ends observing; what was seen stays."""
        with self._switch:
            if self._callback in gc.callbacks:
                gc.callbacks.remove(self._callback)
            self._pending = None

    def collections(self) -> List[GCCollection]:
        """The collections kept, oldest first."""
        while True:
            try:
                return list(self._ring)
            except RuntimeError:  # a collection ended while the ring was copied
                continue

    @property
    def count(self) -> int:
        """Collections seen."""
        return sum(self.counts)

    def _observe(self, phase: str, info: Dict[str, Any]) -> None:
        if phase == "start":
            now = time.monotonic_ns()
            self._pending = (info["generation"], now)
            self._call(self._on_start, info["generation"], now)
        elif self._pending is not None:  # else: registered while a collection ran
            generation, began = self._pending
            self._pending = None
            done = GCCollection(generation, began, time.monotonic_ns() - began, info.get("collected", 0),
                                info.get("uncollectable", 0), time.time())
            self._account(done)
            self._call(self._on_end, done)

    def _account(self, done: GCCollection) -> None:
        self._ring.append(done)
        self.counts[min(max(done.generation, 0), GENERATIONS - 1)] += 1
        self.total_ns += done.duration_ns
        self.total_collected += done.collected
        self.total_uncollectable += done.uncollectable

    def _call(self, function: Optional[Callable[..., object]], *arguments: object) -> None:
        if function is None:
            return
        try:
            function(*arguments)
        except Exception:  # noqa: BLE001 (the collected program must not notice)
            self.errors += 1


class GCStatistics(NamedTuple):
    """What a monitor counted since it was made (or cleared)."""

    total_gc_count: int
    total_gc_time_ns: int
    gen0_gc_count: int
    gen1_gc_count: int
    gen2_gc_count: int
    last_gc_timestamp: Optional[float]  # epoch seconds, None: no collection yet

    @property
    def TotalGCCount(self) -> int:  # noqa: N802, D102
        return self.total_gc_count

    @property
    def TotalGCTime(self) -> datetime.timedelta:  # noqa: N802, D102
        return datetime.timedelta(microseconds=self.total_gc_time_ns / 1000)

    @property
    def Gen0GCCount(self) -> int:  # noqa: N802, D102
        return self.gen0_gc_count

    @property
    def Gen1GCCount(self) -> int:  # noqa: N802, D102
        return self.gen1_gc_count

    @property
    def Gen2GCCount(self) -> int:  # noqa: N802, D102
        return self.gen2_gc_count

    @property
    def LastGCTime(self) -> datetime.datetime:  # noqa: N802
        """UTC; the earliest datetime when there was no collection."""
        if self.last_gc_timestamp is None:
            return datetime.datetime.min.replace(tzinfo=datetime.timezone.utc)
        return datetime.datetime.fromtimestamp(self.last_gc_timestamp, datetime.timezone.utc)


class GCPattern(NamedTuple):
    """One thing the collector does that costs time."""

    flag: str  # "frequent_gen2", "long_pause", "high_gc_time"
    value: float
    threshold: float
    unit: str  # of value and threshold: "collections/s", "ms", "%"
    advice: str


class GCPatternReport(NamedTuple):
    """Patterns found in a window of time, worst offence first in the order of `flags`."""

    window_ns: int
    collections: int
    patterns: List[GCPattern]
    gen2_per_second: float
    longest_pause_ns: int
    gc_time_pct: float

    @property
    def flags(self) -> List[str]:
        """Names of the patterns found."""
        return [pattern.flag for pattern in self.patterns]


_ADVICE = {
    "frequent_gen2": "look for gc.collect() in loops; raise the thresholds (gc.set_threshold), or gc.freeze() what stays",
    "long_pause": "many tracked objects are alive: gc.freeze() after start-up, or keep bulk data in arrays",
    "high_gc_time": "fewer container objects a second, higher gc.set_threshold(), or gc.disable() around bulk loading",
}
_MISSING = object()


class GCMonitor:
    """Watches the collector for a tracker.

        with GCMonitor(tracker) as monitor:
            work()
            print(monitor.get_statistics(), monitor.pattern_report().flags)

    Starts at once. The tracker receives one start and one end event a collection (`track_gc_start`, `track_gc_end`); a
    publisher, when given, is attached to the tracker as well. Without arguments the monitor only counts.
    """

    def __init__(self, tracker: Any = _MISSING, publisher: Any = _MISSING, *, capacity: int = 4096,
                 start: bool = True) -> None:
        """tracker: a MemoryTracker. publisher: a callable or storage back end for the tracker's events.

        capacity: collections kept for the pattern report. Raises TypeError when tracker or publisher is None.
        """
        if tracker is None:
            raise TypeError("tracker is None: pass a MemoryTracker, or nothing")
        if publisher is None:
            raise TypeError("publisher is None: pass a callable or a storage back end, or nothing")
        has_tracker = tracker is not _MISSING
        self._tracker: Any = tracker
        self._ring = GCRing(capacity, self._tell_start if has_tracker else None, self._tell_end if has_tracker else None)
        if publisher is not _MISSING:
            if not has_tracker:
                raise TypeError("a publisher needs a tracker")
            tracker.add_publisher(publisher)
        if start:
            self._ring.start()

    def _tell_start(self, generation: int, start_ns: int) -> None:
        self._tracker.track_gc_start(generation)

    def _tell_end(self, done: GCCollection) -> None:
        self._tracker.track_gc_end(done.generation, done.duration_ns)

    # ---- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to watch (again)."""
        self._ring.start()

    def stop(self) -> None:
        """Ends watching; statistics stay."""
        self._ring.stop()

    def shutdown(self) -> None:
        """Ends watching; may be called again."""
        self._ring.stop()

    @property
    def is_running(self) -> bool:
        """Is the monitor watching?"""
        return self._ring.running

    @property
    def errors(self) -> int:
        """Exceptions of the tracker or its publishers while an event was handed over."""
        return self._ring.errors

    def __repr__(self) -> str:
        state = "watching" if self.is_running else "stopped"
        return f"<memtap.GCMonitor: {state}, {self._ring.count} collections, {self._ring.total_ns / 1e6:.3f} ms>"

    def __enter__(self) -> "GCMonitor":
        self._ring.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ring.stop()

    def __del__(self) -> None:
        ring = getattr(self, "_ring", None)
        if ring is not None:
            ring.stop()

    # ---- what was seen ------------------------------------------------------------------------------------------------

    def get_statistics(self) -> GCStatistics:
        """Counts and time since the monitor was made."""
        ring = self._ring
        seen = ring.collections()
        gen0, gen1, gen2 = ring.counts
        return GCStatistics(ring.count, ring.total_ns, gen0, gen1, gen2, seen[-1].timestamp if seen else None)

    def get_gc_count(self, generation: int) -> int:
        """Collections of that generation (0 to 2) since the monitor was made. Raises RangeError."""
        return self._ring.counts[_generation(generation)]

    def collections(self) -> List[GCCollection]:
        """The collections kept, oldest first."""
        return self._ring.collections()

    def get_total_memory(self) -> int:
        """Resident set of this process in bytes (/proc/self/statm); CPython keeps no total of its own."""
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def get_total_memory_with_gc(self) -> int:
        """The same after a full collection."""
        gc.collect()
        return self.get_total_memory()

    # ---- forcing collections ------------------------------------------------------------------------------------------

    def force_full_collection(self) -> int:
        """Collects all generations; objects found unreachable."""
        return gc.collect()

    def force_collection(self, generation: int) -> int:
        """Collects generation 0, 1 or 2; objects found unreachable. Raises RangeError."""
        return gc.collect(_generation(generation))

    # ---- patterns -----------------------------------------------------------------------------------------------------

    def pattern_report(self, window_s: Optional[float] = None, *, gen2_per_second: float = 2.0, long_pause_ms: float = 100.0,
                       high_gc_time_pct: float = 10.0, minimum_gen2: int = 3,
                       minimum_window_s: float = 0.5) -> GCPatternReport:
        """What the collector did in the last `window_s` seconds (None: since the monitor was made or last cleared).

        Flags: ``frequent_gen2``: at least `minimum_gen2` full collections and more than `gen2_per_second`; ``long_pause``:
        one collection took `long_pause_ms` or longer; ``high_gc_time``: more than `high_gc_time_pct` percent of the wall
        time was spent collecting. Only collections still in the ring can be seen; the window then begins with the oldest.
        A window shorter than `minimum_window_s` says nothing about rates: one collection can fill it. It has no flag but
        ``long_pause``.
        """
        now = time.monotonic_ns()
        since, seen = self._window(now, window_s)
        window_ns = max(now - since, 1)
        full = sum(1 for done in seen if done.generation == GENERATIONS - 1)
        rate = full * _NS_PER_S / window_ns
        is_long = window_ns >= minimum_window_s * _NS_PER_S
        longest = max((done.duration_ns for done in seen), default=0)
        spent = 100.0 * sum(done.end_ns - max(done.start_ns, since) for done in seen) / window_ns
        found = [
            (is_long and full >= minimum_gen2 and rate > gen2_per_second, "frequent_gen2", rate, gen2_per_second,
             "collections/s"),
            (longest > 0 and longest / 1e6 >= long_pause_ms, "long_pause", longest / 1e6, long_pause_ms, "ms"),
            (is_long and spent > high_gc_time_pct, "high_gc_time", spent, high_gc_time_pct, "%"),
        ]
        patterns = [GCPattern(flag, value, limit, unit, _ADVICE[flag]) for hit, flag, value, limit, unit in found if hit]
        return GCPatternReport(window_ns, len(seen), patterns, rate, longest, spent)

    def clear(self) -> None:
        """Forgets what was seen; the window of the report begins now."""
        self._ring.clear()

    def _window(self, now: int, window_s: Optional[float]) -> Tuple[int, List[GCCollection]]:
        seen = self._ring.collections()
        since = self._ring.since_ns
        if window_s is not None:
            since = max(since, now - int(window_s * _NS_PER_S))
        if len(seen) < self._ring.count and seen:  # the ring is shorter than the window
            since = max(since, seen[0].start_ns)
        return since, [done for done in seen if done.end_ns > since]

    # ---- names of the original interface ------------------------------------------------------------------------------

    GetStatistics = get_statistics
    GetGCCount = get_gc_count
    GetTotalMemory = get_total_memory
    GetTotalMemoryWithGC = get_total_memory_with_gc
    ForceFullCollection = force_full_collection
    ForceCollection = force_collection
    Dispose = shutdown
    dispose = shutdown


def _generation(generation: int) -> int:
    if not 0 <= generation < GENERATIONS:
        raise RangeError(f"generation must be 0, 1 or 2, not {generation}")
    return generation
