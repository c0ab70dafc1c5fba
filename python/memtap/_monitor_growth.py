"""What grows from one memory snapshot to the next. Pure functions of snapshots' places."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Sequence

MIB = 1024 * 1024
LEAST_SNAPSHOTS = 3  # that a place must be in to be suspected


@dataclass
class Place:
    """Where memory was allocated: bytes alive, count of blocks; half widths: of their 95 % intervals, 0 where exact."""

    filename: str
    line: int
    bytes: float
    count: float
    half_width_bytes: float = 0.0
    half_width_count: float = 0.0
    function: str = ""

    @property
    def file(self) -> str:
        return f"{self.filename}:{self.line}" if self.line else self.filename

    def to_dict(self) -> Dict[str, Any]:
        """As snapshots show it; size_mb_ci95 and count_ci95, half widths of the 95 % intervals, where they are estimates."""
        size: Dict[str, Any] = {"size_mb": self.bytes / MIB, "count": int(round(self.count))}
        if self.half_width_bytes > 0:
            size["size_mb_ci95"] = self.half_width_bytes / MIB
            size["count_ci95"] = self.half_width_count
        return {"file": self.file, "filename": self.filename, "line": self.line, **size}


@dataclass
class _History:
    filename: str
    line: int
    seen: List[float] = field(default_factory=list)

    @property
    def is_monotonic(self) -> bool:
        return all(later >= earlier for earlier, later in zip(self.seen, self.seen[1:]))

    @property
    def slope(self) -> float:
        """Of the straight line through what was seen, by least squares, in bytes a snapshot."""
        n = len(self.seen)
        middle, mean = (n - 1) / 2, sum(self.seen) / n
        spread = sum((at - middle) ** 2 for at in range(n))
        return sum((at - middle) * (value - mean) for at, value in enumerate(self.seen)) / spread if spread else 0.0

    def to_dict(self) -> Dict[str, Any]:
        first, last = self.seen[0] / MIB, self.seen[-1] / MIB
        return {
            "file": f"{self.filename}:{self.line}" if self.line else self.filename,
            "filename": self.filename,
            "line": self.line,
            "first_mb": first,
            "last_mb": last,
            "delta_mb": last - first,
            "snapshots_present": len(self.seen),
            "monotonic": self.is_monotonic,
        }


def _histories(snapshots: Sequence[Sequence[Place]]) -> List[_History]:
    found: Dict[Any, _History] = {}
    for places in snapshots:
        for place in places:
            key = (place.filename, place.line)
            found.setdefault(key, _History(place.filename, place.line)).seen.append(place.bytes)
    return sorted(found.values(), key=lambda history: (history.seen[0] - history.seen[-1], history.filename, history.line))


def growth(snapshots: Sequence[Sequence[Place]]) -> List[Dict[str, Any]]:
    """How each place changed, what grew most first. Places in one snapshot only are left out."""
    return [history.to_dict() for history in _histories(snapshots) if len(history.seen) > 1]


def suspected_leaks(snapshots: Sequence[Sequence[Place]]) -> List[Dict[str, Any]]:
    """Those that never shrank, are in the latest snapshot and at least three in all, and grew."""
    latest = {(place.filename, place.line) for place in snapshots[-1]} if snapshots else set()
    return [
        history.to_dict()
        for history in _histories(snapshots)
        if len(history.seen) >= LEAST_SNAPSHOTS and history.is_monotonic and history.slope > 0 and
        (history.filename, history.line) in latest
    ]
