"""One test's call, recorded: the trace covers the call of its function and nothing else.

Decides: the thread of the test run is on memtap's account (agent_enter) from before the recording to after its end, and on
the program's only while the test's own function runs: `Window`. Nothing of the runner, of its reports or of memtap is recorded
then, while every block that ends meanwhile is seen to end. What the runner does inside the function (a subtest's report, a
fixture asked for by name) is taken out by Window.closed, and what slips through is told by its stack (_origin.py).
The hooks in the allocator stay until the test run ends, so that a test costs about a millisecond.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import inspect
import sys
import threading
import types
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

import pytest

from memtap._measure import Recording, unseen_in
from memtap._origin import Origins, sites, stack_rows

SITE_ROWS = 100
_EVER = 2**32 - 1  # freed after at most so many further allocations


class Measurement(NamedTuple):
    """What a test's call did with memory; bytes and counts, the runner's share taken off.

    peak_bytes: highest sum of blocks allocated in it and alive. leaked_bytes, leaked_allocations: of those, alive at its end,
    without what is filled at first use. first_use: {"imports": bytes, "cache of re": bytes …} alive at its end.
    peak_first_use_bytes: of the peak. table: by place at the peak. peak_stacks, leaks: by call stack at the peak and at the end,
    rows of _origin.stack_rows without the runner's. unseen: why this is not all there was; None: it is.
    thread: the same of what the test's own thread allocated, where a mark asked for it.
    """

    peak_bytes: int
    leaked_bytes: int
    leaked_allocations: int
    allocations: int
    total_allocated_bytes: int
    dropped_events: Optional[int]  # None: the recording ended early, nobody knows how much is missing
    first_use: Dict[str, int]
    peak_first_use_bytes: int
    histogram: List[Dict[str, int]]
    table: List[Dict[str, Any]]
    peak_stacks: List[Dict[str, Any]]
    leaks: List[Dict[str, Any]]
    unseen: Optional[str] = None
    thread: Optional[Measurement] = None
    objects: Optional[List[Tuple[Any, Dict[str, Any]]]] = None

    @property
    def steady_peak_bytes(self) -> int:
        """The peak without what is filled at first use: the same whichever test comes first."""
        return self.peak_bytes - self.peak_first_use_bytes

    @property
    def incomplete(self) -> Optional[str]:
        """Why a limit that was kept may not have been; None: nothing is missing."""
        if self.unseen is not None:
            return self.unseen
        if self.dropped_events is None:
            return "the recording ended early"
        return f"{self.dropped_events} events were lost" if self.dropped_events else None


# ---- the test's own function ---------------------------------------------------------------------------------------------


class Window:
    """Puts this thread on the program's account while a function runs. Made with the thread muted.

    before: called just before. opened: has the function run? interrupted: has the runner done something meanwhile?
    """

    def __init__(self, before: Callable[[], Any]) -> None:
        from memtap import _memtap

        self._before = before
        self._enter, self._leave = _memtap.agent_enter, _memtap.agent_leave
        self._thread = threading.get_ident()
        self._is_open = False
        self.opened = self.interrupted = False

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, recorded; a coroutine function for a coroutine function."""
        wrapped = self._around_coroutine(function) if inspect.iscoroutinefunction(function) else self._around_call(function)
        return functools.wraps(function)(wrapped)

    def _around_call(self, function: Callable[..., Any]) -> Callable[..., Any]:
        window, enter, leave = self, self._enter, self._leave

        def recorded_call(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            if not window._opens():
                return function(*args, **kwargs)
            args, kwargs = _by_position(function, args, kwargs)
            leave()
            try:
                return function(*args, **kwargs) if kwargs else function(*args)
            finally:
                enter()
                window._is_open = False
                own_records()

        return recorded_call

    def _around_coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        window, enter, leave = self, self._enter, self._leave

        async def recorded_call(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            if not window._opens():
                return await function(*args, **kwargs)
            leave()
            try:
                return await function(*args, **kwargs)
            finally:
                enter()
                window._is_open = False
                own_records()

        return recorded_call

    def _opens(self) -> bool:
        """Opens it; False: it is open, or this is another thread, which is not muted."""
        self.opened = True
        if self._is_open or threading.get_ident() != self._thread:
            return False
        self._is_open = True
        self._before()
        return True

    @contextlib.contextmanager
    def closed(self) -> Iterator[None]:
        """What happens inside is not the test's."""
        if not self._is_open or threading.get_ident() != self._thread:
            yield
            return
        self._enter()
        self._is_open = False
        self.interrupted = True
        held = _emptied_free_lists()
        try:
            yield
        finally:
            del held
            self._is_open = True
            self._leave()

    def place(self, item: pytest.Item) -> Callable[[], None]:
        """Puts it around the function of a test; what takes it away again."""
        if not isinstance(item, pytest.Function):
            item.runtest = self.around(item.runtest)  # type: ignore[method-assign]
            return lambda: item.__dict__.pop("runtest", None) and None
        function = item.obj
        handle: Any = getattr(function, "hypothesis", None)
        if hasattr(handle, "inner_test"):  # each example, without the search for examples
            return _replace(handle, "inner_test", self.around(handle.inner_test))
        if inspect.iscoroutinefunction(function) and is_unittest(item):
            instance = getattr(item, "_testcase", None) or item.instance  # pytest leaves the call to unittest
            setattr(instance, item.name, self.around(function))
            return lambda: instance.__dict__.pop(item.name, None) and None
        return _replace(item, "obj", self.around(function))


def _emptied_free_lists() -> Any:
    """Small objects, as many as the interpreter keeps for the next user. While they are held, the runner's objects are not made
    of blocks that the test has allocated and given up, and the test's do not look kept."""
    dictionaries = [{"key": None} for _ in range(81)]
    return dictionaries, [[one] for one in dictionaries], [(None,) * size for size in range(1, 8) for _ in range(8)]


def _replace(owner: Any, name: str, value: Any) -> Callable[[], None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    return lambda: setattr(owner, name, before)


def _by_position(function: Any, args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> Tuple[Tuple[Any, ...], Dict[str, Any]]:
    """The arguments without names where that means the same: a call with names allocates a dictionary for them."""
    plain = getattr(function, "__func__", function)
    if not kwargs or args or not isinstance(plain, types.FunctionType) or hasattr(function, "__wrapped__"):
        return args, kwargs
    code = plain.__code__
    names = code.co_varnames[plain is not function:code.co_argcount][:len(kwargs)]
    if len(names) != len(kwargs) or any(name not in kwargs for name in names):
        return args, kwargs
    return tuple(kwargs[name] for name in names), {}


def own_words(context: Any) -> None:
    """What a subtest was called, which the test made and a report keeps to the end of the run, as the runner's own copies."""
    with contextlib.suppress(AttributeError, TypeError):
        object.__setattr__(context, "msg", _copied(context.msg))
        object.__setattr__(context, "kwargs", {key: _copied(value) for key, value in context.kwargs.items()})


_TUPLES_KEPT = 2001  # more than any CPython keeps of one length


def own_records() -> None:
    """What log records were given, which the test made and the runner keeps until its report, likewise."""
    logging = sys.modules.get("logging")
    given = []
    for handler in logging.root.handlers if logging is not None else ():
        for record in getattr(handler, "records", ()) if type(handler).__module__ == "_pytest.logging" else ():
            with contextlib.suppress(AttributeError, TypeError):
                record.msg = _copied(record.msg)
                if type(record.args) is tuple and record.args:
                    given.append(record.args)
                    record.args = tuple([_copied(value) for value in record.args])
    for length in {len(args) for args in given}:  # the interpreter has no room then to keep the test's own for itself
        kept = [tuple(range(length)) for _ in range(_TUPLES_KEPT)]
        del kept
    given.clear()


def _copied(value: Any) -> Any:
    if type(value) in (str, bytes):
        return value[:1] + value[1:]
    return value + 1 - 1 if type(value) is int else value


def is_unittest(item: pytest.Item) -> bool:
    """Is this a method of a unittest.TestCase?"""
    owner, unittest = getattr(item, "cls", None), sys.modules.get("unittest")  # who has not imported it has no such test
    return owner is not None and unittest is not None and issubclass(owner, unittest.TestCase)


# ---- the recording -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def muted() -> Iterator[None]:
    """This thread's allocations are memtap's inside. ImportError: there is no agent for this process."""
    from memtap import _agent

    _agent.load()
    with _agent.unrecorded():
        yield


class Call:
    """A test's call from start() to measure(); all of it muted. thread, objects: also what the test's own thread did, and which
    Python objects stayed."""

    def __init__(self, path: str, origins: Origins, *, aggregate: bool, native: bool, thread: bool, objects: bool) -> None:
        self.path = path
        self._recording = Recording(path, self._measurement, mode="aggregate" if aggregate else "exact", overwrite=True,
                                    native=native)
        self._origins = origins
        self._native = native
        self._thread = threading.get_native_id() if thread else None
        self._counts_objects = objects
        # Objects out of the interpreter's free lists would have been made before the call: a full collection empties these.
        self.window = Window(gc.collect if objects else lambda: None)

    def start(self) -> None:
        """Raises what memtap.record() raises where a recording cannot begin."""
        self._recording.start()

    def stop(self, thorough: bool) -> None:
        """Ends it; thorough as Recording.stop."""
        for stream in (sys.stdout, sys.stderr):
            if type(stream).__module__.startswith("_pytest"):  # what was printed and waits to be captured
                stream.flush()
        self._recording.stop(thorough)

    def measure(self) -> Measurement:
        """The trace in numbers."""
        found: Measurement = self._recording.read()
        return found

    def _measurement(self, trace: Any) -> Measurement:
        own = self._read(trace, self._thread) if self._thread is not None else None
        return self._read(trace)._replace(thread=own, objects=self._objects(trace) if self._counts_objects else None)

    def _read(self, trace: Any, thread: Optional[int] = None) -> Measurement:
        if thread is None:  # rows first: what was read for them answers the others too
            peak, runner_at_peak = self._rows(trace, None, selection="peak")
            stats = trace.stats()
        else:
            stats = trace.stats(thread=thread)
            peak, runner_at_peak = self._rows(trace, thread, at=stats["peak_time_s"]) if stats["peak_bytes"] else ([], 0)
        alive, _ = self._rows(trace, thread, selection="leaks") if stats["leaked_bytes"] else ([], 0)
        first_use: Dict[str, int] = {}
        for row in alive:
            if row["first_use"]:
                first_use[row["first_use"]] = first_use.get(row["first_use"], 0) + row["bytes"]
        leaks = [row for row in alive if not row["first_use"]]
        runner = self._runner_totals(trace, thread) if self.window.interrupted else (0, 0)
        return Measurement(
            peak_bytes=max(0, stats["peak_bytes"] - runner_at_peak), leaked_bytes=sum(row["bytes"] for row in leaks),
            leaked_allocations=sum(row["count"] for row in leaks), allocations=stats["allocations"] - runner[0],
            total_allocated_bytes=stats["total_allocated_bytes"] - runner[1], dropped_events=stats["dropped_events"], first_use=first_use,
            peak_first_use_bytes=sum(row["bytes"] for row in peak if row["first_use"]), histogram=stats["size_histogram"],
            table=sites(peak, SITE_ROWS), peak_stacks=peak, leaks=leaks,
            unseen=unseen_in(stats))

    def _rows(self, trace: Any, thread: Optional[int], **question: Any) -> Tuple[List[Dict[str, Any]], int]:
        """The rows without the runner's, and the runner's bytes."""
        nodes = trace.tree(rows=0, all_frames=True, thread=thread, native=self._native, **question)
        rows = stack_rows(nodes, self._origins)
        return [row for row in rows if not row["runner"]], sum(row["bytes"] for row in rows if row["runner"])

    def _runner_totals(self, trace: Any, thread: Optional[int]) -> Tuple[int, int]:
        """Blocks and bytes that the runner allocated in all, as far as single allocations are known."""
        count = bytes_ = 0
        for question in ({"selection": "leaks"}, {"temporary": _EVER}) if trace.info["mode"] == "exact" else ():
            for row in stack_rows(trace.tree(rows=0, all_frames=True, thread=thread, native=self._native, **question), self._origins):
                count += row["count"] * row["runner"]
                bytes_ += row["bytes"] * row["runner"]
        return count, bytes_

    def _objects(self, trace: Any) -> List[Tuple[Any, Dict[str, Any]]]:
        """Python's objects that were made in the call and live, with the row of where."""
        snapshot = trace.snapshot(resolve=False)
        rows = {number: self._row(snapshot.stacks.get(number, ())) for number in {block.stack_id for block in snapshot.live}}
        blocks = {block.address: (block.size, rows[block.stack_id]) for block in snapshot.live}
        tracked = gc.get_objects()
        seen: Dict[int, Any] = {}
        for some in (tracked, gc.get_referents(*tracked)):
            seen.update((id(one), one) for one in some)
        found = []
        for number, one in seen.items():
            row = _block_row(blocks, number)
            if row is not None and not row["runner"] and not row["first_use"]:
                found.append((one, row))
        return found

    def _row(self, frames: Any) -> Dict[str, Any]:
        nodes: List[Dict[str, Any]] = [{"id": 0, "parent": None, "self_bytes": 0, "self_count": 0}]
        for number, frame in enumerate(reversed(frames), 1):
            nodes.append({"id": number, "parent": number - 1, "function": frame.function, "file": frame.file, "line": frame.line,
                          "self_bytes": 0, "self_count": 0})
        nodes[-1]["self_count"] = 1
        return stack_rows(nodes, self._origins)[0]


_HEADERS = (0, 16, 32, 48)  # before an object: nothing, the collector's, those of its dictionary, the debug allocator's


def _block_row(blocks: Dict[int, Tuple[int, Dict[str, Any]]], address: int) -> Optional[Dict[str, Any]]:
    """The row of the block that an object lies in."""
    for header in _HEADERS:
        size, row = blocks.get(address - header, (0, None))
        if size > header:
            return row
    return None
