"""Shapes of Python programs: all the ways in which frames come to lie upon each other. scenarios.py runs them.

Each takes `leaf`, which it calls at places whose stacks differ; leaf returns 1.
"""
import asyncio
import ctypes
import functools
import gc
import json
import os
import re
import signal
import sys
import threading
import weakref


def nested(leaf):
    def inner(n):
        return leaf() if n == 0 else inner(n - 1)

    class Body:
        at_definition = leaf()

        def method(self):
            return [leaf() for _ in range(2)]

        @staticmethod
        def static(f=lambda: leaf()):
            return f()

        @property
        def value(self):
            return sum(leaf() for _ in range(2))

        def __getattr__(self, name):
            return leaf()

        def __enter__(self):
            leaf()

        def __exit__(self, *_):
            leaf()

    inner(5)
    body = Body()
    body.method(), Body.static(), body.value, body.missing
    with body:
        {k: leaf() for k in range(2)}
        {leaf() for _ in range(2)}
    exec("def made():\n\n    return leaf()\n\n\nmade()\nx = [\n    leaf(),\n    leaf()]", {"leaf": leaf})
    eval(compile("leaf()\n", "<évalué>", "eval"), {"leaf": leaf})
    (lambda: (lambda: leaf())())()
    try:
        raise ValueError
    except ValueError:
        leaf()
    finally:
        leaf()


def recursion(leaf, depth=500):
    def go(n):
        if n == 0:
            return leaf()
        if n % 3 == 0:
            return go(n - 1)
        return 0 + go(
            n - 1)

    go(depth)


def generators(leaf):
    def source(n):
        for i in range(n):
            leaf()
            yield i
            leaf()

    def relay(n):
        got = yield from source(n)
        leaf()
        return got

    def two_way():
        value = None
        while True:
            try:
                value = yield leaf()
            except KeyError:
                leaf()
            finally:
                leaf()

    for _ in relay(3):
        leaf()
    list(map(leaf, relay(2)))
    g = two_way()
    next(g), g.send(1), g.throw(KeyError), g.close()
    sum(x for x in (y for y in relay(3)))
    a, b = relay(2), relay(2)  # resumed by different callers, in turns
    (lambda: next(a))(), next(b), next(a), (lambda: next(b))()
    del a, b


def coroutines(leaf):
    async def work(n):
        leaf()
        if n:
            await work(n - 1)
        await asyncio.sleep(0)
        leaf()
        return n

    async def items():
        for i in range(2):
            leaf()
            yield i

    class Awaitable:
        def __await__(self):
            leaf()
            yield
            leaf()

    async def main():
        await asyncio.gather(work(3), work(5), *[asyncio.ensure_future(work(i)) for i in range(3)])
        [leaf() async for _ in items()]
        async for _ in items():
            await Awaitable()
        leaf()
        await asyncio.get_running_loop().run_in_executor(None, leaf)

    asyncio.run(main())


class Ordered:
    leaf = None

    def __lt__(self, other):
        return Ordered.leaf() == 0

    def __eq__(self, other):
        return Ordered.leaf() == 1

    def __hash__(self):
        return Ordered.leaf()

    def __del__(self):
        Ordered.leaf()


def callbacks(leaf):
    Ordered.leaf = staticmethod(leaf)
    sorted([3, 1, 2], key=lambda x: leaf() + x)
    sorted([Ordered(), Ordered()])
    {Ordered(): 1, Ordered(): 2}
    list(map(lambda x: leaf(), [1, 2])), list(filter(leaf, [1, 2]))
    functools.reduce(lambda a, b: a + leaf(), [1, 2, 3])
    functools.partial(functools.partial(leaf, 1), 2)()
    min([1, 2], key=leaf)
    re.sub("a", lambda m: str(leaf()), "banana")
    json.dumps([object()], default=lambda o: leaf())
    json.loads('{"a": 1}', object_hook=lambda d: leaf())
    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda n: leaf())
    callback(1)
    outer = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda n: callback(n) + leaf())
    outer(2)
    weak = Ordered()
    ref = weakref.ref(weak, leaf)
    del weak, ref
    cycle = [Ordered()]
    cycle.append(cycle)
    del cycle
    gc.collect()


def constructors(leaf):
    """Often enough to be specialized: 3.12+ then runs __init__ on a frame of its own, which is not to be seen."""

    class Plain:
        def __init__(self, n):
            self.n = leaf() if n % 50 == 0 else n

    class Outer:
        def __init__(self, n):
            self.inner = Plain(n)
            self.other = [Plain(n)]
            self.wrong = n % 100 == 99

        def __call__(self, n):
            return Outer(n) if n else leaf()

    for n in range(300):
        Outer(n)(n % 2)
    list(map(Outer, range(300)))


def threads(leaf):
    failures = []

    def body(n):
        try:
            for _ in range(20):
                recursion(leaf, n)
                generators(leaf)
        except BaseException as e:
            failures.append(e)

    running = [threading.Thread(target=body, args=(5 + i,)) for i in range(4)]
    [t.start() for t in running]
    [t.join() for t in running]
    assert not failures, failures[0]


def tracing(leaf):
    def trace(frame, event, arg):
        leaf()
        return trace

    def traced(n):
        total = 0
        for i in range(n):
            total += i
        return leaf()

    sys.settrace(trace)
    traced(3)
    sys.settrace(None)
    sys.setprofile(lambda frame, event, arg: leaf() if event in ("call", "return") else None)
    sorted([2, 1], key=lambda x: x)
    sys.setprofile(None)


def signals(leaf):
    signal.signal(signal.SIGUSR1, lambda *_: leaf())
    for _ in range(5):
        os.kill(os.getpid(), signal.SIGUSR1)
        sum(range(100))


def everything(leaf):
    nested(leaf)
    recursion(leaf, 100)
    generators(leaf)
    coroutines(leaf)
    callbacks(leaf)
    constructors(leaf)
    tracing(leaf)
    signals(leaf)
