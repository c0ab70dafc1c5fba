"""Snapshots of memtap.memprof against its contract: sites, stacks, health, files, values. A5-nn are the contract's cases."""

import json
import os
import re

import pytest
from childprogram import PRELUDE_LINES, answer, needs_numpy

from memtap.memprof import AllocationSample, AllocationSite, FramePointerHealth, HeapSnapshot, MemProfStats, StackFrame

MIB = 1 << 20


# ---- A5-10, A5-11: stacks --------------------------------------------------------------------------------------------

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
            wrong=raised(snapshot.top_allocators, 1, by="age"), none=snapshot.top_allocators(0),
            few=raised(snapshot.top_allocators, -3), words=raised(snapshot.top_allocators, "3"), nothing=raised(snapshot.diff, None))
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
    assert found["wrong"][0] == "ValueError" and found["none"] == []
    assert found["few"][0] == "ValueError" and "0 or more" in found["few"][1]
    assert found["words"][0] == "TypeError" and "whole number" in found["words"][1]
    assert found["nothing"][0] == "TypeError" and "get_snapshot()" in found["nothing"][1]


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


# ---- A5-12: health ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shallow, total, confidence", [
    (4, 100, "high"), (5, 100, "medium"), (19, 100, "medium"), (20, 100, "low"), (100, 100, "low"), (0, 0, "high"), (1, 1, "low")])
def test_a5_12_confidence_has_its_limits_at_5_and_20_percent(shallow, total, confidence):
    health = FramePointerHealth(shallow, total, 10.0, 1)
    assert health.truncation_rate == (shallow / total if total else 0.0)
    assert health.confidence == confidence
    assert (health.recommendation is None) == (confidence == "high")


def test_a5_12_the_rate_may_be_given():
    assert FramePointerHealth(0, 100, 10.0, 1, 0.5).confidence == "low"


# ---- A5-13: files ----------------------------------------------------------------------------------------------------


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


# ---- A5-20: what the original's own tests demand beyond the above ----------------------------------------------------


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


def test_lists_of_a_snapshot_are_the_callers_own():
    """Frames are shared between snapshots; what is done to the lists of one is not seen in the next."""
    found = answer("""
        m.start(64)
        keep = [bytearray(2 << 20) for _ in range(5)]
        first = m.get_snapshot()
        names = [frame.function for frame in sizes(first, 2 << 20)[0].stack]
        shared = sizes(first, 2 << 20)[0].stack
        for sample in first.samples:
            sample.stack.reverse()
            sample.stack.clear()
        second = m.get_snapshot()
        again = sizes(second, 2 << 20)[0].stack
        say(same=[frame.function for frame in again] == names, several=len(names) > 1, other=again is not shared,
            samples=len(sizes(second, 2 << 20)))
        """)
    assert found == {"same": True, "several": True, "other": True, "samples": 5}
