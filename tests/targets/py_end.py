"""A Python program that ends as its argument says: return, exit, exception, sigterm, daemon, thread, quit, killed, exec.

Each function makes blocks of one size of its own: keep() for a global, which the interpreter frees when it takes down the
module; cycle() for garbage that only the last collection frees; atexit() empties what before() made; late() runs while the
interpreter goes and makes what nobody frees; side() is of a thread. Prints how many bytes each holds when the program's
code is done, as JSON, before it ends.
"""

import atexit
import ctypes
import gc
import json
import os
import signal
import sys
import threading

COUNT = 50
kept, emptied, of_thread, last = [None] * COUNT, [None] * COUNT, [None] * COUNT, [None]


def keep():
    for i in range(COUNT):
        kept[i] = bytes(10_007)


def before():
    for i in range(COUNT):
        emptied[i] = bytes(11_003)


class Ring:
    pass


def cycle():
    ring = Ring()
    ring.itself = ring
    block = bytes(12_007)
    ring.block = block


def late(keep_for_ever=ctypes.pythonapi.Py_IncRef, wrap=ctypes.py_object, make=bytes):
    block = make(13_001)
    keep_for_ever(wrap(block))


class Last:
    def __del__(self, function=late):
        function()


def side():
    for i in range(COUNT):
        of_thread[i] = bytes(14_009)


def size_of(block):
    return sys.getsizeof(block)


@atexit.register
def empty():
    for i in range(COUNT):
        emptied[i] = None


def terminate(signum, frame):
    sys.exit(0)


def run_aside(daemon):
    done = threading.Event()

    def body():
        if not daemon:
            done.wait()
        side()
        if daemon:
            done.set()
            threading.Event().wait()

    threading.Thread(target=body, daemon=daemon).start()
    if daemon:
        done.wait()
    else:
        threading.main_thread()  # it ends after the last line of this file: the interpreter waits for it
        threading.Timer(0, done.set).start()


def main(how):
    gc.disable()
    keep()
    before()
    cycle()
    last[0] = Last()
    held = {"keep": COUNT * size_of(kept[0]), "cycle": size_of(bytes(12_007))}
    if how in ("daemon", "thread"):
        held["side"] = COUNT * size_of(bytes(14_009))
    print(json.dumps(held), flush=True)
    if how in ("daemon", "thread"):
        run_aside(how == "daemon")
    if how == "exit":
        sys.exit(0)
    if how == "exception":
        raise SystemError("as asked")
    if how == "sigterm":
        signal.signal(signal.SIGTERM, terminate)
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
    if how == "quit":
        os._exit(0)
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exec":
        os.execv("/bin/true", ["true"])


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "return")
