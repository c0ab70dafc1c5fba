"""What is Python about `memtap eval`: the text that the agent runs once in an interpreter, CPython 3.8 to 3.14.

Decides: where names are looked up and kept, what counts as the eval's output, how a failure is told, what the standing-in
psutil offers. It is a part of the agent (pysource.c), no file of the target. The agent puts these into it (pycalls.c, pystreams.c):
    emit(stream, data)           bytes to who asked: 1 standard output, 2 standard error, 3 traceback, 4 the error in one line
    guarded(function, *args)     calls it; only in here is the eval interrupted
    put_stand_in(number, own)    in the place of sys.stdin, stdout or stderr (0, 1, 2): `own` to the thread that calls this, to
                                 all others what is there
    take_stand_in(number)        takes it out again
    WatchedModule                the type that sys has meanwhile
Invariant: whatever happens in here, the program finds its sys.stdout, its modules and its threads as they were. The thread this
runs in is no thread of the program's and is gone afterwards.
"""
import builtins
import io
import os
import sys
import time
import _ast
import _thread

DONE, RAISED, TIME_LIMIT, DENIED = range(4)
ONLY_TREE = 0x400  # PyCF_ONLY_AST
SOURCES_KEPT = 16
OWN_FILE = "<memtap>"
Module = type(builtins)


class TimeLimit(BaseException):
    """The eval took longer than it may."""

    def __str__(self):
        return "the code took longer than it may (--timeout)"


TimeLimit.__module__ = "memtap"


class Namespace(dict):
    """The names of all evals of this process: their own, then those of __main__ as they are at that moment (__missing__ is set by
    run), then the builtins."""


class Output(io.RawIOBase):
    """A stream whose bytes go to who asked."""

    def __init__(self, stream):
        self.stream = stream

    def writable(self):
        return True

    def write(self, data):
        data = bytes(data)
        emit(self.stream, data)
        return len(data)


class Nowhere(io.TextIOBase):
    """Stands for a standard stream that the program has taken away."""

    def write(self, text):
        return len(text)


def text_stream(stream):
    return io.TextIOWrapper(Output(stream), encoding="utf-8", errors="backslashreplace", newline="\n", write_through=True)


names = Namespace()
seen_builtins = {}
sources = {}
evals = 0


# ---- standard streams -----------------------------------------------------------------------------------------------------

nowhere = Nowhere()
retired = []  # stand-ins that were taken out: a thread may be in the middle of a print to one
kept = []     # those of before
kept_since = 0


def let_go():
    """Of stand-ins that were taken out more than a minute ago."""
    global kept, kept_since
    now = time.monotonic()
    if now - kept_since > 60:
        kept, kept_since = retired[:], now
        del retired[:]


def redirect():
    let_go()
    if type(sys) is Module:
        sys.__class__ = WatchedModule
    put_stand_in(0, io.StringIO())
    put_stand_in(1, text_stream(1))
    put_stand_in(2, text_stream(2))


def restore():
    for number in range(3):
        take_stand_in(number)
    if type(sys) is WatchedModule:
        sys.__class__ = Module


# ---- modules --------------------------------------------------------------------------------------------------------------

def import_module(name, globals=None, locals=None, fromlist=(), level=0):
    """`import` of the eval's own code."""
    if name not in sys.modules and name not in sys.builtin_module_names and "threading" not in sys.modules:
        builtins.__import__("threading")
        settle_threads()
    try:
        return builtins.__import__(name, globals, locals, fromlist, level)
    except ImportError:
        if name != "psutil" or level != 0:
            raise
    return psutil_stand_in()


def settle_threads():
    """threading takes the thread that imports it first for the main one (before 3.13): put that right, and forget ours."""
    threading = sys.modules.get("threading")
    if threading is None or not hasattr(threading, "_active"):
        return
    here = _thread.get_ident()
    main = getattr(threading, "_main_thread", None)
    others = [ident for ident in sys._current_frames() if ident != here]
    with threading._active_limbo_lock:
        if sys.version_info < (3, 13) and main is not None and main.ident == here and others:
            lock = _thread.allocate_lock()
            lock.acquire()
            threading._shutdown_locks.discard(main._tstate_lock)
            threading._shutdown_locks.add(lock)
            main._tstate_lock = lock
            main._ident, main._native_id = others[-1], os.getpid()
            threading._active[main._ident] = main
        threading._active.pop(here, None)


def psutil_stand_in():
    """As much of psutil as reading this process's own memory takes; no module of the program."""
    from collections import namedtuple
    memory = namedtuple("pmem", "rss vms shared text lib data dirty")
    page = os.sysconf("SC_PAGE_SIZE")

    class Process:
        def __init__(self, pid=None):
            if pid not in (None, os.getpid()):
                raise NotImplementedError("psutil is not installed in this process: memtap stands in for its own pid alone")
            self.pid = os.getpid()

        def memory_info(self):
            with open("/proc/self/statm", "rb") as file:
                total, resident, shared, text, lib, data, dirty = (int(pages) * page for pages in file.read().split())
            return memory(resident, total, shared, text, lib, data, dirty)

        def memory_percent(self, memtype="rss"):
            return getattr(self.memory_info(), memtype) * 100 / (os.sysconf("SC_PHYS_PAGES") * page)

    module = Module("psutil", "memtap's stand-in: psutil is not installed in this process.")
    Process.__module__ = "psutil"
    module.Process = Process
    return module


# ---- failures -------------------------------------------------------------------------------------------------------------

def without_own_frames(trace):
    """A traceback without the frames of this text."""
    kept = []
    while trace is not None:
        if trace.tb_frame.f_code.co_filename != OWN_FILE:
            kept.append(trace)
        trace = trace.tb_next
    for outer, inner in zip(kept, kept[1:]):
        outer.tb_next = inner
    if kept:
        kept[-1].tb_next = None
    return kept[0] if kept else None


def clean(error):
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        error.__traceback__ = without_own_frames(error.__traceback__)
        error = error.__context__ if error.__cause__ is None else error.__cause__


def told(error):
    """The traceback, and the failure in one line."""
    import linecache
    import traceback
    clean(error)
    linecache.cache.update((file, (len(text), None, text.splitlines(True), file)) for file, text in sources.items())
    try:
        lines = traceback.format_exception(type(error), error, error.__traceback__)
        last = traceback.format_exception_only(type(error), error)[-1]
    finally:
        for file in sources:
            linecache.cache.pop(file, None)
    return "".join(lines), last.strip()


def report(error):
    try:
        text, line = told(error)
    except Exception:  # whatever a class of the program's says about itself
        text = line = type(error).__name__
    emit(3, text.encode("utf-8", "backslashreplace"))
    emit(4, line.encode("utf-8", "backslashreplace"))


# ---- running --------------------------------------------------------------------------------------------------------------

def compiled(code, file):
    """The statements, and the value of the last one if it is an expression."""
    tree = compile(code + b"\n", file, "exec", ONLY_TREE, True)
    last = None
    if tree.body and isinstance(tree.body[-1], _ast.Expr):
        last = _ast.Expression(tree.body.pop().value)
    return (compile(tree, file, "exec", 0, True), last and compile(last, file, "eval", 0, True))


def print_held(*values, **how):
    """print, holding the stream that it writes to: before 3.14 the original does not, and another thread may replace it."""
    file = how.pop("file", None)
    builtins.print(*values, file=sys.stdout if file is None else file, **how)


def show(value):
    if value is not None:
        names["_"] = value
        print_held(repr(value))


def execute(code, file):
    statements, last = compiled(code, file)
    guarded(exec, statements, names)
    if last is not None:
        guarded(show, guarded(eval, last, names))


def prepare(code):
    global evals
    evals += 1
    file = "<memtap eval %d>" % evals
    sources[file] = code.decode("utf-8", "replace")
    for old in list(sources)[:-SOURCES_KEPT]:
        del sources[old]
    seen_builtins.update(vars(builtins))
    seen_builtins.update({"__import__": import_module, "print": print_held})
    names["__builtins__"] = seen_builtins
    Namespace.__missing__ = vars(sys.modules["__main__"]).__getitem__ if "__main__" in sys.modules else {}.__getitem__
    return file


def outcome(code, file):
    try:
        execute(code, file)
        return DONE
    except SystemExit as error:
        if error.code in (None, 0):
            return DONE
        report(error)
    except TimeLimit as error:
        report(error)
        return TIME_LIMIT
    except BaseException as error:
        report(error)
    return RAISED


def run(code):
    if os.environ.get("MEMTAP_ALLOW_EVAL") == "0":
        return DENIED
    process = os.getpid()
    end = RAISED
    try:
        redirect()
        end = outcome(code, prepare(code))
    finally:
        restore()
        settle_threads()
        if os.getpid() != process:  # the code has forked, and this is the child
            os._exit(int(end != DONE))
    return end
