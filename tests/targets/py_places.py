"""py_places.py: memory in many hands: of lines of this program, of the standard library that they call, of imports.

case_own keeps 100 bytearrays of 50,000 bytes, case_library what json makes of a text of 2,000 strings, case_thread 10 lists of
5,000 items from a thread's function. keep_item, which json calls, keeps 30,000 bytes. Modules are imported on lines of their own.
"""

import threading
import wsgiref.headers  # IMPORT of a package
import colorsys  # IMPORT of a module
import json

KEPT = []


def case_own():
    for _ in range(100):
        KEPT.append(bytearray(50_000))


def case_library():
    KEPT.append(json.loads(json.dumps([f"{i:06}" + "x" * 100 for i in range(2_000)])))


def case_thread():
    for _ in range(10):
        KEPT.append(list(bytes(5_000)))


def keep_item(item):
    KEPT.append(bytearray(30_000))
    return item


def case_callback():
    json.loads('{"a": 1}', object_hook=keep_item)


case_own()
case_callback()
case_library()
thread = threading.Thread(target=case_thread)
thread.start()
thread.join()
print(len(KEPT), colorsys.ONE_SIXTH < wsgiref.headers.__name__.__len__(), flush=True)
import os
os._exit(0)  # the end is before the interpreter tidies up
