"""memtap.record(follow=True): fork children are recorded too and come into the one file."""

import os
import subprocess

import pytest
from childprogram import answer, answers, run

import memtap
from memtap._command import program_path

MIB = 1 << 20
SLACK = MIB // 2  # what an interpreter does beside the blocks of a test

# fork(body) runs body in a child and gives its pid; wait(pid) its exit code.
FORKS = """
def fork(body):
    pid = os.fork()
    if pid == 0:
        try:
            body()
        finally:
            os._exit(0)
    return pid

def wait(pid):
    return os.waitpid(pid, 0)[1]

"""


def by_process(path):
    """{pid: name of its file} and {pid: bytes alive at its end} of the processes, and the numbers of the run."""
    with memtap.open(path) as trace:
        assert trace.stats()["dropped_events"] == 0
        places = {process.pid: os.path.basename(process.path) for process in trace.processes}
        held = dict.fromkeys(places, 0)
        for sample in trace.snapshot(resolve=False).live:
            held[sample.pid] += sample.size
        return places, held, trace.stats()


def files(folder):
    return sorted(name for name in os.listdir(str(folder)) if not name.startswith("."))


def test_children_and_their_children_come_into_the_one_file(tmp_path):
    found = answer(FORKS + """
def grandchild():
    global third
    third = bytearray(11 << 20)
    say(grandchild=os.getpid())

def child():
    global second
    second = bytearray(9 << 20)
    wait(fork(grandchild))
    say(child=os.getpid())

with memtap.record(sys.argv[1] + "/a", follow=True) as recording:
    first = bytearray(5 << 20)
    pid = fork(child)
    status = wait(pid)
say(parent=os.getpid(), child=pid, status=status, path=recording.path, running=recording.running)
""", tmp_path)
    places, held, stats = by_process(tmp_path / "a")
    assert found["status"] == 0 and found["running"] is False and found["path"] == str(tmp_path / "a")
    assert files(tmp_path) == ["a"] and set(places.values()) == {"a"} and len(places) == 3
    assert abs(held[found["parent"]] - 5 * MIB) < SLACK and abs(held[found["child"]] - 9 * MIB) < SLACK
    (third,) = set(places) - {found["parent"], found["child"]}
    assert abs(held[third] - 11 * MIB) < SLACK
    assert abs(stats["peak_bytes"] - 25 * MIB) < 3 * SLACK  # all three were alive together


@pytest.mark.parametrize("mode", ["exact", "sample", "aggregate"])
def test_every_allocation_of_a_pool_is_in_the_file(tmp_path, mode):
    (tmp_path / "tasks.py").write_text("kept = []\ndef task(n):\n    kept.append(bytearray(100_000 + n))\n    return n\n")
    answer("""
        sys.path.insert(0, sys.argv[1])
        import multiprocessing, tasks
        with memtap.record(sys.argv[1] + "/a", follow=True, mode=sys.argv[2], rate=1000):
            with multiprocessing.get_context("fork").Pool(3) as pool:
                done = pool.map(tasks.task, range(200), chunksize=1)
                pool.close()
                pool.join()
        say(done=len(done))
        """, tmp_path, mode)
    assert files(tmp_path) == ["__pycache__", "a", "tasks.py"] or files(tmp_path) == ["a", "tasks.py"]
    with memtap.open(tmp_path / "a") as trace:
        assert trace.info["traces"] == 4
        rows = [row for row in trace.leaks() if (row["function"], row["line"]) == ("task", 3)]
    assert sum(row["bytes"] for row in rows) >= sum(100_000 + n for n in range(200))
    assert sum(row["count"] for row in rows) >= 200


def test_a_child_that_lives_on_is_said_and_its_part_goes_with_the_file(tmp_path):
    found = answer(FORKS + """
import warnings
read, write = os.pipe()

def child():
    global kept
    kept = bytearray(9 << 20)
    os.write(ready, b"x")
    os.read(read, 1)
    kept = [kept, bytearray(3 << 20)]

told, ready = os.pipe()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    with memtap.record(sys.argv[1] + "/a", follow=True):
        pid = fork(child)
        os.read(told, 1)
        kept = bytearray(5 << 20)
said = [str(warning.message) for warning in caught]
with memtap.open(sys.argv[1] + "/a") as trace:
    alive = trace.info["live"], trace.info["traces"]
os.write(write, b"x")
wait(pid)
say(said=said, child=pid, parent=os.getpid(), alive=alive)
""", tmp_path)
    (said,) = found["said"]
    assert "1 child process of this recording stays in {}".format(tmp_path / "a.d") in said and str(found["child"]) in said
    assert found["alive"] == [True, 2] and files(tmp_path) == ["a", "a.d"]
    subprocess.run([program_path(), "pack", "-q", str(tmp_path / "a")], check=True)
    places, held, _ = by_process(tmp_path / "a")
    assert files(tmp_path) == ["a"] and set(places) == {found["child"], found["parent"]}
    assert abs(held[found["child"]] - 12 * MIB) < SLACK  # recorded to its end


def test_a_child_that_leaves_the_block_ends_its_part(tmp_path):
    found = answers(FORKS + """
with memtap.record(sys.argv[1] + "/a", follow=True) as recording:
    pid = os.fork()
    kept = bytearray((9 if pid == 0 else 5) << 20)
    if pid:
        wait(pid)
after = bytearray(7 << 20)
say(pid=pid, running=recording.running, state=memtap._agent.state()["mode"])
if pid == 0:
    os._exit(0)
""", tmp_path)
    assert [item["state"] for item in found] == ["off", "off"] and not any(item["running"] for item in found)
    places, held, _ = by_process(tmp_path / "a")
    assert files(tmp_path) == ["a"]
    assert sorted(round(value / MIB) for value in held.values()) == [5, 9]


@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), 9)", "sys.exit(0)"])
def test_however_a_child_ends_its_part_is_there(tmp_path, end):
    run(FORKS + """
with memtap.record(sys.argv[1] + "/a", follow=True):
    pid = os.fork()
    if pid == 0:
        kept = bytearray(9 << 20)
        {}
    wait(pid)
""".format(end), tmp_path)
    places, held, stats = by_process(tmp_path / "a")
    assert files(tmp_path) == ["a"] and len(places) == 2
    assert stats["peak_bytes"] >= 9 * MIB


def test_children_are_followed_where_memprof_is_on_too(tmp_path):
    found = answers(FORKS + """
def child():
    running = m._running
    m.start(sampling_rate_kb=1)
    global kept
    kept = bytearray(9 << 20)
    say(running=running, seen=len(sizes(m.get_snapshot(), 9 << 20)))

with memtap.record(sys.argv[1] + "/a", follow=True):
    m.start(sampling_rate_kb=1)
    first = bytearray(5 << 20)
    pid = fork(child)
    status = wait(pid)
    seen = len(sizes(m.get_snapshot(), 5 << 20))
say(status=status, seen=seen)
m.shutdown()
""", tmp_path)
    assert found == [{"running": False, "seen": 1}, {"status": 0, "seen": 1}]
    places, held, _ = by_process(tmp_path / "a")
    assert files(tmp_path) == ["a"] and sorted(round(value / MIB) for value in held.values()) == [5, 9]


def test_children_come_into_the_file_where_their_end_is_ignored(tmp_path):
    answer(FORKS + """
import signal
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
read, write = os.pipe()
with memtap.record(sys.argv[1] + "/a", follow=True):
    pid = fork(lambda: None)
    try:
        wait(pid)
    except ChildProcessError:
        pass
say()
""", tmp_path)
    assert files(tmp_path) == ["a"]
    with memtap.open(tmp_path / "a") as trace:
        assert trace.info["traces"] == 2


def test_without_follow_children_are_not_recorded(tmp_path):
    answer(FORKS + """
with memtap.record(sys.argv[1] + "/a"):
    wait(fork(lambda: bytearray(9 << 20)))
say()
""", tmp_path)
    with memtap.open(tmp_path / "a") as trace:
        assert files(tmp_path) == ["a"] and trace.info["traces"] == 1


def test_what_an_earlier_recording_left_is_refused_or_replaced(tmp_path):
    found = answer(FORKS + """
path = sys.argv[1] + "/a"
os.mkdir(path + ".d")
open(path + ".d/17.mtap", "w").close()
refused = raised(memtap.record(path, follow=True).start)
with memtap.record(path, follow=True, overwrite=True):
    wait(fork(lambda: None))
say(refused=refused, mode=memtap._agent.state()["mode"])
""", tmp_path)
    assert found["refused"][0] == "FileExistsError" and "a.d" in found["refused"][1]
    with memtap.open(tmp_path / "a") as trace:
        assert files(tmp_path) == ["a"] and trace.info["traces"] == 2
