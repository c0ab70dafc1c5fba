"""In another root the path of a trace may lead to somebody else's folder: nothing is written there."""

import os
import pathlib
import sys

import pytest
import tracefile
from conftest import memtap

SIZE = 1_234_567
PROGRAM = """
import os, sys
child = os.fork()
if child == 0:
    os.chroot(sys.argv[1])
    grandchild = os.fork()
    if grandchild == 0:
        kept = bytearray(int(sys.argv[2]))
        os._exit(0)
    os.waitpid(grandchild, 0)
    os._exit(0)
os.waitpid(child, 0)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="chroot needs root")
def test_a_folder_of_the_same_name_in_another_root_stays_empty(tmp_path):
    path, root = tmp_path / "x.mtap", tmp_path / "root"
    folder = pathlib.Path(f"{root}{path}.d")
    folder.mkdir(parents=True)
    memtap("run", "-q", "-o", path, "--", sys.executable, "-c", PROGRAM, root, SIZE)
    assert list(folder.iterdir()) == [] and list(folder.parent.iterdir()) == [folder]
    sizes = [event.size for trace in tracefile.load_run(path) for event in trace.events if event.kind == "alloc"]
    assert sizes.count(SIZE + 1) == 1  # recorded all the same, with the tool's help
