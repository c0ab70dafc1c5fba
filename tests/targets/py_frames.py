"""Python stacks of every kind, each with a block of a size used nowhere else (see py_truth.py).

Plain and nested calls, recursion, generators, coroutines, async generators, comprehensions, lambdas, class bodies,
methods, properties, decorators, callbacks from C (sorted, map, functools.reduce, ctypes), exceptions, exec'ed code,
threads, context managers, and calls that span several lines.
"""

import asyncio
import contextlib
import ctypes
import functools
import threading

from py_truth import drop, finish, keep


def plain():
    keep(bytes(50_001))


def nested():
    def inner():
        def innermost():
            keep(bytes(50_011))

        innermost()

    inner()


def recursive(depth):
    if depth == 0:
        keep(bytes(50_021))
        return
    recursive(depth - 1)


def mutual_a(depth):
    if depth == 0:
        keep(bytes(50_031))
    else:
        mutual_b(depth - 1)


def mutual_b(depth):
    mutual_a(depth)


def generator():
    keep(bytes(50_041))
    yield 1
    keep(bytes(50_043))
    yield 2


def delegating():
    yield from generator_below()


def generator_below():
    keep(bytes(50_051))
    yield 1


def generators():
    for _ in generator():
        pass
    for _ in delegating():
        pass
    sum(keep(bytes(50_055)) is not None for _ in range(1))


async def coroutine_below():
    keep(bytes(50_061))
    await asyncio.sleep(0)
    keep(bytes(50_063))


async def coroutine():
    await coroutine_below()
    keep(bytes(50_065))


async def async_generator():
    keep(bytes(50_067))
    yield 1


async def coroutines():
    await asyncio.gather(coroutine(), *[])
    async for _ in async_generator():
        pass


def comprehension():
    return [keep(bytes(50_071)) for _ in range(1)], {keep(bytes(50_073)): 1 for _ in range(1)}


def with_lambda():
    (lambda: keep(bytes(50_081)))()


class WithBody:
    keep(bytes(50_091))

    def __init__(self):
        self.block = keep(bytes(50_093))

    @property
    def value(self):
        return keep(bytes(50_095))

    @classmethod
    def of_class(cls):
        keep(bytes(50_097))

    def __add__(self, other):
        keep(bytes(50_099))
        return self

    def __del__(self):
        keep(bytes(50_101))


def instances():
    one = WithBody()
    one.value
    WithBody.of_class()
    one + one


def sort_key(value):
    if value == 2:
        keep(bytes(50_111))
    return value


def callbacks():
    sorted([3, 2, 1], key=sort_key)
    list(map(lambda size: keep(bytes(size)), [50_113]))
    functools.reduce(lambda a, b: keep(bytes(50_115)), [1, 2])


def decorated(function):
    @functools.wraps(function)
    def wrapper():
        return function()

    return wrapper


@decorated
def with_decorator():
    keep(bytes(50_121))




def ctypes_callback():
    prototype = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))

    def compare(a, b):
        if ctypes_callback.left > 0:
            ctypes_callback.left -= 1
            keep(bytes(50_141))
        return a[0] - b[0]

    numbers = (ctypes.c_int * 3)(3, 1, 2)
    ctypes.CDLL(None).qsort(numbers, 3, ctypes.sizeof(ctypes.c_int), prototype(compare))


ctypes_callback.left = 1


def in_exception():
    try:
        raise ValueError
    except ValueError:
        keep(bytes(50_151))
    finally:
        keep(bytes(50_153))


@contextlib.contextmanager
def manager():
    keep(bytes(50_161))
    yield
    keep(bytes(50_163))


def with_manager():
    with manager():
        keep(bytes(50_165))


def after_a_long_constant():
    # fmt: off
    text = """a constant
    that spans
    many lines"""; keep(bytes(50_171))
    # fmt: on
    return text


def freed():
    block = keep(bytes(50_181))
    drop(block)
    del block


def far_below():
    """A line number that does not fit one byte in any line table."""
    x = 0






























    keep(bytes(50_191))
    return x


def in_thread():
    keep(bytes(50_201))


def threads():
    thread = threading.Thread(target=in_thread, name="py-worker")
    thread.start()
    thread.join()


def main():
    plain()
    nested()
    recursive(40)
    mutual_a(5)
    generators()
    asyncio.run(coroutines())
    comprehension()
    with_lambda()
    instances()
    callbacks()
    with_decorator()
    ctypes_callback()
    in_exception()
    with_manager()
    after_a_long_constant()
    freed()
    far_below()
    threads()
    exec(compile("keep(bytes(50_211))", __file__, "exec"), {"keep": keep})
    finish()


main()
