"""Where a MemoryMonitor's snapshots come from: the sampler (memtap.memprof) or tracemalloc.

Both say the same: the places with most live bytes. The sampler costs next to nothing and sees native memory, its sizes have an
error; tracemalloc is exact for what Python allocates and costs several times the program's own time where that allocates much.
"""

from __future__ import annotations

import math
import os
import tracemalloc
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

from memtap import _sites, _tracing, memprof
from memtap._monitor_growth import Place

_HERE = os.path.dirname(os.path.abspath(__file__))
_Z95 = 1.96
_Key = Tuple[bool, str, str, int]  # Python?, native function, file, line


@dataclass
class Taken:
    """What a source found: places, largest first; traced_bytes: all it knows of, python_bytes: that of Python code; labels: what each label
    (memtap.label) holds."""

    places: List[Place]
    traced_bytes: float
    python_bytes: float
    native: List[Place] = field(default_factory=list)
    labels: List[Dict[str, Any]] = field(default_factory=list)


class TracemallocSource:
    """tracemalloc, switched on if it is off. What the program itself switched on is never switched off or restarted."""

    name = "tracemalloc"

    def __init__(self) -> None:
        self._lease = _tracing.acquire()

    def take(self) -> Taken:
        current, _ = tracemalloc.get_traced_memory()
        shown = tracemalloc.take_snapshot().filter_traces([
            tracemalloc.Filter(False, os.path.join(_HERE, "*")),
            tracemalloc.Filter(False, "<frozen importlib*"),
            tracemalloc.Filter(False, tracemalloc.__file__),
        ])
        places = [
            Place(item.traceback[0].filename, item.traceback[0].lineno, item.size, item.count) for item in shown.statistics("lineno")
        ]
        places.sort(key=lambda place: -place.bytes)
        return Taken(places, current, current)

    def close(self) -> None:
        self._lease.release()


class _Sum:
    """Samples added up: bytes, blocks, and the variances of both (docs/sampling.md)."""

    def __init__(self) -> None:
        self.bytes = self.count = self.variance = self.count_variance = 0.0

    def add(self, sample: Any) -> None:
        if sample.size > 0 and sample.weight > 0:
            chance = min(1.0, sample.size / sample.weight)
            self.bytes += sample.weight
            self.count += 1 / chance
            self.variance += sample.weight * sample.weight * (1 - chance)
            self.count_variance += (1 - chance) / (chance * chance)

    def place(self, frame: Any) -> Place:
        filename, line, function = ("", 0, "") if frame is None else (frame.file, frame.line, frame.function)
        half_widths = (_Z95 * math.sqrt(self.variance), _Z95 * math.sqrt(self.count_variance))
        return Place(filename, line, self.bytes, self.count, *half_widths, function=function)


def _is_ours(frame: Any) -> bool:
    return str(frame.file).startswith((_HERE + os.sep, "<frozen importlib"))


class _Heap:
    """Live samples by place and by label. A place is the innermost Python call; of memory without one, the innermost native call
    outside allocators and interpreter."""

    def __init__(self) -> None:
        self.sums: Dict[_Key, _Sum] = {}
        self.labels: Dict[str, _Sum] = {}
        self._frames: Dict[_Key, Any] = {}
        self._keys: Dict[int, Optional[_Key]] = {}  # by stack, which samples share
        self._find_native = _sites._site_finder()

    def _key_of(self, stack: Any) -> Optional[_Key]:
        python = next((frame for frame in stack if frame.is_python), None)
        if python is not None:
            frame = next((frame for frame in stack if frame.is_python and not _is_ours(frame)), None)
        else:
            frame = self._find_native(stack)
        if frame is None:  # nothing but ourselves, or no stack at all
            return None
        key = (python is not None, "" if python is not None else frame.function, frame.file, frame.line)
        self._frames.setdefault(key, frame)
        return key

    def add(self, sample: Any) -> None:
        known = id(sample.stack)
        if known not in self._keys:
            self._keys[known] = self._key_of(sample.stack)
        key = self._keys[known]
        if key is not None:
            self.sums.setdefault(key, _Sum()).add(sample)
        if sample.label:
            self.labels.setdefault(sample.label, _Sum()).add(sample)

    def places(self, python: bool) -> List[Place]:
        found = [held.place(self._frames[key]) for key, held in self.sums.items() if key[0] == python]
        return sorted(found, key=lambda place: (-place.bytes, place.file, place.function))


def _labelled(label: str, held: _Sum) -> Dict[str, Any]:
    sizes = held.place(None).to_dict()
    return {"label": label, **{key: sizes[key] for key in ("size_mb", "count", "size_mb_ci95", "count_ci95") if key in sizes}}


class SamplerSource:
    """memtap.memprof, started if it is not running; then stopped at the end."""

    name = "sampler"

    def __init__(self, sampling_rate_kb: int) -> None:
        self._started = False
        if not memprof._running:
            memprof.start(sampling_rate_kb)
            self._started = True

    def take(self) -> Taken:
        snapshot = memprof.get_snapshot()
        heap = _Heap()
        for sample in snapshot.samples:
            heap.add(sample)
        labels = sorted(heap.labels, key=lambda label: (-heap.labels[label].bytes, label))
        return Taken(
            places=heap.places(python=True),
            traced_bytes=float(snapshot.estimated_heap_bytes),
            python_bytes=sum(held.bytes for key, held in heap.sums.items() if key[0]),
            native=heap.places(python=False),
            labels=[_labelled(label, heap.labels[label]) for label in labels],
        )

    def close(self) -> None:
        if self._started:
            self._started = False
            memprof.stop(missing_ok=True)


def open_source(wanted: str, sampling_rate_kb: int) -> Any:
    """The source that is wanted; auto: tracemalloc where the program traces already. RuntimeError, OSError: it cannot be had."""
    if wanted == "tracemalloc" or (wanted == "auto" and tracemalloc.is_tracing()):
        return TracemallocSource()
    return SamplerSource(sampling_rate_kb)
