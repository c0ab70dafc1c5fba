"""Exact accounts of memory that a program reports itself: GPU, CPU, pinned, or whatever it wants to call it.

    from memtap.tracker import MemoryTracker

    tracker = MemoryTracker(capture_stack_traces=True)
    tracker.track_allocation(0x1000, 1024, "GPU")
    tracker.track_deallocation(0x1000)
    print(tracker.get_statistics())
    for leak in tracker.detect_potential_leaks():
        print(leak.address, leak.size, leak.trace)

Addresses and sizes are integers (bytes), types any non-empty text. Statistics are exact, peaks too; the history keeps the last
`max_events` events with time and step. Every event goes to the publishers, if there are any, once and in order. The work is
done by the C tracker (include/memtap/tracker.h): no lock is shared by all calls, a report takes a fraction of a microsecond.

Two clocks: `timestamp` is seconds since the epoch (UTC) for people, `timestamp_ns` the monotonic clock that gives the order.
Names in PascalCase (`TrackAllocation`, `GetStatistics`, …) and `MemoryProfiler` are aliases of the names here.
"""

from __future__ import annotations

import datetime
import os
import threading
import time
import uuid
import weakref
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

from memtap import _memtap
from memtap._tracker_event import LeakCandidate, MemoryEvent, MemoryEventType, StackFrame, line_of
from memtap._tracker_statistics import (ConfigurationIssue, MemoryProfilingConfiguration, MemoryStatistics,
                                       MemoryStatisticsBuilder, check_type)
from memtap._tracker_storage import JsonlStorage, MemoryStorage, StorageBackend, TraceStorage, export_jsonl, import_jsonl
from memtap.gcmonitor import GCMonitor, RangeError

__all__ = [
    "ConfigurationIssue", "GCMonitor", "JsonlStorage", "LeakCandidate", "MemoryEvent", "MemoryEventType",
    "MemoryProfiler", "MemoryProfilingConfiguration", "MemoryStatistics", "MemoryStatisticsBuilder", "MemoryStorage",
    "MemoryTracker", "RangeError", "StackFrame", "StorageBackend", "TraceStorage", "export_jsonl", "import_jsonl",
]

_memtap._tracker_range_error(RangeError)

DEFAULT_MAX_EVENTS = 1_000_000
DEFAULT_LEAK_AGE_MS = 1000
_MISSING: Any = object()
_ALL_STEPS = (-(2**63), 2**63 - 1)
_END_OF_TIME_NS = 2**64 - 1
_CLOCK_STEP_NS = 50_000  # the two clocks have moved apart by more: somebody set the time
Time = Union[datetime.datetime, float, int]
Publisher = Union[Callable[[MemoryEvent], object], StorageBackend]


# ---- automatic snapshots -----------------------------------------------------------------------------------------------


class _SnapshotTimer:
    """A daemon thread that calls track_snapshot() of a tracker at multiples of the interval, while the tracker lives."""

    def __init__(self, tracker: "MemoryTracker", interval_ms: int) -> None:
        self._tracker = weakref.ref(tracker)
        self._changed = threading.Condition()
        self._interval_s = interval_ms / 1000.0
        self._epoch = 0  # of the settings; a change restarts the interval
        self._quit = False
        threading.Thread(target=self._run, name="memtap-snapshots", daemon=True).start()

    def set_interval(self, interval_ms: int) -> None:
        with self._changed:
            self._interval_s = interval_ms / 1000.0
            self._epoch += 1
            self._changed.notify_all()

    def stop(self) -> None:
        with self._changed:
            self._quit = True
            self._changed.notify_all()

    def _run(self) -> None:
        due, epoch = time.monotonic() + self._interval_s, self._epoch
        while True:
            with self._changed:
                if epoch != self._epoch:
                    due, epoch = time.monotonic() + self._interval_s, self._epoch
                if not self._quit and time.monotonic() < due:
                    self._changed.wait(due - time.monotonic())
                    continue
                interval = self._interval_s
            tracker = self._tracker()
            if self._quit or tracker is None:
                return
            tracker.track_snapshot()
            del tracker
            due = max(due + interval, time.monotonic())


# ---- the tracker -------------------------------------------------------------------------------------------------------


class MemoryTracker(_memtap.Tracker):
    """Tracks allocations that the program reports. Enabled from the start; any number of threads may report.

    `track_allocation`, `track_deallocation`, `track_reallocation`, `track_snapshot`, `set_step`, `reset_peak` and the
    attributes `is_enabled`, `capture_stack_traces`, `max_stack_trace_depth`, `current_step` come from the C base class.
    """

    def __init__(self, publisher: Publisher = _MISSING, *, configuration: Optional[MemoryProfilingConfiguration] = None,
                 max_events: int = DEFAULT_MAX_EVENTS, capture_stack_traces: bool = False, max_stack_trace_depth: int = 10,
                 auto_snapshot: bool = True, snapshot_interval_ms: int = 1000,
                 leak_age_threshold_ms: int = DEFAULT_LEAK_AGE_MS) -> None:
        """publisher: a callable that gets every event, or a storage back end; more by add_publisher().

        configuration: takes the place of the five settings it has. max_events: history kept, 0 for none (then nothing can be
        published either). Raises TypeError for a publisher of None, RangeError for a number outside its range.
        """
        if publisher is None:
            raise TypeError("publisher is None: pass a callable or a storage back end, or nothing")
        if configuration is not None:
            errors = [issue.message for issue in configuration.validate() if issue.severity == "error"]
            if errors:
                raise RangeError("; ".join(errors))
            capture_stack_traces = configuration.capture_stack_traces
            max_stack_trace_depth = configuration.max_stack_trace_depth
            auto_snapshot, snapshot_interval_ms = configuration.auto_snapshot, configuration.snapshot_interval_ms
        if max_events < 0:
            raise RangeError(f"max_events must not be negative: {max_events}")
        super().__init__(history_events=max_events)
        self._uuid = uuid.uuid4()
        self._offset_ns = _clock_offset_ns()[0]
        self._frames_of: Dict[int, Tuple[StackFrame, ...]] = {}
        self._publishers: List[Any] = []
        self._publishing = threading.Lock()
        self._publish_again = False
        self._publish_errors = 0
        self._timer: Optional[_SnapshotTimer] = None
        self._timer_stop: Any = None
        self._max_events = max_events
        self._auto_snapshot = False
        self._closed = False
        self.leak_age_threshold_ms = leak_age_threshold_ms
        self.capture_stack_traces = capture_stack_traces
        self.max_stack_trace_depth = max_stack_trace_depth
        self._interval_ms = _interval(snapshot_interval_ms)
        if publisher is not _MISSING:
            self.add_publisher(publisher)
        if configuration is not None and not configuration.enable_memory_profiling:
            self.disable()
        self.auto_snapshot = auto_snapshot
        _trackers.add(self)

    # ---- life ---------------------------------------------------------------------------------------------------------

    def enable(self) -> None:
        """Takes reports (again); automatic snapshots go on."""
        self._set_enabled(True)
        self._update_timer()

    def disable(self) -> None:
        """Ignores reports, whatever their arguments; statistics stay; automatic snapshots stop."""
        self._set_enabled(False)
        self._update_timer()

    def shutdown(self) -> None:
        """Disables for good measure, delivers what is due, closes the storage back ends. May be called again."""
        if self._closed:
            return
        self._closed = True
        self.disable()
        self._publish()
        for publisher in list(self._publishers):
            if isinstance(publisher, StorageBackend):
                try:
                    publisher.close()
                except Exception:  # noqa: BLE001 (counted; the program must go on)
                    self._publish_errors += 1

    def __repr__(self) -> str:
        totals, _ = self._all_statistics()
        current_bytes = totals["total_allocated_bytes"] - totals["total_freed_bytes"]
        state = "enabled" if self.is_enabled else "disabled"
        return f"<memtap.MemoryTracker: {state}, {current_bytes} bytes in {totals['live_count']} allocations>"

    def __enter__(self) -> "MemoryTracker":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.shutdown()

    # ---- settings -----------------------------------------------------------------------------------------------------

    def step(self, step: Optional[int] = None) -> int:
        """Begins the next step (or the given one); returns it."""
        self.set_step(self.current_step + 1 if step is None else step)
        return self.current_step

    @property
    def auto_snapshot(self) -> bool:
        """Are snapshots taken every snapshot_interval_ms while the tracker is enabled?"""
        return self._auto_snapshot

    @auto_snapshot.setter
    def auto_snapshot(self, on: bool) -> None:
        self._auto_snapshot = bool(on)
        self._update_timer()

    @property
    def snapshot_interval_ms(self) -> int:
        """Milliseconds between automatic snapshots, at least 1. A change begins a new interval. Raises RangeError."""
        return self._interval_ms

    @snapshot_interval_ms.setter
    def snapshot_interval_ms(self, interval_ms: int) -> None:
        self._interval_ms = _interval(interval_ms)
        if self._timer is not None:
            self._timer.set_interval(interval_ms)

    def _update_timer(self) -> None:
        wanted = self._auto_snapshot and self.is_enabled and not self._closed
        if wanted and self._timer is None:
            self._timer = _SnapshotTimer(self, self._interval_ms)
            self._timer_stop = weakref.finalize(self, self._timer.stop)
            self._timer_stop.atexit = False
        elif not wanted and self._timer is not None:
            self._timer_stop()
            self._timer = None

    # ---- publishers ---------------------------------------------------------------------------------------------------

    def add_publisher(self, publisher: Publisher) -> None:
        """From now on every event goes to publisher(event), or publisher.store_event(event) of a storage back end.

        In order, once, in a thread that reports (one at a time; a publisher may report itself). Exceptions are counted in
        `publish_errors` and go no further. Raises TypeError, and ValueError when the tracker keeps no history.
        """
        if not callable(publisher) and not hasattr(publisher, "store_event"):
            raise TypeError(f"a publisher is a callable or has store_event(), not {publisher!r}")
        if self._max_events == 0:
            raise ValueError("events are published from the history: max_events must not be 0")
        self._follow(False)
        self._publish()  # what came before belongs to the publishers there were
        self._publishers = [*self._publishers, publisher]
        self._set_publishing(True)

    def remove_publisher(self, publisher: Publisher) -> None:
        """Ends the delivery to a publisher. Raises ValueError when it is none."""
        remaining = list(self._publishers)
        remaining.remove(publisher)
        self._publish()
        self._publishers = remaining
        self._set_publishing(bool(remaining))

    @property
    def publish_errors(self) -> int:
        """Exceptions of publishers so far."""
        return self._publish_errors

    def _publish(self) -> None:
        """Delivers all events that are due. Who comes while another delivers leaves it to that one."""
        self._publish_again = True
        while self._publish_again and self._publishing.acquire(False):
            try:
                while self._publish_again:
                    self._publish_again = False
                    for raw in self._next_events():
                        self._deliver(raw)
            finally:
                self._publishing.release()

    def _deliver(self, raw: Tuple[Any, ...]) -> None:
        publishers = self._publishers
        event = self._event(raw) if publishers else None
        for publisher in publishers:
            try:
                getattr(publisher, "store_event", publisher)(event)
            except Exception:  # noqa: BLE001 (never reaches the program)
                self._publish_errors += 1

    # ---- statistics ---------------------------------------------------------------------------------------------------

    def get_statistics(self) -> MemoryStatistics:
        """Totals of everything reported so far."""
        return self._statistics_of(*self._all_statistics())

    def get_statistics_for_type(self, allocation_type: str) -> MemoryStatistics:
        """The same for one type; all zero for a type never reported. Raises TypeError, ValueError."""
        totals = self._statistics(check_type(allocation_type)) if "\0" not in allocation_type else {}
        if not totals.get("allocation_count") and not totals.get("deallocation_count"):
            return MemoryStatistics()
        return self._statistics_of(totals, {allocation_type: totals["current_bytes"]})

    def _statistics_of(self, totals: Dict[str, int], usage: Dict[str, int]) -> MemoryStatistics:
        by_generation = {generation: totals[f"gc{generation}"] for generation in range(3) if totals[f"gc{generation}"]}
        return MemoryStatistics(
            total_allocated_bytes=totals["total_allocated_bytes"], total_freed_bytes=totals["total_freed_bytes"],
            peak_bytes=totals["peak_bytes"], allocation_count=totals["allocation_count"],
            deallocation_count=totals["deallocation_count"], usage_by_type=usage, gc_count=totals["gc_count"],
            total_gc_time_ns=totals["gc_time_ns"], gc_count_by_generation=by_generation,
            reallocation_count=totals["reallocation_count"], live_count=totals["live_count"],
            mismatch_count=totals["mismatch_count"], size_mismatch=totals["size_mismatch_count"],
            double_allocation=totals["double_allocation_count"], snapshot_count=totals["snapshot_count"],
            events=totals["events"], events_dropped=totals["events_dropped"], records_dropped=totals["records_dropped"],
            stacks_dropped=totals["stacks_dropped"], publish_errors=self._publish_errors, memory_bytes=totals["memory_bytes"])

    @property
    def events_dropped(self) -> int:
        """Events that are no longer in the history."""
        return self._all_statistics()[0]["events_dropped"]

    # ---- timeline -----------------------------------------------------------------------------------------------------

    def events(self) -> List[MemoryEvent]:
        """The history, by time."""
        return self._query()

    def get_events(self, start_step: int, end_step: int) -> List[MemoryEvent]:
        """Events of the steps start_step to end_step, both included, by time. Empty when start_step > end_step."""
        low, high = (min(max(step, _ALL_STEPS[0]), _ALL_STEPS[1]) for step in (start_step, end_step))
        return self._query(steps=(low, high)) if start_step <= end_step else []

    def get_events_between(self, start: Time, end: Time) -> List[MemoryEvent]:
        """Events from start to end, both included, by time; datetimes (naive: local time) or seconds since the epoch."""
        low, high = _epoch_s(start), _epoch_s(end)
        return [event for event in self._between(low, high) if low <= event.timestamp <= high]

    def get_allocations_since(self, start: Time) -> List[MemoryEvent]:
        """Allocation events at or after start, by time; see get_events_between for start."""
        low = _epoch_s(start)
        found = self._between(low, float("inf"), 1 << MemoryEventType.ALLOCATION)
        return [event for event in found if event.timestamp >= low]

    def _between(self, low: float, high: float, types: int = 0) -> List[MemoryEvent]:
        """A little more than that: a float of seconds is good for a quarter of a microsecond."""
        now, uncertain_ns = _clock_offset_ns()
        if abs(now - self._offset_ns) > _CLOCK_STEP_NS + uncertain_ns:
            self._offset_ns = now
        slack_ns = 1000
        bounds = [self._monotonic_ns(low) - slack_ns, self._monotonic_ns(high) + slack_ns]
        low_ns, high_ns = (min(max(bound, 0), _END_OF_TIME_NS) for bound in bounds)
        return self._query(times=(low_ns, high_ns), types=types)

    def _monotonic_ns(self, epoch_s: float) -> int:
        if epoch_s in (float("inf"), float("-inf")):
            return _END_OF_TIME_NS if epoch_s > 0 else 0
        return int(epoch_s * 1e9) - self._offset_ns

    def _query(self, times: Tuple[int, int] = (0, _END_OF_TIME_NS), steps: Tuple[int, int] = _ALL_STEPS,
               types: int = 0) -> List[MemoryEvent]:
        return [self._event(raw) for raw in self._events(times[0], times[1], steps[0], steps[1], types)]

    def _event(self, raw: Tuple[Any, ...]) -> MemoryEvent:
        return MemoryEvent._from_raw(raw, self._offset_ns, self._trace(raw[8]), self._uuid)

    def _trace(self, stack: int) -> Optional[Tuple[StackFrame, ...]]:
        if stack == 0:
            return None
        frames = self._frames_of.get(stack)
        if frames is None:
            frames = tuple(line_of(code, lasti) for code, lasti in self._frames(stack))
            self._frames_of[stack] = frames
        return frames

    def export_jsonl(self, path: Union[str, "os.PathLike[str]"]) -> int:
        """Writes the history as JSON lines (import_jsonl reads them back); the number of events. Raises OSError."""
        return export_jsonl(self._query(), path)

    def export_trace(self, path: Union[str, "os.PathLike[str]"]) -> int:
        """Writes the history as a memtap trace for `memtap stats`, `memtap leaks`, …; number of events.

        Raises OSError; the path must be new.
        """
        storage = TraceStorage(path)
        try:
            return storage.store_events(self._query())
        finally:
            storage.close()

    # ---- leaks --------------------------------------------------------------------------------------------------------

    def detect_potential_leaks(self, min_age_ms: Optional[float] = None) -> List[LeakCandidate]:
        """What has been alive for at least min_age_ms (None: leak_age_threshold_ms; 0: all), largest first.

        Each is a tuple (address, size, trace) with more attributes. Raises RangeError for a negative age.
        """
        age_ms = self.leak_age_threshold_ms if min_age_ms is None else min_age_ms
        if age_ms < 0:
            raise RangeError(f"min_age_ms must not be negative: {min_age_ms}")
        scores: Dict[str, float] = {}
        return [self._leak(raw, scores) for raw in self._leaks(int(age_ms))]

    def _leak(self, raw: Tuple[Any, ...], scores: Dict[str, float]) -> LeakCandidate:
        address, size, kind, stack, time_ns, age_ns = raw
        if kind not in scores:
            totals = self._statistics(kind)
            frees, allocations = totals["deallocation_count"], totals["allocation_count"]
            scores[kind] = max(0.0, 1.0 - (frees + 1) / (allocations + 2))
        return LeakCandidate(address, size, self._trace(stack), age_ms=age_ns / 1e6, allocation_type=kind,
                             timestamp=(time_ns + self._offset_ns) / 1e9, score=scores[kind])

    # ---- names of the original interface ------------------------------------------------------------------------------

    TrackAllocation = _memtap.Tracker.track_allocation
    TrackDeallocation = _memtap.Tracker.track_deallocation
    TrackReallocation = _memtap.Tracker.track_reallocation
    TrackSnapshot = _memtap.Tracker.track_snapshot
    SetStep = _memtap.Tracker.set_step
    GetStatistics = get_statistics
    GetStatisticsForType = get_statistics_for_type
    GetEvents = get_events
    GetEventsBetween = get_events_between
    GetAllocationsSince = get_allocations_since
    DetectPotentialLeaks = detect_potential_leaks
    Enable = enable
    Disable = disable
    Dispose = shutdown
    dispose = shutdown
    IsEnabled = _memtap.Tracker.is_enabled
    CaptureStackTraces = _memtap.Tracker.capture_stack_traces
    MaxStackTraceDepth = _memtap.Tracker.max_stack_trace_depth
    SnapshotIntervalMs = snapshot_interval_ms
    AutoSnapshot = auto_snapshot
    LeakAgeThresholdMs = property(lambda self: self.leak_age_threshold_ms,
                                  lambda self, value: setattr(self, "leak_age_threshold_ms", value))


MemoryProfiler = MemoryTracker


# ---- time and fork -----------------------------------------------------------------------------------------------------


def _clock_offset_ns() -> Tuple[int, int]:
    """Epoch - monotonic clock, and how far that may be off, in ns: the closest of nine readings."""
    readings = []
    for _ in range(9):
        before = time.monotonic_ns()
        epoch = time.time_ns()
        after = time.monotonic_ns()
        readings.append((after - before, epoch - (before + after) // 2))
    window, offset = min(readings)
    return offset, window


def _epoch_s(when: Time) -> float:
    if isinstance(when, datetime.datetime):
        try:
            return when.timestamp()
        except (OverflowError, ValueError, OSError):  # datetime.min, datetime.max
            return float("-inf") if when.year < 1970 else float("inf")
    return float(when)


def _interval(interval_ms: int) -> int:
    if interval_ms <= 0:
        raise RangeError(f"snapshot_interval_ms must be at least 1, not {interval_ms}")
    return interval_ms


_trackers: "weakref.WeakSet[MemoryTracker]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    """The child has no timer threads, and a lock another thread held would stay held."""
    for tracker in list(_trackers):
        tracker._publishing = threading.Lock()
        tracker._timer = None
        tracker._update_timer()


os.register_at_fork(after_in_child=_after_fork_in_child)
