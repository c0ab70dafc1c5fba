"""Events of the exact tracker as values: `MemoryEvent`, its frames and its form in a file (one JSON object)."""

from __future__ import annotations

import datetime
import dis
import enum
import json
import time
import types
import uuid
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from memtap._text import shown
from memtap.gcmonitor import RangeError


class MemoryEventType(enum.IntEnum):
    """What an event is about; the numbers are those in files."""

    ALLOCATION = 0
    DEALLOCATION = 1
    REALLOCATION = 2
    SNAPSHOT = 3
    GC_START = 4
    GC_END = 5
    Allocation = 0
    Deallocation = 1
    Reallocation = 2
    Snapshot = 3
    GCStart = 4
    GCEnd = 5


_TYPES = tuple(MemoryEventType(number) for number in range(6))


class StackFrame(NamedTuple):
    """One Python frame."""

    function: str
    file: str
    line: int  # 0: unknown

    def __str__(self) -> str:
        return shown(f"{self.function} ({self.file}:{self.line})")


_lines: Dict[types.CodeType, List[Tuple[int, int]]] = {}
_LINES_MAX = 4096


def line_of(code: types.CodeType, lasti: int) -> StackFrame:
    """The frame of a code object at an instruction (offset in bytes; -1: not begun)."""
    starts = _lines.get(code)
    if starts is None:
        if len(_lines) >= _LINES_MAX:
            _lines.clear()
        starts = _lines[code] = [(offset, line) for offset, line in dis.findlinestarts(code) if line is not None]
    line = code.co_firstlineno
    for offset, number in starts:
        if offset > lasti:
            break
        line = number
    name = getattr(code, "co_qualname", code.co_name)
    return StackFrame(name, code.co_filename, line)


_FIELDS = ("event_type", "address", "size_bytes", "total_allocated_bytes", "total_freed_bytes", "allocation_type",
           "stack_trace", "gc_generation", "step", "timestamp", "timestamp_ns", "duration_ns", "old_address",
           "old_size_bytes", "unmatched")


class MemoryEvent:
    """One thing that happened, with the totals right after it. A value: equal when all fields are, do not change it."""

    __slots__ = (*_FIELDS, "_event_id", "_namespace")

    event_type: MemoryEventType
    address: int  # 0 for snapshots and collections
    size_bytes: int  # deallocation: the recorded size (unmatched: the caller's); reallocation: the new size
    total_allocated_bytes: int  # of all events up to this one
    total_freed_bytes: int  # likewise; not free memory
    allocation_type: str  # "Snapshot" and "GC" for these events; "Unknown": an address never allocated
    stack_trace: Optional[Tuple[StackFrame, ...]]  # innermost first; None: not captured
    gc_generation: Optional[int]  # collections only
    step: int
    timestamp: float  # seconds since the epoch
    timestamp_ns: int  # monotonic clock
    duration_ns: int  # end of a collection only
    old_address: int  # reallocation only
    old_size_bytes: int  # reallocation only
    unmatched: bool  # deallocation or reallocation of an address that was not alive
    _event_id: Optional[uuid.UUID]
    _namespace: Any  # of the tracker's events: a uuid

    def __init__(self, event_type: MemoryEventType, address: int, size_bytes: int, total_allocated_bytes: int,
                 total_freed_bytes: int, allocation_type: str, stack_trace: Optional[Sequence[StackFrame]] = None, *,
                 gc_generation: Optional[int] = None, step: int = 0, timestamp: Optional[float] = None,
                 timestamp_ns: Optional[int] = None, duration_ns: int = 0, old_address: int = 0, old_size_bytes: int = 0,
                 unmatched: bool = False, event_id: Optional[uuid.UUID] = None) -> None:
        """Raises RangeError for a negative size, total or duration, TypeError or ValueError for no or an empty type.

        timestamp, timestamp_ns: now when left out.
        """
        for name, value in (("size_bytes", size_bytes), ("total_allocated_bytes", total_allocated_bytes),
                            ("total_freed_bytes", total_freed_bytes), ("duration_ns", duration_ns),
                            ("old_size_bytes", old_size_bytes)):
            if value < 0:
                raise RangeError(f"{name} must not be negative: {value}")
        if not isinstance(allocation_type, str):
            raise TypeError(f"allocation_type must be a str, not {type(allocation_type).__name__}")
        if not allocation_type:
            raise ValueError("allocation_type must not be empty")
        self.event_type = MemoryEventType(event_type)
        self.address = address
        self.size_bytes = size_bytes
        self.total_allocated_bytes = total_allocated_bytes
        self.total_freed_bytes = total_freed_bytes
        self.allocation_type = allocation_type
        self.stack_trace = None if stack_trace is None else tuple(stack_trace)
        self.gc_generation = gc_generation
        self.step = step
        self.timestamp = time.time() if timestamp is None else timestamp
        self.timestamp_ns = time.monotonic_ns() if timestamp_ns is None else timestamp_ns
        self.duration_ns = duration_ns
        self.old_address = old_address
        self.old_size_bytes = old_size_bytes
        self.unmatched = unmatched
        self._event_id = uuid.uuid4() if event_id is None else event_id
        self._namespace = None

    @classmethod
    def _from_raw(cls, raw: Tuple[Any, ...], offset_ns: int, trace: Optional[Tuple[StackFrame, ...]],
                  namespace: uuid.UUID) -> "MemoryEvent":
        """From a tuple of the extension (ext/tracker_query.c); nothing to check there."""
        self = cls.__new__(cls)
        (number, self.timestamp_ns, self.step, self.address, self.size_bytes, self.total_allocated_bytes,
         self.total_freed_bytes, self.allocation_type, _, self.gc_generation, self.duration_ns, self.old_address,
         self.old_size_bytes, self.unmatched) = raw
        self.event_type = _TYPES[number]
        self.timestamp = (self.timestamp_ns + offset_ns) / 1e9
        self.stack_trace = trace
        self._event_id = None
        self._namespace = namespace
        return self

    @property
    def event_id(self) -> uuid.UUID:
        """The same for the same event, however often it is asked for."""
        if self._event_id is None:
            text = f"{self.timestamp_ns}/{int(self.event_type)}/{self.address}/{self.size_bytes}/{self.total_allocated_bytes}"
            self._event_id = uuid.uuid5(self._namespace, text)
        return self._event_id

    def _key(self) -> Tuple[Any, ...]:
        return tuple(getattr(self, name) for name in _FIELDS) + (self.event_id,)

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, MemoryEvent) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.event_id)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in _FIELDS if name not in ("event_type", "stack_trace"))
        return f"MemoryEvent({self.event_type.name}, {fields})"

    def to_dict(self) -> Dict[str, Any]:
        """All fields as JSON knows them."""
        row = {name: getattr(self, name) for name in _FIELDS}
        row["event_type"] = int(self.event_type)
        row["stack_trace"] = None if self.stack_trace is None else [list(frame) for frame in self.stack_trace]
        row["event_id"] = str(self.event_id)
        return row

    @classmethod
    def from_dict(cls, row: Dict[str, Any]) -> "MemoryEvent":
        """The event of which to_dict gave row. Raises KeyError, ValueError, TypeError for anything else."""
        fields = {name: row[name] for name in _FIELDS}
        if fields["stack_trace"] is not None:
            fields["stack_trace"] = [StackFrame(*frame) for frame in fields["stack_trace"]]
        return cls(event_id=uuid.UUID(row["event_id"]), **fields)

    def serialize(self) -> bytes:
        """One line of JSON, without the end of the line."""
        return json.dumps(self.to_dict(), separators=(",", ":")).encode()

    @classmethod
    def deserialize(cls, data: bytes) -> "MemoryEvent":
        """The event of which serialize gave data. Raises ValueError when it is none."""
        try:
            return cls.from_dict(json.loads(data))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not an event: {error!r} in {data[:200]!r}") from error

    MemoryEventType = property(lambda self: self.event_type)
    Address = property(lambda self: self.address)
    SizeBytes = property(lambda self: self.size_bytes)
    TotalAllocatedBytes = property(lambda self: self.total_allocated_bytes)
    TotalFreeBytes = property(lambda self: self.total_freed_bytes)
    AllocationType = property(lambda self: self.allocation_type)
    AllocationStackTrace = property(lambda self: self.stack_trace)
    GCGeneration = property(lambda self: self.gc_generation)
    Timestamp = property(lambda self: datetime.datetime.fromtimestamp(self.timestamp, datetime.timezone.utc))
    EventId = event_id
    EventType = property(lambda self: type(self).__name__)
    Serialize = serialize
    Deserialize = deserialize


class _LeakTuple(NamedTuple):
    address: int
    size: int
    trace: Optional[Tuple[StackFrame, ...]]


class LeakCandidate(_LeakTuple):
    """An allocation that is alive for long: the tuple (address, size in bytes, trace or None), and what else is known."""

    age_ms: float
    allocation_type: str
    timestamp: float  # of the allocation, seconds since the epoch
    score: float  # 1 - (frees + 1) / (allocations + 2) of its type: how likely the next one stays as well (Laplace)

    def __new__(cls, address: int, size: int, trace: Optional[Tuple[StackFrame, ...]], *, age_ms: float, allocation_type: str,
                timestamp: float, score: float) -> "LeakCandidate":
        """See the class."""
        self = super().__new__(cls, address, size, trace)
        self.age_ms = age_ms
        self.allocation_type = allocation_type
        self.timestamp = timestamp
        self.score = score
        return self

    def __getnewargs_ex__(self) -> Tuple[Tuple[Any, ...], Dict[str, Any]]:
        """For pickle and copy."""
        return tuple(self), dict(vars(self))

    @property
    def bytes(self) -> int:
        """The size."""
        return self.size
