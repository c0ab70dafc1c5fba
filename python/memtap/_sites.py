"""Live samples by the place in a program that is to blame for them.

Decides: which frame of a stack that is. Allocator and interpreter are told from the program's own code by the file a native
address belongs to (/proc/self/maps), not by function names.
"""

from __future__ import annotations

import bisect
import os
import re
import sys
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

_RUNTIME = re.compile(r"(libpython[\d.]*\w*\.so.*|libc[.-].*so.*|ld-linux.*|libstdc\+\+.*|libmemtap-agent.*|libjemalloc.*|libtcmalloc.*)$")


class _Modules:
    """Ranges of this process's code that are allocator or interpreter."""

    def __init__(self) -> None:
        interpreter = os.path.realpath(sys.executable) if sys.executable else ""
        ranges: List[Tuple[int, int]] = []
        with open("/proc/self/maps", errors="surrogateescape") as maps:
            for line in maps:
                fields = line.split(None, 5)
                path = fields[5].rstrip("\n") if len(fields) > 5 else ""
                if "x" in fields[1] and (path == interpreter or _RUNTIME.match(os.path.basename(path))):
                    low, high = fields[0].split("-")
                    ranges.append((int(low, 16), int(high, 16)))
        ranges.sort()
        self._lows = [low for low, _ in ranges]
        self._highs = [high for _, high in ranges]

    def is_runtime(self, address: int) -> bool:
        at = bisect.bisect_right(self._lows, address) - 1
        return at >= 0 and address < self._highs[at]


def _innermost_python(stack: Sequence[Any]) -> Optional[Any]:
    return next((frame for frame in stack if frame.is_python), None)


def _site_finder() -> Callable[[Sequence[Any]], Optional[Any]]:
    modules = _Modules()

    def find(stack: Sequence[Any]) -> Optional[Any]:
        frame = _innermost_python(stack)
        if frame is None:
            frame = next((f for f in stack if not modules.is_runtime(f.address)), None)
        return frame or (stack[0] if stack else None)

    return find


def top(samples: Sequence[Any], n: int, by: str) -> List[Tuple[str, str, int, int, int]]:
    """(function, file, line, estimated bytes, samples) of the n places with most bytes; see HeapSnapshot.sites."""
    finders: Dict[str, Callable[[], Callable[[Sequence[Any]], Optional[Any]]]] = {
        "site": _site_finder,
        "python": lambda: _innermost_python,
        "leaf": lambda: lambda stack: stack[0] if stack else None,
        "root": lambda: lambda stack: stack[-1] if stack else None,
    }
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(f"n must be a whole number of places, 0 or more, not {n!r}")
    if n < 0:
        raise ValueError(f"n must be a number of places, 0 or more, not {n}")
    if by not in finders:
        raise ValueError(f"by must be one of {', '.join(finders)}, not {by!r}")
    find = finders[by]()
    found: Dict[int, Optional[Any]] = {}  # stacks are shared between samples
    sites: Dict[Tuple[str, str, int], List[int]] = {}
    for sample in samples:
        key = id(sample.stack)
        if key not in found:
            found[key] = find(sample.stack)
        frame = found[key]
        if frame is not None:
            site = sites.setdefault((frame.function, frame.file, frame.line), [0, 0])
            site[0] += sample.estimated_bytes
            site[1] += 1
    order = sorted(sites.items(), key=lambda site: (-site[1][0], site[0][0], site[0][2]))
    return [(*place, size, count) for place, (size, count) in order[:n]]
