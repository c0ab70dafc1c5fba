"""memtap.open: traces read from Python, against the command (the same JSON) and the independent reader (the same history).

Recordings: leakyprogram.py. Traces that are being written, damaged ones, threads and interpreters: test_profile_live.py.
"""

import collections
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from leakyprogram import LEAKY, record, run_memtap  # puts the folder of the next two on the path
import tracefile
import tracereplay

import memtap
from memtap import TraceError, _memtap, profile

pytest_plugins = ["leakyprogram"]
HEADER = pathlib.Path(__file__).resolve().parents[2] / "include/memtap/profile.h"
FRAME, SAMPLE = profile.Frame, profile.Sample


# ---- reports: what the command prints ----

WORKER = "the second thread's id"
SUPPRESSIONS = "a file of suppressions"
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
    ("table", {"by": "file", "at": 0.005}, ["--by", "file", "--at", "0.005"]),
    ("table", {"by": "line", "at": "50%"}, ["--by", "line", "--at", "50%"]),
    ("table", {"by": "type", "between": (0, "peak")}, ["--by", "type", "--between", "0,peak"]),
    ("table", {"by": "thread"}, ["--by", "thread"]),
    ("table", {"by": "module", "temporary": 1}, ["--by", "module", "--temporary=1"]),
    ("table", {"thread": WORKER}, ["--thread", WORKER]),
    ("table", {"by": "line", "temporary": 0}, ["--temporary=0"]),
    ("stats", {"temporary": 0}, ["--temporary=0"]),
    ("leaks", {}, []),
    ("leaks", {"all": True}, ["--all"]),
    ("leaks", {"suppressions": SUPPRESSIONS}, ["--suppressions", SUPPRESSIONS]),
    ("stats", {"suppressions": SUPPRESSIONS}, ["--suppressions", SUPPRESSIONS]),
    ("stats", {"all": True}, ["--all"]),
    ("table", {"selection": "leaks", "suppressions": SUPPRESSIONS}, ["--leaks", "--suppressions", SUPPRESSIONS]),
    ("tree", {"selection": "leaks", "all": True}, ["--leaks", "--all"]),
    ("leaks", {"rows": 2, "native": True}, ["-n", "2", "--native"]),
    ("leaks", {"min_age_s": 0.01, "thread": WORKER}, ["--min-age", "10ms", "--thread", WORKER]),
    ("timeline", {}, []),
    ("table", {"selection": "total"}, ["--total"]),
    ("tree", {"selection": "total", "by": "function"}, ["--total", "--by", "function"]),
    ("timeline", {"points": 30, "thread": WORKER}, ["-n", "30", "--thread", WORKER]),
]


@pytest.mark.parametrize("recording", ["leaky", "sampled"])
@pytest.mark.parametrize(("name", "keywords", "options"), CASES)
def test_reports_equal_the_commands(recording, name, keywords, options, request, tmp_path):
    path = request.getfixturevalue(recording)
    if "suppressions" in keywords:
        wanted = tmp_path / "suppressions"
        wanted.write_text("leak:^leak$\n")
        keywords, options = {**keywords, "suppressions": wanted}, [wanted if o == SUPPRESSIONS else o for o in options]
    if "thread" in keywords:
        threads = list(tracefile.load(path).threads.values())
        worker = str(threads[min(1, len(threads) - 1)][0])
        keywords, options = {**keywords, "thread": worker}, [worker if o == WORKER else o for o in options]
    expected = json.loads(run_memtap(name, "-f", "json", *options, path).stdout)
    with memtap.open(path) as opened:
        assert getattr(opened, name)(**keywords) == expected
        assert getattr(opened, name)(**keywords) == expected  # a second one of the same handle too


@pytest.mark.parametrize("recording", ["leaky", "sampled"])
def test_what_was_asked_before_changes_no_answer(recording, request):
    """Reports of one handle share what was read."""
    path = request.getfixturevalue(recording)
    cases = [(name, keywords) for name, keywords, _ in CASES if not {"suppressions", "thread"} & set(keywords)]
    fresh = []
    for name, keywords in cases:
        with memtap.open(path) as opened:
            fresh.append(getattr(opened, name)(**keywords))
    for order in (range(len(cases)), range(len(cases) - 1, -1, -1)):
        with memtap.open(path) as opened:
            for i in order:
                name, keywords = cases[i]
                assert getattr(opened, name)(**keywords) == fresh[i], cases[i]


def test_parse_equals_the_command(leaky, trace):
    assert trace.parse() == run_memtap("parse", leaky).stdout.decode(errors="replace")


def test_peak_is_the_largest_moment(trace):
    peak = trace.peak()
    assert peak["bytes"] == trace.stats()["peak_bytes"] == sum(row["bytes"] for row in peak["table"])


def test_leaks_name_the_leaking_line(trace):
    row = next(row for row in trace.leaks(stacks=True) if row["function"] == "leak" and row["bytes"] > 4_000_000)
    assert row["count"] in (200, 201)  # 100 objects, their buffers, and the list's, unless a thread made it grow last
    assert row["line"] == LEAKY.splitlines().index("    kept.append(bytearray(size))") + 1
    (place,) = [other for other in trace.leaks() if (other["function"], other["line"]) == ("leak", row["line"])]
    stacks = [other for other in trace.leaks(stacks=True) if (other["function"], other["line"]) == ("leak", row["line"])]
    assert len(stacks) == place["stacks"] > 1  # from here, and from threads
    assert place["bytes"] == sum(other["bytes"] for other in stacks)


def test_rows_take_the_options_of_the_command(leaky, trace):
    for options, keywords in ((["--by", "process"], {"by": "process"}), (["--stacks"], {"stacks": True}),
                              (["--invert"], {"invert": True}), (["--all-frames"], {"all_frames": True}),
                              (["--wrapper", "leak", "--wrapper", "work*"], {"wrappers": ["leak", "work*"]})):
        assert trace.leaks(**keywords) == json.loads(run_memtap("leaks", "-f", "json", *options, leaky).stdout)
        assert trace.table(**keywords) == json.loads(run_memtap("table", "-f", "json", *options, leaky).stdout)
    with pytest.raises(TypeError, match="list of names"):
        trace.leaks(wrappers="leak")


def test_what_is_suppressed_is_no_leak(trace, tmp_path):
    wanted = tmp_path / "suppressions"
    wanted.write_text("leak:^leak$\n")
    everything, kept = trace.stats(), trace.stats(suppressions=wanted)
    assert kept["suppressed_bytes"] > 4_000_000
    assert kept["leaked_bytes"] + kept["suppressed_bytes"] == everything["leaked_bytes"]
    assert sum(row["bytes"] for row in trace.leaks(suppressions=str(wanted))) == kept["leaked_bytes"]
    assert trace.stats(all=True, suppressions=wanted)["leaked_bytes"] == everything["leaked_bytes"] + everything["libc_bytes"]
    with pytest.raises((OSError, TraceError, ValueError), match="nowhere"):
        trace.leaks(suppressions=tmp_path / "nowhere")


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
    """Live samples, freed ones in order and lifetimes, by the plain meaning: a sample that grows is the same one still."""
    replay, freed = tracereplay.Replay(), []
    for event in events:
        before = replay.live.get(event.addr)
        if event.kind == "free" and before is not None and not event.goes_on:
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
    expected = [SAMPLE(e.addr, e.size, weight(e.size, e.rate), e.clock, history.threads[e.stream][0], e.stack, pid=history.pid)
                for e in sorted(replay.live.values(), key=lambda e: (e.clock, e.addr))]
    assert snapshot.live == expected
    assert snapshot.freed == [SAMPLE(e.addr, e.size, weight(e.size, e.rate), e.clock, history.threads[e.stream][0], e.stack,
                                     life, history.pid) for e, life in freed[-500:]]
    totals = snapshot.totals
    assert totals["total_samples"] == sum((e.kind == "alloc") - e.goes_on for e in history.events)
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
    nodes = {node["id"]: node for node in json.loads(run_memtap("tree", "--native", "--all-frames", "--leaks", "--all", "-f",
                                                                "json", leaky).stdout)}
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
    session = _memtap.Recording([leaky])
    first, second = session.snapshot(freed_limit=10), session.snapshot(freed_limit=10)
    assert first[:3] == second[:3]
    number = first[0][-1][5]
    assert all(a is b for a, b in zip(first[2][number], second[2][number]))
    assert all(stack is second[2][number] for number, stack in first[2].items())
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


# ---- arrays ----

def test_to_numpy_holds_records_and_samples(trace):
    pytest.importorskip("numpy")
    array, records = trace.to_numpy(), list(trace.records())
    assert array["address"].tolist() == [r.address for r in records]
    assert array["thread"].tolist() == [r.thread for r in records]
    assert array["size"].sum() == sum(r.size for r in records)
    live, snapshot = trace.to_numpy("live"), trace.snapshot(freed_limit=99)
    assert [tuple(row) for row in live.tolist()] == [(*s[:6], s.pid) for s in snapshot.live]
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
                  {"at": 1, "between": (0, 1)}, {"temporary": -1}, {"by": "colour"}):
        with pytest.raises(ValueError):
            trace.table(**wrong)
    for wrong in (lambda: trace.snapshot(freed_limit=-1), lambda: trace.snapshot(since_ns=-1), lambda: memtap.open([]),
                  lambda: trace.leaks(min_age_s=-1), lambda: trace.leaks(min_age_s=math.nan), lambda: next(trace.records(-1)),
                  lambda: trace.export(tmp_path / "x", "morse"), lambda: trace.export(tmp_path / "x.csv", rows=3)):
        with pytest.raises(ValueError):
            wrong()
    for wrong, words in ((lambda: memtap.open(7), "give a path"), (lambda: memtap.open(None), "not None"),
                         (lambda: memtap.open([leaky, None]), "not None"), (lambda: trace.leaks(rows="a"), "rows must be a whole number"),
                         (lambda: trace.leaks(min_age_s="1"), "number of seconds"), (lambda: trace.table(at=None, between=1), "pair of times"),
                         (lambda: trace.table(at=[1]), "seconds from the start"), (lambda: trace.table(temporary=1.5), "whole number")):
        with pytest.raises(TypeError, match=words):
            wrong()
    if os.geteuid() != 0:
        (tmp_path / "text").chmod(0)
        with pytest.raises(PermissionError):
            memtap.open(tmp_path / "text")


def test_the_difference_of_two_recordings(tmp_path):
    def hold(count):
        return list(map(bytearray, [100_000] * count))

    for name, count in (("old", 3), ("new", 10)):
        with memtap.record(tmp_path / f"{name}.mtap"):
            kept = hold(count)
    with memtap.open(tmp_path / "old.mtap") as old, memtap.open(tmp_path / "new.mtap") as new:
        for earlier in (old, tmp_path / "old.mtap"):
            diff = new.diff(earlier, selection="leaks", by="function")
            assert diff["bytes"] == sum(row["bytes"] for row in diff["rows"]) == new.stats()["leaked_bytes"] - old.stats()["leaked_bytes"]
            assert diff["rows"][0]["change"] == "grew" and "hold" in diff["rows"][0]["function"]
            assert abs(diff["rows"][0]["bytes"] - 700_000) < 7_000 and len(kept) == 10
        assert {row["change"] for row in new.diff(new)["rows"]} == {"same"}
        moments = new.diff(new, earlier_at=0, at="100%")
        assert moments["before"]["bytes"] == 0 and moments["after"]["bytes"] == new.stats()["leaked_bytes"]
        for wrong in ({"by": "thread"}, {"by": "colour"}, {"earlier_at": "soon"}, {"earlier_at": "99h"}):
            with pytest.raises(ValueError):
                new.diff(old, **wrong)
        for wrong in (None, 7, [old]):
            with pytest.raises(TypeError, match="earlier Trace"):
                new.diff(wrong)
        with pytest.raises(FileNotFoundError):
            new.diff(tmp_path / "missing.mtap")
    with pytest.raises(ValueError, match="closed"):
        new.diff(tmp_path / "old.mtap")


def test_aggregate_traces_have_reports_and_no_snapshot(tmp_path):
    path, _ = record(tmp_path, LEAKY, "--aggregate")
    with memtap.open(path) as opened:
        assert opened.stats()["peak_bytes"] > 5_000_000 and opened.info["mode"] == "aggregate"
        with pytest.raises(ValueError, match="aggregate"):
            opened.snapshot()
        for question in (lambda: list(opened.records()), lambda: opened.table(temporary=1), lambda: opened.table(at="1ms"),
                         lambda: opened.table(by="thread"), lambda: opened.leaks(thread="1")):
            with pytest.raises(ValueError, match="is not known.*aggregate"):
                question()


@pytest.mark.parametrize(("compiler", "options"), [("gcc", ["-std=c11", "-xc"]), ("g++", ["-std=c++17", "-xc++"])])
def test_header_is_clean_c11_and_cxx17(compiler, options):
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    result = subprocess.run([compiler, *options, "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-fsyntax-only",
                             str(HEADER)], stderr=subprocess.PIPE, check=False)
    assert result.returncode == 0, result.stderr.decode()
