"""Memory of a service over time: snapshots when it grows large, what grows between them, what is slow.

    from memtap import monitoring

    monitoring.install(app, token="…")      # Flask, FastAPI, Starlette, Django, any WSGI or ASGI application
    app = monitoring.Middleware(app)        # the same where the application is a callable to be wrapped

With MONITORING_TRACEMALLOC_ENABLED=true the monitor looks at the process's resident memory every few seconds, and above
MONITORING_TRACEMALLOC_THRESHOLD_MB takes a snapshot of the places with most live memory, at most one a minute; the last 20 are
kept. Variables: memtap.monitoring.Settings. Endpoints, under /monitoring, /admin/monitoring and /api/monitoring, all with a token:
GET hotspots, memory-leaks, config, metrics; POST memory-snapshot; PUT config (docs/guide/monitoring.md).

Without a web application: `monitor = monitoring.monitor(); monitor.start()`, and `monitor.get_hotspots()`.

`MemoryMonitor` is the canonical name of what is also `SystemMonitor` here. Sizes are in MiB (bytes / 1048576).
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from typing import Any, Callable, Dict, List, Optional

from memtap import _memtap
from memtap._monitor_growth import MIB, Place, growth, suspected_leaks
from memtap._monitor_http import Routes
from memtap._monitor_queries import watch_connection, watch_engine
from memtap._monitor_rings import ProcessHistory, SlowRing, utc_now
from memtap._monitor_settings import SNAPSHOTS_DISABLED, Settings
from memtap._monitor_sources import Taken, open_source
from memtap._monitor_web import Middleware, install

__all__ = [
    "MemoryMonitor",
    "Middleware",
    "Refused",
    "Routes",
    "Settings",
    "SystemMonitor",
    "install",
    "monitor",
    "watch_connection",
    "watch_engine",
]

logger = logging.getLogger("memtap.monitoring")

SNAPSHOTS_KEPT = 20
PLACES_COMPARED = 200  # of each snapshot, for growth: a place may be among the first ten of some snapshots only
QUERY_CHARS, PARAMS_CHARS = 500, 200
NATIVE_SHOWN = 10


class Refused(Exception):
    """A snapshot was asked for that the settings forbid now. code: THRESHOLD_NOT_REACHED or TOO_SOON; retry_after_s: when the
    latter will be over."""

    def __init__(self, code: str, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_s = retry_after_s


def _text_of(value: Any) -> str:
    """What a program hands over, whatever it is: the program is not to fail here."""
    try:
        return value if isinstance(value, str) else str(value)
    except Exception as error:
        return f"<{type(value).__name__} without a text: {type(error).__name__}>"


def _resident_mb() -> float:
    rss, _ = _memtap.process_memory()
    return float(rss) / MIB


class MemoryMonitor:
    """Watches this process. settings: by default the MONITORING_* variables.

    resident_mb, clock: where resident memory (MiB) and time (seconds, monotonic) come from; tests give their own.
    Thread-safe. start() begins the look every check_interval_s in a thread of its own; a fork child goes on with a thread and
    snapshots of its own.
    """

    def __init__(
        self,
        settings: Optional[Settings] = None,
        *,
        resident_mb: Callable[[], float] = _resident_mb,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings if settings is not None else Settings.from_environment()
        self.tracemalloc_snapshots: List[Dict[str, Any]] = []
        self._resident_mb = resident_mb
        self._clock = clock
        self._lock = threading.RLock()  # around snapshots and settings
        self._last_tracemalloc_snapshot: Optional[float] = None  # by the clock
        self._compared: List[List[Place]] = []  # of the snapshots, with more places than are shown
        self._source: Any = None
        self._thread: Optional[threading.Thread] = None
        self._stop = threading.Event()
        self._cpu: Optional[Any] = None  # (clock, CPU seconds) of the last look
        self._processes = ProcessHistory(self.settings.process_history_size)
        self._queries = SlowRing(self.settings.slow_query_threshold_ms, self.settings.slow_query_ring_size)
        self._endpoints = SlowRing(self.settings.slow_endpoint_threshold_ms, self.settings.slow_endpoint_ring_size)
        if self.settings.tracemalloc_enabled:
            self._open_source()
        _monitors.add(self)

    # ---- settings ----------------------------------------------------------------------------------------------------

    @property
    def tracemalloc_enabled(self) -> bool:
        return self.settings.tracemalloc_enabled

    @property
    def tracemalloc_threshold_mb(self) -> float:
        return self.settings.tracemalloc_threshold_mb

    @property
    def tracemalloc_top_n(self) -> int:
        return self.settings.tracemalloc_top_n

    @property
    def process_history(self) -> Dict[int, List[Dict[str, Any]]]:
        return self._processes.raw()

    @property
    def slow_queries(self) -> List[Dict[str, Any]]:
        return self._queries.entries()

    @property
    def slow_endpoints(self) -> List[Dict[str, Any]]:
        return self._endpoints.entries()

    @property
    def source(self) -> Optional[str]:
        """Where snapshots come from: "sampler" or "tracemalloc"; None while there are none."""
        return None if self._source is None else str(self._source.name)

    def _open_source(self) -> None:
        """Without a source there are no snapshots; the service goes on."""
        try:
            self._source = open_source(self.settings.source, self.settings.sampling_rate_kb)
        except (RuntimeError, OSError, ImportError) as error:
            logger.warning("memory snapshots are off: %s", error)
            self.settings = self.settings.changed({"tracemalloc_enabled": False})

    def _close_source(self) -> None:
        if self._source is not None:
            self._source.close()
            self._source = None

    def configure(self, **changes: Any) -> Settings:
        """Changes settings from now on: enabling begins to watch allocations, disabling ends what this monitor began.

        ValueError: no such setting, or a value it cannot have; nothing is changed then.
        """
        with self._lock:
            before, now = self.settings, self.settings.changed(changes)
            if not now.tracemalloc_enabled or (now.source, now.sampling_rate_kb) != (before.source, before.sampling_rate_kb):
                self._close_source()
            self.settings = now
            if now.tracemalloc_enabled and self._source is None:
                self._open_source()
            self._processes.resize(now.process_history_size)
            self._queries.configure(now.slow_query_threshold_ms, now.slow_query_ring_size)
            self._endpoints.configure(now.slow_endpoint_threshold_ms, now.slow_endpoint_ring_size)
            return self.settings

    def resident_mb(self) -> float:
        """Resident memory of the process now, in MiB."""
        return self._resident_mb()

    # ---- snapshots ---------------------------------------------------------------------------------------------------

    def check_and_snapshot_memory(self) -> Optional[Dict[str, Any]]:
        """Takes a snapshot if it is enabled, resident memory is at the threshold or above, and the last one is old enough;
        None if not, and where it fails, which the log says."""
        try:
            return self.take_snapshot(force=False)
        except Refused:
            return None
        except Exception:
            logger.exception("a memory snapshot failed")
            return None

    def take_snapshot(self, force: bool = True) -> Dict[str, Any]:
        """A snapshot now: {timestamp, memory_mb, top_allocations: [{file, filename, line, size_mb, count}], source,
        python_traced_mb, untraced_mb, native_top, request_memory}. force: whatever memory there is and whenever the last was.

        Refused: without force, below the threshold or too soon. RuntimeError: not enabled.
        """
        with self._lock:
            if self._source is None:
                raise RuntimeError(SNAPSHOTS_DISABLED)
            memory_mb = self._resident_mb()
            now = self._clock()
            if not force:
                self._refuse(memory_mb, now)
            taken = self._source.take()
            entry = self._entry(memory_mb, taken)
            self.tracemalloc_snapshots.append(entry)
            self._compared.append(taken.places[:max(PLACES_COMPARED, self.settings.tracemalloc_top_n)])
            del self.tracemalloc_snapshots[:-SNAPSHOTS_KEPT]
            del self._compared[:-SNAPSHOTS_KEPT]
            self._last_tracemalloc_snapshot = now
            return entry

    def _refuse(self, memory_mb: float, now: float) -> None:
        threshold, last = self.settings.tracemalloc_threshold_mb, self._last_tracemalloc_snapshot
        if memory_mb < threshold:
            raise Refused("THRESHOLD_NOT_REACHED", f"resident memory is {memory_mb:.2f} MiB, the threshold {threshold:g} MiB")
        if last is not None and now - last < self.settings.tracemalloc_min_interval_s:
            left = self.settings.tracemalloc_min_interval_s - (now - last)
            raise Refused("TOO_SOON", f"the last snapshot is {now - last:.0f} s old, the next may be taken in {left:.0f} s", left)

    def _entry(self, memory_mb: float, taken: Taken) -> Dict[str, Any]:
        return {
            "timestamp": utc_now(),
            "memory_mb": round(memory_mb, 2),
            "top_allocations": [place.to_dict() for place in taken.places[:self.settings.tracemalloc_top_n]],
            "source": self.source,
            "python_traced_mb": taken.python_bytes / MIB,
            "untraced_mb": memory_mb - taken.traced_bytes / MIB,
            "native_top": [{**place.to_dict(), "function": place.function} for place in taken.native[:NATIVE_SHOWN]],
            "request_memory": taken.labels[:self.settings.tracemalloc_top_n],
        }

    def growth(self) -> List[Dict[str, Any]]:
        """How places changed over the snapshots, what grew most first."""
        with self._lock:
            return growth(self._compared)

    def suspected_leaks(self) -> List[Dict[str, Any]]:
        """Places in three snapshots or more that never shrank, and grew."""
        with self._lock:
            return suspected_leaks(self._compared)

    # ---- what the service tells --------------------------------------------------------------------------------------

    def track_process_snapshot(self, pid: int, cpu_percent: float, rss_mb: float) -> None:
        """Remembers how a process is doing; this one is looked at by itself while the monitor runs."""
        self._processes.add(pid, cpu_percent, rss_mb)

    def track_slow_query(self, query: str, duration_ms: float, params: Any = None) -> None:
        """Remembers a statement if it took slow_query_threshold_ms or more: its first 500 characters, 200 of its parameters."""
        text = None if params is None else _text_of(params)[:PARAMS_CHARS]
        self._queries.add(duration_ms, {"query": _text_of(query)[:QUERY_CHARS], "params": text})

    def track_slow_endpoint(self, method: str, path: str, duration_ms: float, status_code: int) -> None:
        """Remembers a request if it took slow_endpoint_threshold_ms or more."""
        self._endpoints.add(duration_ms, {"method": method, "path": path, "status_code": status_code})

    def get_hotspots(self) -> Dict[str, Any]:
        """{process_trends, process_history_raw, slow_queries, slow_endpoints, memory_snapshots}."""
        with self._lock:
            snapshots = list(self.tracemalloc_snapshots)
            enabled, threshold = self.settings.tracemalloc_enabled, self.settings.tracemalloc_threshold_mb
        return {
            "process_trends": self._processes.trends(),
            "process_history_raw": self._processes.raw(),
            "slow_queries": self._queries.to_dict("queries"),
            "slow_endpoints": self._endpoints.to_dict("endpoints"),
            "memory_snapshots": {
                "count": len(snapshots), "enabled": enabled, "threshold_mb": threshold, "snapshots": snapshots
            },
        }

    # ---- the background ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to look every check_interval_s. Again: no effect."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._stop.clear()
                self._thread = threading.Thread(target=self._watch, name="memtap-monitor", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Ends the background look. Snapshots stay. Again: no effect."""
        thread = self._thread
        self._stop.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        self._thread = None

    def shutdown(self) -> None:
        """Ends the background look, and the watching of allocations that this monitor began."""
        self.stop()
        with self._lock:
            self._close_source()

    def _watch(self) -> None:
        while True:
            self._look_at_process()
            if self.settings.tracemalloc_enabled:
                self.check_and_snapshot_memory()
            if self._stop.wait(self.settings.check_interval_s):
                return

    def _look_at_process(self) -> None:
        times = os.times()
        now = (self._clock(), times.user + times.system)
        before, self._cpu = self._cpu, now
        elapsed = now[0] - before[0] if before else 0.0
        percent = 100.0 * (now[1] - before[1]) / elapsed if before and elapsed > 0 else 0.0
        try:
            self.track_process_snapshot(os.getpid(), percent, self._resident_mb())
        except OSError as error:  # no /proc
            logger.debug("resident memory is unknown: %s", error)

    def _in_fork_child(self) -> None:
        """The sampler starts anew in a child, the thread is not there, and a lock may be held by one that is not."""
        ran = self._thread is not None
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._thread = None
        self._cpu = None
        self._processes = ProcessHistory(self.settings.process_history_size)
        self._queries = SlowRing(self.settings.slow_query_threshold_ms, self.settings.slow_query_ring_size)
        self._endpoints = SlowRing(self.settings.slow_endpoint_threshold_ms, self.settings.slow_endpoint_ring_size)
        self.tracemalloc_snapshots = []
        self._compared = []
        self._last_tracemalloc_snapshot = None
        if self._source is not None and self._source.name == "sampler":
            self._source = None
            self._open_source()
        if ran:
            self.start()


SystemMonitor = MemoryMonitor

_monitor: Optional[MemoryMonitor] = None
_monitor_lock = threading.Lock()
_monitors: "weakref.WeakSet[MemoryMonitor]" = weakref.WeakSet()


def monitor() -> MemoryMonitor:
    """The one monitor of this process, made at the first call from the MONITORING_* variables."""
    global _monitor
    with _monitor_lock:
        if _monitor is None:
            _monitor = MemoryMonitor()
        return _monitor


def _renew() -> None:
    global _monitor_lock
    _monitor_lock = threading.Lock()
    for each in list(_monitors):
        each._in_fork_child()


os.register_at_fork(after_in_child=_renew)
