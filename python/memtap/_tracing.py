"""The one owner of tracemalloc inside memtap.

Decides: whoever needs tracemalloc takes a lease here, and tracing ends with the last lease, and only when the first one
began it. Tracing that was on before (the program's own) is used and never stopped. tracemalloc is one switch a process,
without owners of its own: a program that calls tracemalloc.start() while a lease holds it on cannot be told from one that
did not, and finds it off after the last lease.

    with acquire() as lease:
        ...                     # tracemalloc.is_tracing() is True

Thread-safe; a fork child keeps the leases it was born with.
"""

from __future__ import annotations

import os
import threading
import tracemalloc
from typing import Any

__all__ = ["Lease", "acquire", "owner_count"]

_lock = threading.RLock()  # re-entrant: a finalizer may release a lease in the middle of acquire()
_owners = 0
_started_here = False


class Lease:
    """A hold on tracemalloc; made by acquire().

    started: True when this lease switched tracing on.
    """

    def __init__(self, started: bool) -> None:
        self.started = started
        self._held = True

    @property
    def held(self) -> bool:
        """False once released."""
        return self._held

    @property
    def sole(self) -> bool:
        """True while tracing is memtap's and nobody else in it holds a lease: its peak may be reset."""
        with _lock:
            return self._held and _started_here and _owners == 1

    def release(self) -> None:
        """Gives the hold back; the last one stops tracing if memtap began it. Again: no effect."""
        global _owners, _started_here
        with _lock:
            if not self._held:
                return
            self._held = False
            _owners -= 1
            if _owners == 0 and _started_here:
                _started_here = False
                tracemalloc.stop()

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.release()


def acquire(frames: int = 1) -> Lease:
    """Switches tracemalloc on if it is off, and holds it on.

    frames: depth of the recorded stacks, used only if this call switches tracing on (tracemalloc cannot change it later).
    ValueError outside 1..65535. Source: docs.python.org/3/library/tracemalloc.html#tracemalloc.start
    """
    global _owners, _started_here
    with _lock:
        started = not tracemalloc.is_tracing()
        if started:
            tracemalloc.start(frames)
            _started_here = True
        _owners += 1
        return Lease(started)


def owner_count() -> int:
    """Leases held now."""
    with _lock:
        return _owners


def reset_peak() -> None:
    """Makes the peak that tracemalloc reports begin here. Only for the holder of a sole lease."""
    if hasattr(tracemalloc, "reset_peak"):
        tracemalloc.reset_peak()
    else:  # 3.8 has no other way; the traces so far are this holder's own
        tracemalloc.clear_traces()


def _renew_lock() -> None:
    global _lock
    _lock = threading.RLock()  # the parent's may be held by a thread that is not in the child


os.register_at_fork(after_in_child=_renew_lock)
