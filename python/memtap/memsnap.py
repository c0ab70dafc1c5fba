"""Process snapshots: what this process holds now, what a block of code added, what the garbage collector does.

    from memtap.memsnap import MemoryProfiler, capture_memory_snapshot
    with MemoryProfiler("model_load") as profiler:
        model = load_model()
    print(profiler.report())

Units: every `*_mb` is MiB (bytes / 1048576). Resident set and address space come from /proc/self/statm. Device memory
comes from torch if the program has already imported it and initialised CUDA, else from the NVIDIA driver (NVML), else it
is 0.0; torch is never imported here and no CUDA context is made, so that looking does not change what is looked at.

`MemoryScope` is the canonical name of what is also `MemoryProfiler` here.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
import tracemalloc
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any, Dict, Iterator, List, Optional, Tuple

from memtap import _memtap, _tracing

__all__ = [
    "MemorySnapshot",
    "MemoryProfiler",
    "GCDebugger",
    "capture_memory_snapshot",
    "memory_profile",
    "freeze_gc_heap",
    "unfreeze_gc_heap",
    "gc_stats",
]

MIB = 1024 * 1024
LOG_LIMIT = 10_000  # collections a GCDebugger remembers at least
LOG_SLACK = 1_000  # and at most this many more, so that forgetting costs nothing per collection
REPORT_ENTRIES = 10


@dataclass
class MemorySnapshot:
    """Memory of this process at one point in time.

    Twelve fields: `timestamp` (s since the epoch), `python_current_mb` and `python_peak_mb` (tracemalloc; 0.0 when it is
    not tracing; the peak's window begins where tracing began, or at the block of a MemoryScope that owns tracing),
    `rss_mb`, `vms_mb`, `gpu_allocated_mb`, `gpu_reserved_mb`, `gpu_peak_mb` (0.0 without a device), `gc_generation_0/1/2`
    (objects waiting for a collection, gc.get_count(); not numbers of collections), `gc_objects` (len(gc.get_objects())).

    Beside the fields, on a captured snapshot: `gpu_devices`, a list of dicts {index, name, uuid, total_mb, used_mb,
    free_mb, process_mb, source}, and `timestamp_ns` (monotonic clock; None on a snapshot made by hand).
    """

    timestamp: float = field(default_factory=time.time)
    python_current_mb: float = 0.0
    python_peak_mb: float = 0.0
    rss_mb: float = 0.0
    vms_mb: float = 0.0
    gpu_allocated_mb: float = 0.0
    gpu_reserved_mb: float = 0.0
    gpu_peak_mb: float = 0.0
    gc_generation_0: int = 0
    gc_generation_1: int = 0
    gc_generation_2: int = 0
    gc_objects: int = 0

    def __post_init__(self) -> None:
        self.gpu_devices: List[Dict[str, Any]] = []
        self.timestamp_ns: Optional[int] = None

    def delta(self, other: MemorySnapshot) -> Dict[str, Any]:
        """This snapshot minus an earlier one: positive where memory grew.

        Keys: python_current_delta_mb, rss_delta_mb, gpu_allocated_delta_mb (MiB), gc_objects_delta, elapsed_seconds; not
        rounded. Elapsed time is monotonic between captured snapshots, the difference of timestamps otherwise.
        """
        return {
            "python_current_delta_mb": self.python_current_mb - other.python_current_mb,
            "rss_delta_mb": self.rss_mb - other.rss_mb,
            "gpu_allocated_delta_mb": self.gpu_allocated_mb - other.gpu_allocated_mb,
            "gc_objects_delta": self.gc_objects - other.gc_objects,
            "elapsed_seconds": _elapsed_seconds(self, other),
        }

    def to_dict(self, include_devices: bool = False) -> Dict[str, Any]:
        """The twelve fields by name, every `*_mb` rounded to 2 places; with include_devices also `gpu_devices`."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        result = {name: round(value, 2) if name.endswith("_mb") else value for name, value in values.items()}
        if include_devices:
            result["gpu_devices"] = [dict(device) for device in self.gpu_devices]
        return result


def _elapsed_seconds(later: MemorySnapshot, earlier: MemorySnapshot) -> float:
    if later.timestamp_ns is not None and earlier.timestamp_ns is not None:
        return (later.timestamp_ns - earlier.timestamp_ns) / 1e9
    return later.timestamp - earlier.timestamp


# ---- device memory ---------------------------------------------------------------------------------------------------


class _Devices:
    """Device totals for capture_memory_snapshot(): from torch, else from the driver.

    Calls into the driver are serialised; one from a finalizer inside another is left out. A fork child whose parent was
    inside one gets no driver: its state is unknown.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._in_flight = False
        self._usable = True
        self._peak_mb = 0.0  # highest use seen by any capture; the driver keeps none
        os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        self._usable = self._usable and not self._in_flight
        self._in_flight = False
        self._lock = threading.RLock()
        self._peak_mb = 0.0

    def fill(self, snapshot: MemorySnapshot) -> None:
        cuda = self._initialised_torch_cuda()
        if cuda is None or not self._fill_from_torch(snapshot, cuda):
            self._fill_from_driver(snapshot)

    @staticmethod
    def _initialised_torch_cuda() -> Any:
        """torch.cuda if asking it starts nothing: torch is imported and has a CUDA context."""
        cuda = getattr(sys.modules.get("torch"), "cuda", None)
        try:
            return cuda if cuda is not None and cuda.is_available() and cuda.is_initialized() else None
        except Exception:  # half-imported, or a build without CUDA
            return None

    @staticmethod
    def _fill_from_torch(snapshot: MemorySnapshot, cuda: Any) -> bool:
        """The three fields of the current device, and every device's totals. False when torch will not say."""
        try:
            totals = [cuda.memory_allocated(), cuda.memory_reserved(), cuda.max_memory_allocated()]
            devices = [_torch_device(cuda, index) for index in range(cuda.device_count())]
        except Exception:  # a device in an error state must not break the program that looks at its memory
            return False
        snapshot.gpu_allocated_mb, snapshot.gpu_reserved_mb, snapshot.gpu_peak_mb = (value / MIB for value in totals)
        snapshot.gpu_devices = devices
        return True

    def _fill_from_driver(self, snapshot: MemorySnapshot) -> None:
        """This process's device memory as the driver counts it, context included, summed over all devices."""
        found = self._ask_driver()
        used_mb = sum(device["process_bytes"] or 0 for device in found) / MIB
        self._peak_mb = max(self._peak_mb, used_mb)
        snapshot.gpu_devices = [_driver_device(device) for device in found]
        snapshot.gpu_allocated_mb = snapshot.gpu_reserved_mb = used_mb
        snapshot.gpu_peak_mb = self._peak_mb

    def _ask_driver(self) -> List[Dict[str, Any]]:
        with self._lock:
            if self._in_flight or not self._usable:
                return []
            self._in_flight = True
            try:
                return _memtap.gpu_devices() or []
            finally:
                self._in_flight = False


def _torch_device(cuda: Any, index: int) -> Dict[str, Any]:
    properties = cuda.get_device_properties(index)
    uuid = getattr(properties, "uuid", None)
    return {
        "index": index,
        "name": properties.name,
        "uuid": "" if uuid is None else str(uuid),
        "total_mb": properties.total_memory / MIB,
        "used_mb": None,
        "free_mb": None,
        "process_mb": cuda.memory_reserved(index) / MIB,
        "source": "torch",
    }


def _driver_device(device: Dict[str, Any]) -> Dict[str, Any]:
    result = {key: device[key] for key in ("index", "name", "uuid")}
    for key in ("total", "used", "free", "process"):
        value = device[key + "_bytes"]
        result[key + "_mb"] = None if value is None else value / MIB
    result["source"] = "nvml"
    return result


_devices = _Devices()


# ---- snapshots and scopes --------------------------------------------------------------------------------------------


def capture_memory_snapshot(include_gpu: bool = True) -> MemorySnapshot:
    """Memory of this process now.

    include_gpu: also device memory. With torch in the program and CUDA initialised: allocated, reserved and peak of the
    current device as torch counts them (peak since the process began or torch's own reset). Otherwise, with an NVIDIA
    driver: what the driver says this process uses, summed over devices, allocated and reserved alike; the peak is then
    the highest value any capture of this process has seen. The first question to the driver opens its library and can
    take a second; that memory is in rss_mb of this snapshot already. Never imports torch.
    OSError where /proc is not mounted.
    """
    snapshot = MemorySnapshot()
    if include_gpu:
        _devices.fill(snapshot)
    snapshot.timestamp, snapshot.timestamp_ns = time.time(), time.monotonic_ns()
    # Before anything here grows: gc.get_objects() makes a list of 8 bytes an object.
    current, peak = tracemalloc.get_traced_memory()
    rss, vms = _memtap.process_memory()
    counts = gc.get_count()
    snapshot.python_current_mb, snapshot.python_peak_mb = current / MIB, peak / MIB
    snapshot.rss_mb, snapshot.vms_mb = rss / MIB, vms / MIB
    snapshot.gc_generation_0, snapshot.gc_generation_1, snapshot.gc_generation_2 = counts
    snapshot.gc_objects = len(gc.get_objects())
    return snapshot


class MemoryScope:
    """What a block of code added to this process's memory.

        with MemoryScope("model_load") as scope:
            model = load_model()
        print(scope.report())

    name: label of the report. include_gpu: as for capture_memory_snapshot(). Switches tracemalloc on for the block unless
    it is on already; overlapping scopes share it, and the last one to end switches off what the first switched on. May be
    used again, and from any thread. Exceptions pass through, with the end snapshot taken.
    """

    def __init__(self, name: str = "profile", include_gpu: bool = True) -> None:
        self.name = name
        self.include_gpu = include_gpu
        self.start_snapshot: Optional[MemorySnapshot] = None
        self.end_snapshot: Optional[MemorySnapshot] = None
        self._leases: List[_tracing.Lease] = []
        self._peak_is_ours = False

    def __enter__(self) -> MemoryScope:
        lease = _tracing.acquire()
        try:
            self.end_snapshot = None
            self.start_snapshot = capture_memory_snapshot(self.include_gpu)
        except BaseException:
            lease.release()
            raise
        self._leases.append(lease)
        self._peak_is_ours = lease.sole
        if self._peak_is_ours:
            _tracing.reset_peak()
        return self

    def __exit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        try:
            self.end_snapshot = capture_memory_snapshot(self.include_gpu)
        finally:
            if self._leases:
                self._leases.pop().release()

    def __repr__(self) -> str:
        delta = self.delta()
        state = "not used" if self.start_snapshot is None else "open"
        if delta is not None:
            state = f"rss {delta['rss_delta_mb']:+.1f} MiB"
        return f"<memtap.MemoryScope {self.name!r}, {state}>"

    def delta(self) -> Optional[Dict[str, Any]]:
        """End minus start (MemorySnapshot.delta), or None before the block has ended."""
        if self.start_snapshot is None or self.end_snapshot is None:
            return None
        return self.end_snapshot.delta(self.start_snapshot)

    @property
    def python_peak_delta_mb(self) -> Optional[float]:
        """Highest traced memory inside the block over its start, in MiB; None before the end, and where the peak may
        have been before the block (tracing was on already and the block did not raise its peak)."""
        start, end = self.start_snapshot, self.end_snapshot
        if start is None or end is None or not (self._peak_is_ours or end.python_peak_mb > start.python_peak_mb):
            return None
        return end.python_peak_mb - start.python_current_mb

    def report(self) -> Dict[str, Any]:
        """Keys: name, start and end (MemorySnapshot.to_dict() or None), delta ({} before the block has ended)."""
        return {
            "name": self.name,
            "start": None if self.start_snapshot is None else self.start_snapshot.to_dict(),
            "end": None if self.end_snapshot is None else self.end_snapshot.to_dict(),
            "delta": self.delta() or {},
        }


MemoryProfiler = MemoryScope


@contextmanager
def memory_profile(name: str = "profile", include_gpu: bool = True) -> Iterator[MemoryScope]:
    """MemoryScope as a function.

        with memory_profile("data_load") as prof:
            data = load_data()
        print(prof.delta())
    """
    with MemoryScope(name, include_gpu) as scope:
        yield scope


# ---- garbage collector -----------------------------------------------------------------------------------------------


class GCDebugger:
    """Counts and times the collections of this interpreter.

        debugger = GCDebugger()
        debugger.start()
        ...
        debugger.stop()
        print(debugger.report())

    log_collections: also keep {generation, collected, uncollectable, elapsed_ms, timestamp} of each, in `collections`;
    the last 10,000 at least. Also a context manager. Times are in ms. Collections are serialised by the interpreter, so
    one object sees one at a time.
    """

    def __init__(self, log_collections: bool = False) -> None:
        self.log_collections = log_collections
        self.collections: List[Dict[str, Any]] = []
        self.total_collections = 0
        self.total_collected = 0
        self.total_uncollectable = 0
        self.total_time_ms = 0.0
        self._began_ns: Optional[int] = None

    def start(self) -> None:
        """Begins to watch. Again: no effect."""
        if self._gc_callback not in gc.callbacks:
            self._began_ns = None
            gc.callbacks.append(self._gc_callback)

    def stop(self) -> None:
        """Ends watching; totals stay. Again: no effect. Other callbacks are left alone."""
        if self._gc_callback in gc.callbacks:
            gc.callbacks.remove(self._gc_callback)

    def _gc_callback(self, phase: str, info: Dict[str, Any]) -> None:
        """What the collector calls: docs.python.org/3/library/gc.html#gc.callbacks."""
        now_ns = time.perf_counter_ns()
        if phase == "start":
            self._began_ns = now_ns
        elif phase == "stop":
            elapsed_ms = 0.0 if self._began_ns is None else (now_ns - self._began_ns) / 1e6
            self._began_ns = None
            self._count(info, elapsed_ms)

    def _count(self, info: Dict[str, Any], elapsed_ms: float) -> None:
        collected, uncollectable = info.get("collected", 0), info.get("uncollectable", 0)
        self.total_collections += 1
        self.total_collected += collected
        self.total_uncollectable += uncollectable
        self.total_time_ms += elapsed_ms
        if self.log_collections:
            self._log({
                "generation": info.get("generation", 0),
                "collected": collected,
                "uncollectable": uncollectable,
                "elapsed_ms": round(elapsed_ms, 3),
                "timestamp": time.time(),
            })

    def _log(self, entry: Dict[str, Any]) -> None:
        self.collections.append(entry)
        if len(self.collections) >= LOG_LIMIT + LOG_SLACK:
            del self.collections[:LOG_SLACK]

    def force_collection(self, generation: int = 2) -> Dict[str, Any]:
        """Collects now: {generation, collected, elapsed_ms}. ValueError for a generation outside 0..2."""
        began_ns = time.perf_counter_ns()
        collected = gc.collect(generation)
        elapsed_ms = (time.perf_counter_ns() - began_ns) / 1e6
        return {"generation": generation, "collected": collected, "elapsed_ms": round(elapsed_ms, 3)}

    def get_top_objects(self, n: int = 10) -> List[Tuple[str, int]]:
        """The n commonest types of tracked objects as (type name without module, count), most first."""
        return Counter(type(item).__name__ for item in gc.get_objects()).most_common(n)

    def report(self) -> Dict[str, Any]:
        """Keys: total_collections, total_collected, total_uncollectable, total_time_ms, avg_collection_time_ms,
        current_gc_counts (3 pending counts), total_objects, collection_log (the last 10 at most)."""
        return {
            "total_collections": self.total_collections,
            "total_collected": self.total_collected,
            "total_uncollectable": self.total_uncollectable,
            "total_time_ms": round(self.total_time_ms, 2),
            "avg_collection_time_ms": round(self.total_time_ms / max(1, self.total_collections), 2),
            "current_gc_counts": gc.get_count(),
            "total_objects": len(gc.get_objects()),
            "collection_log": self.collections[-REPORT_ENTRIES:],
        }

    def __enter__(self) -> GCDebugger:
        self.start()
        return self

    def __exit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        self.stop()


def freeze_gc_heap() -> int:
    """Collects garbage, then moves every tracked object out of the collector's sight (gc.freeze), so that later
    collections are short. Call it after start-up, or before fork so that children share pages.

    Returns the number of objects frozen in all, gc.get_freeze_count(); -1 where the interpreter has no freeze.
    """
    if not hasattr(gc, "freeze"):
        return -1
    gc.collect()  # frozen garbage would never be freed
    gc.freeze()
    return gc.get_freeze_count()


def unfreeze_gc_heap() -> None:
    """Gives frozen objects back to the collector's oldest generation (gc.unfreeze)."""
    if hasattr(gc, "unfreeze"):
        gc.unfreeze()


def gc_stats() -> Dict[str, Any]:
    """{counts, thresholds: each {generation_0, generation_1, generation_2}, total_objects, gc_enabled}."""
    return {
        "counts": _by_generation(gc.get_count()),
        "thresholds": _by_generation(gc.get_threshold()),
        "total_objects": len(gc.get_objects()),
        "gc_enabled": gc.isenabled(),
    }


def _by_generation(values: Tuple[int, ...]) -> Dict[str, int]:
    return {f"generation_{index}": value for index, value in enumerate(values)}
