"""SQL over what this process is recorded as at this moment.

Decides: the trace is opened once and read on from where it was, by whoever asks next; what that needs is memtap's own and not recorded. Another
recording, and a fork child, open theirs.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, List, Optional, Tuple

from memtap import _agent

if TYPE_CHECKING:
    from memtap import profile

_lock = threading.Lock()
_opened: Optional[Tuple[Tuple[int, str], profile.Trace]] = None
_left: List[object] = []


def _forget() -> None:
    """In a fork child: the lock may be held, and the trace be asked, by a thread that is not there. So the trace is not even closed."""
    global _lock, _opened
    _left.append(_opened)
    _lock, _opened = threading.Lock(), None


os.register_at_fork(after_in_child=_forget)


def _trace(path: str) -> profile.Trace:
    global _opened
    from memtap import profile  # not recorded either

    key = os.getpid(), path
    with _lock:
        if _opened is None or _opened[0] != key:
            _opened = key, profile.open(path)
        return _opened[1]


def query(sql: str) -> profile.Rows:
    """Rows of one SELECT over what this process is recorded as, as it is now: the tables of `memtap query`.

        memtap.query("SELECT function, line, bytes FROM leaks LIMIT 5").to_pandas()

    As Trace.sql: tuples with `.columns`, `.to_dicts()`, `.to_pandas()`, `.to_arrow()`. RuntimeError: nothing is recorded here (`memtap run`,
    memtap.record, memprof and `memtap attach` do); ValueError: the query is wrong, and where."""
    _agent.load()
    with _agent.unrecorded():
        state = _agent.state()
        if state["mode"] == "off" or not state["path"]:
            raise RuntimeError("this process is not recorded: start it with `memtap run`, or use `with memtap.record(FILE):`")
        return _trace(state["path"]).sql(sql)
