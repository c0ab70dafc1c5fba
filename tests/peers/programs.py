"""Programs for the tests of this folder: they record themselves into sys.argv[1]/x.mtap, with the module `blocks` at hand."""

import textwrap

import pytest
from childprogram import answer

import memtap

PAGE = 4096
ALLOCATORS = ("malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "memalign", "valloc", "pvalloc")
MODES = ("exact", "aggregate")

PRELUDE = """\
import memtap
sys.path.insert(0, sys.argv[2])
import blocks
PATH = sys.argv[1] + "/x.mtap"

def warm(function):
    function()
    return function
"""


def peer(project, test, verdict="same", why=""):
    """Names the peer's test; see conftest.py."""
    return pytest.mark.peer(project, test, verdict, why)


def memray(test, verdict="same", why=""):
    return peer("memray", test, verdict, why)


def recorded(folder, blocks, code, **options):
    """Runs the program and opens what it recorded."""
    answer(PRELUDE + textwrap.dedent(code) + "\nsay(done=True)\n", folder, blocks, **options)
    return memtap.open(folder / "x.mtap")


def of_size(trace, size, kind="alloc"):
    return [event for event in trace.records() if event.kind == kind and event.size == size]


def frees_of(trace, event):
    """Frees of the block that `event` allocated, later than it and before the address is used again."""
    found, inside = [], False
    for other in trace.records():
        if other == event:
            inside = True
        elif inside and other.address == event.address:
            if other.kind != "free":
                break
            found.append(other)
    return found


def names(trace, event):
    """The Python functions of an event's stack, innermost first."""
    return [frame.function for frame in trace.stack(event.stack_id) if frame.is_python]


def all_names(trace, event):
    return [frame.function for frame in trace.stack(event.stack_id)]


def program_of(steps, unit=1):
    """Source of program(): `name=N` allocates N units, `-name` frees them; what is left it returns."""
    return f"""
def program():
    held = {{}}
    for step in {steps!r}.split():
        if step[0] == "-":
            blocks.put(held.pop(step[1:]))
        else:
            name, size = step.split("=")
            held[name] = blocks.get("valloc", int(size) * {unit})
    return held
"""
