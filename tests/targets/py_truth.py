"""What the Python targets share: allocate a block of known size and note where that happened.

Decides: the form of the truth. `keep(bytes(N))` on one line makes one block (bytes objects are one block of
sys.getsizeof bytes) and notes the stack of Python frames with the lines the interpreter itself names. Every size is used
once, so a block in a trace is found by its size. finish() writes {"blocks": [{"size", "stack": [[function, line], ...],
"live"}]} to the file named by the environment variable TRUTH_FILE and ends the process; frames are innermost first, those
of the standard library are left out.
"""

import json
import os
import sys

KEPT = {}
BLOCKS = []
FOLDER = os.path.dirname(os.path.abspath(__file__))


def python_stack(frame):
    stack = []
    while frame is not None:
        code = frame.f_code
        if os.path.dirname(os.path.abspath(code.co_filename)) == FOLDER:
            stack.append([code.co_name, frame.f_lineno])
        frame = frame.f_back
    return stack


def keep(block):
    """Notes the block where it was made and keeps it alive."""
    size = sys.getsizeof(block)
    assert size not in KEPT, "every size is used once"
    KEPT[size] = block
    BLOCKS.append({"size": size, "stack": python_stack(sys._getframe(1)), "live": True})
    return block


def drop(size_of):
    """Forgets a block made by keep: it is freed now, if the caller holds no reference."""
    size = sys.getsizeof(size_of)
    del KEPT[size]
    for block in BLOCKS:
        if block["size"] == size:
            block["live"] = False


def finish():
    with open(os.environ["TRUTH_FILE"], "w") as file:
        json.dump({"blocks": BLOCKS, "python": sys.version_info[:3]}, file)
    leave()


def leave():
    """Ends the process while everything is alive: the interpreter's own end would free it."""
    sys.stdout.flush()
    os._exit(0)
