"""memtap.record: what is recorded, where, and what happens when a recording cannot begin, go on or end."""

import os
import random
import struct
import subprocess

import pytest
from childprogram import answer, answers, run

import memtap
from memtap._command import program_path

MIB = 1 << 20


ENDED, FILE_FULL = 2, 4  # the header's state, docs/formats/trace.md 1.1


def state(path):
    with open(path, "rb") as file:
        return struct.unpack_from("<I", file.read(84), 80)[0]


def stats(path):
    with memtap.open(path) as trace:
        return trace.stats()


# ---- the truth of a recording ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("python_allocators", [True, False])
def test_exactly_what_happens_inside_is_recorded(tmp_path, python_allocators):
    """Blocks of 3 MiB and 5 MiB, which nothing else allocates; the first is older, one is freed inside, two outlive it."""
    found = answer("""
        old = bytearray(3 << 20)
        path = sys.argv[1] + "/a.mtap"
        r = memtap.record(path, python_allocators=sys.argv[2] == "True")
        with r as same:
            keep = [bytearray(5 << 20), bytearray(5 << 20)]
            more = bytearray(3 << 20)
            del old, more
            state = [r.running, r is same, r.path == path]
        after = bytearray(7 << 20)
        with memtap.open(path) as trace:
            say(state=state, running=r.running, events=[[e.kind, e.size] for e in trace.records() if e.size >= 3 << 20],
                stats=trace.stats(), leaks=[[row["function"], row["bytes"], row["count"]] for row in trace.leaks()][:1])
        """, tmp_path, python_allocators)
    assert found["state"] == [True, True, True] and found["running"] is False
    assert [size >> 20 for kind, size in found["events"] if kind == "alloc"] == [5, 5, 3]
    assert 13 * MIB <= found["stats"]["peak_bytes"] < 13.2 * MIB
    assert 10 * MIB <= found["stats"]["leaked_bytes"] < 10.2 * MIB
    assert found["stats"]["dropped_events"] == 0
    function, size, count = found["leaks"][0]
    assert function == "<module>" and count == (5 if python_allocators else 2)  # two buffers; their objects and a list
    assert 10 * MIB <= size < 10.01 * MIB


def test_random_call_paths_are_told_apart_and_shared(tmp_path):
    """Two threads take turns in walking random trees of calls, sorted() being C between Python frames; each leaf allocates a
    size of its own and notes its stack."""
    seed = random.randrange(1 << 30)
    print("seed", seed)
    found = answer("""
        import random

        def leaf(name):
            size = BASE + len(truth) * 16
            stack, frame = [], sys._getframe(1)
            while frame is not None:
                stack.append([frame.f_code.co_name, frame.f_lineno])
                frame = frame.f_back
            truth[size] = stack
            keep.append(bytes(size))

        def left(rng, depth):
            for _ in range(rng.choice((0, 1, 1, 2))):
                if depth < 40:
                    rng.choice((left, right, around))(rng, depth + 1)
            leaf("left")

        def right(rng, depth):
            leaf("early")
            if depth < 40 and rng.random() < 0.8:
                left(rng, depth + 1)
            leaf("late")
            turn()

        def around(rng, depth):
            sorted([1, 2], key=lambda n: left(rng, depth + 1) or n)

        def turn():
            mine, other = (first, second) if threading.current_thread() is threads[0] else (second, first)
            if len(alive) == 2 and threading.current_thread() in alive:
                other.release()
                mine.acquire()

        def work(seed):
            rng = random.Random(seed)
            while len(truth) < 3000:
                right(rng, 0)
            alive.remove(threading.current_thread())
            first.release(), second.release()

        BASE, truth, keep = 1 << 16, {}, []
        first, second = threading.Semaphore(1), threading.Semaphore(0)
        threads = [threading.Thread(target=work, args=(int(sys.argv[2]) + i,)) for i in range(2)]
        alive = list(threads)
        path = sys.argv[1] + "/a.mtap"
        with memtap.record(path):
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        with memtap.open(path) as trace:
            seen = {e.size - sys.getsizeof(b""): e.stack_id for e in trace.records() if e.kind == "alloc" and e.size > BASE}
            wrong = []
            for size, stack in truth.items():
                shown = [[f.function.rpartition(".")[2], f.line] for f in trace.stack(seen[size]) if f.is_python]
                if shown[1:] != [[name, line] for name, line in stack]:
                    wrong.append([shown, stack])
            ids = {seen[size] for size in truth}
        say(wrong=wrong[:2], leaves=len(truth), stacks=len(ids), depth=max(map(len, truth.values())))
        """, tmp_path, seed)
    assert found["wrong"] == [] and found["leaves"] >= 3000
    assert found["stacks"] > 300 and found["depth"] > 20


def test_small_objects_are_seen_one_by_one_or_not_at_all(tmp_path):
    found = answer("""
        for one_by_one in (True, False):
            with memtap.record("%s/%s" % (sys.argv[1], one_by_one), python_allocators=one_by_one) as r:
                keep = [bytes(40 + n % 7) for n in range(10000)]
        say()
        """, tmp_path)
    assert found == {}
    assert 10_000 <= stats(tmp_path / "True")["leaked_allocations"] < 10_200
    assert stats(tmp_path / "False")["leaked_allocations"] < 200


def test_without_native_frames_stacks_are_pythons(tmp_path):
    answer("""
        with memtap.record(sys.argv[1] + "/a", native=False):
            keep = bytearray(1 << 20)
        say()
        """, tmp_path)
    with memtap.open(tmp_path / "a") as trace:
        [row] = [row for row in trace.leaks(native=True) if row["bytes"] >= MIB]
        assert [frame["function"] for frame in row["stack"]] == ["<module>"]


def test_all_threads_are_recorded_wherever_they_began(tmp_path):
    found = answer("""
        go, done = threading.Event(), threading.Barrier(5)
        keep = []

        def work():
            go.wait()
            for _ in range(2000):
                keep.append(bytearray(4096))
            done.wait()

        early = [threading.Thread(target=work) for _ in range(2)]
        [thread.start() for thread in early]
        with memtap.record(sys.argv[1] + "/a") as r:
            late = [threading.Thread(target=work) for _ in range(2)]
            [thread.start() for thread in late]
            go.set()
            done.wait()
            [thread.join() for thread in early + late]
        say(kept=len(keep))
        """, tmp_path)
    assert found["kept"] == 8000
    with memtap.open(tmp_path / "a") as trace:
        sizes = [event.size for event in trace.records() if event.kind == "alloc"]
        assert sizes.count(4097) == 8000
        assert trace.stats()["dropped_events"] == 0


@pytest.mark.parametrize("mode", ["sample", "aggregate"])
def test_other_modes_hold_the_same_totals(tmp_path, mode):
    """Sampled at 64 KiB, 40 MiB in blocks of 1 MiB: each is a sample but one in 9 million."""
    answer("""
        with memtap.record(sys.argv[1] + "/a", mode=sys.argv[2], rate=65536):
            keep = [bytearray(1 << 20) for _ in range(40)]
        say()
        """, tmp_path, mode)
    found = stats(tmp_path / "a")
    assert found["mode"] == mode and abs(found["leaked_bytes"] / (40 * MIB) - 1) < 0.02


def test_a_recording_can_be_read_while_it_is_made(tmp_path):
    found = answer("""
        with memtap.record(sys.argv[1] + "/a") as r:
            keep = bytearray(6 << 20)
            with memtap.open(r.path) as trace:
                inside = [trace.stats()["leaked_bytes"], trace.info["live"]]
        say(inside=inside)
        """, tmp_path)
    assert found["inside"][0] >= 6 * MIB and found["inside"][1] is True
    assert state(tmp_path / "a") == ENDED


# ---- names and files ----------------------------------------------------------------------------------------------------------


def test_a_decorated_function_is_recorded_each_time(tmp_path):
    found = answer("""
        import pathlib
        @memtap.record(pathlib.Path(sys.argv[1]) / "call-{n}-{pid}.mtap")
        def work(size, *, more):
            "doc"
            return len(bytearray(size)) + more

        results = [work(2 << 20, more=1), work(4 << 20, more=2)]
        try:
            work(None, more=0)
        except TypeError:
            results.append("error")
        say(results=results, doc=work.__doc__, name=work.__name__, pid=os.getpid())
        """, tmp_path)
    assert found["results"] == [2 * MIB + 1, 4 * MIB + 2, "error"] and (found["doc"], found["name"]) == ("doc", "work")
    peaks = [stats(tmp_path / f"call-{n}-{found['pid']}.mtap")["peak_bytes"] // MIB for n in (1, 2, 3)]
    assert peaks == [2, 4, 0]


def test_coroutines_are_recorded_until_awaited_and_generators_refused(tmp_path):
    found = answer("""
        import asyncio
        @memtap.record(sys.argv[1] + "/{n}")
        async def work():
            await asyncio.sleep(0)
            return len(bytearray(3 << 20))

        def generator():
            yield

        async def async_generator():
            yield

        say(result=asyncio.run(work()), errors=[raised(memtap.record("x"), f)[0] for f in (generator, async_generator)])
        """, tmp_path)
    assert found == {"result": 3 * MIB, "errors": ["TypeError", "TypeError"]}
    assert stats(tmp_path / "1")["peak_bytes"] >= 3 * MIB


def test_a_recursive_decorated_function_is_told(tmp_path):
    found = answer("""
        @memtap.record(sys.argv[1] + "/{n}")
        def again(depth):
            return raised(again, depth - 1) if depth else None

        say(error=again(1))
        """, tmp_path)
    assert found["error"] == ["RuntimeError", "this recording is running already"]
    assert state(tmp_path / "1") == ENDED and not (tmp_path / "2").exists()


def test_existing_files_are_kept_unless_told_otherwise(tmp_path):
    (tmp_path / "a").write_text("precious")
    found = answer("""
        path = sys.argv[1] + "/a"
        error = raised(memtap.record(path).start)
        kept = open(path).read()
        with memtap.record(path, overwrite=True):
            pass
        with memtap.record(path, overwrite=True):
            keep = bytearray(5 << 20)
            nested = raised(memtap.record(path, overwrite=True).start)
        folder = raised(memtap.record(sys.argv[1], overwrite=True).start)
        say(error=error, kept=kept, nested=nested[0], folder=folder[0])
        """, tmp_path)
    assert found["error"][0] == "FileExistsError" and str(tmp_path / "a") in found["error"][1]
    assert found["kept"] == "precious" and found["nested"] == "RuntimeError" and found["folder"] == "IsADirectoryError"
    assert stats(tmp_path / "a")["leaked_bytes"] >= 5 * MIB


def test_misuse_is_told_before_anything_happens(tmp_path):
    found = answer("""
        r = memtap.record
        bad = [raised(r, "x", mode="some"), raised(r, "x", rate=0), raised(r, "x", rate=True), raised(r, "x", rate=(1 << 50) + 1),
               raised(r, "x", max_file=0), raised(r, "x", max_file=1.5), raised(r, 5), raised(r("").start), raised(r("a\\0b").start),
               raised(r("none/x").start), raised(r("/etc/passwd/x").start), raised(r("n" * 300).start), raised(r("d/" * 3000).start),
               raised(r("x").stop)]
        with r("twice") as twice:
            bad.append(raised(twice.start))
        bad.append(raised(twice.stop))
        bad.append(raised(twice.start))
        say(bad=[error and error[0] for error in bad], names=os.listdir("."), text=repr(r("q")))
        """, cwd=tmp_path)
    assert found["bad"] == ["ValueError", "ValueError", "TypeError", "ValueError", "ValueError", "TypeError", "TypeError",
                            "ValueError", "ValueError", "FileNotFoundError", "FileNotFoundError", "OSError", "ValueError",
                            "RuntimeError", "RuntimeError", "RuntimeError", "FileExistsError"]
    assert found["names"] == ["twice"]
    assert found["text"] == "<memtap.Recording 'q', exact, stopped>"


def test_names_that_are_not_text_and_relative_names(tmp_path):
    found = answer("""
        os.chdir(sys.argv[1])
        odd = os.fsdecode(b"caf\\xe9 \\xff.mtap")
        with memtap.record(odd) as r:
            os.chdir("/")
            keep = bytearray(4 << 20)
        with memtap.record(os.fsencode(sys.argv[1]) + b"/bytes"):
            pass
        with memtap.open(r.path) as trace:
            say(same=r.path == os.path.join(sys.argv[1], odd), peak=trace.stats()["peak_bytes"],
                names=sorted(os.listdir(os.fsencode(sys.argv[1]))) == [b"bytes", b"caf\\xe9 \\xff.mtap"])
        """, tmp_path)
    assert found["same"] and found["names"] and found["peak"] >= 4 * MIB


# ---- nothing left to write to ---------------------------------------------------------------------------------------------------


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


# ---- other processes, ends ---------------------------------------------------------------------------------------------------------


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
    assert os.listdir(tmp_path) == ["a"]


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


# ---- beside memprof and `memtap run` ------------------------------------------------------------------------------------------------


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

