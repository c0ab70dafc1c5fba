"""Slow queries of a database: a DB-API connection, or an SQLAlchemy engine, whose statements are timed."""

from __future__ import annotations

import importlib
import time
from typing import TYPE_CHECKING, Any, Callable, Optional

if TYPE_CHECKING:
    from memtap.monitoring import MemoryMonitor

__all__ = ["watch_connection", "watch_engine"]

_TIMED = ("execute", "executemany", "executescript", "callproc")


def _the_monitor(monitor: Optional[MemoryMonitor]) -> MemoryMonitor:
    if monitor is None:
        from memtap import monitoring

        return monitoring.monitor()
    return monitor


class _Timed:
    """Stands before a connection or a cursor and is otherwise what it stands before."""

    def __init__(self, inner: Any, monitor: MemoryMonitor) -> None:
        object.__setattr__(self, "_inner", inner)
        object.__setattr__(self, "_monitor", monitor)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if name in _TIMED:
            return self._timed(value)
        return self._cursor if name == "cursor" else value

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._inner, name, value)

    def __enter__(self) -> Any:
        entered = self._inner.__enter__()
        return self if entered is self._inner else entered

    def __exit__(self, *exception: Any) -> Any:
        return self._inner.__exit__(*exception)

    def __iter__(self) -> Any:
        return iter(self._inner)

    def __next__(self) -> Any:
        return next(self._inner)

    def _cursor(self, *arguments: Any, **named: Any) -> Any:
        return _Timed(self._inner.cursor(*arguments, **named), self._monitor)

    def _timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(query: Any, *arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                result = function(query, *arguments, **named)
            finally:
                duration_ms = (time.perf_counter() - began) * 1e3
                self._monitor.track_slow_query(str(query), duration_ms, arguments[0] if arguments else None)
            return self if result is self._inner else result

        return call


def watch_connection(connection: Any, monitor: Optional[MemoryMonitor] = None) -> Any:
    """A DB-API connection (docs: PEP 249) whose slow statements the monitor hears of; use it in the place of the one given.

        connection = monitoring.watch_connection(sqlite3.connect("app.db"))
    """
    return _Timed(connection, _the_monitor(monitor))


def watch_engine(engine: Any, monitor: Optional[MemoryMonitor] = None) -> None:
    """The slow statements of an SQLAlchemy engine, from now on. ImportError: there is no SQLAlchemy."""
    event = importlib.import_module("sqlalchemy.event")

    heard = _the_monitor(monitor)

    def before(connection: Any, _cursor: Any, _statement: str, _parameters: Any, _context: Any, _many: bool) -> None:
        connection.info.setdefault("memtap_began", []).append(time.perf_counter())

    def after(connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        heard.track_slow_query(statement, (time.perf_counter() - connection.info["memtap_began"].pop()) * 1e3, parameters)

    def failed(context: Any) -> None:
        connection = context.connection
        if connection is not None and connection.info.get("memtap_began"):
            connection.info["memtap_began"].pop()

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)
    event.listen(engine, "handle_error", failed)
