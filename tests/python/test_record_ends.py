"""memtap.record: what happens when a recording cannot begin, go on or end, in forks, and beside memprof and `memtap run`."""

import os
import subprocess

import pytest
from childprogram import answer, answers, run
from tracefacts import FILE_FULL, state, stats

from memtap._command import program_path

MIB = 1 << 20


# ---- nothing left to write to ----------------------------------------------------------------------------------------


@pytest.fixture
def mounted(tmp_path):
    """A function that mounts a tmpfs with options."""
    folders = []

    def mount(options):
        folder = tmp_path / f"disk{len(folders)}"
        folder.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "memtap-test", str(folder)], capture_output=True, check=False)
        if done.returncode != 0:
            pytest.skip("mounting a tmpfs needs root")
        folders.append(folder)
        return folder

    yield mount
    for folder in folders:
        subprocess.run(["umount", str(folder)], check=False)


def test_a_folder_that_cannot_be_written_is_an_error(mounted, tmp_path):
    found = answer("""
        say(record=raised(memtap.record(sys.argv[1] + "/a").start), profiler=raised(m.start), running=m._running)
        """, mounted("ro"), env={"TMPDIR": str(tmp_path / "none")})
    assert found["record"][0] in ("OSError", "PermissionError") and "/a" in found["record"][1]
    assert found["running"] or found["profiler"][0] in ("FileNotFoundError", "OSError")


@pytest.mark.parametrize("kib", [4, 64, 256, 1024, 4096])
def test_a_full_disk_ends_the_recording_and_not_the_program(mounted, kib):
    folder = mounted(f"size={kib}k")
    found = answer("""
        error = None
        try:
            with memtap.record(sys.argv[1] + "/a") as r:
                keep = [bytearray(600) for _ in range(300_000)]
        except OSError as e:
            error = str(e)
        with memtap.record(sys.argv[2] + "/b"):
            more = bytearray(5 << 20)
        say(error=error, there=os.path.exists(sys.argv[1] + "/a"))
        """, folder, folder.parent)
    assert stats(folder.parent / "b")["peak_bytes"] >= 5 * MIB
    if found["error"] is None:
        assert state(folder / "a") == FILE_FULL and stats(folder / "a")["trace_bytes"] <= kib * 1024
    else:
        assert kib <= 256 and "/a" in found["error"] and not found["there"]


def test_max_file_ends_the_recording_and_not_the_program(tmp_path):
    answer("""
        with memtap.record(sys.argv[1] + "/a", max_file=1 << 20):
            keep = [bytearray(600) for _ in range(300_000)]
        say(kept=len(keep))
        """, tmp_path)
    assert os.path.getsize(tmp_path / "a") <= MIB
    assert 10_000 < stats(tmp_path / "a")["allocations"] < 300_000 and state(tmp_path / "a") == FILE_FULL


# ---- other processes, ends -------------------------------------------------------------------------------------------


def test_a_fork_child_leaves_the_recording_alone_and_can_make_its_own(tmp_path):
    found = answers("""
        with memtap.record(sys.argv[1] + "/parent") as r:
            before = bytearray(5 << 20)
            pid = os.fork()
            if pid == 0:
                lost = bytearray(9 << 20)
                r.stop()
                with memtap.record(sys.argv[1] + "/child"):
                    mine = bytearray(11 << 20)
                say(running=r.running)
                os._exit(0)
            os.waitpid(pid, 0)
            after = bytearray(7 << 20)
        say(running=r.running)
        """, tmp_path)
    assert found == [{"running": False}, {"running": False}]
    assert 12 <= stats(tmp_path / "parent")["peak_bytes"] / MIB < 12.5
    assert 11 <= stats(tmp_path / "child")["peak_bytes"] / MIB < 11.5


def test_a_child_that_leaves_the_block_leaves_the_parents_recording_alone(tmp_path):
    answer("""
        with memtap.record(sys.argv[1] + "/parent") as r:
            pid = os.fork()
            more = bytearray(5 << 20) if pid else None
            if pid:
                os.waitpid(pid, 0)
        if not pid:
            os._exit(0)
        say()
        """, tmp_path)
    assert stats(tmp_path / "parent")["peak_bytes"] >= 5 * MIB


@pytest.mark.parametrize("end", ["sys.exit(0)", "pass", "os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_a_process_that_ends_inside_leaves_a_readable_trace(tmp_path, end):
    run(f"r = memtap.record(sys.argv[1] + '/a').start(); keep = bytearray(5 << 20)\n{end}", tmp_path,
        status=-9 if "kill" in end else 0)
    found = stats(tmp_path / "a")
    assert 5 * MIB <= found["peak_bytes"] < 5.5 * MIB
    assert (found["leaked_bytes"] >= 5 * MIB) == ("os." in end)  # an interpreter that ends frees its globals
    assert len(list(tmp_path.glob(".a.*.journal"))) == ("kill" in end)  # nobody was left to put it into the trace
    assert [name for name in os.listdir(tmp_path) if name[0] != "."] == ["a"]


@pytest.mark.parametrize("planted", [False, True])
def test_a_trace_that_is_replaced_goes_with_its_journal_and_with_nothing_else(tmp_path, planted):
    run("memtap.record(sys.argv[1] + '/a').start(); keep = bytearray(5 << 20)\nos.kill(os.getpid(), 9)", tmp_path, status=-9)
    (journal,) = tmp_path.glob(".a.*.journal")
    others = {journal.name} if planted else set()
    (tmp_path / ".b.0123456789abcdef.journal").write_bytes(journal.read_bytes())
    if planted:
        journal.write_text("a person's notes")
    answer("""
        with memtap.record(sys.argv[1] + "/a", overwrite=True):
            keep = bytearray(5 << 20)
        say()
        """, tmp_path)
    assert stats(tmp_path / "a")["leaked_bytes"] >= 5 * MIB
    assert set(os.listdir(tmp_path)) - {"truth"} == {"a", ".b.0123456789abcdef.journal"} | others


def test_an_emptied_trace_ends_the_recording_and_not_the_program(tmp_path):
    """What was in the file is gone; a program that goes on records on elsewhere."""
    found = answer("""
        keep = []
        try:
            with memtap.record(sys.argv[1] + "/a"):
                keep += [bytearray(600) for _ in range(50_000)]
                os.truncate(sys.argv[1] + "/a", 0)
                keep += [bytearray(600) for _ in range(50_000)]
        except OSError:
            pass
        with memtap.record(sys.argv[1] + "/b"):
            more = bytearray(5 << 20)
        say(kept=len(keep))
        """, tmp_path)
    assert found["kept"] == 100_000
    assert stats(tmp_path / "b")["peak_bytes"] >= 5 * MIB
    emptied = stats(tmp_path / "a")
    assert emptied["dropped_events"] is None and any("emptied" in warning for warning in emptied["warnings"])
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_recordings_leave_no_hooks_behind(tmp_path):
    """Python's allocators and the slots of libpython or the program are those of before."""
    found = answer("""
        import ctypes

        class Allocator(ctypes.Structure):
            _fields_ = [(name, ctypes.c_void_p) for name in ("ctx", "malloc", "calloc", "realloc", "free")]

        def allocators():
            found = []
            for domain in range(3):
                allocator = Allocator()
                ctypes.pythonapi.PyMem_GetAllocator(domain, ctypes.byref(allocator))
                found.append([getattr(allocator, name) for name, _ in Allocator._fields_])
            return found

        before = allocators()
        with memtap.record(sys.argv[1] + "/a"):
            inside = allocators()
        say(restored=allocators() == before, hooked=inside != before, mode=memtap._agent.state()["mode"])
        """, tmp_path)
    assert found == {"restored": True, "hooked": True, "mode": "off"}


# ---- beside memprof and `memtap run` ---------------------------------------------------------------------------------


def test_a_running_profiler_is_not_pushed_aside_a_stopped_one_is(tmp_path):
    found = answer("""
        m.start(64)
        mine = [bytearray(1 << 20) for _ in range(20)]
        error = raised(memtap.record(sys.argv[1] + "/no").start)
        m.stop()
        first = m._own_path
        with memtap.record(sys.argv[1] + "/a"):
            seen = len(sizes(m.get_snapshot(), 1 << 20))
            keep = bytearray(5 << 20)
        still = len(sizes(m.get_snapshot(), 1 << 20))
        m.start(64)
        more = bytearray(3 << 20)
        now = [len(sizes(m.get_snapshot(), 3 << 20)), os.path.exists(first), m._own_path != first]
        say(error=error, seen=seen, still=still, now=now)
        """, tmp_path)
    assert found["error"][0] == "RuntimeError" and "already" in found["error"][1]
    assert found["seen"] == found["still"] == 20 and found["now"] == [1, False, True]
    assert stats(tmp_path / "a")["peak_bytes"] >= 5 * MIB


def test_a_profiler_started_inside_looks_at_the_recording_and_goes_on_after_it(tmp_path):
    found = answers("""
        def look():
            stats = m.get_stats()
            s = m.get_snapshot()
            say(rate=stats.sampling_rate_bytes, mib=sorted(x.size >> 20 for x in s.samples if x.size >= 1 << 20), running=m._running)

        with memtap.record(sys.argv[1] + "/a") as a:
            one = bytearray(1 << 20)
            m.start(64)
            two = bytearray(2 << 20)
            look()
            m.stop()
            say(error=raised(memtap.record(sys.argv[1] + "/b").start), mode=memtap._agent.state()["mode"])
            m.start(64)
        os.unlink(a.path)
        three = bytearray(3 << 20)
        look()
        m.stop()
        with memtap.record(sys.argv[1] + "/c", mode="sample", rate=1024):
            m.start(64)
            four = bytearray(4 << 20)
            look()
            m.stop()
        with memtap.record(sys.argv[1] + "/d"):
            m.start()
            five = bytearray(5 << 20)
            look()
            m.stop()
        with memtap.record(sys.argv[1] + "/e", mode="aggregate"):
            say(error=raised(m.start), running=m._running)
        m.shutdown()
        """, tmp_path)
    assert found[0] == {"rate": 1, "mib": [2], "running": True}
    assert found[1]["error"][0] == "RuntimeError" and found[1]["mode"] == "exact"
    assert found[2] == {"rate": 65536, "mib": [3], "running": True}
    assert found[3] == {"rate": 1024, "mib": [4], "running": True}
    assert found[4] == {"rate": 1, "mib": [5], "running": True}
    assert found[5]["error"][0] == "RuntimeError" and "aggregate" in found[5]["error"][1] and not found[5]["running"]
    assert stats(tmp_path / "d")["peak_bytes"] >= 5 * MIB


@pytest.mark.parametrize("mode", ["exact", "sample"])
def test_inside_memtap_run_there_is_one_recording_already(tmp_path, mode):
    options = [] if mode == "exact" else ["--mode=sample", "--rate=64K"]
    found = answer("""
        error = raised(memtap.record(sys.argv[1] + "/no").start)
        before = bytearray(9 << 20)
        m.start(4096)
        keep = [bytearray(1 << 20) for _ in range(20)]
        stats, s = m.get_stats(), m.get_snapshot()
        m.stop()
        after = bytearray(7 << 20)
        m.shutdown()
        say(error=error, rate=stats.sampling_rate_bytes, count=len(sizes(s, 1 << 20)), more=len(sizes(s, 9 << 20)),
            top=s.top_allocators(1)[0]["function"], mode=memtap._agent.state()["mode"])
        """, tmp_path, before=[program_path(), "run", *options, "-o", tmp_path / "run", "--"])
    assert found["error"][0] == "RuntimeError" and "memtap run" in found["error"][1]
    assert found["count"] == 20 and found["more"] == 0 and found["mode"] == mode
    assert found["rate"] == (1 if mode == "exact" else 65536)
    assert stats(tmp_path / "run")["peak_bytes"] >= 35 * MIB
    assert sorted(os.listdir(tmp_path)) == ["run"]
