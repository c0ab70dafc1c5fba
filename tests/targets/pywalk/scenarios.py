"""Programs whose Python stack is known: the interpreter's own account of it, sys._getframe().

Run as `python scenarios.py LIBRARY SCENARIO [SEED]` by tests/integration/test_pystack.py under every interpreter, from
3.8 on. Each check compares all frames, outermost first: name, qualified name (3.11+), file, line and f_lasti; of the
innermost frame, which is still running, not f_lasti. Ends with "ok CHECKS"; a difference is an AssertionError.
"""
import atexit
import ctypes
import functools
import os
import random
import sys
import sysconfig
import threading
import time

from shapes import (callbacks, constructors, coroutines, everything, generators, nested, recursion, signals, threads,
                    tracing)

HAS_QUALNAME = sys.version_info >= (3, 11)
NONE, COMPLETE, TRUNCATED, BROKEN = range(4)
MAX_FRAMES = 8192


def open_library(path):
    held, released = ctypes.PyDLL(path), ctypes.CDLL(path)
    for library in (held, released):
        library.pywalk_capture.restype = library.pywalk_thread_name.restype = ctypes.c_char_p
        library.pywalk_check_anchors.restype = ctypes.c_char_p
        library.pywalk_info.restype = library.pywalk_offsets.restype = ctypes.c_char_p
        library.pywalk_bench.restype = ctypes.c_double
    return held, released


held, released = open_library(sys.argv[1])
capture_held, capture_released, check_anchors = held.pywalk_capture, released.pywalk_capture, held.pywalk_check_anchors
checks = 0
identities = {}  # hash of a frame and all below it -> what it was


def stack_of(frame):
    stack = []
    while frame is not None:
        code = frame.f_code
        qualname = code.co_qualname if HAS_QUALNAME else ""
        stack.append((code.co_name, qualname, code.co_filename, frame.f_lineno, frame.f_lasti))
        frame = frame.f_back
    return stack[::-1]


def parse(text):
    lines = text.decode("utf-8", "surrogateescape").split("\n")
    assert not lines[0].startswith("!"), lines[0]
    result, count, errors = map(int, lines[0].split())
    stack, entries = [], []
    for line in lines[1:-1]:
        assert line.count("\x1f") == 6, repr(line)
        name, qualname, filename, number, lasti, entry, identity = line.split("\x1f")
        stack.append((name, qualname, filename, int(number), int(lasti)))
        entries.append(int(entry))
        known = identities.setdefault(identity, tuple(stack[-2:]))
        assert known == tuple(stack[-2:]), "one hash for %r and %r" % (known, stack[-2:])
    assert len(stack) == count and errors == 0, (count, len(stack), errors)
    return result, stack, entries


def compare(text, frame, result=COMPLETE):
    """Both arguments must come from one line of the calling function."""
    global checks
    expected = stack_of(frame)
    got_result, got, entries = parse(text)
    assert got_result == result, got_result
    if result == TRUNCATED:
        expected = expected[-MAX_FRAMES:]
    assert len(got) == len(expected), "\n%r\n%r" % (got[-5:], expected[-5:])
    for i, (a, b) in enumerate(zip(got, expected)):
        same = a[:3] == b[:3] and (b[3] is None or a[3] == b[3]) and (i == len(got) - 1 or a[4] == b[4])
        assert same, "frame %d of %d\n%r\n%r" % (i, len(got), a, b)
    checks += 1
    return entries


def snap(*_):
    compare(capture_held(), sys._getframe())
    compare(capture_released(), sys._getframe())
    return 1


def snap_held(*_):
    compare(capture_held(), sys._getframe())
    return 1


def anchors(*_):
    """Strict where the whole evaluation loop is one function that can be found by its name, as in pyenv's builds."""
    global checks
    text = check_anchors(len(sys.argv) > 3 and sys.argv[3] == "strict")
    assert text == b"", text
    checks += 1
    return 1


def in_thread(body, *arguments):
    """Runs it in a thread and raises here what it raised."""
    failures = []

    def run():
        try:
            body(*arguments)
        except BaseException as e:
            failures.append(e)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def run_anchors():
    everything(anchors)
    for body in (nested, recursion, generators, callbacks, constructors):
        in_thread(body, anchors)


def run_unicode():
    names = ["café", "привет", "数据", "𝒇𝒖𝒏", "ß" * 300]
    files = ["naïve.py", "файл.py", "文件.py", "\U0001f40d.py", "\udc80\udcff.py", "x" * 5000]
    for filename in files:
        for name in names:
            scope = {"snap": snap}
            source = "\n" * len(name) + "def %s():\n    return snap()\n" % name
            exec(compile(source, filename, "exec"), scope)
            [f for k, f in scope.items() if callable(f) and k not in ("snap",)][-1]()

    class Text(str):
        pass

    code = compile("snap()", "plain", "exec").replace(co_filename=Text("/tmp/sub-ascii"), co_name=Text("sübclass"))
    exec(code, {"snap": snap})


def run_reused_code():
    """A code object at the address, with the frame and at the instruction of one just freed is another code object.

    Nothing is kept from one round to the next, so that each code object gets the memory of the one before, down to its
    line table. Only the hash can tell that the frame is not the one of the last capture.
    """
    global checks
    lines, hashes, addresses = [0] * 64, [b""] * 64, [0] * 64
    repeats = differences = 0
    scope = {"f": capture_held}
    for i in range(6000):
        before, blank = i % 3, i // 3 % 4
        source = "\nx = 1\n"[i % 2:] * before + "\n" * blank + "text = f()\n" + "x = 1\n" * (2 - before)
        code = compile(source, "<made>", "exec")
        exec(code, scope)
        line, identity = (lambda fields: (int(fields[3]), fields[6]))(scope["text"].split(b"\n")[-2].split(b"\x1f"))
        assert line == before * (2 - i % 2) + blank + 1, (i, line)
        address = id(code)
        for k in range(64):
            repeats += addresses[k] == address
            if hashes[k] == identity:
                assert lines[k] == line, "round %d: one hash for lines %d and %d" % (i, lines[k], line)
            differences += addresses[k] == address and lines[k] != line
        lines[i % 64], hashes[i % 64], addresses[i % 64] = line, identity, address
        checks += 1
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):  # another allocator, less eager to give the same block again
        assert repeats > 10000 and differences > 5000, (repeats, differences)


def run_random_paths(seed, captures=20000):
    """Deep stacks that change at random places between captures."""
    rng = random.Random(seed)
    done = 0

    def one(n):
        return step(n)

    def two(n):
        for _ in gen(n):
            pass

    def gen(n):
        yield step(n)
        yield rng.random() < 0.3 and step(n - 1)

    def three(n):
        sorted([2, 1], key=lambda x: step(n - x) if rng.random() < 0.6 else x)

    def four(n):
        functools.reduce(lambda a, b: step(n - 1) and b, [1, 2])

    def five(n):
        exec(compile("\n" * rng.randrange(4) + "step(n)", "<path>", "exec"), {"step": step, "n": n})

    kept = []

    def six(n):
        if kept and rng.random() < 0.5:
            next(kept.pop(rng.randrange(len(kept))), None)
        else:
            g = gen(n)
            next(g)
            kept.append(g)
            del kept[:-8]

    def step(n):
        nonlocal done
        if done >= captures:
            return 1
        if rng.random() < 0.35:
            compare(capture_held(), sys._getframe())
            done += 1
        if n > 0 and len_stack() < 60:
            rng.choice((one, two, three, four, five, six))(n - 1)
        if rng.random() < 0.35:
            compare(capture_released(), sys._getframe())
            done += 1
        return 1

    def len_stack():
        depth, frame = 0, sys._getframe()
        while frame is not None:
            depth, frame = depth + 1, frame.f_back
        return depth

    while done < captures:
        step(rng.randrange(40))


def run_subinterpreters():
    """Up to 3.11 a subinterpreter's thread state cannot be found while its thread has released the GIL."""
    leaf = "snap" if sys.version_info >= (3, 12) else "snap_held"
    if sys.version_info >= (3, 13):
        import _interpreters as interpreters

        new, run = (lambda: interpreters.create("legacy")), interpreters.exec
    else:
        import _xxsubinterpreters as interpreters

        new = (lambda: interpreters.create(isolated=False)) if sys.version_info >= (3, 10) else interpreters.create
        run = interpreters.run_string
    script = (
        "import sys\nsys.argv = %r\nsys.path.insert(0, %r)\nimport scenarios\n"
        "def f(n):\n    return f(n - 1) if n else scenarios.nested(leaf)\n\nleaf = scenarios.%s\nf(10)\n"
        "scenarios.generators(leaf)\nprint('sub', scenarios.checks)\n"
        % (sys.argv, os.path.dirname(os.path.abspath(__file__)), leaf)
    )

    def in_subinterpreter(depth):
        if depth:
            return in_subinterpreter(depth - 1)
        snap()
        interpreter = new()
        error = run(interpreter, script)
        assert error is None, error
        snap()
        interpreters.destroy(interpreter)
        return snap()

    in_subinterpreter(6)
    in_thread(in_subinterpreter, 2)
    nested(snap)


def run_truncated():
    depth = MAX_FRAMES + 1500
    sys.setrecursionlimit(depth + 2000)
    threading.stack_size(1 << 30)

    def go(n):
        if n == 0:
            compare(capture_held(), sys._getframe(), TRUNCATED)
            compare(capture_held(), sys._getframe(), TRUNCATED)
            return
        go(n - 1)
        if n == 700:
            compare(capture_held(), sys._getframe(), TRUNCATED)
        if n == 3000:
            compare(capture_held(), sys._getframe())

    in_thread(go, depth)


def run_fork():
    pid = os.fork()
    nested(snap)
    recursion(snap, 50)
    if pid == 0:
        os._exit(0 if checks > 20 else 1)
    assert os.waitpid(pid, 0)[1] == 0


class AtShutdown:
    def __del__(self, capture=capture_held, parse=parse, stack_of=stack_of, getframe=sys._getframe, write=os.write):
        stack = parse(capture())[1]
        assert [frame[0] for frame in stack] == [frame[0] for frame in stack_of(getframe())]
        write(1, b"late %d\n" % len(stack))


def run_finalization():
    """Captures while the interpreter shuts down: exit handlers, module teardown, a daemon thread that runs C code."""
    sys.kept = AtShutdown()
    atexit.register(nested, snap)
    usleep = ctypes.CDLL(None).usleep

    def daemon():
        while True:
            capture_released()
            usleep(50)

    for _ in range(3):
        threading.Thread(target=daemon, daemon=True).start()
    time.sleep(0.05)


def run_greenlets():
    import greenlet

    def body(n):
        snap()
        if n:
            recursion(snap, 5)
            greenlet.getcurrent().parent.switch()
            greenlet.greenlet(body).switch(n - 1)
        nested(snap)

    lets = [greenlet.greenlet(body) for _ in range(3)]
    for n in range(2):
        for g in lets:
            g.switch(3)
            snap()


KEEP = object()


def thread_name(library=held):
    return library.pywalk_thread_name().decode("utf-8")


class Grown(threading.Thread):
    """Has more attributes than instances of a class share keys for."""

    def __init__(self, name):
        for i in range(60):
            setattr(self, "before%d" % i, i)
        super().__init__(name=name)
        self.after = []


class Bare(threading.Thread):
    __slots__ = ("mine",)


class Named(str):
    """Not a str exactly: its text may be anywhere."""


def in_named_thread(thread, expected=None, odd=KEEP):
    """Runs it; it must find its own name, cut as a name is. odd: what stands there instead of a name meanwhile."""
    global checks
    seen = []

    def body():
        own = thread.name
        thread._name = own if odd is KEEP else odd
        seen.append((thread_name(), own))
        thread._name = own

    thread.run = body
    thread.start()
    thread.join()
    (got, own), = seen
    wanted = own if expected is None else expected
    assert got == ("" if NO_LOCK else wanted), (got, wanted)
    checks += 1


NO_LOCK = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def run_thread_names():
    global checks
    Thread = threading.Thread
    assert thread_name() == ""  # nothing started this thread
    for thread in (Thread(name="given"), Thread(), Thread(name="more than fifteen bytes long"), Grown("grown"), Bare(name="bare"),
                   Thread(name="h\u00e9 \u4e2d \U0001F600"), Thread(name="")):
        in_named_thread(thread)
    in_named_thread(Thread(name="x" * 300), "x" * 120)
    in_named_thread(Thread(name="\u4e2d" * 100), "\u4e2d" * 40)
    early = Thread(name="first")
    early.name = "second"
    in_named_thread(early)
    with_dictionary = Thread(name="has a dictionary")
    vars(with_dictionary)["more"] = 1
    in_named_thread(with_dictionary)
    many = Thread(name="many attributes")
    vars(many).update(("key%d" % i, i) for i in range(1000))
    in_named_thread(many, "")
    numbered = Thread(name="other keys")
    vars(numbered)[1] = 2
    in_named_thread(numbered)
    for odd in (5, None, b"bytes", Named("odd")):
        in_named_thread(Thread(name="odd"), "", odd)
    nameless = Thread(name="nameless")
    names = []

    def body():
        names.append(thread_name())
        threading.current_thread().name = "renamed within"
        names.append(thread_name())
        names.append(thread_name(released))
        asked.set()
        renamed.wait()
        names.append(thread_name())
        del nameless._name
        names.append(thread_name())
        done.set()

    asked, renamed, done = threading.Event(), threading.Event(), threading.Event()
    nameless.run = body
    nameless.start()
    asked.wait()
    nameless.name = "renamed from outside"
    renamed.set()
    done.wait()
    wanted = ["nameless", "renamed within", "", "renamed from outside", ""]
    assert names == ([""] * 5 if NO_LOCK else wanted), names
    nameless._name = "to end with"
    nameless.join()
    checks += 5


def run_bench():
    def go(n):
        if n:
            return go(n - 1)
        held.pywalk_bench(1000, 0)
        return tuple(min(held.pywalk_bench(3000, cold) for _ in range(15)) for cold in (0, 1))

    print("bench", " ".join("depth %d: %.2f ns/frame verified, %.2f new;" % ((n,) + go(n)) for n in (20, 60, 300)))


SCENARIOS = {
    "nested": lambda: nested(snap),
    "recursion": lambda: recursion(snap),
    "generators": lambda: generators(snap),
    "coroutines": lambda: coroutines(snap),
    "callbacks": lambda: callbacks(snap),
    "constructors": lambda: constructors(snap),
    "threads": lambda: threads(snap),
    "tracing": lambda: tracing(snap),
    "signals": lambda: signals(snap),
    "everything": lambda: everything(snap),
    "anchors": run_anchors,
    "unicode": run_unicode,
    "reused_code": run_reused_code,
    "random_paths": lambda: run_random_paths(int(sys.argv[3])),
    "subinterpreters": run_subinterpreters,
    "truncated": run_truncated,
    "fork": run_fork,
    "finalization": run_finalization,
    "greenlets": run_greenlets,
    "thread_names": run_thread_names,
    "offsets": lambda: print(held.pywalk_offsets().decode()),
    "bench": run_bench,
}

if __name__ == "__main__":
    assert held.pywalk_open() == 2, held.pywalk_info()
    SCENARIOS[sys.argv[2]]()
    print("ok", checks)
    sys.stdout.flush()
