"""memtap.memprof against its contract: errors, accuracy, life cycle, snapshots, files. A5-nn are the contract's cases.

The truth of every case is made by its program. Statistical cases say how often a sound profiler fails them.
"""

import importlib.util
import json
import math
import os
import re

import pytest
from childprogram import PRELUDE_LINES, answer, answers, run

from memtap.memprof import AllocationSample, AllocationSite, FramePointerHealth, HeapSnapshot, MemProfStats, StackFrame

MIB = 1 << 20
HAS_NUMPY = importlib.util.find_spec("numpy") is not None
needs_numpy = pytest.mark.skipif(not HAS_NUMPY, reason="numpy is not in this interpreter")


# ---- A5-01: documented use -----------------------------------------------------------------------------------------------


@needs_numpy
def test_a5_01_numpy_arrays_are_estimated_and_named(tmp_path):
    """The documented example with an array of 80 MB instead of 800: a sample of 80 MB at 512 KB stands for itself."""
    found = answer("""
        import numpy as np
        m.start(sampling_rate_kb=512)
        data = np.random.randn(3200, 3125)
        snapshot = m.get_snapshot()
        m.stop()
        snapshot.save(sys.argv[1] + "/a.json")
        snapshot.save(sys.argv[1] + "/b.txt", format="collapsed")
        say(estimate=snapshot.estimated_heap_bytes, top=snapshot.top_allocators(5), nbytes=data.nbytes)
        """, tmp_path)
    assert found["nbytes"] == 80_000_000
    assert 0.9 * found["nbytes"] < found["estimate"] < 1.1 * found["nbytes"]
    assert set(found["top"][0]) == {"function", "file", "line", "estimated_bytes", "sample_count"}
    assert found["top"][0]["line"] == PRELUDE_LINES + 4
    assert json.loads((tmp_path / "a.json").read_text())["profiles"]
    assert (tmp_path / "b.txt").read_text().endswith("\n")


# ---- A5-02: errors ---------------------------------------------------------------------------------------------------------


def test_a5_02_misuse_raises_the_documented_errors():
    found = answer("""
        before = [raised(f) for f in (m.stop, m.get_snapshot, m.get_stats)]
        wrong = {repr(rate): raised(m.start, rate) for rate in (0, -1, True, 1.5, "512", None, (1 << 40) + 1)}
        m.start()
        twice = raised(m.start)
        m.stop()
        stopped = raised(m.stop)
        m.stop(missing_ok=True)
        m.shutdown()
        after = [raised(f) for f in (m.start, m.stop, m.get_snapshot, m.get_stats, m.shutdown)]
        say(before=before, wrong=wrong, twice=twice, stopped=stopped, after=after)
        """)
    not_running = ["RuntimeError", "Profiler not running"]
    assert found["before"][0] == not_running and found["stopped"] == not_running
    for error in found["before"][1:]:
        assert error[0] == "RuntimeError" and error[1].startswith("Memory profiler is not initialized")
    assert found["wrong"]["0"] == found["wrong"]["-1"] == ["ValueError", "sampling_rate_kb must be >= 1"]
    assert found["wrong"][str((1 << 40) + 1)][0] == "ValueError"
    assert all(found["wrong"][text][0] == "TypeError" for text in ("True", "1.5", "'512'", "None"))
    assert found["twice"] == ["RuntimeError", "Profiler already running"]
    assert found["after"][0] == ["RuntimeError", "Cannot restart after shutdown"]
    assert found["after"][1] == not_running and found["after"][4] is None
    assert [error[0] for error in found["after"][2:4]] == ["RuntimeError"] * 2


def test_a5_02_hooks_that_see_nothing_are_an_error_and_leave_nothing():
    found = answer("""
        m._self_test = lambda: False
        error = raised(m.start)
        state = [m._running, m._session, m._own_path]
        left = [name for name in os.listdir(tempfile.gettempdir()) if "-%d-" % os.getpid() in name]
        say(error=error, state=state, left=left)
        """)
    assert found == {"error": ["RuntimeError", "Interposition hooks failed"], "state": [False, None, None], "left": []}


# ---- A5-03 to A5-05: accuracy ------------------------------------------------------------------------------------------------

RUNS, BLOCKS = 100, 200


@pytest.mark.parametrize("rate_kb", [64, 256, 512, 1024, 2048, 4096])
def test_a5_03_large_blocks_are_estimated_without_bias(rate_kb):
    """The number of samples is binomial, and these are its exact tails. 5 % at 4096 KB (200 runs, sigma 0.94 %) are left once in
    10 million times, 5.5 sigma once in 20 million. A run at 512 KB leaves 15 % once in 2.7 million (two of 100 once in a
    billion) and 20 % once in 6 billion. At 64 KB a block is missed once in 9 million; + 2 allows for one or two of 20,000."""
    runs = 200 if rate_kb == 4096 else RUNS
    found = answer("""
        rate, runs, blocks = map(int, sys.argv[1:])
        estimates, weights, counts = [], set(), 0
        for _ in range(runs):
            m.start(rate)
            keep = [bytes(1 << 20) for _ in range(blocks)]
            m.stop()
            mine = sizes(m.get_snapshot(resolve=False), 1 << 20)
            del keep
            counts += len(mine)
            weights |= {(s.size, s.weight, s.estimated_bytes) for s in mine}
            estimates.append(sum(s.estimated_bytes for s in mine))
        say(estimates=estimates, weights=sorted(weights), counts=counts)
        """, rate_kb, runs, BLOCKS, env={"MALLOC_MMAP_THRESHOLD_": "131072"})  # fresh zero pages: none is touched
    truth, blocks = BLOCKS * MIB, runs * BLOCKS
    [(size, weight, estimated)] = found["weights"]
    chance = -math.expm1(-size / (rate_kb * 1024))
    assert 0 < size - MIB < 64  # the header of a bytes object
    assert weight == estimated == round(size / chance)
    assert abs(sum(found["estimates"]) / runs / truth - 1) < 0.05
    sigma = math.sqrt(blocks * chance * (1 - chance))
    assert abs(found["counts"] - blocks * chance) < 5.5 * sigma + 2
    if rate_kb == 512:
        far = [estimate for estimate in found["estimates"] if abs(estimate / truth - 1) >= 0.15]
        assert len(far) <= 1 and all(abs(estimate / truth - 1) < 0.2 for estimate in far), far


def test_a5_04_many_small_blocks_are_estimated_without_bias():
    """About 3,100 samples: sigma 1.8 % a run, 0.6 % for ten; 3 % fail once in 10 million times, one of ten runs 10 % in 5 million."""
    found = answer("""
        estimates = []
        for _ in range(10):
            m.start(64)
            keep = [bytearray(2048) for _ in range(100_000)]
            m.stop()
            estimates.append(sum(s.estimated_bytes for s in sizes(m.get_snapshot(resolve=False), 2048, 2056)))
            del keep
        say(estimates=estimates)
        """)
    truth = 100_000 * 2049
    assert all(abs(estimate / truth - 1) < 0.1 for estimate in found["estimates"])
    assert abs(sum(found["estimates"]) / 10 / truth - 1) < 0.03


def test_a5_05_a_huge_block_is_always_sampled_and_stands_for_itself():
    found = answer("""
        m.start(512)
        block = bytes(300 << 20)
        say(samples=[[s.size, s.estimated_bytes] for s in sizes(m.get_snapshot(), 300 << 20)])
        """)
    [[size, estimate]] = found["samples"]
    assert 300 * MIB <= size <= 300 * MIB + 64
    assert abs(estimate / size - 1) < 0.01


def test_what_the_profiler_allocates_itself_brings_no_sample_nearer():
    """500 looks of the program's own 2 KB each are 16 samples at 64 KB; 50 come once in 10^9 runs."""
    found = answer("""
        gc.disable()
        m.start(64)
        before = m.get_stats().total_samples
        for _ in range(500):
            m.get_stats()
        say(more=m.get_stats().total_samples - before)
        """)
    assert found["more"] < 50


def test_small_objects_of_python_are_estimated_too():
    """20 MB in objects of 64 bytes at 32 KB: 620 samples, sigma 4 %; 24 % fail once in a hundred million times."""
    found = answer("""
        m.start(32)
        keep = [bytes(31) for _ in range(320_000)]
        m.stop()
        s = m.get_snapshot(resolve=False)
        say(estimate=sum(x.estimated_bytes for x in sizes(s, 64, 64)))
        """)
    assert abs(found["estimate"] / (320_000 * 64) - 1) < 0.24


# ---- A5-06 to A5-09: counts and life cycle -------------------------------------------------------------------------------------


def test_a5_06_the_numbers_of_a_quiet_process_agree():
    """Quiet: a moment in which the profiler runs and takes no sample between three looks; and after it was stopped."""
    found = answers("""
        gc.disable()
        m.start(64)
        keep = [bytearray(1000 + n % 3000) for n in range(50000)]
        del keep[::3]
        for running in (True, False):
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                looks = m.get_stats(), m.get_snapshot(), m.get_stats()
                if looks[0] == looks[2]:
                    break
            say(sum=sum(s.estimated_bytes for s in looks[1].samples), estimates=[look.estimated_heap_bytes for look in looks],
                samples=len(looks[1].samples), live=[look.live_samples for look in looks],
                total=[look.total_samples for look in looks], freed=looks[0].freed_samples, running=m._running)
            if running:
                m.stop()
        """)
    assert [look["running"] for look in found] == [True, False]
    for look in found:
        assert set(look["estimates"]) == {look["sum"]} and set(look["live"]) == {look["samples"]}
        assert set(look["total"]) == {look["samples"] + look["freed"]}
        assert look["samples"] > 500 and look["freed"] > 300


def test_a5_07_frees_are_seen_while_running_and_after_stop():
    """What else the program keeps (the numbers themselves, what stop() sets) may be a sample: 20 of them would be 320 KB."""
    found = answer("""
        m.start(16)
        first = [bytearray(65536) for _ in range(2000)]
        second = [bytearray(65536) for _ in range(2000)]
        before = m.get_stats().live_samples
        del first
        half = m.get_stats().live_samples
        m.stop()
        total = m.get_stats().total_samples
        later = [bytearray(65536) for _ in range(2000)]
        stopped = m.get_stats()
        del second
        end = m.get_snapshot()
        say(before=before, half=half, total=total, stopped=stopped.total_samples, live=stopped.live_samples, end=end.live_samples)
        """)
    assert found["before"] >= 3800
    assert abs(found["half"] / found["before"] - 0.5) < 0.03
    assert found["stopped"] == found["total"] and found["live"] < found["half"] + 20
    assert found["end"] <= 0.01 * found["before"]


def test_a5_08_restart_follows_the_new_rate_and_keeps_what_was_seen():
    found = answer("""
        rates, totals = [], []
        keep = []
        for rate in (64, 1, 4096, 64):
            m.start(rate)
            keep += [bytearray(1 << 20) for _ in range(20)]
            rates.append(m.get_stats().sampling_rate_bytes)
            m.stop()
            totals.append(len(sizes(m.get_snapshot(), 1 << 20)))
        say(rates=rates, totals=totals)
        """)
    assert found["rates"] == [65536, 1024, 4194304, 65536]
    assert found["totals"][:2] == [20, 40] and 40 <= found["totals"][2] < 60  # 20 misses of 22 %: never
    assert found["totals"][3] == found["totals"][2] + 20


def test_a5_09_shutdown_is_for_good_and_harmless():
    found = answer("""
        m.start(4)
        keep = [bytearray(3000) for _ in range(3000)]
        path = m._own_path
        m.shutdown()
        m.shutdown()
        error = raised(m.start)
        del keep[::2]
        keep += [bytearray(3000) for _ in range(3000)]
        del keep
        gc.collect()
        say(error=error, left=os.path.exists(path), flags=[m._running, m._shutdown], mode=memtap._agent.state()["mode"])
        """)
    assert found == {"error": ["RuntimeError", "Cannot restart after shutdown"], "left": False, "flags": [False, True],
                     "mode": "off"}


# ---- A5-10, A5-11: stacks ----------------------------------------------------------------------------------------------------

MODULE = """\
def outer(n):
    return [
        hold(n),
    ]


def hold(n):
    return bytearray(n)
"""


def test_a5_10_a_site_is_named_by_file_line_and_function(tmp_path):
    (tmp_path / "holder.py").write_text(MODULE)
    found = answer("""
        sys.path.insert(0, sys.argv[1])
        import holder
        m.start(64)
        keep = [holder.outer(2 << 20) for _ in range(10)]
        snapshot = m.get_snapshot()
        stack = sizes(snapshot, 2 << 20)[0].stack
        say(tops={by: snapshot.top_allocators(1, by=by)[0] for by in ("site", "python", "leaf", "root")},
            python=[[f.function, f.file, f.line, f.address] for f in stack if f.is_python],
            native=[[f.function, f.address, f.line] for f in stack if not f.is_python], text=str(stack[-1]),
            wrong=raised(snapshot.top_allocators, 1, by="age"), none=snapshot.top_allocators(0), few=snapshot.top_allocators(-3))
        """, tmp_path)
    file = str(tmp_path / "holder.py")
    site = found["tops"]["site"]
    assert (site["function"], site["file"], site["line"]) == ("hold", file, 8)
    assert found["tops"]["python"] == site
    # The ten objects of 56 bytes lie on that line too: one of them is a sample once in 120 times, three once in ten million.
    assert 20 * MIB <= site["estimated_bytes"] <= 20.2 * MIB and 10 <= site["sample_count"] <= 12
    assert [frame[:3] for frame in found["python"][:2]] == [["hold", file, 8], ["outer", file, 3]]
    assert found["python"][-1][0] == "<module>" and all(frame[3] == 0 for frame in found["python"])
    assert len(found["native"]) >= 3 and all(frame[1] > 4096 for frame in found["native"])
    assert found["tops"]["leaf"]["function"] == found["native"][0][0] and found["tops"]["root"]["function"] in found["text"]
    assert found["wrong"][0] == "ValueError" and found["none"] == found["few"] == []


@needs_numpy
def test_a5_10_frames_of_an_extension_lie_below_the_python_call():
    found = answer("""
        import numpy as np
        m.start(64)
        def make():
            return np.ones(1 << 20)
        keep = make()
        stack = sizes(m.get_snapshot(), 8 << 20)[0].stack
        say(frames=[[f.is_python, f.function, f.file] for f in stack])
        """)
    kinds = [frame[0] for frame in found["frames"]]
    below = found["frames"][:kinds.index(True)]
    assert any("_multiarray_umath" in file for _, _, file in below)
    assert [frame[1] for frame in found["frames"] if frame[0] and not frame[2].endswith("numeric.py")][-2:] == ["make", "<module>"]


def test_a5_11_stacks_are_there_while_the_profiler_runs():
    found = answer("""
        m.start(64)
        keep = [bytearray(1 << 20) for _ in range(30)]
        resolved, plain = m.get_snapshot(), m.get_snapshot(resolve=False)
        say(running=m._running, empty=sum(not s.stack for s in resolved.samples), top=resolved.top_allocators(1)[0]["line"],
            names=sum(bool(f.function) and not f.is_python for f in sizes(resolved, 1 << 20)[0].stack),
            addresses=[f.address for f in sizes(plain, 1 << 20)[0].stack],
            same=[f.address for f in sizes(resolved, 1 << 20)[0].stack],
            health=[resolved.frame_pointer_health.confidence, resolved.frame_pointer_health.min_native_depth])
        """)
    assert found["running"] and found["empty"] == 0 and found["top"] == PRELUDE_LINES + 3
    assert found["names"] >= 3
    assert set(found["addresses"]) == set(found["same"])  # inlined calls share their caller's address
    assert found["health"][0] == "high" and found["health"][1] >= 3


# ---- A5-12: health -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shallow, total, confidence", [
    (4, 100, "high"), (5, 100, "medium"), (19, 100, "medium"), (20, 100, "low"), (100, 100, "low"), (0, 0, "high"), (1, 1, "low")])
def test_a5_12_confidence_has_its_limits_at_5_and_20_percent(shallow, total, confidence):
    health = FramePointerHealth(shallow, total, 10.0, 1)
    assert health.truncation_rate == (shallow / total if total else 0.0)
    assert health.confidence == confidence
    assert (health.recommendation is None) == (confidence == "high")


def test_a5_12_the_rate_may_be_given():
    assert FramePointerHealth(0, 100, 10.0, 1, 0.5).confidence == "low"


# ---- A5-13: files ---------------------------------------------------------------------------------------------------------------


def a_snapshot(*stacks):
    samples = [AllocationSample(1, 10, weight, weight, 5, None, stack) for weight, stack in stacks]
    return HeapSnapshot(samples, len(samples), len(samples), sum(s.weight for s in samples), 9, FramePointerHealth(0, 0, 0.0, 0))


def check_speedscope(document, estimate):
    """What https://www.speedscope.app/file-format-schema.json demands of a sampled profile."""
    assert document["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    frames = document["shared"]["frames"]
    assert all(set(frame) <= {"name", "file", "line", "col"} and isinstance(frame["name"], str) for frame in frames)
    assert all(isinstance(frame.get("line", 0), int) and isinstance(frame.get("file", ""), str) for frame in frames)
    [profile] = document["profiles"]
    assert document["activeProfileIndex"] == 0 and isinstance(document["exporter"], str)
    assert set(profile) == {"type", "name", "unit", "startValue", "endValue", "samples", "weights"}
    assert (profile["type"], profile["unit"], profile["startValue"]) == ("sampled", "bytes", 0)
    assert len(profile["samples"]) == len(profile["weights"])
    assert all(0 <= number < len(frames) for stack in profile["samples"] for number in stack)
    assert sum(profile["weights"]) == profile["endValue"] == estimate
    return [[frames[number]["name"] for number in stack] for stack in profile["samples"]]


def test_a5_13_files_of_a_real_snapshot_are_valid_and_complete(tmp_path):
    found = answer("""
        import pathlib
        m.start(4)
        keep = [bytearray(5000) for _ in range(1000)]
        m.stop()
        s = m.get_snapshot()
        s.save(sys.argv[1] + "/a.json")
        s.save(pathlib.Path(sys.argv[1]) / "b.txt", "collapsed")
        say(estimate=s.estimated_heap_bytes, error=raised(s.save, sys.argv[1] + "/c", format="svg"))
        """, tmp_path)
    stacks = check_speedscope(json.loads((tmp_path / "a.json").read_text()), found["estimate"])
    assert any("<module>" in stack for stack in stacks)
    lines = (tmp_path / "b.txt").read_text().splitlines()
    assert all(re.match(r"^.+ \d+$", line) for line in lines)
    assert sum(int(line.rpartition(" ")[2]) for line in lines) == found["estimate"]
    assert len({line.rpartition(" ")[0] for line in lines}) == len(lines)
    assert found["error"][0] == "ValueError" and found["error"][1].startswith("Unknown format: svg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.txt"]


def test_a5_13_names_that_would_break_a_line_do_not(tmp_path):
    inner, outer = StackFrame(1, "op;x\ny", "a b.c", 3, False), StackFrame(0, "größe 1", "m.py", 7, True)
    snapshot = a_snapshot((100, [inner, outer]), (11, [inner, outer]), (7, []))
    snapshot.save(tmp_path / "c", "collapsed")
    assert sorted((tmp_path / "c").read_text("utf-8").splitlines()) == ["[unknown] 7", "größe 1;op:x y 111"]
    snapshot.save(str(tmp_path / "s"))
    stacks = check_speedscope(json.loads((tmp_path / "s").read_text()), 118)
    assert ["größe 1", "op;x\ny"] in stacks


def test_a5_13_an_empty_snapshot_can_be_saved(tmp_path):
    a_snapshot().save(tmp_path / "s")
    assert check_speedscope(json.loads((tmp_path / "s").read_text()), 0) == []
    a_snapshot().save(tmp_path / "c", "collapsed")
    assert (tmp_path / "c").read_text() == ""


def test_a5_13_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path):
    with pytest.raises(OSError):
        a_snapshot().save("/proc/self/nothing/x.json")
    (tmp_path / "s").write_text("old")
    (tmp_path / "s").chmod(0o600)
    a_snapshot().save(tmp_path / "s")
    assert (tmp_path / "s").read_text() != "old" and len(list(tmp_path.iterdir())) == 1


def test_a5_13_files_and_folders_need_not_be_utf8(tmp_path):
    folder = os.fsencode(tmp_path) + b"/\xff"
    os.mkdir(folder)
    found = answer("""
        import os
        import memtap
        path = os.fsencode(sys.argv[1]) + b"/\\xff/"
        with memtap.record(path + b"\\xfe.mtap") as recording:
            kept = bytearray(1 << 20)
        with memtap.open(path + b"\\xfe.mtap") as trace:
            numbers = trace.stats()
        m.start(1)
        more = bytearray(1 << 20)
        m.get_snapshot().save(path + b"snapshot")
        m.get_snapshot().save(os.fsdecode(path) + "\\udcfa", "collapsed")
        say(same=os.fsencode(recording.path) == path + b"\\xfe.mtap", bytes=numbers["leaked_bytes"])
        """, str(tmp_path), env={"TMPDIR": os.fsdecode(folder)})
    assert found["same"] and found["bytes"] > 1 << 20
    assert sorted(os.listdir(folder)) == [b"snapshot", b"\xfa", b"\xfe.mtap"]


def test_a_block_resized_within_our_own_work_is_no_sample_any_more():
    """A program's block may get another size while a snapshot is taken: its old address is somebody else's then."""
    found = answer("""
        from memtap import _agent
        m.start(1)
        block, other = bytearray(3 << 20), bytearray(3 << 20)
        before = len(sizes(m.get_snapshot(), 3 << 20))
        with _agent.unrecorded():
            block.extend(bytes(40 << 20))
        again = [bytearray(3 << 20) for _ in range(3)]
        stats = m.get_stats()
        say(before=before, after=len(sizes(m.get_snapshot(), 3 << 20)), larger=len(sizes(m.get_snapshot(), 43 << 20, 60 << 20)),
            lost=[stats.collisions, stats.death_during_birth])
        """)
    assert found == {"before": 2, "after": 1 + 3, "larger": 0, "lost": [0, 0]}


# ---- A5-14: the context manager ------------------------------------------------------------------------------------------------


def test_a5_14_a_block_leaves_a_snapshot_also_after_an_exception():
    found = answers("""
        with m.MemoryProfiler(sampling_rate_kb=64) as p:
            inside = p.snapshot
            keep = bytearray(8 << 20)
        say(before=inside, after=len(sizes(p.snapshot, 8 << 20)), running=m._running)
        try:
            with m.MemoryProfiler(64) as q:
                more = bytearray(8 << 20)
                1 / 0
        except ZeroDivisionError as error:
            say(seen=len(sizes(q.snapshot, 8 << 20)), running=m._running)
        with m.HeapProfiler(64) as r:
            m.stop()
        say(kept=r.snapshot.live_samples, running=m._running, same=m.MemoryProfiler is m.HeapProfiler)
        m.start()
        error = raised(m.MemoryProfiler(64).__enter__)
        say(error=error, running=m._running)
        """)
    assert found[0] == {"before": None, "after": 1, "running": False}
    assert found[1] == {"seen": 2, "running": False}
    assert found[2]["kept"] >= 2 and found[2]["running"] is False and found[2]["same"]
    assert found[3] == {"error": ["RuntimeError", "Profiler already running"], "running": True}


# ---- A5-18: lifetimes -------------------------------------------------------------------------------------------------------------


def test_a5_18_freed_samples_have_their_lifetime():
    """Compared with the program's own clock around it; the 10 % are of 50 ms."""
    found = answer("""
        m.start(64)
        pairs = []
        for _ in range(10):
            born = time.monotonic_ns()
            block = bytearray(4 << 20)
            made = time.monotonic_ns()
            while time.monotonic_ns() - made < 50_000_000:
                time.sleep(0.005)
            dying = time.monotonic_ns()
            del block
            dead = time.monotonic_ns()
            pairs.append([born, made, dying, dead])
        s = m.get_snapshot(include_freed=True)
        freed = sorted((f for f in s.freed_samples if 4 << 20 <= f.size < 5 << 20), key=lambda f: f.timestamp_ns)
        say(pairs=pairs, freed=[[f.timestamp_ns, f.lifetime_ns, f.is_live, len(f.stack)] for f in freed],
            live=len(sizes(s, 4 << 20)), without=len(m.get_snapshot().freed_samples))
        """)
    assert found["live"] == found["without"] == 0 and len(found["freed"]) == 10
    for (born, made, dying, dead), (at, lifetime, is_live, depth) in zip(found["pairs"], found["freed"]):
        slack = 5_000_000  # a tenth of 50 ms
        assert not is_live and depth >= 2
        assert born - slack <= at <= made + slack
        assert dying - made - slack <= lifetime <= dead - born + slack


# ---- A5-19: churn (10 minutes of it: tests/stress/test_soak.py) -------------------------------------------------------------------


def test_a5_19_churn_leaves_the_number_of_live_samples_alone():
    found = answer("""
        m.start(16)
        keep = [bytearray(8192) for _ in range(1000)]
        live = []
        for _ in range(10):
            for _ in range(20):
                block = [bytes(100) for _ in range(5000)]
            del block
            live.append(m.get_stats().live_samples)
        stats = m.get_stats()
        say(live=live, freed=stats.freed_samples, unknown=stats.death_during_birth, collisions=stats.collisions)
        """)
    assert found["freed"] > 5000
    assert max(found["live"]) - min(found["live"]) <= 12
    assert found["unknown"] == found["collisions"] == 0


# ---- A5-20: what the original's own tests demand beyond the above ------------------------------------------------------------------


def test_a5_20_data_classes_take_the_arguments_of_the_original():
    frame = StackFrame(0x10, "func1", "file1.py", 10)
    assert frame.is_python is False and "func1" in str(frame) and "file1.py:10" in str(frame)
    assert "frame-pointer" in FramePointerHealth(15, 100, 10.0, 3).recommendation.lower()
    freed = AllocationSample(address=1, size=2, weight=3, estimated_bytes=3, timestamp_ns=4, lifetime_ns=5, stack=[])
    assert not freed.is_live and AllocationSample(1, 2, 3, 3, 4, None, []).is_live
    stats = MemProfStats(1000, 750, 250, 50, 384_000_000, 7.5, 120, 524288, shallow_stack_warnings=5, death_during_birth=2,
                         zombie_races_detected=0)
    assert (stats.total_samples, stats.sampling_rate_bytes) == (1000, 524288)


def test_a5_20_sites_are_sums_sorted_by_bytes():
    big, small = StackFrame(1, "big", "a.py", 10), StackFrame(2, "small", "a.py", 20)
    snapshot = a_snapshot((5, [small]), (4, [big]), (4, [big]), (9, []))
    assert snapshot.top_allocators(2) == [
        {"function": "big", "file": "a.py", "line": 10, "estimated_bytes": 8, "sample_count": 2},
        {"function": "small", "file": "a.py", "line": 20, "estimated_bytes": 5, "sample_count": 1}]
    assert len(snapshot.top_allocators(1)) == 1
    assert snapshot.sites() == [AllocationSite("big", "a.py", 10, 8, 2), AllocationSite("small", "a.py", 20, 5, 1)]
    with pytest.raises(ValueError, match="nowhere"):
        snapshot.sites(by="nowhere")


def test_a5_20_flags_follow_the_life_cycle():
    found = answer("""
        flags = lambda: [m._initialized, m._running, m._shutdown]
        seen = [flags()]
        for step in (m.start, m.stop, m.shutdown):
            step()
            seen.append(flags())
        say(seen=seen)
        """)
    assert found["seen"] == [[False, False, False], [True, True, False], [True, False, False], [True, False, True]]


def test_an_interpreter_that_ends_while_profiling_ends_well(tmp_path):
    out, err = run("m.start(1)\nkeep = [bytearray(n) for n in range(20000)]\nprint('end')", env={"TMPDIR": str(tmp_path)})
    assert out == "end\n" and err == "" and list(tmp_path.iterdir()) == []
