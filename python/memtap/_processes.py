"""The traces of a run as one: what `memtap.profile.Trace` gives when no process is chosen.

Events and samples of several processes are merged by time, which all processes of a machine share. A stack number means something
in its own trace only; merged snapshots number stacks anew.
"""

from __future__ import annotations

import heapq
from typing import Any, Callable, Dict, Iterator, List, Sequence, Tuple, TypeVar

_T = TypeVar("_T")
_TRACE_SHIFT = 32  # a stack's number in a trace is below 2**32

# How totals of several snapshots become those of the run; the others are sums.
_LARGEST = ("cut_ns", "last_ns", "rate_bytes")
_SMALLEST = ("start_ns", "start_realtime_ns")


def merge(starts: Sequence[int], open_one: Callable[[int], Iterator[_T]], time_of: Callable[[_T], int]) -> Iterator[_T]:
    """The items of all traces by time. starts: when each begins; open_one gives the items of one, whose times do not fall. A
    trace is opened when its time has come and closed at its end, so that thousands of short ones need few descriptors."""
    waiting: List[Tuple[int, int, Any, Any]] = [(start, number, None, None) for number, start in enumerate(starts)]
    heapq.heapify(waiting)
    while waiting:
        _, number, item, items = waiting[0]
        if items is None:
            items = open_one(number)
        else:
            yield item
        following = next(items, None)
        if following is None:
            heapq.heappop(waiting)
        else:
            heapq.heapreplace(waiting, (max(time_of(following), starts[number]), number, following, items))


def stack_number(trace: int, stack_id: int, several: bool) -> int:
    """The number of a stack in a merged snapshot; 0 stays unknown."""
    return trace << _TRACE_SHIFT | stack_id if several and stack_id else stack_id


def total(all_totals: Sequence[Dict[str, Any]]) -> Dict[str, Any]:
    """The totals of a run: sums, but for moments; recording: of some; exact: of all."""
    merged = dict(all_totals[0])
    for name, value in merged.items():
        values = [totals[name] for totals in all_totals]
        if name in _LARGEST:
            merged[name] = max(values)
        elif name in _SMALLEST:
            merged[name] = min(values)
        elif isinstance(value, bool):
            merged[name] = all(values) if name == "exact" else any(values)
        else:
            merged[name] = sum(values)
    return merged
