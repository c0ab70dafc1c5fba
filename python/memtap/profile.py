"""Reading traces: `memtap.open` gives a `Trace` for a file that `memtap run`, `memtap.record` or a profiler wrote.

    with memtap.open("app.mtap") as trace:
        print(trace.stats()["peak_bytes"])
        for row in trace.leaks(rows=5):
            print(row["bytes"], row["function"], row["file"], row["line"])

Reports are what the command line prints with `-f json` (docs/guide/cli.md), parsed. Amounts are bytes; in sample mode they
are estimates, with the half width of their 95 % interval under the key NAME_ci95. Several files, or a folder, are merged as
the processes of one run. A trace that is still being written to can be read at any time; each call sees its newest state.
Calls from several threads on one `Trace` take turns; different ones are independent. Reading gives up the GIL.
"""

from __future__ import annotations

import itertools
import json
import os
import struct
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

from memtap import _memtap, _processes
from memtap._memtap import TraceError

__all__ = ["Frame", "Process", "Record", "Rows", "Sample", "Snapshot", "Trace", "TraceError", "open"]

Path = Union[str, bytes, "os.PathLike[Any]"]
Time = Union[float, str]  # seconds from the start, or "250ms", "2m", "50%", "peak"

_KINDS = {1: "alloc", 2: "free", 5: "map", 6: "unmap", 13: "resized"}  # enum mt_profile_event_kind
_EVENT = struct.Struct("<QQQQQIIBB?5x")  # struct mt_profile_event
_EVENT_FIELDS = ("timestamp_ns", "address", "size", "weight", "thread", "stack_id", "trace", "kind", "allocator", "realloc")
_BATCH = 4096  # events in memory at a time
_ARRAY_BATCH = 65536
assert _EVENT.size == _memtap.EVENT_BYTES


class Frame(NamedTuple):
    """One frame of a stack."""

    address: int  # native: return address; Python: 0
    function: str  # "0x1234 (libfoo.so)" when there is no symbol
    file: str  # source file; the binary where no source is known; "" unknown
    line: int  # 0 unknown
    is_python: bool


class Record(NamedTuple):
    """One event of a trace."""

    timestamp_ns: int  # CLOCK_MONOTONIC of the recorded process; a few ms coarse, in exact order
    kind: str  # "alloc", "free", "map" (a range of address space came), "unmap", "resized" (a block has this size now)
    address: int
    size: int  # bytes; 0 for frees
    weight: int  # bytes it stands for: size / (1 - exp(-size / rate)); the size in exact mode; 0 for frees
    thread: int  # thread id
    stack_id: int  # for Trace.stack; 0 unknown
    allocator: str  # "malloc", "pymem object" …; of map and unmap "anonymous", "file", "stack", "brk" …
    realloc: bool  # half of a realloc
    pid: int  # of the process
    trace: int  # number of its trace: Trace.stack(record.stack_id, trace=record.trace)


class Sample(NamedTuple):
    """One recorded allocation, alive or freed."""

    address: int
    size: int  # bytes, exact
    weight: int  # bytes it stands for (docs/sampling.md)
    timestamp_ns: int  # when it was allocated, CLOCK_MONOTONIC
    thread: int
    stack_id: int  # key of Snapshot.stacks
    lifetime_ns: Optional[int] = None  # of freed ones
    pid: int = 0  # of the process
    label: Optional[str] = None  # what its thread worked for (memtap.label)
    task: Optional[str] = None  # and in which task or named thread


class Process(NamedTuple):
    """One trace of a recording: a process, or what exec made of one."""

    pid: int
    start_ns: int  # CLOCK_MONOTONIC
    path: str  # of the file it lies in
    place: int  # which of the traces in that file


class Snapshot(NamedTuple):
    """What is alive, and what was freed last."""

    live: List[Sample]  # oldest first
    freed: List[Sample]  # in the order they were freed
    stacks: Dict[int, Tuple[Frame, ...]]  # by stack_id, innermost frame first
    totals: Dict[str, Any]  # fields of struct mt_snapshot_totals (memtap/profile.h)


class Rows(List[Tuple[Any, ...]]):
    """Rows of a query: a list of tuples, with the names of their columns."""

    def __init__(self, columns: List[str], rows: List[Tuple[Any, ...]]) -> None:
        super().__init__(rows)
        self.columns = columns

    def to_dicts(self) -> List[Dict[str, Any]]:
        """A dict a row; of columns with one name the last."""
        return [dict(zip(self.columns, row)) for row in self]

    def to_pandas(self) -> Any:
        """A pandas DataFrame."""
        return _need("pandas").DataFrame(list(self), columns=self.columns)

    def to_arrow(self) -> Any:
        """A pyarrow Table. Column names must differ."""
        arrow = _need("pyarrow")
        if len(set(self.columns)) != len(self.columns):
            raise ValueError("columns of an Arrow table have names of their own: name them with AS")
        columns = zip(*self) if self else ([] for _ in self.columns)
        return arrow.table({name: arrow.array(list(values)) for name, values in zip(self.columns, columns)})


def open(path: Union[Path, Sequence[Path]], *more: Path) -> Trace:  # noqa: A001 - memtap.open is the name
    """Opens a trace with all processes of its run, several, or a folder of them (its *.mtap files).

    Raises FileNotFoundError, PermissionError, or TraceError when a file is not a trace, is cut inside its header, or was
    written by a newer memtap. Damage further in is no error: what can be read is, and Trace.stats()["warnings"] says what
    is missing.
    """
    if isinstance(path, (str, bytes, os.PathLike)):
        paths = [path, *more]
    elif path is not None and hasattr(path, "__iter__"):
        paths = [*path, *more]
    else:
        raise TypeError(f"which trace? give a path (str, bytes or os.PathLike) or a list of paths, not {_named(path)}")
    for item in paths:
        if not isinstance(item, (str, bytes, os.PathLike)):
            raise TypeError(f"a path is a str, bytes or os.PathLike, not {_named(item)}")
    return Trace(paths)


def _named(value: Any) -> str:
    return "None" if value is None else f"{value!r} ({type(value).__name__})"


def _text_time(value: Time) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f'a time is seconds from the start or text such as "250ms", "50%" or "peak", not {_named(value)}')
    if not 0 <= value < float("inf"):
        raise ValueError(f"a time is seconds from the start, 0 or more, not {value}")
    return format(value, ".9f")


def _pair(between: Any) -> str:
    if isinstance(between, str) or not hasattr(between, "__len__") or len(between) != 2:
        raise TypeError(f"between is a pair of times such as (1.5, 3) or (0, \"peak\"), not {_named(between)}")
    return ",".join(_text_time(t) for t in between)


def _query(*, selection: Optional[str] = None, at: Optional[Time] = None, between: Optional[Tuple[Time, Time]] = None,
           temporary: Optional[int] = None, thread: Union[int, str, None] = None, native: bool = False,
           all_frames: bool = False, all: bool = False,  # noqa: A002 - the command's word
           suppressions: Optional[Path] = None, rows: Optional[int] = None) -> Dict[str, Any]:
    """The selection keywords of reports as the extension takes them."""
    asked = [name for name, value in (("selection", selection), ("at", at), ("between", between), ("temporary", temporary))
             if value is not None]
    if len(asked) > 1 and asked != ["selection", "temporary"]:
        raise ValueError(f"give one of {' and '.join(asked)}")
    if selection not in (None, "peak", "leaks", "temporary", "total"):
        raise ValueError(f'selection "{selection}" is not one of peak, leaks, temporary, total (or give at= or between=)')
    query: Dict[str, Any] = {"native": bool(native), "all_frames": bool(all_frames), "all": bool(all)}
    if suppressions is not None:
        query["suppressions"] = os.fsencode(suppressions)
    if selection is not None:
        query["selection"] = selection
    if at is not None:
        query.update(selection="at", time=_text_time(at))
    if between is not None:
        query.update(selection="between", time=_pair(between))
    if temporary is not None:
        query.update(selection="temporary", temporary_max=_count("temporary", temporary, 0, 2**32 - 1))
    if thread is not None:
        query["thread"] = str(thread)
    if rows is not None:
        query["rows"] = _count("rows", rows, 0, 2**62)
    return query


def _places(invert: bool, stacks: bool, wrappers: Sequence[str]) -> Dict[str, Any]:
    """The keywords of table() and leaks() that say what a row is."""
    if isinstance(wrappers, str):
        raise TypeError(f"wrappers is a list of names, as [{wrappers!r}]")
    return {"invert": bool(invert), "stacks": bool(stacks), "wrappers": tuple(str(name).encode() for name in wrappers)}


def _count(name: str, value: int, least: int, most: int) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be a whole number from {least} to {most}, not {_named(value)}")
    if not least <= value <= most:
        raise ValueError(f"{name} must be from {least} to {most}, not {value}")
    return int(value)


def _need(package: str) -> Any:
    try:
        return __import__(package)
    except ImportError as error:
        raise ImportError(f"{package} is not installed here: `pip install {package}`, or use records() and snapshot(), "
                          "which need nothing") from error


class Trace:
    """One or more traces, open for reading; made by `memtap.open`. A context manager; close() releases the files.

    Reports take keywords that say which memory: `selection` "peak" (default), "leaks", "temporary" or "total"; `at=T`, what was
    alive at T; `between=(T0, T1)`, what was allocated from T0 on and is alive at T1; `temporary=N`, what was freed after at
    most N further allocations of its thread (0: before any). T is seconds from the start, or text: "250ms", "2m", "50%", "peak". `thread`
    (id or name) keeps what that thread allocated; `native=True` shows native frames of Python stacks too; `all_frames=True`
    also those of the import system and what starts threads and programs, which are folded into one frame otherwise
    ("import numpy"); `rows` keeps the largest rows (0: all). What is no leak is left out of leaks: what the C library and the
    loader keep for themselves, and what the file `suppressions` names (LeakSanitizer's lines "leak:PATTERN"); `all=True`
    leaves nothing out. LSAN_OPTIONS is the command's and not asked here. ValueError says what cannot be.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._recording = _memtap.Recording(paths)
        self._paths = [os.fsdecode(path) for path in paths]

    # ---- facts ----

    @property
    def paths(self) -> List[str]:
        """The paths as given to `memtap.open`."""
        return list(self._paths)

    @property
    def info(self) -> Dict[str, Any]:
        """Facts of the process that started the others: pid, start_realtime_ns (epoch), start_clock_ns (monotonic),
        duration_ns, rate_bytes (0 exact), mode ("exact", "sample", "aggregate"); and file_bytes, traces (how many), live
        (still being written to), events_read (of traces that grow, by all calls on this one that keep what they have read)."""
        return self._recording.info()

    def __repr__(self) -> str:
        shown = ", ".join(repr(path) for path in self._paths[:3]) + (", …" if len(self._paths) > 3 else "")
        try:
            info = self.info
        except (ValueError, OSError, TraceError):
            return f"<memtap.Trace {shown}: closed or gone>"
        return (f"<memtap.Trace {shown}: {info['mode']}, pid {info['pid']}, {info['duration_ns'] / 1e9:.3f} s, "
                f"{info['traces']} process{'es' if info['traces'] != 1 else ''}{', live' if info['live'] else ''}>")

    @property
    def processes(self) -> List[Process]:
        """The traces, in the order of the numbers that `trace=` means."""
        return [self._process(number) for number in range(self.info["traces"])]

    def _process(self, trace: int) -> Process:
        return Process._make(self._recording.process(_count("trace", trace, 0, 2**31)))

    def close(self) -> None:
        """Releases the files; further calls raise ValueError. Closing twice is fine."""
        self._recording.close()

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # ---- reports ----

    def _rows(self, name: str, **query: Any) -> List[Dict[str, Any]]:
        rows: List[Dict[str, Any]] = json.loads(self._recording.report(name, **query))
        return rows

    def _bare_rows(self, name: str, **query: Any) -> List[Dict[str, Any]]:
        """Rows of table or leaks without what allocated, for which binaries would be opened: a test is to cost nothing."""
        return self._rows(name, bare=True, **query)

    def stats(self, *, temporary: int = 1, thread: Union[int, str, None] = None, all: bool = False,  # noqa: A002
              suppressions: Optional[Path] = None) -> Dict[str, Any]:
        """The numbers of the recording as a whole (`memtap stats -f json`): peak_bytes, leaked_bytes, allocations,
        duration_s, by_allocator, warnings … temporary: as in `memtap stats --temporary=N`. thread: of what this thread (id or
        name) allocated, as if it were alone: its peak is when it held most itself. all, suppressions: what leaked_bytes counts."""
        query = _query(thread=thread, all=all, suppressions=suppressions)
        limit = _count("temporary", temporary, 0, 2**32 - 1)
        numbers: Dict[str, Any] = json.loads(self._recording.report("stats", temporary_max=limit, **query))
        return numbers

    def timeline(self, *, points: int = 1000, thread: Union[int, str, None] = None) -> List[Dict[str, Any]]:
        """The heap over time (`memtap timeline -f json`), in so many intervals of equal length (fewer where they would be shorter
        than a nanosecond): time_s, their end; heap_bytes, held then; heap_max_bytes, the most inside; allocations, alive then.
        thread: only what this thread (id or name) allocated."""
        return self._rows("timeline", **_query(thread=thread, rows=_count("points", points, 1, 1_000_000)))

    def lifetimes(self, *, thread: Union[int, str, None] = None) -> List[Dict[str, Any]]:
        """How long the blocks lived that were freed, shortest first: min_ns, below_ns (a row a power of two) and count. In sample mode
        count is of samples, which are more often large blocks. Single ones with their stacks: snapshot(freed_limit=…), and
        memory.lifetimes of sql(). thread: only what this thread (id or name) allocated. ValueError for an aggregate trace."""
        return self._rows("lifetimes", **_query(thread=thread))

    def summary(self, *, wrappers: Sequence[str] = (), **selection: Any) -> List[Dict[str, Any]]:
        """Functions of the program with what is theirs and with callees, largest first (`memtap summary -f json`); wrappers as
        in table()."""
        return self._rows("summary", **_places(False, False, wrappers), **_query(**selection))

    def tree(self, *, by: str = "line", invert: bool = False, **selection: Any) -> List[Dict[str, Any]]:
        """The call tree as a flat list, parents before children (`memtap tree -f json`): id, parent, depth, function, file,
        line, bytes, count, percent, self_bytes, self_count. by: "line" or "function"; "label" or "task": lines, below a node
        for each of those. invert: from the allocating functions out."""
        return self._rows("tree", by=by, invert=bool(invert), **_query(**selection))

    def table(self, *, by: str = "line", invert: bool = False, stacks: bool = False, wrappers: Sequence[str] = (),
              **selection: Any) -> List[Dict[str, Any]]:
        """Rows that add up to the whole, largest first (`memtap table -f json`).

        A row is a place: the line of the program that the memory is for, over all processes. What allocated it is in `by`,
        a list, most bytes first; `stacks` says in how many different stacks, `stack` is the heaviest. Memory that wrappers
        (operator new, zmalloc …), the standard library and installed packages allocate belongs to the line that called them;
        wrappers=["my_alloc", "pool_*"] names more of them. by: line, function, file, type (allocator), thread, label, task,
        module, or process (lines, each process by itself). stacks=True: a row a stack. invert=True: a row what allocated, with the
        `lines` that called it. all_frames=True: a row the line that allocated, whosever it is."""
        return self._rows("table", by=by, **_places(invert, stacks, wrappers), **_query(**selection))

    def leaks(self, *, min_age_s: float = 0.0, thread: Union[int, str, None] = None, native: bool = False,
              all_frames: bool = False, rows: int = 0, by: str = "line", invert: bool = False, stacks: bool = False,
              wrappers: Sequence[str] = (), all: bool = False,  # noqa: A002
              suppressions: Optional[Path] = None) -> List[Dict[str, Any]]:
        """What is alive at the end, rows as those of table() (`memtap leaks -f json`): function, file, line, bytes, count,
        percent, age_s, score (0 all others from there were freed … 1 none was), growth_bytes_per_s, by, stacks, stack.
        min_age_s leaves out rows whose oldest allocation is younger."""
        if isinstance(min_age_s, bool) or not isinstance(min_age_s, (int, float)):
            raise TypeError(f"min_age_s must be a number of seconds, 0 or more, not {_named(min_age_s)}")
        if not 0 <= min_age_s < float("inf"):
            raise ValueError(f"min_age_s must be 0 or more, not {min_age_s}")
        return self._rows("leaks", by=by, min_age_ns=int(min_age_s * 1e9), **_places(invert, stacks, wrappers),
                          **_query(thread=thread, native=native, all_frames=all_frames, rows=rows, all=all,
                                   suppressions=suppressions))

    def diff(self, earlier: Union[Trace, Path], *, earlier_at: Optional[Time] = None, by: str = "line", **selection: Any) -> Dict[str, Any]:
        """What changed since an earlier recording, place by place (`memtap diff -f json`): before, after, bytes, count, rebuilt,
        and rows with change ("grew", "shrank", "appeared", "vanished", "same"), function, file, line, bytes, count, before_bytes,
        after_bytes …; bytes and count are after minus before, what changed most comes first.

        earlier: another Trace, or the path of one. by: line, function or file. earlier_at: the moment of the earlier one; with at=T
        two moments of one recording are compared: trace.diff(trace, earlier_at="10s", at="60s")."""
        if isinstance(earlier, Trace):
            paths: Sequence[Path] = earlier.paths
        elif isinstance(earlier, (str, bytes, os.PathLike)):
            paths = [earlier]
        else:
            raise TypeError(f"diff takes an earlier Trace or the path of one, not {_named(earlier)}")
        moment = None if earlier_at is None else _text_time(earlier_at)
        difference: Dict[str, Any] = json.loads(self._recording.diff(paths, moment, by=by, **_query(**selection)))
        return difference

    def peak(self, *, rows: int = 0, **selection: Any) -> Dict[str, Any]:
        """The moment the heap was largest: bytes, count, time_s, and table, the rows of table() at that moment."""
        stats = self.stats()
        return {"bytes": stats["peak_bytes"], "count": stats["peak_allocations"], "time_s": stats["peak_time_s"],
                "table": self.table(selection="peak", rows=rows, **selection)}

    def sql(self, query: str) -> Rows:
        """Rows of one SELECT over the tables of `memtap query`, as tuples; their names are in `.columns`.

            for function, line, size in trace.sql("SELECT function, line, bytes FROM leaks LIMIT 5"): ...
            trace.sql("SELECT * FROM memory.timeline").to_pandas()

        `trace.sql("SHOW TABLES")` lists the tables. Raises ValueError when the query is wrong: it says where."""
        if not isinstance(query, str):
            raise TypeError(f"a query is a str, not {_named(query)}")
        if "\0" in query:
            raise ValueError("a query has no NUL characters")
        return Rows(*self._recording.query(query))

    def parse(self) -> str:
        """Every record of one file as text (`memtap parse`), for debugging the format."""
        return self._recording.report("parse")

    def export(self, path: Path, format: Optional[str] = None, **selection: Any) -> None:  # noqa: A002 - the CLI's word
        """Writes the selected memory for other tools, whole or not at all (`memtap export`). format: collapsed, speedscope,
        pprof, csv, json, chrome or heaptrack; None: by the suffix of path."""
        query = _query(**selection)
        if query.pop("rows", None) is not None:
            raise ValueError("rows: files for other tools hold everything that was selected")
        self._recording.export(path, format, **query)

    # ---- single events ----

    def _batches(self, trace: int, size: int) -> Iterator[bytes]:
        reader = self._recording.events(_count("trace", trace, 0, 2**31))
        while True:
            data = reader.next(size)
            if not data:
                return
            yield data

    def _records_of(self, trace: int, pid: int) -> Iterator[Record]:
        for data in self._batches(trace, _BATCH):
            for fields in _EVENT.iter_unpack(data):
                yield _record(fields, pid)

    def records(self, start: int = 0, stop: Optional[int] = None, *, trace: Optional[int] = None) -> Iterator[Record]:
        """The events number start … stop-1 (None: to the end) in order, as an iterator; memory stays bounded however long
        the trace. trace: of one of several, from 0; None: of all processes of the run, by time."""
        _count("start", start, 0, 2**63)
        if trace is not None:
            yield from itertools.islice(self._records_of(trace, self._process(trace).pid), start, stop)
            return
        processes = self.processes
        merged = _processes.merge([process.start_ns for process in processes],
                                  lambda number: self._records_of(number, processes[number].pid), _time_of)
        yield from itertools.islice(merged, start, stop)

    def stack(self, stack_id: int, *, native: bool = True, trace: int = 0) -> Tuple[Frame, ...]:
        """The frames of a stack, innermost first; never empty ("<unknown>"). native: the interpreter's own frames too."""
        frames = self._recording.stack(_count("trace", trace, 0, 2**31), _count("stack_id", stack_id, 0, 2**32 - 1), native)
        return tuple(Frame._make(frame) for frame in frames)

    def _snapshot_of(self, number: int, process: Process, several: bool, asked: Tuple[int, int, bool]) -> Snapshot:
        live, freed, stacks, totals = self._recording.snapshot(*asked, number)
        frames: Dict[Any, Frame] = {}  # frames are shared by stacks
        named = {_processes.stack_number(number, stack_id, several): tuple(frames.setdefault(f, Frame._make(f)) for f in stack)
                 for stack_id, stack in stacks.items()}
        return Snapshot([_sample(sample, process.pid, number, several) for sample in live],
                        [_sample(sample, process.pid, number, several) for sample in freed], named, totals)

    def snapshot(self, *, freed_limit: int = 0, since_ns: int = 0, resolve: bool = True, trace: Optional[int] = None) -> Snapshot:
        """Every allocation alive at the end of its process or, when that is being recorded, now.

        freed_limit: also so many of the most recently freed ones. since_ns: only allocations with a timestamp of at least
        this. resolve=False: native frames as addresses, no binary is opened. trace: of one of several, from 0; None: of all
        processes of the run, with totals that are sums; stacks are then numbered anew. ValueError for an aggregate trace."""
        asked = (_count("freed_limit", freed_limit, 0, 2**40), _count("since_ns", since_ns, 0, 2**64 - 1), resolve)
        numbers = range(self.info["traces"]) if trace is None else (trace,)
        several = len(numbers) > 1
        parts = [self._snapshot_of(number, self._process(number), several, asked) for number in numbers]
        if not several:
            return parts[0]
        stacks = {number: stack for part in parts for number, stack in part.stacks.items()}
        live = sorted((sample for part in parts for sample in part.live), key=_time_of)
        freed = sorted((sample for part in parts for sample in part.freed), key=_freed_at)
        return Snapshot(live, freed[max(len(freed) - freed_limit, 0):], stacks, _processes.total([part.totals for part in parts]))

    # ---- arrays ----

    def to_numpy(self, of: str = "records", *, trace: Optional[int] = None, freed_limit: int = 65536) -> Any:
        """A structured array: of "records", every event (fields of Record in order timestamp_ns, address, size, weight,
        thread, stack_id, trace, kind, allocator, realloc, pid; kind and allocator as numbers); of "live" or "freed", the samples
        of a snapshot (fields of Sample but label and task). trace: as for records() and snapshot(). ImportError without numpy."""
        numpy = _need("numpy")
        if of == "records":
            return self._record_array(numpy, trace)
        if of not in ("live", "freed"):
            raise ValueError(f'of "{of}" is not one of records, live, freed')
        snapshot = self.snapshot(freed_limit=freed_limit if of == "freed" else 0, resolve=False, trace=trace)
        no_numbers = {"label", "task"} if of == "freed" else {"label", "task", "lifetime_ns"}
        fields = [name for name in Sample._fields if name not in no_numbers]
        rows = [tuple(getattr(sample, name) for name in fields) for sample in (snapshot.freed if of == "freed" else snapshot.live)]
        return numpy.array(rows, dtype=[(name, "<u8") for name in fields])

    def _record_array(self, numpy: Any, trace: Optional[int]) -> Any:
        raw, fields = _event_dtype(numpy), _EVENT_FIELDS
        parts = []
        for number in range(self.info["traces"]) if trace is None else (trace,):
            pid = self._process(number).pid
            for data in self._batches(number, _ARRAY_BATCH):
                events = numpy.frombuffer(data, dtype=raw)
                part = numpy.empty(len(events), dtype=[(name, raw[name]) for name in fields] + [("pid", "<u8")])
                for name in fields:
                    part[name] = events[name]
                part["pid"] = pid
                parts.append(part)
        if not parts:
            return numpy.empty(0, dtype=[(name, raw[name]) for name in fields] + [("pid", "<u8")])
        array = numpy.concatenate(parts)
        return array if trace is not None else array[numpy.argsort(array["timestamp_ns"], kind="stable")]

    def to_pandas(self, of: str = "records", *, trace: Optional[int] = None, freed_limit: int = 65536) -> Any:
        """to_numpy as a DataFrame, kind and allocator of records as categories by name. ImportError without pandas."""
        pandas = _need("pandas")
        array = self.to_numpy(of, trace=trace, freed_limit=freed_limit)
        frame = pandas.DataFrame({name: array[name] for name in array.dtype.names})
        if of == "records":
            ranges = frame["kind"].isin((5, 6))
            names = [_allocator_name(a, r) for a, r in zip(frame["allocator"], ranges)]
            frame["allocator"] = pandas.Categorical(names)
            frame["kind"] = pandas.Categorical([_KINDS.get(k, "?") for k in frame["kind"]])
        return frame


def _allocator_name(number: int, is_range: bool) -> str:
    names = _memtap.MAP_KINDS if is_range else _memtap.ALLOCATORS
    return names[number] if number < len(names) else "?"


def _record(fields: Tuple[Any, ...], pid: int) -> Record:
    timestamp_ns, address, size, weight, thread, stack_id, trace, kind, allocator, realloc = fields
    return Record(timestamp_ns, _KINDS.get(kind, "?"), address, size, weight, thread, stack_id,
                  _allocator_name(allocator, kind in (5, 6)), realloc, pid, trace)


def _sample(fields: Tuple[Any, ...], pid: int, trace: int, several: bool) -> Sample:
    address, size, weight, timestamp_ns, thread, stack_id, label, task, *lifetime = fields
    return Sample(address, size, weight, timestamp_ns, thread, _processes.stack_number(trace, stack_id, several),
                  lifetime[0] if lifetime else None, pid, label, task)


def _time_of(item: Union[Record, Sample]) -> int:
    return item.timestamp_ns


def _freed_at(sample: Sample) -> int:
    return sample.timestamp_ns + (sample.lifetime_ns or 0)


def _event_dtype(numpy: Any) -> Any:
    formats = ["<u8"] * 5 + ["<u4"] * 2 + ["u1"] * 2 + ["?"]
    offsets = [0, 8, 16, 24, 32, 40, 44, 48, 49, 50]
    return numpy.dtype({"names": _EVENT_FIELDS, "formats": formats, "offsets": offsets, "itemsize": _EVENT.size})
