"""memtap.open: traces read from Python, against the command line (the same JSON) and the independent reader (the same history).

Recordings are made once, by the command of the package under test, of programs whose leaks are known. What reads a trace
while it is written runs inside the recorded program itself.
"""

import collections
import gc
import json
import math
import os
import pathlib
import random
import shutil
import subprocess
import sys
import textwrap
import threading
import time

import pytest

import memtap
from memtap import TraceError, _memtap, profile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import tracefile  # noqa: E402
import tracereplay  # noqa: E402

PACKAGE = pathlib.Path(memtap.__file__).absolute().parent  # not resolved: a build tree links to the sources
MEMTAP = pathlib.Path(os.environ.get("MEMTAP_BIN", PACKAGE / "_bin/memtap"))
HEADER = pathlib.Path(__file__).resolve().parents[2] / "include/memtap/profile.h"
FRAME, SAMPLE = profile.Frame, profile.Sample

LEAKY = """
import os, threading
kept = []

def leak(size):
    kept.append(bytearray(size))

def churn(count):
    for i in range(count):
        bytearray(3000 + i % 7)

def worker():
    for i in range(50):
        leak(20_000 + i)

def main():
    threads = [threading.Thread(target=worker) for i in range(3)]
    for thread in threads:
        thread.start()
    churn(2000)
    for thread in threads:
        thread.join()
    for i in range(100):
        leak(50_000 + i)

main()
os._exit(0)
"""

SAMPLED = """
import os
kept = [bytearray(4096) for _ in range(4000)]
for i in range(8000):
    bytearray(4096)
kept += [bytearray(1 << 20) for _ in range(40)]
os._exit(0)
"""


def run_memtap(*arguments, check=True, **options):
    result = subprocess.run([str(MEMTAP), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, timeout=300, check=False, **options)
    assert not check or result.returncode == 0, result.stderr.decode()
    return result


def record(folder, program, *options, name="t.mtap", python=sys.executable, check=True):
    script = folder / "program.py"
    script.write_text(textwrap.dedent(program))
    path = folder / name
    result = run_memtap("run", "-q", "-f", *options, "-o", path, "--", python, script, check=check,
                        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)})
    return path, result


@pytest.fixture(scope="session")
def leaky(tmp_path_factory):
    path, _ = record(tmp_path_factory.mktemp("leaky"), LEAKY)
    return path


@pytest.fixture(scope="session")
def sampled(tmp_path_factory):
    path, _ = record(tmp_path_factory.mktemp("sampled"), SAMPLED, "--mode", "sample", "--rate", "64K")
    return path


@pytest.fixture(scope="session")
def oracle(leaky):
    return tracefile.load(leaky)


@pytest.fixture
def trace(leaky):
    with memtap.open(leaky) as opened:
        yield opened


# ---- reports: what the command prints ----

WORKER = "the second thread's id"
CASES = [
    ("stats", {}, []),
    ("stats", {"temporary": 20}, ["--temporary=20"]),
    ("summary", {}, []),
    ("summary", {"selection": "leaks", "rows": 3}, ["--leaks", "-n", "3"]),
    ("tree", {}, []),
    ("tree", {"by": "function", "invert": True, "selection": "leaks", "rows": 30},
     ["--by", "function", "--invert", "--leaks", "-n", "30"]),
    ("tree", {"native": True, "rows": 200}, ["--native", "-n", "200"]),
    ("table", {"by": "function"}, ["--by", "function"]),
    ("table", {"by": "file", "at": 0.05}, ["--by", "file", "--at", "0.05"]),
    ("table", {"by": "line", "at": "50%"}, ["--by", "line", "--at", "50%"]),
    ("table", {"by": "type", "between": (0, "peak")}, ["--by", "type", "--between", "0,peak"]),
    ("table", {"by": "thread"}, ["--by", "thread"]),
    ("table", {"by": "module", "temporary": 1}, ["--by", "module", "--temporary=1"]),
    ("table", {"thread": WORKER}, ["--thread", WORKER]),
    ("leaks", {}, []),
    ("leaks", {"rows": 2, "native": True}, ["-n", "2", "--native"]),
    ("leaks", {"min_age_s": 0.01, "thread": WORKER}, ["--min-age", "10ms", "--thread", WORKER]),
]


@pytest.mark.parametrize("recording", ["leaky", "sampled"])
@pytest.mark.parametrize(("name", "keywords", "options"), CASES)
def test_reports_equal_the_commands(recording, name, keywords, options, request):
    path = request.getfixturevalue(recording)
    if "thread" in keywords:
        threads = list(tracefile.load(path).threads.values())
        worker = str(threads[min(1, len(threads) - 1)][0])
        keywords, options = {**keywords, "thread": worker}, [worker if o == WORKER else o for o in options]
    expected = json.loads(run_memtap(name, "-f", "json", *options, path).stdout)
    with memtap.open(path) as opened:
        assert getattr(opened, name)(**keywords) == expected
        assert getattr(opened, name)(**keywords) == expected  # a second one of the same handle too


def test_parse_equals_the_command(leaky, trace):
    assert trace.parse() == run_memtap("parse", leaky).stdout.decode(errors="replace")


def test_peak_is_the_largest_moment(trace):
    peak = trace.peak()
    assert peak["bytes"] == trace.stats()["peak_bytes"] == sum(row["bytes"] for row in peak["table"])


def test_leaks_name_the_leaking_line(trace):
    row = next(row for row in trace.leaks() if row["function"] == "leak" and row["bytes"] > 4_000_000)
    assert row["count"] in (200, 201)  # 100 objects, their buffers, and the list's, unless a thread made it grow last
    assert row["line"] == LEAKY.splitlines().index("    kept.append(bytearray(size))") + 1


@pytest.mark.parametrize(("format", "suffix"), [("collapsed", "collapsed"), ("speedscope", "speedscope.json"), ("pprof", "pb"),
                                                ("csv", "csv"), ("chrome", "trace.json"), ("heaptrack", "heaptrack")])
def test_export_equals_the_command(format, suffix, leaky, trace, tmp_path):
    run_memtap("export", "--leaks", "-f", format, "-o", tmp_path / "expected", leaky)
    trace.export(tmp_path / "by_name", format, selection="leaks")
    trace.export(str(tmp_path / f"x.{suffix}"), selection="leaks")
    expected = (tmp_path / "expected").read_bytes()
    assert (tmp_path / "by_name").read_bytes() == expected == (tmp_path / f"x.{suffix}").read_bytes()


# ---- snapshots and records: the independent reader's history ----

def weight(size, rate):
    return size if rate == 0 else round(size / -math.expm1(-max(size, 1) / rate))


def test_records_are_the_events(trace, oracle):
    records = list(trace.records())
    assert len(records) == len(oracle.events)
    for got, event in zip(records, oracle.events):
        assert (got.timestamp_ns, got.kind, got.address, got.size, got.stack_id, got.realloc) == \
            (event.clock, event.kind, event.addr, event.size, event.stack, event.is_realloc)
        if got.kind == "alloc":
            assert got.allocator == event.allocator and got.weight == event.size
        assert got.thread == oracle.threads[event.stream][0]


def test_records_from_and_to(trace, oracle):
    everything = list(trace.records())
    for start, stop in ((0, 0), (0, 5), (4090, 4100), (5000, None), (10**9, None), (7, 3)):
        assert list(trace.records(start, stop)) == everything[start:stop]
    with pytest.raises(ValueError, match="trace number 3"):
        next(trace.records(trace=3))


def replay_of(events):
    """Live samples, freed ones in order and lifetimes, by the plain meaning."""
    replay, freed = tracereplay.Replay(), []
    for event in events:
        before = replay.live.get(event.addr)
        if event.kind == "free" and before is not None:
            freed.append((before, event.clock - before.clock))
        replay.step(event)
    return replay, freed


@pytest.mark.parametrize("recording", ["leaky", "sampled"])
def test_snapshot_is_what_the_history_leaves_alive(recording, request):
    path = request.getfixturevalue(recording)
    history = tracefile.load(path)
    replay, freed = replay_of(history.events)
    with memtap.open(path) as opened:
        snapshot = opened.snapshot(freed_limit=500)
    expected = [SAMPLE(e.addr, e.size, weight(e.size, e.rate), e.clock, history.threads[e.stream][0], e.stack)
                for e in sorted(replay.live.values(), key=lambda e: (e.clock, e.addr))]
    assert snapshot.live == expected
    assert snapshot.freed == [SAMPLE(e.addr, e.size, weight(e.size, e.rate), e.clock, history.threads[e.stream][0], e.stack,
                                     life) for e, life in freed[-500:]]
    totals = snapshot.totals
    assert totals["total_samples"] == sum(e.kind == "alloc" for e in history.events)
    assert totals["freed_samples"] == len(freed) and totals["live_samples"] == len(expected)
    assert totals["live_weight_bytes"] == sum(s.weight for s in expected)
    assert totals["unique_stacks"] == len({e.stack for e in history.events if e.kind == "alloc" and e.stack})
    assert totals["exact"] is (recording == "leaky")


def test_sampled_weights_estimate_what_was_kept(sampled):
    with memtap.open(sampled) as opened:
        snapshot = opened.snapshot()
    small, large = ([s.weight for s in snapshot.live if s.size == size + 1] for size in (4096, 1 << 20))
    # 242 of the 4,000 are samples, sigma 15; 6 sigma once in 5 * 10^8. A large one is missed once in 9 million, two never.
    assert abs(sum(small) - 4000 * 4097) < 6 * 1.0 * 2**20
    assert 39 <= len(large) <= 40 and all(weight == (1 << 20) + 1 for weight in large)
    assert snapshot.totals["rate_bytes"] == 65536


def test_since_counts_only_what_is_newer(trace, oracle):
    middle = oracle.events[len(oracle.events) // 2].clock
    replay, _ = replay_of(oracle.events)
    snapshot = trace.snapshot(since_ns=middle)
    assert [s.address for s in snapshot.live] == \
        [e.addr for e in sorted(replay.live.values(), key=lambda e: (e.clock, e.addr)) if e.clock >= middle]
    assert snapshot.totals["total_samples"] == sum(e.kind == "alloc" and e.clock >= middle for e in oracle.events)


def merged(oracle, stack):
    """(addresses of native frames without evaluation loops, Python function names), innermost first."""
    anchors = set(oracle.stacks[stack][2])
    native = [pc for index, (pc, _) in enumerate(oracle.native_stack(stack)) if index not in anchors]
    return native, oracle.python_stack(stack)


def test_stacks_are_the_recorded_frames(trace, oracle):
    snapshot = trace.snapshot()
    assert set(snapshot.stacks) == {s.stack_id for s in snapshot.live}
    checked = 0
    for number, frames in snapshot.stacks.items():
        if number == 0:
            continue
        native, python = merged(oracle, number)
        assert [f.function.rpartition(".")[2] for f in frames if f.is_python] == python
        addresses = [f.address for f in frames if f.address]
        kept = [a for i, a in enumerate(addresses) if i == 0 or a != addresses[i - 1] or a in native[1:]]
        if oracle.stacks[number][2] or not python:  # 3.11 on: loops are named by anchors
            assert list(dict.fromkeys(kept)) == list(dict.fromkeys(pc for pc in native if pc))
            checked += 1
    assert checked > 100 or sys.version_info < (3, 11)


def test_stacks_are_the_paths_of_the_native_tree(leaky, trace):
    nodes = {node["id"]: node for node in json.loads(run_memtap("tree", "--native", "--leaks", "-f", "json", leaky).stdout)}
    children = collections.defaultdict(set)
    for node in nodes.values():
        if node["parent"] is not None:
            children[node["parent"]].add((node["function"], node["file"] or "", node["line"] or 0, node["id"]))
    root = next(node["id"] for node in nodes.values() if node["parent"] is None)
    for frames in trace.snapshot().stacks.values():
        at = root
        for frame in reversed(frames):
            at = next((c[3] for c in children[at] if c[:3] == (frame.function, frame.file, frame.line)), None)
            assert at is not None, (frame, frames)


def test_unresolved_stacks_have_the_same_addresses(trace):
    resolved, plain = trace.snapshot().stacks, trace.snapshot(resolve=False).stacks
    assert set(resolved) == set(plain)
    for number, frames in resolved.items():
        addresses = dict.fromkeys(f.address for f in frames if f.address)
        assert list(dict.fromkeys(f.address for f in plain[number] if f.address)) == list(addresses)
        assert [f for f in frames if f.is_python] == [f for f in plain[number] if f.is_python]


def test_second_snapshot_is_the_same_and_shares_frames(leaky):
    session = _memtap.Session(leaky)
    first, second = session.snapshot(freed_limit=10), session.snapshot(freed_limit=10)
    assert first[:3] == second[:3]
    number = first[0][-1][5]
    assert all(a is b for a, b in zip(first[2][number], second[2][number]))
    totals = session.totals()
    assert {k: v for k, v in totals.items() if k != "cut_ns"} == {k: v for k, v in second[3].items() if k != "cut_ns"}
    session.close()
    with pytest.raises(ValueError, match="closed"):
        session.totals()


def test_stack_of_a_record(trace):
    record = next(r for r in trace.records() if r.kind == "alloc" and 50_000 <= r.size < 50_200)
    assert [f.function for f in trace.stack(record.stack_id, native=False)][:2] == ["leak", "main"]
    assert trace.stack(record.stack_id) == trace.snapshot().stacks[record.stack_id]
    assert trace.stack(2**32 - 1) == (FRAME(0, "<unknown>", "", 0, False),)


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
    session, seen = _memtap.Session(path), []
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


def test_snapshots_from_outside_until_the_end(tmp_path):
    """Whatever the moment: no address twice, sums that add up, totals that only grow; at the end the whole history."""
    path = tmp_path / "t.mtap"
    script = tmp_path / "program.py"
    script.write_text(textwrap.dedent(LEAKY).replace("churn(2000)", "churn(60000)"))
    child = subprocess.Popen([str(MEMTAP), "run", "-q", "-o", str(path), "--", sys.executable, str(script)])
    last, count, session = 0, 0, None
    while child.poll() is None:
        if session is None and path.exists():
            try:
                session = _memtap.Session(path)
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
    assert child.returncode == 0 and count > 0
    replay = tracereplay.Replay(tracefile.load(path).events)
    assert {(s.address, s.size) for s in memtap.open(path).snapshot().live} == \
        {(e.addr, e.size) for e in replay.live.values()}


# ---- arrays ----

def test_to_numpy_holds_records_and_samples(trace):
    pytest.importorskip("numpy")
    array, records = trace.to_numpy(), list(trace.records())
    assert array["address"].tolist() == [r.address for r in records]
    assert array["thread"].tolist() == [r.thread for r in records]
    assert array["size"].sum() == sum(r.size for r in records)
    live, snapshot = trace.to_numpy("live"), trace.snapshot(freed_limit=99)
    assert [tuple(row) for row in live.tolist()] == [tuple(s[:6]) for s in snapshot.live]
    assert trace.to_numpy("freed", freed_limit=99)["lifetime_ns"].tolist() == [s.lifetime_ns for s in snapshot.freed]
    with pytest.raises(ValueError, match="records, live, freed"):
        trace.to_numpy("dead")


def test_without_numpy_the_error_says_what_to_do(trace, monkeypatch):
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(ImportError, match="pip install numpy"):
        trace.to_numpy()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        trace.to_pandas()


def test_to_pandas_names_kinds_and_allocators(trace):
    pytest.importorskip("pandas")
    frame, records = trace.to_pandas(), list(trace.records())
    assert frame["kind"].tolist() == [r.kind for r in records]
    assert frame["allocator"].tolist() == [r.allocator for r in records]


# ---- the handle ----

def test_repr_and_facts(leaky, trace):
    header = tracefile.load(leaky)
    assert trace.info["pid"] == header.pid and trace.info["mode"] == "exact" and not trace.info["live"]
    assert repr(leaky.name)[1:-1] in repr(trace) and "exact" in repr(trace)
    assert trace.paths == [str(leaky)]


def test_closed_trace_says_so(leaky):
    with memtap.open(str(leaky)) as opened:
        opened.snapshot()
    for call in (opened.stats, opened.snapshot, opened.parse, lambda: next(opened.records()), lambda: opened.info,
                 lambda: opened.export("/tmp/never", "csv"), lambda: opened.stack(1)):
        with pytest.raises(ValueError, match="closed"):
            call()
    opened.close()
    assert "closed" in repr(opened)


def test_several_files_and_folders_are_merged(leaky, sampled, tmp_path):
    shutil.copy(leaky, tmp_path / "a.mtap")
    shutil.copy(sampled, tmp_path / "b.mtap")
    both = run_memtap("stats", "-f", "json", tmp_path / "a.mtap", tmp_path / "b.mtap").stdout
    for opened in (memtap.open(tmp_path), memtap.open(tmp_path / "a.mtap", tmp_path / "b.mtap"),
                   memtap.open([os.fsencode(tmp_path / "a.mtap"), tmp_path / "b.mtap"])):
        assert opened.stats() == json.loads(both)
        assert opened.snapshot(trace=1).totals["exact"] is False
        with pytest.raises(ValueError):
            opened.snapshot(trace=2)
        with pytest.raises(ValueError, match="one process"):
            opened.export(tmp_path / "x", "heaptrack")


def test_errors_say_what_is_wrong(tmp_path, leaky, trace):
    with pytest.raises(FileNotFoundError, match="nowhere.mtap") as missing:
        memtap.open(tmp_path / "nowhere.mtap")
    assert missing.value.errno == 2
    with pytest.raises(FileNotFoundError, match="no trace"):
        memtap.open(tmp_path)
    (tmp_path / "text").write_text("not a trace")
    with pytest.raises(TraceError, match="not a memtap trace"):
        memtap.open(tmp_path / "text")
    newer = bytearray(leaky.read_bytes())
    newer[8] = 9
    (tmp_path / "newer").write_bytes(newer)
    with pytest.raises(TraceError, match="newer memtap"):
        memtap.open(tmp_path / "newer")
    for wrong in ({"selection": "all"}, {"at": "soon"}, {"between": (2, 1)}, {"thread": "nobody"}, {"rows": -1},
                  {"at": 1, "between": (0, 1)}, {"temporary": 0}, {"by": "colour"}):
        with pytest.raises(ValueError):
            trace.table(**wrong)
    for wrong in (lambda: trace.snapshot(freed_limit=-1), lambda: trace.snapshot(since_ns=-1), lambda: memtap.open([]),
                  lambda: trace.leaks(min_age_s=-1), lambda: trace.leaks(min_age_s=math.nan), lambda: next(trace.records(-1)),
                  lambda: trace.export(tmp_path / "x", "morse"), lambda: trace.export(tmp_path / "x.csv", rows=3)):
        with pytest.raises(ValueError):
            wrong()
    with pytest.raises(TypeError):
        memtap.open(7)
    if os.geteuid() != 0:
        (tmp_path / "text").chmod(0)
        with pytest.raises(PermissionError):
            memtap.open(tmp_path / "text")


def test_aggregate_traces_have_reports_and_no_snapshot(tmp_path):
    path, _ = record(tmp_path, LEAKY, "--aggregate")
    with memtap.open(path) as opened:
        assert opened.stats()["peak_bytes"] > 5_000_000 and opened.info["mode"] == "aggregate"
        with pytest.raises(ValueError, match="aggregate"):
            opened.snapshot()


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
            session = _memtap.Session(leaky)
            before = turns[0]
            session.totals()
            seen = turns[0] > before
        assert seen
    finally:
        sys.setswitchinterval(interval)
        stop.set()
        thread.join()


def test_reading_leaks_no_objects(leaky):
    session = _memtap.Session(leaky)

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


@pytest.mark.parametrize(("compiler", "options"), [("gcc", ["-std=c11", "-xc"]), ("g++", ["-std=c++17", "-xc++"])])
def test_header_is_clean_c11_and_cxx17(compiler, options):
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    result = subprocess.run([compiler, *options, "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-fsyntax-only",
                             str(HEADER)], stderr=subprocess.PIPE, check=False)
    assert result.returncode == 0, result.stderr.decode()
