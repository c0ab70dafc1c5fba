"""What a MemoryMonitor remembers beside snapshots: processes over time, slow queries, slow endpoints. Bounded, thread-safe."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict, deque
from datetime import datetime, timezone
from typing import Any, Deque, Dict, List

__all__ = ["ProcessHistory", "SlowRing", "utc_now"]

PROCESSES_MAX = 256  # of which a history is kept: those heard of last


def utc_now() -> str:
    """ISO 8601, in UTC, with the zone."""
    return datetime.now(timezone.utc).isoformat()


class ProcessHistory:
    """The last samples of each process."""

    def __init__(self, size: int) -> None:
        self._lock = threading.Lock()
        self._size = size
        self._samples: "OrderedDict[int, Deque[Dict[str, Any]]]" = OrderedDict()

    def resize(self, size: int) -> None:
        with self._lock:
            self._size = size
            for pid, samples in self._samples.items():
                self._samples[pid] = deque(samples, maxlen=size)

    def add(self, pid: int, cpu_percent: float, rss_mb: float) -> None:
        if not (isinstance(pid, int) and math.isfinite(cpu_percent) and math.isfinite(rss_mb)):
            return
        sample = {"timestamp": utc_now(), "cpu_percent": round(cpu_percent, 2), "rss_mb": round(rss_mb, 2)}
        with self._lock:
            self._samples.setdefault(pid, deque(maxlen=self._size)).append(sample)
            self._samples.move_to_end(pid)
            while len(self._samples) > PROCESSES_MAX:
                self._samples.popitem(last=False)

    def raw(self) -> Dict[int, List[Dict[str, Any]]]:
        """{pid: samples, oldest first}."""
        with self._lock:
            return {pid: [dict(sample) for sample in samples] for pid, samples in self._samples.items()}

    def trends(self) -> Dict[int, Dict[str, Any]]:
        return {pid: _trend(samples) for pid, samples in self.raw().items()}


def _trend(samples: List[Dict[str, Any]]) -> Dict[str, Any]:
    cpu = [sample["cpu_percent"] for sample in samples]
    rss = [sample["rss_mb"] for sample in samples]
    return {
        "sample_count": len(samples),
        "cpu_avg": round(sum(cpu) / len(cpu), 2),
        "cpu_max": max(cpu),
        "cpu_min": min(cpu),
        "rss_avg_mb": round(sum(rss) / len(rss), 2),
        "rss_max_mb": max(rss),
        "rss_min_mb": min(rss),
        "first_seen": samples[0]["timestamp"],
        "last_seen": samples[-1]["timestamp"],
    }


class SlowRing:
    """The slowest of what took at least a threshold, slowest first."""

    def __init__(self, threshold_ms: float, size: int) -> None:
        self._lock = threading.Lock()
        self._entries: List[Dict[str, Any]] = []
        self.threshold_ms = threshold_ms
        self.size = size

    def configure(self, threshold_ms: float, size: int) -> None:
        with self._lock:
            self.threshold_ms = threshold_ms
            self.size = size
            del self._entries[size:]

    def add(self, duration_ms: float, entry: Dict[str, Any]) -> None:
        if not math.isfinite(duration_ms) or duration_ms < self.threshold_ms:
            return
        kept = {**entry, "duration_ms": round(duration_ms, 2), "timestamp": utc_now()}
        with self._lock:
            self._entries.append(kept)
            self._entries.sort(key=lambda item: -item["duration_ms"])
            del self._entries[self.size:]

    def entries(self) -> List[Dict[str, Any]]:
        with self._lock:
            return [dict(entry) for entry in self._entries]

    def to_dict(self, name: str) -> Dict[str, Any]:
        entries = self.entries()
        return {"count": len(entries), "threshold_ms": self.threshold_ms, name: entries}
