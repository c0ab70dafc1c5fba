"""HeapSnapshot.diff: growth between two snapshots, in a process of its own that samples everything of interest."""

import subprocess
import sys

import pytest

PROGRAM = """
import memtap.memprof as memprof

def hold(n, size):
    held = []
    for _ in range(n):
        held.append(bytearray(size))  # HOLD
    return held

SIZE = 1 << 20  # 16 times the rate: a block is missed once in 9 million times
memprof.start(sampling_rate_kb=64)
old = hold(10, SIZE)
first = memprof.get_snapshot()
new = hold(20, SIZE)
del old[:5]
second = memprof.get_snapshot(include_freed=True)
growth = second.diff(first)
blocks = [s.estimated_bytes for s in growth.samples if s.size > SIZE]  # on that line also small ones may be sampled
assert len(blocks) == 20 and abs(sum(blocks) - 20 * SIZE) < SIZE // 100, blocks
top = growth.top_allocators(1)[0]
assert top["estimated_bytes"] >= sum(blocks) and top["function"] == "hold" and top["line"] == LINE, top
assert growth.live_samples == len(growth.samples) and not growth.freed_samples
assert growth.estimated_heap_bytes == sum(s.estimated_bytes for s in growth.samples)
assert growth.total_samples == second.total_samples - first.total_samples >= growth.live_samples
assert growth.timestamp_ns == second.timestamp_ns
assert second.live_samples == len(second.samples) > growth.live_samples  # the operands are as they were
assert second.diff(second).samples == [] and second.diff(second).top_allocators(5) == []
memprof.stop()
stopped = memprof.get_snapshot()
late = hold(5, SIZE)  # nobody samples these
assert memprof.get_snapshot().diff(stopped).samples == []
growth.save("growth.json")
growth.save("growth.txt", format="collapsed")
assert sum(int(line.rsplit(" ", 1)[1]) for line in open("growth.txt")) == growth.estimated_heap_bytes
"""


def run(program, folder):
    line = 1 + [text.endswith("# HOLD") for text in program.splitlines()].index(True)
    file = folder / "program.py"
    file.write_text(program.replace("LINE", str(line)))
    return subprocess.run([sys.executable, str(file)], cwd=folder, stderr=subprocess.PIPE, universal_newlines=True,
                          timeout=300)


def test_diff_is_what_came_and_stayed(tmp_path):
    done = run(PROGRAM, tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("old, new", [("len(blocks) == 20", "len(blocks) == 25"), ("diff(first)", "diff(second)")])
def test_the_program_above_can_fail(tmp_path, old, new):
    assert PROGRAM.count(old) == 1
    assert run(PROGRAM.replace(old, new), tmp_path).returncode == 1
