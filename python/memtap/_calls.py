"""A function whose every call is inside a context manager: what `memtap.record` and `memtap.label` are as decorators."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Callable, ContextManager, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def around_each_call(function: Function, context: ContextManager[Any], usage: str) -> Function:
    """The function, each call of which is inside `context`; a coroutine function until it has been awaited. TypeError: a
    generator, which runs in pieces; usage: what its author can write instead."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{function.__name__} is a generator, which runs in pieces: use `with {usage}` inside it")
    if inspect.iscoroutinefunction(function):
        return _around_coroutine(function, context)  # type: ignore[no-any-return]

    @functools.wraps(function)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        with context:
            return function(*args, **kwargs)

    return recorded  # type: ignore[return-value]


def _around_coroutine(function: Any, context: ContextManager[Any]) -> Any:
    @functools.wraps(function)
    async def recorded(*args: Any, **kwargs: Any) -> Any:
        with context:
            return await function(*args, **kwargs)

    return recorded
