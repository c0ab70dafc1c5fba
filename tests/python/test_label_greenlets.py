"""Labels and tasks where greenlets take turns on a thread: each greenlet has its own."""

import sys

import pytest
from childprogram import answer

REPORT = """
def report(path):
    found = {}
    with memtap.open(path) as trace:
        for by in ("label", "task"):
            found[by] = {row[by] or "": row["bytes"] for row in trace.leaks(by=by)}
    return found

kept = []
def take(size):
    kept.append(bytearray(size))
"""


def check(found, wanted, others=20_000):
    """wanted: {name: bytes it took}; small objects come on top, fewer than others."""
    for name, size in wanted.items():
        assert size <= found.get(name, 0) < size + others, (name, found)


def test_a_label_is_of_the_greenlet_that_set_it(tmp_path):
    pytest.importorskip("greenlet")
    found = answer(REPORT + """
import greenlet
main = greenlet.getcurrent()

def job(name, size):
    with memtap.label(name):
        for _ in range(10):
            take(size)
            main.switch()
    for _ in range(10):
        take(1000 + size)
        main.switch()

with memtap.record(sys.argv[1] + "/a.mtap"):
    with memtap.label("outer"):
        jobs = [greenlet.greenlet(job) for _ in range(3)]
        for number, turn in enumerate(jobs):
            turn.switch(f"job-{number}", 20_000 * (number + 1))
            take(7_000)
    while any(jobs):
        for turn in jobs:
            turn.switch()
say(**report(sys.argv[1] + "/a.mtap"))
""", tmp_path)["label"]
    check(found, {"job-0": 200_000, "job-1": 400_000, "job-2": 600_000, "outer": 21_000})
    check(found, {"": 10 * (21_000 + 41_000 + 61_000)}, others=100_000)


def test_greenlets_are_tasks_with_their_names(tmp_path):
    pytest.importorskip("gevent")
    found = answer(REPORT + """
import gevent
def work(size):
    for _ in range(10):
        take(size)
        gevent.sleep(0)

memtap.label_tasks()
with memtap.record(sys.argv[1] + "/a.mtap"):
    named = [gevent.spawn(work, 10_000 * (n + 1)) for n in range(3)]
    for number, task in enumerate(named):
        task.name = f"fetch-{number}"
    gevent.joinall(named)
    take(50_000)
say(**report(sys.argv[1] + "/a.mtap"))
""", tmp_path)["task"]
    check(found, {"fetch-0": 100_000, "fetch-1": 200_000, "fetch-2": 300_000})
    check(found, {"MainThread": 50_000}, others=200_000)  # gevent's own too


def test_threads_that_are_greenlets_go_by_the_names_of_threads(tmp_path):
    pytest.importorskip("gevent")
    found = answer("from gevent import monkey; monkey.patch_all()\n" + REPORT + """
import threading, time
def work(size):
    for _ in range(10):
        take(size)
        time.sleep(0)

memtap.label_tasks()
with memtap.record(sys.argv[1] + "/a.mtap"):
    threads = [threading.Thread(target=work, args=(10_000 * (n + 1),), name=f"worker-{n}") for n in range(3)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
say(**report(sys.argv[1] + "/a.mtap"))
""", tmp_path)["task"]
    check(found, {"worker-0": 100_000, "worker-1": 200_000, "worker-2": 300_000})


def test_a_greenlet_without_a_name_gets_one_or_that_of_the_task_it_works_for(tmp_path):
    pytest.importorskip("greenlet")
    found = answer(REPORT + """
import asyncio, greenlet

async def statement(number):
    def inside(size):
        take(size)
        greenlet.getcurrent().parent.switch()
        take(size)
    asyncio.current_task().set_name(f"query-{number}")
    await asyncio.sleep(0)
    turn = greenlet.greenlet(inside)
    turn.switch(10_000 * (number + 1))
    take(1_000)
    await asyncio.sleep(0)
    turn.switch()

async def main():
    await asyncio.gather(*(statement(n) for n in range(3)))

memtap.label_tasks()
with memtap.record(sys.argv[1] + "/a.mtap"):
    asyncio.run(main())
    alone = greenlet.greenlet(lambda: take(90_000))
    alone.switch()
say(**report(sys.argv[1] + "/a.mtap"))
""", tmp_path)["task"]
    check(found, {"query-0": 21_000, "query-1": 41_000, "query-2": 61_000, "greenlet-1": 90_000})


def test_who_traced_before_is_told_and_what_a_greenlet_raises_is_its_own(tmp_path):
    pytest.importorskip("greenlet")
    found = answer("""
import gc, greenlet, weakref
seen = []
greenlet.settrace(lambda event, turns: seen.append(event))
memtap.label_tasks()

def fails():
    raise KeyError("mine")

turn = greenlet.greenlet(fails)
known = weakref.ref(turn)
try:
    turn.switch()
except KeyError as error:
    raised = str(error)
    error.__traceback__ = None
del turn
gc.collect()
say(raised=raised, seen=seen, kept=known() is not None, traced=greenlet.gettrace() is not None)
""", tmp_path)
    assert found == {"raised": "'mine'", "seen": ["switch", "throw"], "kept": False, "traced": True}
