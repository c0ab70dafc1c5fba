"""Threads with names that the kernel has no room for; prints what each allocated, by name, as JSON.

Every thread keeps one block, the size of which is its own, so that a report by thread can be compared with what is printed.
"""

import json
import threading

LONG = "a name of far more than fifteen bytes"
kept = []
truth = {}


def keep(size):
    kept.append(bytearray(size))


def keep_elsewhere(size):
    kept.append(bytearray(size))


def run(thread, size, name=None):
    thread.start()
    thread.join()
    truth[name or thread.name] = size


def named_before_the_start():
    run(threading.Thread(target=keep, args=(1 << 20,), name="loader"), 1 << 20)
    run(threading.Thread(target=keep, args=(2 << 20,), name=LONG), 2 << 20)
    run(threading.Thread(target=keep, args=(3 << 20,), name="\u00e9\u4e2d"), 3 << 20)
    unnamed = threading.Thread(target=keep, args=(4 << 20,))
    unnamed.name = "named before its start"
    run(unnamed, 4 << 20)


def renames_itself():
    keep(1)
    threading.current_thread().name = "renamed by itself"
    keep_elsewhere(5 << 20)


def renamed_by_another():
    started, renamed = threading.Event(), threading.Event()

    def body():
        keep(1)
        started.set()
        renamed.wait()
        keep_elsewhere(6 << 20)

    thread = threading.Thread(target=body, name="named at first")
    thread.start()
    started.wait()
    thread.name = "renamed by another"
    renamed.set()
    thread.join()
    truth[thread.name] = 6 << 20


def one_after_the_other():
    """Each takes the place of the one before it, and allocates where that did."""
    for number in range(20):
        run(threading.Thread(target=keep, args=((7 << 20) + 65536 * number,), name="worker number %d of many" % number),
            (7 << 20) + 65536 * number)


named_before_the_start()
run(threading.Thread(target=renames_itself, name="to be renamed"), 5 << 20, "renamed by itself")
renamed_by_another()
one_after_the_other()
print(json.dumps(truth))
