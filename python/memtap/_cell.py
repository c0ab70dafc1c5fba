"""What one notebook cell did with memory: its trace, as the numbers and rows that are shown under it.

Decides: a stack with no line of a cell on it is the shell's if a frame of the shell's is on it: what its threads do meanwhile. One
with a line of a cell is the cell's, unless its innermost frame that is neither the standard library's nor native (_origin.py)
belongs to what takes a cell's output. What is the shell's is in no row, and taken off the totals. A row is a line of the program
over all its stacks, with what it called behind it; rows of nothing are left out.
"""

from __future__ import annotations

import math
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple

from memtap._origin import Origins

OUTPUT_MODULES = ("IPython.core.interactiveshell", "IPython.core.displayhook", "IPython.core.displaypub", "IPython.core.history",
                  "ipykernel")
SHELL_MODULES = ("IPython", "ipykernel", "traitlets", "tornado", "zmq", "jupyter_client", "comm", "debugpy", "nest_asyncio",
                 "nest_asyncio2")
THREAD_START = "run_closure"  # ipykernel's frame under every thread
_EVER = 2**32 - 1  # freed after at most so many further allocations

Row = Dict[str, Any]
Place = Tuple[Any, Any, Any]


class Amount(NamedTuple):
    """Bytes and blocks, each with the half width of its 95 % interval; exact: 0."""

    size: float = 0
    blocks: float = 0
    size_ci95: float = 0
    blocks_ci95: float = 0


class Findings(NamedTuple):
    """peak: the highest sum of the cell's blocks that were alive. held: of those, alive at its end. allocated: all of them.
    at_peak, at_end: rows {function, file, line, by, bytes, bytes_ci95, count, stack}, largest first. sampled: amounts are
    estimates. dropped_events None: the recording ended early, nobody knows how much is missing."""

    peak: Amount
    held: Amount
    allocated: Amount
    at_peak: List[Row]
    at_end: List[Row]
    sampled: bool
    dropped_events: Optional[int]


class CellReader:
    """Reads the trace of a cell. cells: files whose lines are cells' lines; folder: where the notebook's own modules lie."""

    def __init__(self, cells: Iterable[str], folder: str) -> None:
        self._cells = frozenset(cells)
        self._shell = Origins(folder, SHELL_MODULES)
        self._output = Origins(folder, OUTPUT_MODULES)

    def read(self, trace: Any) -> Findings:
        """The numbers of an open trace."""
        stats = trace.stats()
        peak, shell_at_peak = self._split(trace._bare_rows("table", stacks=True, rows=0))
        held, shell_at_end = self._split(trace._bare_rows("leaks", stacks=True))
        sampled = trace.info["mode"] == "sample"
        shell_in_all = [] if sampled else shell_at_end + self._split(
            trace._bare_rows("table", stacks=True, rows=0, selection="temporary", temporary_max=_EVER))[1]
        return Findings(peak=_without(_amount(stats, "peak_bytes", "peak_allocations"), shell_at_peak), held=_total(held),
                        allocated=_without(_amount(stats, "total_allocated_bytes", "allocations"), shell_in_all),
                        at_peak=_by_line(peak, trace.table(rows=0)), at_end=_by_line(held, trace.leaks()),
                        sampled=sampled, dropped_events=stats["dropped_events"])

    def _split(self, rows: List[Row]) -> Tuple[List[Row], List[Row]]:
        """Rows of single stacks: the cell's, and the shell's."""
        own: List[Row] = []
        shells: List[Row] = []
        for row in rows:
            if self._is_the_shells(row["stack"]):
                shells.append(row)
            else:
                own.append(self._placed(row))
        return own, shells

    def _placed(self, row: Row) -> Row:
        """An import is at the line of a cell that asked for it."""
        line = next((frame for frame in row["stack"] if frame["file"] in self._cells), None)
        if line is None or not row["function"].startswith("import "):
            return row
        return {**row, "file": line["file"], "line": line["line"]}

    def _is_the_shells(self, stack: List[Row]) -> bool:
        if self._cells.isdisjoint(frame["file"] for frame in stack):
            return any(self._shell.is_runner(frame["file"]) for frame in stack if not frame["function"].endswith(THREAD_START))
        owners = (False if frame["file"] in self._cells else self._output.is_runner(frame["file"]) for frame in stack)
        return next((owner for owner in owners if owner is not None), False)


def _amount(stats: Row, size: str, count: str) -> Amount:
    return Amount(stats[size], stats[count], stats.get(f"{size}_ci95", 0), stats.get(f"{count}_ci95", 0))


def _total(rows: List[Row]) -> Amount:
    """Estimates of different stacks are independent: their variances add up."""
    return Amount(sum(row["bytes"] for row in rows), sum(row["count"] for row in rows),
                  math.sqrt(sum(row.get("bytes_ci95", 0) ** 2 for row in rows)),
                  math.sqrt(sum(row.get("count_ci95", 0) ** 2 for row in rows)))


def _without(whole: Amount, rows: List[Row]) -> Amount:
    part = _total(rows)
    return whole._replace(size=max(0, whole.size - part.size), blocks=max(0, whole.blocks - part.blocks))


def _place(row: Row) -> Place:
    return row["function"], row["file"], row["line"]


def _by_line(rows: List[Row], lines: List[Row]) -> List[Row]:
    """Rows of single stacks as one row a line, largest first; lines: the report by line, which knows what each called."""
    called = {_place(line): [name for name in line["by"] if not name.startswith(OUTPUT_MODULES)] for line in lines}
    stacks_of: Dict[Place, List[Row]] = {}
    for row in rows:
        stacks_of.setdefault(_place(row), []).append(row)
    found = []
    for place, stacks in stacks_of.items():
        amount = _total(stacks)
        if amount.size > 0:
            found.append({**stacks[0], "bytes": amount.size, "bytes_ci95": amount.size_ci95, "count": amount.blocks,
                          "by": called.get(place, [])})
    return sorted(found, key=lambda row: -row["bytes"])
