"""The agent in this process: who uses it, and for what.

Decides: one recording at a time, because there is one agent. Its user is `memtap run` (which started it before Python ran),
`memtap.record` or `memtap.memprof`. A profiler that is stopped but still follows the frees of its samples gives way to the
next user. What these functions allocate themselves is not recorded.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Any, Callable, Dict, Iterator, Optional

from memtap import _leftovers, _memtap
from memtap._command import agent_path

MODES = {"sample": 1, "exact": 2, "aggregate": 3}  # enum memtap_agent_mode
MAX_RATE_BYTES = 1 << 50

lock = threading.RLock()  # around everything that starts or stops
_give_way: Optional[Callable[[], None]] = None  # asks a stopped profiler to let go
_on_end: Optional[Callable[[], None]] = None  # tells a profiler that looks at somebody's recording that it has ended
_keeps_hooks = False  # between the recordings of a test run


def load() -> str:
    """Has the agent in this process; returns its version. ImportError: the package is damaged."""
    return _memtap.agent_load(agent_path())


def state() -> Dict[str, Any]:
    """mode ("off", "sample", …), rate_bytes (0: paused), path, live_samples, dropped_events, by_command, preloaded."""
    load()
    return _memtap.agent_state()


@contextlib.contextmanager
def unrecorded() -> Iterator[None]:
    """What this thread allocates inside is memtap's own and not recorded."""
    entered = _memtap.agent_enter()
    try:
        yield
    finally:
        if entered:
            _memtap.agent_leave()


def set_give_way(callback: Optional[Callable[[], None]]) -> None:
    """callback ends the present recording if its owner can do without it; None: there is no such owner."""
    global _give_way
    _give_way = callback


def start(path: str, mode: str, rate_bytes: int, native: bool, python_allocators: bool, max_file_bytes: int = 0, seed: int = 0,
          overwrite: bool = False, parent_pid: int = 0) -> None:
    """Begins a trace at `path` (absolute; must not exist, unless overwrite). parent_pid: of a fork child of a recorded process.

    RuntimeError: another recording is under way; OSError: the file cannot be made; NoHooks: nothing can be intercepted.
    """
    load()
    with lock:
        if _give_way is not None and _memtap.agent_state()["mode"] != "off":
            _give_way()
        if overwrite and _memtap.agent_state()["mode"] == "off":
            _leftovers.replace(path)
        try:
            _memtap.agent_start(path, MODES[mode], rate_bytes, native, python_allocators, max_file_bytes, seed,
                                parent_pid)
        except _memtap.AgentError as error:
            raise _translated(error, path) from None


class NoHooks(RuntimeError):
    """The allocator of this process could not be intercepted."""


def _translated(error: BaseException, path: str) -> Exception:
    code, text = error.args
    if code in (2, 3, 4, 5, 6):  # IO, NO_SPACE, PERMISSION, NO_FOLDER, FILE_EXISTS
        kinds = {4: PermissionError, 5: FileNotFoundError, 6: FileExistsError}
        return kinds.get(code, OSError)(f"{path}: {text}")
    if code == 1:
        return MemoryError(text)
    if code == 7:
        return ValueError(f"{path}: {text}")
    if code == 10:
        return NoHooks(text)
    if code == 8:
        present = _memtap.agent_state()
        who = "memtap run" if present["by_command"] else "memtap"
        return RuntimeError(f"{text}: {who} writes {present['path']}")
    return RuntimeError(text)


def listen(address: str = "1") -> None:
    """Has one thread of memtap's wait at a socket of this user's, so that `memtap list`, `attach`, `eval` … can reach this process without
    ptrace. address: "HOST:PORT" to wait there too; other than loopback needs MEMTAP_TOKEN in the environment.

    Nothing is recorded until somebody asks. Fork children do not listen. OSError: no socket can be had, or not at that address.
    """
    load()
    with lock:
        try:
            _memtap.agent_listen(address)
        except _memtap.AgentError as error:
            code, text = error.args
            raise (OSError(f"cannot listen at {address}: {text}") if code == 4 else _translated(error, address)) from None


def set_on_end(callback: Optional[Callable[[], None]]) -> None:
    """callback is called, under the lock, when a recording has ended that is not its owner's; None: nobody looks."""
    global _on_end
    _on_end = callback


def end() -> None:
    """Completes the present trace and takes the hooks back, unless a profiler goes on at once. AgentError as agent_stop."""
    try:
        _memtap.agent_stop()
    finally:
        if _on_end is not None:
            _on_end()
        if not _keeps_hooks:
            _remove_hooks()


def _remove_hooks() -> None:
    if _memtap.agent_state()["mode"] == "off":
        with contextlib.suppress(_memtap.AgentError):
            _memtap.agent_remove_hooks()


def keep_hooks(keep: bool) -> None:
    """True: the hooks stay in place from one recording to the next, which begins in under a millisecond then. False: they go
    when nothing is recorded."""
    global _keeps_hooks
    load()
    with lock:
        _keeps_hooks = keep
        if not keep:
            _remove_hooks()


def _renew_lock() -> None:
    global lock
    lock = threading.RLock()  # the parent's may be held by a thread that is not in the child


os.register_at_fork(after_in_child=_renew_lock)
