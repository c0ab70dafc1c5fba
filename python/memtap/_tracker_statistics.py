"""Statistics and settings of the exact tracker as values: `MemoryStatistics`, its builder, `MemoryProfilingConfiguration`."""

from __future__ import annotations

import datetime
import threading
from dataclasses import dataclass, field
from typing import Dict, List, NamedTuple, Union

from memtap._tracker_event import MemoryEvent, MemoryEventType
from memtap.gcmonitor import RangeError


# ---- statistics ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MemoryStatistics:
    """Totals of a tracker, or of one type of allocation. Bytes and counts since the tracker was made."""

    total_allocated_bytes: int = 0
    total_freed_bytes: int = 0
    peak_bytes: int = 0  # largest current_bytes ever, exact (since the start, or MemoryTracker.reset_peak)
    allocation_count: int = 0
    deallocation_count: int = 0
    usage_by_type: Dict[str, int] = field(default_factory=dict)  # bytes alive
    gc_count: int = 0
    total_gc_time_ns: int = 0
    gc_count_by_generation: Dict[int, int] = field(default_factory=dict)
    reallocation_count: int = 0
    live_count: int = 0
    mismatch_count: int = 0  # frees and reallocations of unknown addresses
    size_mismatch: int = 0  # frees with another size than was allocated
    double_allocation: int = 0  # allocations at an address that was alive
    snapshot_count: int = 0
    events: int = 0
    events_dropped: int = 0  # of these, no longer in the history
    records_dropped: int = 0  # reports without effect: no memory
    stacks_dropped: int = 0
    publish_errors: int = 0  # exceptions of publishers
    memory_bytes: int = 0  # address space of the tracker itself

    @property
    def current_bytes(self) -> int:
        """Bytes alive: allocated - freed."""
        return self.total_allocated_bytes - self.total_freed_bytes

    @property
    def average_allocation_size_bytes(self) -> int:
        """Allocated bytes an allocation, rounded down; 0 without allocations."""
        return self.total_allocated_bytes // self.allocation_count if self.allocation_count else 0

    @staticmethod
    def create_builder() -> "MemoryStatisticsBuilder":
        """A builder that starts from nothing."""
        return MemoryStatisticsBuilder()

    current_usage_bytes = current_bytes
    peak_usage_bytes = property(lambda self: self.peak_bytes)
    size_mismatch_count = property(lambda self: self.size_mismatch)
    double_allocation_count = property(lambda self: self.double_allocation)
    TotalAllocatedBytes = property(lambda self: self.total_allocated_bytes)
    TotalFreedBytes = property(lambda self: self.total_freed_bytes)
    CurrentUsageBytes = current_bytes
    PeakUsageBytes = peak_usage_bytes
    AllocationCount = property(lambda self: self.allocation_count)
    DeallocationCount = property(lambda self: self.deallocation_count)
    AverageAllocationSizeBytes = average_allocation_size_bytes
    UsageByType = property(lambda self: self.usage_by_type)
    GCCount = property(lambda self: self.gc_count)
    TotalGCTime = property(lambda self: datetime.timedelta(microseconds=self.total_gc_time_ns / 1000))
    GCCountByGeneration = property(lambda self: self.gc_count_by_generation)
    MismatchCount = property(lambda self: self.mismatch_count)
    CreateBuilder = create_builder


class MemoryStatisticsBuilder:
    """Adds statistics up event by event; safe to use from several threads.

    The builder believes what it is told: `current_usage_bytes` goes below zero when more is freed than was allocated.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals = {"total_allocated_bytes": 0, "total_freed_bytes": 0, "peak_bytes": 0, "allocation_count": 0,
                        "deallocation_count": 0, "gc_count": 0, "total_gc_time_ns": 0}
        self._by_type: Dict[str, int] = {}
        self._by_generation: Dict[int, int] = {}

    @property
    def current_usage_bytes(self) -> int:
        """Allocated - freed so far."""
        return self._totals["total_allocated_bytes"] - self._totals["total_freed_bytes"]

    def record_allocation(self, size_bytes: int, allocation_type: str) -> None:
        """Adds an allocation of size_bytes >= 0. Raises RangeError, ValueError."""
        with self._lock:
            self._change(check_size(size_bytes), check_type(allocation_type))
            self._totals["allocation_count"] += 1

    def record_deallocation(self, size_bytes: int, allocation_type: str) -> None:
        """Adds a deallocation of size_bytes >= 0. Raises RangeError, ValueError."""
        with self._lock:
            self._change(-check_size(size_bytes), check_type(allocation_type))
            self._totals["deallocation_count"] += 1

    def record_gc_event(self, generation: int, duration: Union[int, datetime.timedelta]) -> None:
        """Adds a collection; duration in ns or as timedelta. Raises RangeError for a negative one."""
        if isinstance(duration, datetime.timedelta):
            duration = (duration // datetime.timedelta(microseconds=1)) * 1000
        if duration < 0 or generation < 0:
            raise RangeError(f"generation and duration must not be negative: {generation}, {duration}")
        with self._lock:
            self._totals["gc_count"] += 1
            self._totals["total_gc_time_ns"] += duration
            self._by_generation[generation] = self._by_generation.get(generation, 0) + 1

    def record_event(self, event: MemoryEvent) -> None:
        """Adds what an event of a tracker says: all events of a tracker give the tracker's statistics."""
        kind = event.event_type
        if kind == MemoryEventType.ALLOCATION:
            self.record_allocation(event.size_bytes, event.allocation_type)
        elif kind == MemoryEventType.DEALLOCATION:
            self.record_deallocation(0 if event.unmatched else event.size_bytes, event.allocation_type)
        elif kind == MemoryEventType.REALLOCATION:
            with self._lock:
                self._change(event.size_bytes - event.old_size_bytes, event.allocation_type)
        elif kind == MemoryEventType.GC_END:
            self.record_gc_event(event.gc_generation or 0, event.duration_ns)

    def _change(self, change: int, allocation_type: str) -> None:
        self._totals["total_allocated_bytes" if change > 0 else "total_freed_bytes"] += abs(change)
        self._by_type[allocation_type] = self._by_type.get(allocation_type, 0) + change
        self._totals["peak_bytes"] = max(self._totals["peak_bytes"], self.current_usage_bytes)

    def build(self) -> MemoryStatistics:
        """The statistics so far; later records do not change them."""
        with self._lock:
            return MemoryStatistics(usage_by_type=dict(self._by_type), gc_count_by_generation=dict(self._by_generation),
                                    **self._totals)

    CurrentUsageBytes = current_usage_bytes
    RecordAllocation = record_allocation
    RecordDeallocation = record_deallocation
    RecordGCEvent = record_gc_event
    Build = build


def check_size(size_bytes: int) -> int:
    """The size if it is not negative. Raises RangeError."""
    if size_bytes < 0:
        raise RangeError(f"a size in bytes must not be negative: {size_bytes}")
    return size_bytes


def check_type(allocation_type: str) -> str:
    """The type if it is text and not empty. Raises TypeError, ValueError."""
    if not isinstance(allocation_type, str):
        raise TypeError(f"an allocation type must be a str, not {type(allocation_type).__name__}")
    if not allocation_type:
        raise ValueError("an allocation type must not be empty")
    return allocation_type


# ---- configuration ------------------------------------------------------------------------------------------------------


class ConfigurationIssue(NamedTuple):
    """Something that a configuration should not say."""

    severity: str  # "error", "warning"
    field: str
    message: str


@dataclass
class MemoryProfilingConfiguration:
    """Settings of a tracker as a value; `MemoryTracker(configuration=…)` takes them."""

    enable_memory_profiling: bool = False
    capture_stack_traces: bool = False
    max_stack_trace_depth: int = 10  # frames, innermost first
    snapshot_interval_ms: int = 1000
    auto_snapshot: bool = True

    def validate(self) -> List[ConfigurationIssue]:
        """What is wrong (error) or unwise (warning); empty: all is well."""
        rows = [
            (self.max_stack_trace_depth <= 0, "error", "max_stack_trace_depth", "must be at least 1"),
            (self.max_stack_trace_depth > 50, "warning", "max_stack_trace_depth",
             "above 50 costs time at every allocation"),
            (self.snapshot_interval_ms <= 0, "error", "snapshot_interval_ms", "must be at least 1 ms"),
            (self.auto_snapshot and 0 < self.snapshot_interval_ms < 100, "warning", "snapshot_interval_ms",
             "snapshots more often than every 100 ms fill the history"),
            (self.capture_stack_traces and not self.enable_memory_profiling, "warning", "capture_stack_traces",
             "has no effect while enable_memory_profiling is off"),
        ]
        return [ConfigurationIssue(severity, name, f"{name} {message}") for bad, severity, name, message in rows if bad]

    @property
    def is_valid(self) -> bool:
        """No errors? Warnings do not count."""
        return not any(issue.severity == "error" for issue in self.validate())

    EnableMemoryProfiling = property(lambda self: self.enable_memory_profiling,
                                     lambda self, value: setattr(self, "enable_memory_profiling", value))
    CaptureStackTraces = property(lambda self: self.capture_stack_traces,
                                  lambda self, value: setattr(self, "capture_stack_traces", value))
    MaxStackTraceDepth = property(lambda self: self.max_stack_trace_depth,
                                  lambda self, value: setattr(self, "max_stack_trace_depth", value))
    SnapshotIntervalMs = property(lambda self: self.snapshot_interval_ms,
                                  lambda self, value: setattr(self, "snapshot_interval_ms", value))
    AutoSnapshot = property(lambda self: self.auto_snapshot, lambda self, value: setattr(self, "auto_snapshot", value))
    Validate = validate
