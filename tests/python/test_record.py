"""memtap.record: what is recorded, by which names, in which files. (What is in its way: test_record_ends.py.)"""

import random

import pytest
from childprogram import answer
from tracefacts import ENDED, state, stats

import memtap

MIB = 1 << 20


# ---- the truth of a recording ----------------------------------------------------------------------------------------


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


# ---- names and files -------------------------------------------------------------------------------------------------


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
