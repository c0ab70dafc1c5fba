"""Notebook magic: what a cell did with memory.

    %load_ext memtap
    %%memtap
    table = load()

Decides: the cell runs in the user's namespace exactly as without the magic (its own %magics, `!commands`, the value of its
last line, errors with their traceback and the cell marked as failed), recorded by memtap.record(); under it come peak,
what is still held at its end, and the largest sites, as HTML in a notebook and as text in a terminal. Lines of the cell are
named "cell, line N", the line of the magic being line 1. The report comes also when the cell failed; when nothing could be
recorded, the cell has run all the same and the report says why.
"""

from __future__ import annotations

import ast
import functools
import html
import inspect
import os
import shutil
import tempfile
from typing import Any, Callable, Dict, List, Optional, Tuple

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring
from IPython.display import display

from memtap._measure import Measurement, Recording, format_size, parse_size
from memtap._text import shown

CELL = "cell"
STYLE = ("border-collapse:collapse;font-family:monospace;font-size:90%", "text-align:right;padding:2px 8px",
         "text-align:left;padding:2px 8px")


class CellReport:
    """What is shown under the cell: Jupyter takes the HTML, a terminal the text."""

    def __init__(self, measurement: Optional[Measurement], reason: str, cell_file: str, rows: int) -> None:
        self.measurement = measurement
        self.reason = reason
        self._cell_file = cell_file
        self._rows = rows

    def lines(self) -> List[Tuple[str, str]]:
        """The totals as (name, value)."""
        if self.measurement is None:
            return [("memtap", shown(f"this cell was not recorded: {self.reason}"))]
        found = self.measurement
        lines = [("peak", format_size(found.peak_bytes)),
                 ("held at the end", f"{format_size(found.leaked_bytes)} in {found.leaked_allocations} blocks"),
                 ("allocated in all", f"{format_size(found.total_allocated_bytes)} in {found.allocations} blocks")]
        if found.dropped_events is None:
            lines.append(("lost", "what came after the recording's early end: these numbers are lower bounds"))
        elif found.dropped_events:
            lines.append(("lost", f"{found.dropped_events} events: these numbers are lower bounds"))
        return lines

    def tables(self) -> List[Tuple[str, List[Dict[str, Any]]]]:
        """The tables as (title, rows)."""
        if self.measurement is None:
            return []
        tables = [("at the peak", self.measurement.table), ("held at the end", self.measurement.leaks)]
        return [(title, rows[:self._rows]) for title, rows in tables if rows]

    def site(self, row: Dict[str, Any]) -> str:
        """Where a row's memory comes from; the cell's own lines by number."""
        file = row.get("file") or "?"
        place = f"{CELL}, line {row.get('line') or 0}" if file == self._cell_file else f"{file}:{row.get('line') or 0}"
        return shown(f"{place} {row.get('function') or ''}".strip())

    def __repr__(self) -> str:
        lines = [f"{name}: {value}" for name, value in self.lines()]
        for title, rows in self.tables():
            lines.append(f"{title}:")
            lines.extend(f"{format_size(row['bytes']):>12} {row['count']:>8}  {self.site(row)}" for row in rows)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        parts = ["<div>", *(f"<b>{html.escape(name)}</b>: {html.escape(value)}<br>" for name, value in self.lines())]
        for title, rows in self.tables():
            parts.append(self._table_html(title, rows))
        return "".join([*parts, "</div>"])

    def _table_html(self, title: str, rows: List[Dict[str, Any]]) -> str:
        table, right, left = STYLE
        head = "".join(f'<th style="{style}">{name}</th>' for style, name in
                       ((right, "bytes"), (right, "blocks"), (left, html.escape(title))))
        body = "".join(f'<tr><td style="{right}">{format_size(row["bytes"])}</td><td style="{right}">{row["count"]}</td>'
                       f'<td style="{left}">{html.escape(self.site(row))}</td></tr>' for row in rows)
        return f'<table style="{table}"><tr>{head}</tr>{body}</table>'


@magics_class
class MemtapMagics(Magics):
    """%%memtap"""

    @magic_arguments()
    @argument("-n", "--rows", type=int, default=10, help="Rows of each table (10).")
    @argument("--native", action="store_true", help="Native frames too (slower).")
    @argument("--mode", choices=("exact", "sample"), default="exact", help="Every allocation, or a sample of them.")
    @argument("--rate", help="Sample mode: average bytes between samples, e.g. 64K (512K).")
    @argument("-o", "--output", metavar="FILE", help="Keep the trace for `memtap tree FILE` and the other commands.")
    @cell_magic
    def memtap(self, line: str, cell: str) -> Any:
        """Run the cell and show what it did with memory."""
        __tracebackhide__ = True
        arguments = parse_argstring(self.memtap, line)
        run, cell_file = self._compile(cell)
        folder = tempfile.mkdtemp(prefix="memtap-cell-")
        try:
            path = os.path.expanduser(arguments.output) if arguments.output else os.path.join(folder, "cell.mtap")
            recording, reason = _begin(path, arguments)
            try:
                value = run()
                return None if self._is_quiet(cell) else value
            finally:
                measurement, reason = _end(recording, reason)
                display(CellReport(measurement, reason, cell_file, arguments.rows))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _compile(self, cell: str) -> Tuple[Callable[[], Any], str]:
        """The cell as a function that runs it and returns the value of its last line, and the name its lines go by."""
        shell = self.shell
        source = "\n" + shell.transform_cell(cell)  # the magic's own line
        name = shell.compile.cache(source, shell.execution_count)
        flags = shell.compile.flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        tree = shell.transform_ast(compile(source, name, "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True))
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        steps = [compile(tree, name, "exec", flags, dont_inherit=True)]
        if last is not None:
            steps.append(compile(ast.Expression(last.value), name, "eval", flags, dont_inherit=True))
        return functools.partial(self._run, steps), name

    def _run(self, steps: List[Any]) -> Any:
        __tracebackhide__ = True
        value = None
        for step in steps:
            value = eval(step, self.shell.user_ns)  # of an "exec" step: None, or its coroutine
            if step.co_flags & inspect.CO_COROUTINE:  # the cell awaits
                value = self._await(value)
        return value

    def _is_quiet(self, cell: str) -> bool:
        """Does the cell end with a semicolon, which means: do not show the value?"""
        decide = getattr(self.shell.displayhook, "semicolon_at_end_of_expression", None)  # IPython 8.11 and later
        return decide(cell) if decide else cell.rstrip().endswith(";")

    def _await(self, coroutine: Any) -> Any:
        __tracebackhide__ = True
        import asyncio

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self.shell.loop_runner(coroutine)
        coroutine.close()
        raise UsageError("%%memtap cannot await while the notebook's own event loop runs: put the work into a function "
                         "and call asyncio.run() on it in a thread, or record it with memtap.record()")


def _begin(path: str, arguments: Any) -> Tuple[Optional[Recording], str]:
    options: Dict[str, Any] = {"mode": arguments.mode, "native": arguments.native}
    if arguments.rate:
        try:
            options["rate"] = parse_size(arguments.rate)
        except ValueError as error:
            raise UsageError(f"--rate: {error}") from None
    if arguments.output and os.path.exists(path):
        raise UsageError(f"{path} is there already")
    recording = Recording(path, **options)
    try:
        recording.start()
    except Exception as error:  # the cell runs all the same
        return None, f"{type(error).__name__}: {error}"
    return recording, ""


def _end(recording: Optional[Recording], reason: str) -> Tuple[Optional[Measurement], str]:
    if recording is None:
        return None, reason
    try:
        recording.stop()
        return recording.read(), ""
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"


def load_ipython_extension(ipython: Any) -> None:
    """What `%load_ext memtap` calls."""
    ipython.register_magics(MemtapMagics)
