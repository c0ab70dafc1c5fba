"""Greenlets and gevent: a stack has the frames of one greenlet, also where they take turns in the middle of allocating."""

import json
import os
import subprocess
import sys

import pytest

import memtap

BLOCK = 10_000
ROUNDS = 50

COMMON = """
import json, sys
kept = []

def keep(count):
    for _ in range(count):
        kept.append(bytearray({block}))
        give_turn()

def inner_one(count): keep(count)
def inner_two(count): keep(2 * count)
def inner_three(count): keep(3 * count)
def task_one(): inner_one({rounds})
def task_two(): inner_two({rounds})
def task_three(): inner_three({rounds})
TASKS = (task_one, task_two, task_three)
""".format(block=BLOCK, rounds=ROUNDS)

PROGRAMS = {
    "greenlet": COMMON + """
import greenlet
main = greenlet.getcurrent()
def give_turn():
    main.switch()
turns = [greenlet.greenlet(task) for task in TASKS]
while turns:
    for turn in list(turns):
        turn.switch()
        if turn.dead:
            turns.remove(turn)
""",
    "greenlets that start each other": COMMON + """
import greenlet
order = []
def give_turn():
    order.append(order.pop(0))
    if order[0] is not greenlet.getcurrent():
        order[0].switch()
def started(number):
    if number + 1 < len(TASKS):
        following = greenlet.greenlet(started)
        order.append(following)
        following.switch(number + 1)
    TASKS[number]()
    order.remove(greenlet.getcurrent())
    if order:
        order[0].switch()
first = greenlet.greenlet(started)
order.append(first)
first.switch(0)
while order:
    order[0].switch()
""",
    "gevent": COMMON + """
import gevent
def give_turn():
    gevent.sleep(0)
gevent.joinall([gevent.spawn(task) for task in TASKS])
""",
    "gevent under threads": "from gevent import monkey; monkey.patch_all()\n" + COMMON + """
import threading, time
def give_turn():
    time.sleep(0)
threads = [threading.Thread(target=task, name=task.__name__) for task in TASKS]
for thread in threads: thread.start()
for thread in threads: thread.join()
""",
}
IMPORTS = {"greenlet": "greenlet", "greenlets that start each other": "greenlet"}


@pytest.fixture(params=["run", "record"])
def recorded(request, tmp_path):
    """The trace of a program, from outside or from inside."""

    def record(program):
        path = tmp_path / "trace.mtap"
        (tmp_path / "program.py").write_text(program)
        inside = "import memtap, runpy\nwith memtap.record({!r}):\n    kept = runpy.run_path('program.py')".format(str(path))
        command = ["-m", "memtap", "run", "-q", "-o", str(path), "--", sys.executable, "program.py"]
        command = command if request.param == "run" else ["-c", inside]
        done = subprocess.run([sys.executable, *command], cwd=str(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              universal_newlines=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, timeout=300)
        assert done.returncode == 0, done.stdout
        return memtap.open(path)

    return record


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_a_stack_has_the_frames_of_one_greenlet(name, recorded):
    pytest.importorskip(IMPORTS.get(name, "gevent"))
    found = dict.fromkeys(("one", "two", "three"), 0)
    with recorded(PROGRAMS[name]) as trace:
        assert trace.stats()["dropped_events"] == 0
        for row in trace.leaks(stacks=True, all_frames=True):
            functions = [frame["function"].rpartition(".")[2] for frame in row["stack"]]
            tasks = {function[5:] for function in functions if function.startswith("task_")}
            inner = {function[6:] for function in functions if function.startswith("inner_")}
            assert len(tasks) <= 1 and inner <= tasks, json.dumps(row["stack"], indent=1)
            if "keep" in functions and row["bytes"] >= BLOCK:
                assert tasks and inner == tasks, json.dumps(row["stack"], indent=1)
            for task in tasks:
                found[task] += row["bytes"]
    for factor, task in enumerate(("one", "two", "three"), 1):
        whole = factor * ROUNDS * BLOCK
        assert whole <= found[task] < whole + ROUNDS * BLOCK // 2, (task, found)
