"""memtap.open where more goes on: the trace is being written or damaged, threads share it, every interpreter reads it.

What reads a trace while it is written runs inside the recorded program itself, or beside it until its end.
"""

import collections
import gc
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from leakyprogram import LEAKY, MEMTAP, PACKAGE, run_memtap  # puts the folder of the next two on the path
import tracefile
import tracereplay

import memtap
from memtap import TraceError, _memtap

pytest_plugins = ["leakyprogram"]


# ---- while it is written ----

LIVE = """
    import json, os, sys, threading
    from memtap import _memtap

    stop, kept, path = threading.Event(), [], sys.argv[1]

    def churn():
        own = []
        for _ in range(CHURN):
            if stop.is_set():
                return
            own.append(bytearray(1000))
            if len(own) > 200:
                own.clear()

    threads = [threading.Thread(target=churn, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    session, seen = _memtap.Recording([path]), []
    for turn in range(TURNS):
        block = bytearray(1_000_000 + turn)  # no size the reader itself might use
        kept.append(block)
        gone = bytearray(2_000_000 + turn)
        del gone
        live, freed, stacks, totals = session.snapshot(freed_limit=2000, resolve=turn == 0)
        sizes = [s[1] for s in live]
        mine = [size - 1_000_000 for size in sizes if 1_000_000 <= size < 1_000_100]
        assert len(mine) == turn + 1, (turn, mine)
        assert not [size for size in sizes if 2_000_000 <= size < 2_000_100]
        assert len({s[0] for s in live}) == len(live) == totals["live_samples"]
        assert totals["total_samples"] == totals["live_samples"] + totals["freed_samples"]
        assert totals["live_weight_bytes"] == sum(s[2] for s in live)
        assert all(s[3] <= totals["cut_ns"] for s in live) and 0 < len(freed) <= 2000
        assert all(stacks[s[5]] for s in live) and all(stacks[s[5]] for s in freed)
        seen.append(totals["total_samples"])
        later = session.totals(since=totals["last_ns"] + 1)  # at least the objects of the snapshot itself
        assert totals["recording"] and later["total_samples"] == later["live_samples"] + later["freed_samples"]
        names = [frame[1] for frame in stacks[next(s for s in live if 1_000_000 <= s[1] < 1_000_100)[5]]]
        live = freed = stacks = sizes = None  # in exact mode the next snapshot would hold every one of these objects
    assert seen == sorted(seen) and seen[-1] > seen[0]
    stop.set()
    for thread in threads:
        thread.join()
    print(json.dumps({"names": names, "events": totals["events"]}))
"""


@pytest.mark.parametrize("mode", ["exact", "sample"])
def test_snapshots_of_the_trace_this_process_writes(mode, tmp_path):
    path = tmp_path / "live.mtap"
    script = tmp_path / "live.py"
    turns, churn = (4, 20_000) if mode == "exact" else (15, 10**9)
    script.write_text(textwrap.dedent(LIVE).replace("TURNS", str(turns)).replace("CHURN", str(churn)))
    options = ["--rate", "16K"] if mode == "sample" else []  # the large blocks are certain to be taken
    result = run_memtap("run", "-q", "--mode", mode, *options, "-o", path, "--", sys.executable, script, path,
                        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)}, check=False)
    assert result.returncode == 0, result.stderr.decode()
    said = json.loads(result.stdout)
    assert "<module>" in said["names"] and said["events"] > 1000


ROUNDS = """
    import os, signal, sys
    import memtap

    kept = []
    with memtap.record(sys.argv[1]):
        for turn in range(6):
            kept.append([bytearray(1000 + number) for number in range(2000)])
            gone = [bytearray(300) for _ in range(3000)]
            del gone
            os.kill(os.getpid(), signal.SIGSTOP)
"""
ASKED = ("events", "allocations", "deallocations", "peak_bytes", "peak_allocations", "leaked_bytes", "temporary_bytes",
         "total_allocated_bytes", "unknown_frees", "size_histogram", "by_allocator", "by_storage")


def test_reports_of_a_running_program_read_what_is_new(tmp_path):
    """Six looks with equal work between: each reads what was recorded since the one before, and says what the command says, which
    reads all."""
    path, script = tmp_path / "t.mtap", tmp_path / "rounds.py"
    script.write_text(textwrap.dedent(ROUNDS))
    looks, trace = [], None
    with subprocess.Popen([sys.executable, str(script), str(path)], env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)}) as child:
        try:
            for _ in range(6):
                _, status = os.waitpid(child.pid, os.WUNTRACED)
                assert os.WIFSTOPPED(status), status
                trace = trace or memtap.open(path)
                stats, rows, leaks = trace.stats(), trace.table(), trace.leaks(all=True)
                points = trace.timeline(points=100)
                lives = trace.lifetimes()
                assert sum(row["count"] for row in lives) == stats["deallocations"]
                looks.append((stats["events"], trace.info["events_read"]))
                whole = json.loads(run_memtap("stats", "-f", "json", path).stdout)
                assert {name: stats[name] for name in ASKED} == {name: whole[name] for name in ASKED}
                assert rows == json.loads(run_memtap("table", "-f", "json", "-n", "0", path).stdout)
                assert sum(row["bytes"] for row in leaks) >= 2000 * 1000 * len(looks)
                assert max(point["heap_max_bytes"] for point in points) == stats["peak_bytes"] and 50 <= len(points) <= 100
                os.kill(child.pid, signal.SIGCONT)
        except BaseException:
            child.kill()  # it may stand still
            raise
    assert child.returncode == 0
    assert [read for _, read in looks] == [events for events, _ in looks]  # each event once, for all four of each round
    assert trace.stats()["leaked_bytes"] > 0  # and when it has ended
    trace.close()


UNTIL_LOOKED_AT = """
main()
import sys, time
deadline = time.monotonic() + 120
while not os.path.exists(sys.argv[1]) and time.monotonic() < deadline:
    churn(100)
    time.sleep(0.01)
"""


def test_snapshots_from_outside_until_the_end(tmp_path):
    """Whatever the moment: no address twice, sums that add up, totals that only grow; at the end the whole history."""
    path = tmp_path / "t.mtap"
    script = tmp_path / "program.py"
    looked = tmp_path / "looked"
    script.write_text(LEAKY.replace("churn(2000)", "churn(60000)").replace("\nmain()\n", UNTIL_LOOKED_AT))
    child = subprocess.Popen([str(MEMTAP), "run", "-q", "-o", str(path), "--", sys.executable, str(script), str(looked)])
    last, count, session = 0, 0, None
    while child.poll() is None:
        if session is None and path.exists():
            try:
                session = _memtap.Recording([path])
            except (TraceError, FileNotFoundError):
                continue  # not begun, or being replaced by its packed form
        if session is not None:
            try:
                live, _, stacks, totals = session.snapshot(resolve=False)
            except FileNotFoundError:
                continue
            assert totals["total_samples"] == totals["live_samples"] + totals["freed_samples"] >= last
            assert len({s[0] for s in live}) == len(live)
            assert {s[5] for s in live} == set(stacks)
            last, count = totals["total_samples"], count + 1
            looked.touch()
    assert child.returncode == 0 and count > 0
    replay = tracereplay.Replay(tracefile.load(path).events)
    assert {(s.address, s.size) for s in memtap.open(path).snapshot().live} == \
        {(e.addr, e.size) for e in replay.live.values()}


# ---- damaged ----

def test_damaged_traces_are_read_or_refused(leaky, tmp_path):
    """Reports and snapshots of what is left of a trace: a result or TraceError, never anything else."""
    data, seed = leaky.read_bytes(), random.randrange(2**32)
    print("seed", seed)
    chance, outcomes = random.Random(seed), collections.Counter()
    for turn in range(60):
        broken = bytearray(data[: chance.randrange(len(data))] if turn % 2 else data)
        for _ in range(chance.randrange(0, 20)):
            if broken:
                broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
        path = tmp_path / "broken.mtap"
        path.write_bytes(broken)
        try:
            with memtap.open(path) as opened:
                totals = opened.snapshot(freed_limit=10, resolve=False).totals
                assert totals["total_samples"] == totals["live_samples"] + totals["freed_samples"]
                opened.stats(), opened.table(rows=5), sum(1 for _ in opened.records())
            outcomes["read"] += 1
        except (TraceError, ValueError) as error:
            assert "cannot read" in str(error) or "aggregate" in str(error)
            outcomes["refused"] += 1
    assert outcomes["read"] > 10


# ---- threads and interpreters ----

def test_threads_share_one_trace(trace):
    expected, results = trace.snapshot(), []

    def work():
        results.append(trace.snapshot() [:3] == expected[:3] and trace.stats()["leaked_bytes"] > 0)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 6


def test_reading_gives_up_the_gil(leaky):
    """With a switch interval of an hour another thread runs only when somebody gives up the GIL by himself. It may come too
    late for one reading, on a busy machine for several."""
    turns, stop = [0], threading.Event()

    def count():
        while not stop.is_set():
            turns[0] += 1
            time.sleep(0)  # gives it up every time round

    interval = sys.getswitchinterval()
    thread = threading.Thread(target=count)
    sys.setswitchinterval(3600)
    try:
        thread.start()
        deadline, seen = time.monotonic() + 120, False
        while not seen and time.monotonic() < deadline:
            session = _memtap.Recording([leaky])
            before = turns[0]
            session.totals()
            seen = turns[0] > before
        assert seen
    finally:
        sys.setswitchinterval(interval)
        stop.set()
        thread.join()


def test_reading_leaks_no_objects(leaky):
    session = _memtap.Recording([leaky])

    def blocks():
        session.snapshot(freed_limit=100)
        gc.collect()  # empties the free lists
        return sys.getallocatedblocks()

    for _ in range(3):
        blocks()
    before = blocks()
    for _ in range(20):
        after = blocks()
    assert after - before < 200


EVERYWHERE = """
    import json, sys
    import memtap
    with memtap.open(sys.argv[1]) as trace:
        snapshot = trace.snapshot(freed_limit=5)
        print(json.dumps([trace.stats()["peak_bytes"], trace.leaks(rows=3), [list(s) for s in snapshot.live[-50:]],
                          [list(s) for s in snapshot.freed], len(snapshot.stacks), sum(1 for _ in trace.records()),
                          list(trace.stack(snapshot.live[-1].stack_id))], sort_keys=True))
"""


def interpreters():
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv")) / "versions"
    found = [p for p in pyenv.glob("3.*/bin/python3") if int(p.parts[-3].split(".")[1]) >= 8]
    return [p for p in (*sorted(found), pathlib.Path("/usr/bin/python3.11")) if p.exists()]


def test_every_interpreter_reads_the_same(leaky):
    said = {}
    for python in interpreters():
        result = subprocess.run([str(python), "-c", textwrap.dedent(EVERYWHERE), str(leaky)], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, timeout=300, check=False,
                                env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)})
        assert result.returncode == 0, (python, result.stderr.decode())
        said.setdefault(result.stdout, []).append(python)
    assert len(said) == 1, list(said.values())
