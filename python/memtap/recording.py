"""`memtap.record`: writes the trace of a piece of this program, from inside.

    with memtap.record("load.mtap") as recording:
        load()
    print(memtap.open(recording.path).stats()["peak_bytes"])

    @memtap.record("handler-{n}.mtap", mode="sample")
    def handler(): ...

The trace is the one that `memtap run` writes: every read command and `memtap.open` take it, during the recording too, and it
survives the death of the process. Recorded are all threads of this process, and with follow=True its fork children (multiprocessing's by "fork", Pool, os.fork) and
theirs. One recording at a time; inside `memtap run` there is one already.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from typing import Any, Callable, Optional, TypeVar, Union

from memtap import _agent, _family, _memtap
from memtap._calls import around_each_call

__all__ = ["Recording", "record"]

Path = Union[str, "os.PathLike[str]"]
Function = TypeVar("Function", bound=Callable[..., Any])
_followed: Optional[Recording] = None  # whose fork children are recorded


class Recording:
    """A recording, as context manager (once) or decorator (each call a recording of its own). Made by `record`.

    path: absolute path of the trace; None before the start. running: is it being written? In a followed fork child both are
    the child's.
    """

    def __init__(self, path: Path, mode: str, rate: int, native: bool, python_allocators: bool, max_file: int, overwrite: bool,
                 follow: bool = False) -> None:
        self._pattern = os.fsdecode(path)
        self._mode = mode
        self._rate = rate
        self._native = native
        self._python_allocators = python_allocators
        self._max_file = max_file
        self._overwrite = overwrite
        self._follow = follow
        self._file: Optional[str] = None  # of the process that began it
        self._number = 0
        self._pid: Optional[int] = None
        self.path: Optional[str] = None
        self.running = False

    def _next_path(self) -> str:
        self._number += 1
        name = self._pattern.replace("{pid}", str(os.getpid())).replace("{n}", str(self._number))
        if not name:
            raise ValueError("the path of a recording is empty")
        return os.path.abspath(name)

    def start(self) -> "Recording":
        """Begins. RuntimeError: a recording is under way; OSError: the file cannot be made, or exists (overwrite=False)."""
        if self.running:
            raise RuntimeError("this recording is running already")
        global _followed
        path = self._next_path()
        with _agent.lock:
            if self._follow and not self._overwrite:
                _family.refuse_leftovers(path)
            self._begin(path, self._overwrite, 0)
            if self._follow and self._overwrite:
                _family.remove_leftovers(path)
            self._file = path
            _followed = self if self._follow else None
        return self

    def _begin(self, path: str, overwrite: bool, parent_pid: int) -> None:
        _agent.start(path, self._mode, self._rate, self._native, self._python_allocators, self._max_file, overwrite=overwrite,
                     parent_pid=parent_pid)
        self.path = path
        self._pid = os.getpid()
        self.running = True

    def _begin_in_child(self) -> None:
        """Follows into this fork child. A program must not fail at it."""
        parent, self.running = self._pid, False
        try:
            with _agent.unrecorded():
                for path in _family.child_paths(self._file or ""):
                    with contextlib.suppress(FileExistsError):
                        self._begin(path, False, parent or 0)
                        return
            reason = "no name is free"
        except (RuntimeError, OSError, MemoryError) as error:
            reason = str(error)
        warnings.warn(f"process {os.getpid()} is not recorded: {reason}", RuntimeWarning, stacklevel=2)

    def stop(self) -> None:
        """Ends; the file is complete then. RuntimeError: not running. In a fork child of the recorder: nothing to do, or with
        follow=True the end of the child's part. Followed children that have ended are put into the file; a warning says so
        where one lives on, which is recorded to its end."""
        global _followed
        if not self.running:
            raise RuntimeError("this recording is not running")
        with _agent.lock:
            self.running = False
            if _followed is self:
                _followed = None
            if self._pid != os.getpid():
                return
            try:
                _agent.end()
            except _memtap.AgentError as error:
                if error.args[0] != 9:  # IDLE: it stopped by itself (full disk, size limit); the file says so
                    self.running = True
                    _followed = self if self._follow else None
                    raise RuntimeError(error.args[1]) from None
        left = _family.gather(self._file) if self._follow and self.path == self._file and self._file else ""
        if left:
            warnings.warn(left, RuntimeWarning, stacklevel=2)

    def __enter__(self) -> "Recording":
        return self.start()

    def __exit__(self, *exception: Any) -> None:
        if self.running:
            self.stop()

    def __call__(self, function: Function) -> Function:
        """The function, each call of which is a recording of its own; a coroutine function until it has been awaited."""
        return around_each_call(function, self, "memtap.record(...)")

    def __repr__(self) -> str:
        return f"<memtap.Recording {self.path or self._pattern!r}, {self._mode}, {'running' if self.running else 'stopped'}>"


def _in_fork_child() -> None:
    if _followed is not None:
        _followed._begin_in_child()


os.register_at_fork(after_in_child=_in_fork_child)


def _checked_count(name: str, value: Any, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int (bytes), not {type(value).__name__}")
    if not 0 < value <= most:
        raise ValueError(f"{name} must be between 1 and {most} bytes")
    return value


def record(
    path: Path,
    *,
    mode: str = "exact",
    rate: int = 512 * 1024,
    native: bool = True,
    python_allocators: bool = True,
    max_file: Optional[int] = None,
    overwrite: bool = False,
    follow: bool = False,
) -> Recording:
    """A recording of this process into the trace `path`; start it with `with`, as a decorator, or by start() and stop().

    path: file name; "{pid}" and "{n}" (which call, from 1) are filled in. The folder must exist.
    mode: "exact" (every allocation), "sample" (one in `rate` bytes on average, at next to no cost), "aggregate" (exact
        totals by stack in a file of bounded size).
    rate: bytes between samples on average, sample mode only. 1 to 2**50.
    native: native frames too, not only Python's.
    python_allocators: Python's objects of up to 512 bytes one by one, not only the arenas they lie in.
    max_file: the file stays below this many bytes on the disk. In sample mode what was freed long ago is given up for it and the
        recording goes on, in other modes it ends there; the program goes on.
    overwrite: an existing file at `path` is replaced; otherwise FileExistsError when the recording starts.
    follow: fork children are recorded too, with the same options, until they end or leave the block; `path` then holds all
        processes. What is started by exec (subprocess, multiprocessing's "spawn" and "forkserver") is not followed: `memtap run`
        does that.
    """
    if mode not in _agent.MODES:
        raise ValueError(f"mode must be one of {', '.join(_agent.MODES)}, not {mode!r}")
    rate = _checked_count("rate", rate, _agent.MAX_RATE_BYTES)
    most = 0 if max_file is None else _checked_count("max_file", max_file, 1 << 62)
    return Recording(path, mode, rate, bool(native), bool(python_allocators), most, overwrite, bool(follow))
