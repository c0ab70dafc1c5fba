"""`memtap.label`: whose memory is it?

    with memtap.label("job-7"):
        work()

    @memtap.label("nightly report")
    async def report(): ...

    memtap.label_tasks()        # asyncio tasks, greenlets and threads go by their own names

What the thread allocates inside is labelled, in whatever records this process (`memtap run`, `memtap.record`, `memtap.memprof`);
`memtap table --by label` and `--by task` show what each holds. Labels nest, the innermost counts; they follow a coroutine through
its awaits, into `asyncio.to_thread` and the tasks it makes, as context variables do. A label under which nothing is recorded
costs nothing but setting it, a few microseconds.
"""

from __future__ import annotations

import contextvars
import functools
import sys
import threading
import warnings
from typing import Any, Callable, Optional, Tuple, TypeVar

from memtap import _agent, _memtap
from memtap._calls import around_each_call

__all__ = ["label", "label_tasks"]

Function = TypeVar("Function", bound=Callable[..., Any])
_Worn = Optional[Tuple[bytes, Any]]  # the text, and what was worn before it

_worn: "contextvars.ContextVar[_Worn]" = contextvars.ContextVar("memtap.label", default=None)
_lock = threading.Lock()
_followed = False
_threads_named = False


def _follow() -> None:
    """From here on the thread's label is that of the context it runs in."""
    global _followed
    with _lock:
        if not _followed:
            _agent.load()
            if not _memtap.label_follow(_worn, contextvars.Context.run):
                warnings.warn("memtap does not know this Python: labels are not kept across awaits", RuntimeWarning, stacklevel=4)
            _followed = True


def _watch_greenlets() -> Any:
    """The module greenlet where the program uses it; it then tells of each switch between the calling thread's greenlets."""
    module = sys.modules.get("greenlet")
    if module is not None and hasattr(module, "settrace") and not _memtap.label_is_watched():
        module.settrace(functools.partial(_memtap.label_switched, module.gettrace()))
    return module


def _wear(value: _Worn) -> None:
    _watch_greenlets()
    _memtap.agent_enter()  # the context's table is ours
    try:
        _worn.set(value)
        _memtap.label_wear(value)
    finally:
        _memtap.agent_leave()


def _without(worn: _Worn, text: bytes) -> _Worn:
    """What is left when the innermost label that is this very text ends; others may have begun since."""
    if worn is None:
        return None
    inner, before = worn
    return before if inner is text else (inner, _without(before, text))


class label:  # noqa: N801 - used like a function
    """A label for what is allocated inside: as context manager (any number of times, in any thread or task) or decorator.

    text: of up to 120 bytes; what is longer is cut. Of a decorated coroutine function the label holds until it has been awaited.
    """

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"a label is a str, not {type(text).__name__}")
        if not text:
            raise ValueError("a label is not empty")
        self._text = text.encode("utf-8", "replace")
        _follow()

    def __enter__(self) -> "label":
        _wear((self._text, _worn.get()))
        return self

    def __exit__(self, *exception: Any) -> None:
        _wear(_without(_worn.get(), self._text))

    def __call__(self, function: Function) -> Function:
        return around_each_call(function, self, "memtap.label(...)")

    def __repr__(self) -> str:
        return f"memtap.label({self._text.decode()!r})"


def label_tasks() -> None:
    """From here on asyncio tasks are labelled with their names, from each one's next step on, greenlets from each one's next switch
    on (where the module is loaded), and threads that start with theirs; the calling one too. `memtap table --by task` shows what each holds: a task's memory is the task's, the rest of a thread's
    the thread's."""
    import asyncio

    global _threads_named
    _follow()
    _memtap.label_tasks(asyncio.Task)
    _watch_greenlets()
    _memtap.label_thread(threading.current_thread().name.encode("utf-8", "replace"))
    with _lock:
        if not _threads_named:
            _threads_named = True
            _name_threads()


def _name_threads() -> None:
    inner = threading.Thread._bootstrap_inner  # type: ignore[attr-defined]  # what a thread runs, in all versions

    def named(self: threading.Thread) -> None:
        greenlets = _watch_greenlets()
        if greenlets is not None and greenlets.getcurrent().parent is not None:  # gevent's kind of thread
            _memtap.label_greenlet(greenlets.getcurrent(), self.name)
            inner(self)
            return
        _memtap.label_thread(self.name.encode("utf-8", "replace"))
        try:
            inner(self)
        finally:
            _memtap.label_thread(None)

    threading.Thread._bootstrap_inner = named  # type: ignore[attr-defined]
