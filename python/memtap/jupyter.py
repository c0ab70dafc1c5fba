"""Notebook magic: what a cell did with memory.

    %load_ext memtap
    %%memtap
    table = load()

Decides: the cell runs in the user's namespace exactly as without the magic (its own %magics, `!commands`, the value of its
last line, errors with their traceback and the cell marked as failed), recorded by memtap.record(); under it come peak,
what is still held at its end, and the largest sites, as HTML in a notebook and as text in a terminal. This thread is on the
program's account only while the cell's own code runs, so that nothing of the shell or of memtap is recorded on it. Lines of the cell are
named "cell, line N", the line of the magic being line 1, those of an earlier cell "cell [3], line N". The report comes also when
the cell failed; when nothing could be recorded, the cell has run all the same and the report says why. A cell that is run again
gives another result; a trace that is to be kept (-o) gets a number in its name then.
"""

from __future__ import annotations

import ast
import contextlib
import html
import inspect
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from typing import Any, Dict, Iterator, List, Optional, Tuple
from urllib.parse import quote

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring
from IPython.display import display

from memtap import _agent, _memtap
from memtap._cell import Amount, CellReader, Findings, Row
from memtap._command import program_path
from memtap._measure import Recording, format_size, parse_size
from memtap._text import shown

CELL = "cell"
STYLE = ("border-collapse:collapse;font-family:monospace;font-size:90%", "text-align:right;padding:2px 8px",
         "text-align:left;padding:2px 8px")


class CellReport:
    """What is shown under the cell: Jupyter takes the HTML, a terminal the text.

    cells: name of each cell's file, "cell" and "cell [3]". kept: where the trace stays; None: nowhere.
    page: the file with the flame graph, or why there is none (page_fails); None: nobody asked for it.
    """

    def __init__(self, findings: Optional[Findings], reason: str, cells: Dict[str, str], rows: int, kept: Optional[str],
                 page: Optional[str] = None, page_fails: bool = False) -> None:
        self.findings = findings
        self.reason = reason
        self._cells = cells
        self._rows = rows
        self._kept = kept
        self._page = page
        self._page_fails = page_fails

    def lines(self) -> List[Tuple[str, str]]:
        """The totals as (name, value)."""
        found = self.findings
        if found is None:
            return [("memtap", shown(f"this cell was not recorded: {self.reason}"))]
        lines = [("peak", self._size(found.peak)), ("held at the end", self._blocks(found.held)),
                 ("allocated in all", self._blocks(found.allocated))]
        if found.dropped_events is None:
            lines.append(("lost", "what came after the recording's early end: these numbers are lower bounds"))
        elif found.dropped_events:
            lines.append(("lost", f"{found.dropped_events} events: these numbers are lower bounds"))
        if self._kept:
            lines.append(("trace", shown(self._kept)))
        if self._page:
            lines.append(("flame graph", shown(self._page)))
        return lines

    def _value_html(self, name: str, value: str) -> str:
        """A value as HTML: the flame graph as a link, which a notebook opens in a page of its own."""
        if name != "flame graph" or self._page_fails:
            return html.escape(value)
        link = quote(os.path.relpath(self._page or "").replace(os.sep, "/"))
        return f'<a href="{html.escape(link)}" target="_blank" rel="noopener">{html.escape(value)}</a>'

    def _size(self, amount: Amount) -> str:
        margin = f" ± {format_size(amount.size_ci95)}" if self._is_sampled() else ""
        return format_size(amount.size) + margin

    def _blocks(self, amount: Amount) -> str:
        margin = f" ± {amount.blocks_ci95:.0f}" if self._is_sampled() else ""
        return f"{self._size(amount)} in {amount.blocks:.0f}{margin} block{'' if round(amount.blocks) == 1 and not margin else 's'}"

    def _is_sampled(self) -> bool:
        return self.findings is not None and self.findings.sampled

    def tables(self) -> List[Tuple[str, List[Row]]]:
        """The tables as (title, rows)."""
        if self.findings is None:
            return []
        tables = [("at the peak", self.findings.at_peak), ("held at the end", self.findings.at_end)]
        return [(title, rows[:self._rows]) for title, rows in tables if rows]

    def site(self, row: Row) -> str:
        """Where a row's memory comes from, a cell's own lines by number, and what it called."""
        file, line, function = row["file"] or "?", row["line"] or 0, row["function"] or ""
        cell = self._cells.get(file)
        place = f"{cell}, line {line}" if cell else f"{file}:{line}"
        name = "" if cell and function == "<module>" else f" {function}"
        return shown(place + name + (" ← " + ", ".join(row["by"]) if row["by"] else ""))

    def _cells_of(self, row: Row) -> List[str]:
        """What stands before the site: bytes, what they may be off by if they are an estimate, blocks."""
        margin = [f"± {format_size(row['bytes_ci95'])}"] if self._is_sampled() else []
        return [format_size(row["bytes"]), *margin, f"{row['count']:.0f}"]

    def __repr__(self) -> str:
        lines = [f"{name}: {value}" for name, value in self.lines()]
        for title, rows in self.tables():
            lines.append(f"{title}:")
            for row in rows:
                size, *others = self._cells_of(row)
                lines.append(f"{size:>12}" + "".join(f" {other:>{8 + 4 * ('±' in other)}}" for other in others) + f"  {self.site(row)}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        parts = ["<div>", *(f"<b>{html.escape(name)}</b>: {self._value_html(name, value)}<br>" for name, value in self.lines())]
        for title, rows in self.tables():
            parts.append(self._table_html(title, rows))
        return "".join([*parts, "</div>"])

    def _table_html(self, title: str, rows: List[Row]) -> str:
        table, right, left = STYLE
        names = ["bytes", *(["± 95 %"] if self._is_sampled() else []), "blocks"]
        head = "".join(f'<th style="{right}">{name}</th>' for name in names) + f'<th style="{left}">{html.escape(title)}</th>'
        body = "".join("<tr>" + "".join(f'<td style="{right}">{value}</td>' for value in self._cells_of(row)) +
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
    @argument("-f", "--flamegraph", metavar="FILE", help="Write the flame graph to FILE, one HTML page, and link it.")
    @cell_magic
    def memtap(self, line: str, cell: str) -> Any:
        """Run the cell and show what it did with memory."""
        __tracebackhide__ = True
        arguments = parse_argstring(self.memtap, line)
        steps, cell_file = self._compile(cell)
        cells = {**self._earlier_cells(), cell_file: CELL}
        folder = tempfile.mkdtemp(prefix="memtap-cell-")
        try:
            with _unrecorded() as is_muted:
                path = os.path.abspath(os.path.expanduser(arguments.output or os.path.join(folder, "cell.mtap")))
                page_path = os.path.abspath(os.path.expanduser(arguments.flamegraph)) if arguments.flamegraph else ""  # the cell may chdir
                recording, reason = _begin(path, arguments, CellReader(cells, os.getcwd()))
                try:
                    value = self._run(steps, is_muted)
                    return None if self._is_quiet(cell) else value
                finally:
                    findings, reason = _end(recording, reason)
                    kept = recording.path if recording is not None and arguments.output else None
                    page, page_fails = _draw(recording, page_path) if page_path else (None, False)
                    display(CellReport(findings, reason, cells, arguments.rows, kept, page, page_fails))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _earlier_cells(self) -> Dict[str, str]:
        """By file. The call of this magic, which to the shell is a cell by itself, is none."""
        numbers = dict(getattr(self.shell.compile, "_filename_map", {}))  # IPython 7.30 and later
        caller = sys._getframe(1)
        while caller.f_back is not None and caller.f_code.co_filename not in numbers:
            caller = caller.f_back
        numbers.pop(caller.f_code.co_filename, None)
        return {file: f"{CELL} [{number}]" for file, number in numbers.items()}

    def _compile(self, cell: str) -> Tuple[List[Any], str]:
        """The cell as code objects, the last of which may have a value, and the name its lines go by."""
        shell = self.shell
        source = "\n" + shell.transform_cell(cell)  # the magic's own line
        name = shell.compile.cache(source, shell.execution_count)
        flags = shell.compile.flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        tree = shell.transform_ast(compile(source, name, "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True))
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        steps = [compile(tree, name, "exec", flags, dont_inherit=True)]
        if last is not None:
            steps.append(compile(ast.Expression(last.value), name, "eval", flags, dont_inherit=True))
        return steps, name

    def _run(self, steps: List[Any], is_muted: bool) -> Any:
        """Runs them, and nothing else, on the program's account."""
        __tracebackhide__ = True
        value = None
        for step in steps:
            if is_muted:
                _memtap.agent_leave()
            try:
                value = eval(step, self.shell.user_ns)  # of an "exec" step: None, or its coroutine
                if step.co_flags & inspect.CO_COROUTINE:  # the cell awaits
                    value = self._await(value)
            finally:
                if is_muted:
                    _memtap.agent_enter()
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


@contextlib.contextmanager
def _unrecorded() -> Iterator[bool]:
    """This thread is on memtap's account inside. False: there is no agent here, and nothing will be recorded."""
    try:
        _agent.load()
    except Exception:  # starting says why
        yield False
        return
    with _agent.unrecorded():
        yield True


def _draw(recording: Optional[Recording], path: str) -> Tuple[Optional[str], bool]:
    """The page of what was recorded, and False; or why there is none, and True."""
    if recording is None:
        return None, False  # which is said
    try:
        done = subprocess.run([program_path(), "flamegraph", "-o", path, recording.path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, universal_newlines=True, errors="replace")
    except OSError as error:
        return f"{program_path()} cannot be started: {error.strerror}", True
    except Exception as error:  # the cell has its result, or its exception
        return f"{type(error).__name__}: {error}", True
    return (path, False) if done.returncode == 0 else (done.stderr.strip(), True)


def _begin(path: str, arguments: Any, reader: CellReader) -> Tuple[Optional[Recording], str]:
    options: Dict[str, Any] = {"mode": arguments.mode, "native": arguments.native}
    if arguments.rate:
        try:
            options["rate"] = parse_size(arguments.rate)
        except ValueError as error:
            raise UsageError(f"--rate: {error}") from None
    try:
        return _started(path, reader, options), ""
    except Exception as error:  # the cell runs all the same
        return None, f"{type(error).__name__}: {error}"


def _started(path: str, reader: CellReader, options: Dict[str, Any]) -> Recording:
    """A recording into path or, as that is there from the last time, into kept-2.mtap, kept-3.mtap …"""
    stem, suffix = os.path.splitext(path)
    for number in itertools.count(2):
        recording = Recording(path, reader.read, **options)
        try:
            recording.start()
            break
        except FileExistsError:
            path = f"{stem}-{number}{suffix}"
    return recording


def _end(recording: Optional[Recording], reason: str) -> Tuple[Optional[Findings], str]:
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
