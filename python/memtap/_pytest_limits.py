"""The marks that limit a test's memory: what their arguments mean, and what is said when a test does not keep to them.

Decides: marks of different kinds all act, of one kind the one closest to the test. A message names the place first, then who
called it, innermost first, as far as --memtap-stacks says; with --memtap-native the native frames below the Python ones too.
"""

from __future__ import annotations

import collections
from typing import Any, Callable, Dict, List, Optional

import pytest

from memtap._measure import format_size, parse_size, stack_of
from memtap._origin import Origins, is_python
from memtap._pytest_call import Measurement, is_unittest
from memtap._text import shown as shown_text

ROWS_PER_TEST = 5
NATIVE_FRAMES = 8

MARKERS = (
    "limit_memory(size, current_thread_only=False): fail the test when it needs more memory at its peak, e.g. '24 MB'; "
    "current_thread_only: counts what the test's own thread allocates",
    "limit_leaks(size, filter_fn=None, warmups=0, current_thread_only=False): fail the test when a call stack leaves more than "
    "that behind; filter_fn(stack) says which stacks count, warmups runs the test that many times before",
    "limit_leaked_objects(count=0, filter_fn=None, warmups=0): fail the test when it leaves more Python objects of a type behind; "
    "count: a number, or {type or name: number} for those types alone; filter_fn(object) says which objects count",
    "no_memtap: do not record this test",
)


class Shown:
    """How much a message shows: Python frames of a stack, native ones below them or not, the largest stacks or all."""

    def __init__(self, frames: int, native: bool, all_rows: bool, origins: Origins) -> None:
        self.frames = frames
        self.native = native
        self.all_rows = all_rows
        self._origins = origins

    def rows(self, what: str, rows: List[Dict[str, Any]]) -> List[str]:
        """Lines about the largest rows."""
        lines = []
        least = sum(row["bytes"] for row in rows) / 100
        shown = rows if self.all_rows else [row for row in rows[:ROWS_PER_TEST] if row["bytes"] >= least]
        for row in shown:
            first_use = f" ({row['first_use']})" if row.get("first_use") else ""
            blocks = "1 block" if row["count"] == 1 else f"{row['count']} blocks"
            lines.append(f"  {format_size(row['bytes'])} {what} in {blocks}: {site(row)}{first_use}")
            lines += self._below(row) + self._callers(row)
        rest = rows[len(shown):]
        if rest:
            stacks = "1 more call stack" if len(rest) == 1 else f"{len(rest)} more call stacks"
            lines.append(f"  and {format_size(sum(row['bytes'] for row in rest))} by {stacks}")
        return lines

    def _below(self, row: Dict[str, Any]) -> List[str]:
        """Native frames between the place and the allocator, innermost first."""
        native = []
        for frame in row["stack"] if self.native else ():
            if is_python(frame["file"]):
                break
            native.append(f"      through {site(frame)}")
        return native[:NATIVE_FRAMES]

    def _callers(self, row: Dict[str, Any]) -> List[str]:
        """Who called the place; below them the line of the project, where only a library's are shown."""
        frames: List[Dict[str, Any]] = []
        for frame in row["stack"]:
            if not is_python(frame["file"]):
                continue
            if frames and self._origins.is_runner(frame["file"]):  # what called the test says nothing
                break
            frames.append(frame)
        lines = [f"      called from {site(frame)}" for frame in frames[1:self.frames]]
        own = [at for at, frame in enumerate(frames) if self._origins.is_project(frame["file"])]
        if own and own[0] >= max(self.frames, 1):
            lines.append(f"      on behalf of {site(frames[own[0]])}")
        return lines


def site(frame: Dict[str, Any]) -> str:
    """"app.py:31 handle" """
    line = f":{frame['line']}" if frame.get("line") else ""
    return shown_text(f"{frame.get('file') or '?'}{line} {frame.get('function') or '?'}")


def first_use_lines(first_use: Dict[str, int]) -> List[str]:
    """What was filled at first use, in one line."""
    if not first_use:
        return []
    parts = [f"{format_size(size)} {name}" for name, size in sorted(first_use.items(), key=lambda item: -item[1])]
    return [f"  filled at first use and not counted: {', '.join(parts)}"]


def _thread_of(measurement: Measurement, thread_only: bool) -> Measurement:
    return measurement.thread if thread_only and measurement.thread is not None else measurement


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name} is True or False, not {value!r}")
    return value


def _warmups(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError(f"warmups is a number of runs, 0 or more, not {value!r}")
    return value


def _filter(value: Any) -> Any:
    if value is not None and not callable(value):
        raise TypeError(f"filter_fn is a function or None, not {value!r}")
    return value


class MemoryLimit:
    """@pytest.mark.limit_memory(size, current_thread_only=False)"""

    warmups = 0

    def __init__(self, size: Any, *, current_thread_only: bool = False) -> None:
        self.bytes = parse_size(size)
        self.thread = _switch("current_thread_only", current_thread_only)

    def problems(self, measurement: Measurement, shown: Shown) -> List[str]:
        found = _thread_of(measurement, self.thread)
        if found.peak_bytes <= self.bytes:
            return []
        whose = " of the test's thread" if self.thread else ""
        return [f"memtap: the peak{whose} is {format_size(found.peak_bytes)}, limit_memory allows {format_size(self.bytes)}",
                *shown.rows("at the peak", found.peak_stacks)]


class LeakLimit:
    """@pytest.mark.limit_leaks(size, filter_fn=None, warmups=0, current_thread_only=False); per call stack."""

    def __init__(self, size: Any, filter_fn: Optional[Callable[[Any], bool]] = None, warmups: int = 0,
                 current_thread_only: bool = False) -> None:
        self.bytes = parse_size(size)
        self.filter = _filter(filter_fn)
        self.warmups = _warmups(warmups)
        self.thread = _switch("current_thread_only", current_thread_only)

    def problems(self, measurement: Measurement, shown: Shown) -> List[str]:
        found = _thread_of(measurement, self.thread)
        rows = [row for row in found.leaks if row["bytes"] > self.bytes and self._counts(row)]
        if not rows:
            return []
        total = format_size(sum(row["bytes"] for row in rows))
        stacks = "1 call stack" if len(rows) == 1 else f"{len(rows)} call stacks"
        return [f"memtap: {total} left behind by {stacks}, limit_leaks allows {format_size(self.bytes)} each",
                *shown.rows("left behind", rows), *first_use_lines(found.first_use)]

    def _counts(self, row: Dict[str, Any]) -> bool:
        return self.filter is None or bool(self.filter(stack_of(row)))


class ObjectLimit:
    """@pytest.mark.limit_leaked_objects(count=0, filter_fn=None, warmups=0); per type."""

    thread = False

    def __init__(self, count: Any = 0, filter_fn: Optional[Callable[[Any], bool]] = None, warmups: int = 0) -> None:
        self.filter = _filter(filter_fn)
        self.warmups = _warmups(warmups)
        self.counts: Optional[Dict[str, int]] = None
        if isinstance(count, dict):
            self.counts = {_type_name(key): _object_count(value) for key, value in count.items()}
        self.count = 0 if self.counts is not None else _object_count(count)

    def problems(self, measurement: Measurement, shown: Shown) -> List[str]:
        kinds: Dict[str, List[Dict[str, Any]]] = collections.defaultdict(list)
        for one, row in measurement.objects or ():
            if self.filter is None or self.filter(one):
                kinds[f"{type(one).__module__}.{type(one).__qualname__}"].append(row)
        lines = []
        for name, rows in sorted(kinds.items(), key=lambda kind: (-len(kind[1]), kind[0])):
            allowed = self._allowed(name)
            if allowed is not None and len(rows) > allowed:
                short = shown_text(name[len("builtins."):] if name.startswith("builtins.") else name)
                objects = "object" if len(rows) == 1 else "objects"
                lines.append(f"memtap: {len(rows)} {short} {objects} left behind, limit_leaked_objects allows {allowed}")
                lines += [f"  {number} made at {place}" for place, number in
                          collections.Counter(map(site, rows)).most_common(ROWS_PER_TEST)]
        return lines

    def _allowed(self, name: str) -> Optional[int]:
        if self.counts is None:
            return self.count
        return self.counts.get(name, self.counts.get(name.rpartition(".")[2]))


def _type_name(key: Any) -> str:
    if isinstance(key, type):
        return f"{key.__module__}.{key.__qualname__}"
    if isinstance(key, str):
        return key
    raise TypeError(f"the keys of a count by type are types or their names, not {key!r}")


def _object_count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError(f"a count of objects is a number, 0 or more, or a dictionary of them by type, not {value!r}")
    return value


LIMITS = {"limit_memory": MemoryLimit, "limit_leaks": LeakLimit, "limit_leaked_objects": ObjectLimit}


def has_limit(item: pytest.Item) -> bool:
    """Is there a limit_* mark on this test?"""
    return any(item.get_closest_marker(name) is not None for name in LIMITS)


def limits_of(item: pytest.Item) -> List[Any]:
    """The limits in force for a test: of each kind the mark closest to it. UsageError for wrong arguments."""
    limits: List[Any] = []
    for name, kind in LIMITS.items():
        mark = item.get_closest_marker(name)
        if mark is None:
            continue
        try:
            limits.append(kind(*mark.args, **mark.kwargs))
        except (TypeError, ValueError) as error:
            raise pytest.UsageError(f"{item.nodeid}: {name}: {error}") from None
        if limits[-1].warmups and is_unittest(item):
            raise pytest.UsageError(f"{item.nodeid}: {name}: warmups work for test functions, not for unittest's methods")
    return limits
