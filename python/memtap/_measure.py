"""One measured piece of work: recorded into a trace, then read back as the few numbers a person asks for.

Decides: what pytest's plugin and the notebook magic have in common: a trace of its own for each piece of work, garbage
collected before the end (so that cycles do not count as held). Sizes in text: 1 KB = 1 KiB = 1024.
"""

from __future__ import annotations

import gc
import math
import os
import re
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple, Union

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?\s*", re.IGNORECASE)
_HOOKS_TAKEN = "took memtap's hooks out"
_UNITS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


class Frame(NamedTuple):
    """One call of a stack."""

    function: str
    file: str
    line: int

    @property
    def filename(self) -> str:
        return self.file

    @property
    def lineno(self) -> int:
        return self.line


class Stack(NamedTuple):
    """Calls from the one that allocated outwards."""

    frames: List[Frame]


class Recording:
    """Records from start() to stop() into the file `path`; options are those of memtap.record().

    measure: what read() makes of the open trace.
    """

    def __init__(self, path: Union[str, "os.PathLike[str]"], measure: Callable[[Any], Any], **options: Any) -> None:
        self.path = os.fspath(path)
        self._measure = measure
        self._options = options

    def start(self) -> None:
        """Raises what memtap.record() raises where a recording cannot begin."""
        import memtap  # late: a test run that records nothing pays nothing

        self._collections = _collections()
        self._context = memtap.record(self.path, **self._options)
        self._context.__enter__()

    def stop(self, thorough: bool = True) -> None:
        """Collects garbage, then ends the trace.

        thorough: all of it, 10 to 100 ms in a large program. Otherwise only what is young, if everything made since
        start() still is: garbage that hangs together with older objects then counts as held.
        """
        young, old = (now - before for now, before in zip(_collections(), self._collections))
        try:
            gc.collect(2 if thorough or old else 1 if young else 0)
        finally:
            self._context.__exit__(None, None, None)

    def read(self) -> Any:
        """The finished trace in numbers."""
        import memtap

        with memtap.open(self.path) as trace:
            return self._measure(trace)


def unseen_in(stats: Dict[str, Any]) -> Optional[str]:
    """The sentence among the warnings of Trace.stats() that says another tool took the hooks out; None: none did."""
    return next((text for text in stats["warnings"] if _HOOKS_TAKEN in text), None)


def _collections() -> Tuple[int, int]:
    """Collections that can have made young objects middle-aged, and old."""
    youngest, *others = gc.get_stats()
    return youngest["collections"], sum(generation["collections"] for generation in others)


def stack_of(row: Dict[str, Any]) -> Stack:
    """The stack of a row of a report."""
    frames = row.get("stack") or []
    return Stack([Frame(frame["function"], frame.get("file") or "", frame.get("line") or 0) for frame in frames])


def parse_size(size: Union[str, int]) -> int:
    """Bytes of "24 MB", "1.5 GiB", "512K", "100" or an int; KB and KiB are both 1024. ValueError, TypeError."""
    if isinstance(size, bool) or not isinstance(size, (str, int)):
        raise TypeError(f"a size is a string such as '24 MB' or a number of bytes, not {size!r}")
    match = _SIZE.fullmatch(str(size))
    if match is None:
        raise ValueError(f"not a size: {size!r} (write '24 MB', '512 KiB' or a number of bytes)")
    return math.floor(float(match.group(1)) * (1 << 10 * _UNITS[match.group(2).upper()]))


def format_size(size: float) -> str:
    """"24.0 MiB" and the like; bytes are whole."""
    if abs(size) < 1024:
        return f"{size:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if abs(size) < 1024:
            break
    else:
        size, unit = size / 1024, "TiB"
    return f"{size:.1f} {unit}"
