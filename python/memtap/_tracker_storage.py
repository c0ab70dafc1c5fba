"""Where events of the exact tracker can go: memory, JSON lines, a memtap trace; and reading JSON lines back.

A storage back end is an object with `store_event(event)`; these classes are the ones that come with memtap. A tracker gives
them every event once, in order, and closes them when it shuts down.
"""

from __future__ import annotations

import collections
import os
import threading
from typing import IO, Any, Deque, Dict, Iterable, List, Optional, Tuple, Union

from memtap import _memtap
from memtap._tracker_event import MemoryEvent, StackFrame

Path = Union[str, "os.PathLike[str]"]


class StorageBackend:
    """Base of all back ends: subclasses store one event and may override the rest."""

    def store_event(self, event: MemoryEvent) -> None:
        """Takes one event. What it raises is counted by the tracker as publish_errors."""
        raise NotImplementedError

    def store_events(self, events: Iterable[MemoryEvent]) -> int:
        """Takes several; their number."""
        count = 0
        for event in events:
            self.store_event(event)
            count += 1
        return count

    def flush(self) -> None:
        """What was stored can be read by others from now on."""

    def close(self) -> None:
        """The end; may be called again."""
        self.flush()

    def __enter__(self) -> "StorageBackend":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class MemoryStorage(StorageBackend):
    """Keeps events in a list; the last max_events of them."""

    def __init__(self, max_events: Optional[int] = None) -> None:
        self._events: Deque[MemoryEvent] = collections.deque(maxlen=max_events)

    def store_event(self, event: MemoryEvent) -> None:
        """Keeps it."""
        self._events.append(event)

    def get_events(self) -> List[MemoryEvent]:
        """What is kept, oldest first."""
        return list(self._events)

    def clear(self) -> None:
        """Forgets everything."""
        self._events.clear()

    def __len__(self) -> int:
        return len(self._events)


class JsonlStorage(StorageBackend):
    """Appends events to a file, one JSON object a line, in UTF-8. Lines are complete: a cut file lacks its end, no more."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self.path = os.fspath(path)
        self._file: Optional[IO[bytes]] = open(self.path, "ab")
        self._lock = threading.Lock()

    def store_event(self, event: MemoryEvent) -> None:
        """Writes a line (to a buffer: see flush). Raises ValueError after close, OSError."""
        line = event.serialize() + b"\n"
        with self._lock:
            if self._file is None:
                raise ValueError(f"{self.path} is closed")
            self._file.write(line)

    def flush(self) -> None:
        """Empties the buffer into the file."""
        with self._lock:
            if self._file is not None:
                self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def get_events(self) -> List[MemoryEvent]:
        """What the file holds."""
        self.flush()
        return import_jsonl(self.path)


class TraceStorage(StorageBackend):
    """Writes events as a memtap trace, which `memtap stats`, `memtap leaks`, `memtap export` and the other reports read.

    Allocations, deallocations and reallocations; the type of an allocation stands at the root of its stack, as a frame named
    after it. Snapshots and collections have no place in a trace and are left out.
    """

    def __init__(self, path: Path) -> None:
        """path must not exist. Raises OSError."""
        self.path = os.fspath(path)
        self._writer: Any = _memtap.TraceWriter(self.path)
        self._stacks: Dict[Tuple[str, Optional[Tuple[StackFrame, ...]]], int] = {}

    def store_event(self, event: MemoryEvent) -> None:
        """Adds a record. Raises ValueError after close, OSError."""
        if self._writer is None:
            raise ValueError(f"{self.path} is closed")
        self._writer.put(int(event.event_type), event.timestamp_ns, event.address, event.size_bytes, event.old_address,
                         event.unmatched, self._stack_of(event))

    def _stack_of(self, event: MemoryEvent) -> int:
        key = (event.allocation_type, event.stack_trace)
        number = self._stacks.get(key)
        if number is None:
            root = StackFrame(event.allocation_type, "<memtap.tracker>", 0)
            number = self._stacks[key] = self._writer.stack([*(event.stack_trace or ()), root])
        return number

    def close(self) -> None:
        """Finishes the file. Raises OSError."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()


def export_jsonl(events: Iterable[MemoryEvent], path: Path) -> int:
    """Writes events as JSON lines, in place of what was there; their number. Raises OSError."""
    count = 0
    with open(path, "wb") as file:
        for event in events:
            file.write(event.serialize() + b"\n")
            count += 1
    return count


def import_jsonl(path: Path) -> List[MemoryEvent]:
    """Events of a file of JSON lines, as they were. An incomplete last line is left out.

    Raises ValueError for a line that is not an event, OSError.
    """
    events = []
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                break
            try:
                events.append(MemoryEvent.deserialize(line))
            except ValueError as error:
                raise ValueError(f"{os.fspath(path)}, line {number}: {error}") from error
    return events
