"""memtap.memprof in company: threads, forks, signals, other profilers, extensions that come and go, and 100 lives."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile

import pytest
from childprogram import PRELUDE_LINES, answer, answers, environment, run, start

# Live blocks of a size nothing else has are the truth here: each of these is a sample at 64 KiB but one in 9 million.


# ---- A5-15: threads ---------------------------------------------------------------------------------------------------------


def test_a5_15_counts_stay_consistent_while_ten_threads_allocate():
    found = answer("""
        import random
        m.start(64)
        failures, looks, done = [], [], threading.Event()

        def work(seed):
            generator, mine = random.Random(seed), []
            try:
                done_here = 0
                while done_here < 100_000 or (len(looks) < 3 and not failures):  # a busy machine may look late
                    done_here += 1
                    if done_here > 100_000:
                        time.sleep(0.001)
                    if mine and generator.random() < 0.5:
                        mine.pop()
                    else:
                        mine.append(bytearray(generator.choice((64, 256, 1024, 4096, 16384))))
            except BaseException as error:
                failures.append(repr(error))

        def look():
            try:
                while not done.is_set():
                    stats, snapshot = m.get_stats(), m.get_snapshot(resolve=False)
                    looks.append([stats.total_samples - stats.live_samples - stats.freed_samples,
                                  snapshot.live_samples - len(snapshot.samples),
                                  sum(s.estimated_bytes for s in snapshot.samples) - snapshot.estimated_heap_bytes,
                                  stats.collisions, stats.death_during_birth])
            except BaseException as error:
                failures.append(repr(error))

        workers = [threading.Thread(target=work, args=(n,)) for n in range(10)]
        lookers = [threading.Thread(target=look) for _ in range(2)]
        [thread.start() for thread in workers + lookers]
        [thread.join() for thread in workers]
        done.set()
        [thread.join() for thread in lookers]
        gc.collect()
        stats = m.get_stats()
        say(failures=failures, bad=[look for look in looks if any(look)], looks=len(looks), total=stats.total_samples,
            live=stats.live_samples)
        """)
    assert found["failures"] == [] and found["bad"] == [] and found["looks"] >= 3
    assert found["total"] > 10_000 and found["live"] < 100  # 2.1 GB pass by; all of it is gone


def test_started_in_one_thread_it_sees_all_and_stops_in_another():
    found = answer("""
        keep, errors = [], []
        def in_thread(function):
            thread = threading.Thread(target=lambda: errors.append(raised(function)))
            thread.start()
            thread.join()

        ready, go = threading.Event(), threading.Event()
        def early():
            keep.append(bytearray(100))
            ready.set()
            go.wait()
            keep.append(bytearray(1 << 20))
        thread = threading.Thread(target=early)
        thread.start()
        ready.wait()
        in_thread(lambda: m.start(64))
        go.set()
        thread.join()
        in_thread(lambda: keep.append(bytearray(1 << 20)))
        keep.append(bytearray(1 << 20))
        seen = len(sizes(m.get_snapshot(), 1 << 20))
        in_thread(m.stop)
        keep.append(bytearray(1 << 20))
        say(seen=seen, after=len(sizes(m.get_snapshot(), 1 << 20)), errors=errors, running=m._running)
        """)
    assert found == {"seen": 3, "after": 3, "errors": [None, None, None], "running": False}


def test_threads_that_start_and_stop_at_once_get_one_profiler():
    found = answer("""
        outcomes, barrier = [], threading.Barrier(8)
        def race():
            barrier.wait()
            for _ in range(50):
                outcomes.append(raised(m.start, 64))
                outcomes.append(raised(m.stop))
        threads = [threading.Thread(target=race) for _ in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        m.stop(missing_ok=True)
        m.start(64)
        keep = bytearray(1 << 20)
        say(outcomes=sorted({json.dumps(outcome) for outcome in outcomes}), seen=len(sizes(m.get_snapshot(), 1 << 20)))
        """)
    allowed = {"null", '["RuntimeError", "Profiler already running"]', '["RuntimeError", "Profiler not running"]'}
    assert set(found["outcomes"]) <= allowed and found["seen"] == 1


# ---- A5-16: forks, other programs, signals -------------------------------------------------------------------------------------


def test_a5_16_a_fork_child_starts_anew_and_the_parent_goes_on(tmp_path):
    found = answers("""
        m.start(64)
        kept = [bytearray(1 << 20) for _ in range(5)]
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            state = [m._running, m._initialized, raised(m.get_snapshot)[0], raised(m.stop)]
            del kept[:]
            before = bytearray(2 << 20)
            m.start(64)
            mine = [bytearray(2 << 20) for _ in range(3)]
            s = m.get_snapshot()
            say(state=state, parents=len(sizes(s, 1 << 20)), mine=len(sizes(s, 2 << 20)), top=s.top_allocators(1)[0]["estimated_bytes"])
            sys.exit(0)
        status = os.waitpid(pid, 0)[1]
        more = bytearray(1 << 20)
        s = m.get_snapshot()
        say(status=status, mine=len(sizes(s, 1 << 20)), childs=len(sizes(s, 2 << 20)), files=len(os.listdir(os.environ["TMPDIR"])))
        """, env={"TMPDIR": str(tmp_path)})
    top = found[0].pop("top")  # the three blocks; of the small ones on their line at most two are samples, but once in 10^8
    assert found[0] == {"state": [False, True, "RuntimeError", ["RuntimeError", "Profiler not running"]], "parents": 0, "mine": 3}
    assert 6 << 20 <= top < (6 << 20) + 3 * 65536
    assert found[1] == {"status": 0, "mine": 6, "childs": 0, "files": 2}
    assert os.listdir(tmp_path) == []


def test_a5_16_forks_while_other_threads_allocate_and_look(tmp_path):
    found = answer("""
        m.start(16)
        done, failures = threading.Event(), []
        def work(look):
            while not done.is_set():
                block = [bytearray(5000) for _ in range(20)]
                if look:
                    m.get_snapshot(resolve=False)
        threads = [threading.Thread(target=work, args=(n == 0,)) for n in range(3)]
        [thread.start() for thread in threads]
        for n in range(40):
            pid = os.fork()
            if pid == 0:
                try:
                    if n % 2:
                        m.start(64)
                        block = bytearray(3 << 20)
                        assert len(sizes(m.get_snapshot(), 3 << 20)) == 1
                        m.shutdown()
                    os._exit(0)
                finally:
                    os._exit(1)
            failures.append(os.waitpid(pid, 0)[1])
        done.set()
        [thread.join() for thread in threads]
        keep = bytearray(7 << 20)
        say(failures=sum(map(bool, failures)), seen=len(sizes(m.get_snapshot(), 7 << 20)))
        """, env={"TMPDIR": str(tmp_path), "PYTHONWARNINGS": "ignore::DeprecationWarning"})
    assert found == {"failures": 0, "seen": 1}
    assert os.listdir(tmp_path) == []


def test_a5_16_other_programs_run_from_a_profiled_process_untouched(tmp_path):
    found = answer("""
        import subprocess
        m.start(16)
        keep = [bytearray(1 << 20) for _ in range(5)]
        outs = []
        for _ in range(5):
            outs.append(subprocess.run([sys.executable, "-c", "print(6 * 7)"], stdout=subprocess.PIPE, check=True).stdout.strip())
            outs.append(subprocess.check_output("echo 42", shell=True, preexec_fn=lambda: bytearray(1 << 20)).strip())
            outs.append(os.popen("echo 42").read().strip().encode())
            outs.append(b"42" if os.system("exit 3") >> 8 == 3 else b"")
            pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 5"], {})
            outs.append(b"42" if os.waitpid(pid, 0)[1] >> 8 == 5 else b"")
        say(outs=sorted({out.decode() for out in outs}), seen=len(sizes(m.get_snapshot(), 1 << 20)), files=os.listdir(sys.argv[1]))
        """, tmp_path, env={"TMPDIR": str(tmp_path)})
    assert found["outs"] == ["42"] and found["seen"] == 5 and len(found["files"]) == 2  # the trace and its journal


WORKERS = """
import multiprocessing, sys
import memtap.memprof as m

def work(n):
    m.start(64)
    mine = [bytearray(1 << 20) for _ in range(n)]
    found = sum(1 << 20 <= s.size < 2 << 20 for s in m.get_snapshot().samples)
    m.stop()
    return found

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    m.start(64)
    kept = [bytearray(1 << 20) for _ in range(3)]
    with context.Pool(2) as pool:
        results = pool.map(work, [1, 2, 3, 4], chunksize=1)
        pool.close()
        pool.join()
    process = context.Process(target=work, args=(2,))
    process.start()
    process.join()
    mine = sum(1 << 20 <= s.size < 2 << 20 for s in m.get_snapshot().samples)
    print(results, process.exitcode, mine)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a5_16_workers_of_multiprocessing_profile_themselves(tmp_path, method):
    """A worker's second task goes on in its first one's profile, whose blocks are freed; no file is left by any of them."""
    (tmp_path / "workers.py").write_text(WORKERS)
    with tempfile.TemporaryDirectory() as short:  # a forkserver's socket must fit into 108 bytes
        result = subprocess.run([sys.executable, str(tmp_path / "workers.py"), method], stdout=subprocess.PIPE, check=False,
                                stderr=subprocess.PIPE, encoding="utf-8", env=environment(TMPDIR=short), timeout=300)
        assert (result.returncode, result.stdout) == (0, "[1, 2, 3, 4] 0 3\n"), result.stderr
        assert [name for name in os.listdir(short) if name.startswith("memtap")] == []


def test_a5_16_handlers_that_allocate_disturb_nothing():
    found = answer("""
        import signal
        m.start(4)
        fired = []  # (a handler that interrupts a look is not seen: it runs in the middle of it)
        signal.signal(signal.SIGPROF, lambda *_: fired.append(bytearray(3000)))
        signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
        keep = []
        while len(fired) < 300:
            keep = [bytearray(2000) for _ in range(500)]
        signal.setitimer(signal.ITIMER_PROF, 0)
        stats, s = m.get_stats(), m.get_snapshot(resolve=False)
        say(total=stats.total_samples == stats.live_samples + stats.freed_samples, bad=[stats.collisions, stats.death_during_birth],
            handlers=len(sizes(s, 3000, 3010)), fired=len(fired))
        """)
    assert found["total"] and found["bad"] == [0, 0]
    # 300 blocks of 3 KB at 4 KB: 155 samples, sigma 9; fewer than 100 or more than 210 once in 10^9
    assert 100 * found["fired"] / 300 < found["handlers"] < 210 * found["fired"] / 300


# ---- beside other tools --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["tracemalloc", "memprof"])
def test_tracemalloc_and_memprof_see_the_same_block_whoever_began(first):
    found = answer("""
        import tracemalloc
        begin = [lambda: tracemalloc.start(), lambda: m.start(64)]
        end = [lambda: tracemalloc.stop(), m.stop]
        if sys.argv[1] == "memprof":
            begin.reverse()
        [step() for step in begin]
        traced = tracemalloc.get_traced_memory()[0]
        keep = [bytearray(1 << 20) for _ in range(10)]
        traced = tracemalloc.get_traced_memory()[0] - traced
        seen = len(sizes(m.get_snapshot(), 1 << 20))
        orders = []
        for order in (end, end[::-1]):
            [step() for step in order]
            more = [bytearray(1 << 20) for _ in range(10)]
            del more
            orders.append([tracemalloc.is_tracing(), m._running])
            [step() for step in begin]
        del keep
        m.stop()
        m.shutdown()
        again = bytearray(5 << 20)
        say(traced=traced, seen=seen, orders=orders, peak=tracemalloc.get_traced_memory()[1])
        """, first)
    assert found["seen"] == 10 and 10 << 20 <= found["traced"] < 11 << 20
    assert found["orders"] == [[False, False]] * 2 and found["peak"] >= 5 << 20


def test_profilers_of_time_run_beside_it():
    found = answer("""
        import cProfile, pstats, io
        def work():
            return [bytearray(2 << 20) for _ in range(20)]
        m.start(64)
        profile = cProfile.Profile()
        profile.enable()
        keep = work()
        profile.disable()
        text = io.StringIO()
        pstats.Stats(profile, stream=text).print_stats()
        calls = []
        sys.settrace(lambda frame, event, argument: calls.append(frame.f_code.co_name))
        more = work()
        sys.settrace(None)
        s = m.get_snapshot()
        say(calls="work" in calls, profiled="(work)" in text.getvalue(), seen=len(sizes(s, 2 << 20)),
            line=s.top_allocators(1)[0]["line"])
        """)
    assert found["calls"] and found["profiled"] and found["seen"] == 40 and found["line"] == PRELUDE_LINES + 4


PY_SPY = shutil.which("py-spy") or shutil.which("py-spy", path=os.path.dirname(sys.executable))


@pytest.mark.skipif(PY_SPY is None, reason="py-spy is not installed")
def test_py_spy_sees_a_profiled_process(tmp_path):
    child = start("""
        def busy():
            print("ready", flush=True)
            while not os.path.exists(sys.argv[1] + "/stop"):
                keep.append(bytearray(2 << 20))
                del keep[50:]
        m.start(64)
        keep = []
        busy()
        stats = m.get_stats()
        say(live=len(sizes(m.get_snapshot(), 2 << 20)), bad=stats.collisions)
        """, tmp_path)
    try:
        assert child.stdout.readline() == "ready\n"
        dump = subprocess.run([PY_SPY, "dump", "--pid", str(child.pid)], capture_output=True, encoding="utf-8", check=False)
        record = subprocess.run([PY_SPY, "record", "-d", "2", "-f", "raw", "-o", str(tmp_path / "spy"), "--pid", str(child.pid)],
                                capture_output=True, encoding="utf-8", check=False)
        (tmp_path / "stop").touch()
        out, err = child.communicate(timeout=300)
    finally:
        child.kill()
    if "version" in dump.stderr.lower() and dump.returncode != 0:
        pytest.skip(f"py-spy does not know this Python: {dump.stderr}")
    assert dump.returncode == 0 and "busy" in dump.stdout, dump.stderr
    assert record.returncode == 0 and "busy" in (tmp_path / "spy").read_text(), record.stderr
    assert child.returncode == 0 and json.loads(out) == {"live": 50, "bad": 0}, err


HAS_SUBINTERPRETERS = any(importlib.util.find_spec(name) for name in ("_interpreters", "_xxsubinterpreters"))


@pytest.mark.skipif(not HAS_SUBINTERPRETERS, reason="this Python has no subinterpreters")
def test_what_subinterpreters_allocate_is_seen_while_they_come_and_go():
    found = answer("""
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        m.start(64)
        code = "keep = bytearray(3 << 20)\\nimport json\\nmore = [json.loads('[1, 2]') for _ in range(1000)]"
        ids = [interpreters.create() for _ in range(3)]
        for number in ids:
            error = interpreters.run_string(number, code)
        seen = len(sizes(m.get_snapshot(), 3 << 20))
        for number in ids:
            interpreters.destroy(number)
        gone = len(sizes(m.get_snapshot(), 3 << 20))
        m.stop()
        number = interpreters.create()
        m.start(64)
        interpreters.run_string(number, code)
        m.shutdown()
        interpreters.run_string(number, code)
        interpreters.destroy(number)
        say(error=repr(error), seen=seen, gone=gone)
        """)
    assert found == {"error": "None", "seen": 3, "gone": 0}


# ---- extension modules that come and go ------------------------------------------------------------------------------------------------

LIBRARY = """
#include <stdlib.h>
#include <string.h>
void *take(size_t bytes) { return memset(malloc(bytes), 1, bytes); }
void give(void *block) { free(block); }
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs a compiler")
def test_libraries_loaded_and_unloaded_while_it_runs(tmp_path):
    """dlopen during the profile is followed; after dlclose the stacks of what is still alive can still be asked for."""
    (tmp_path / "lib.c").write_text(LIBRARY)
    for n in range(5):
        subprocess.run(["gcc", "-O1", "-g", "-shared", "-fPIC", "-o", str(tmp_path / f"lib{n}.so"), str(tmp_path / "lib.c")], check=True)
    found = answer("""
        import _ctypes, ctypes
        m.start(64)
        blocks, seen = [], []
        for turn in range(3):
            for n in range(5):
                handle = _ctypes.dlopen("%s/lib%d.so" % (sys.argv[1], n), os.RTLD_NOW)
                take = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_size_t)(_ctypes.dlsym(handle, "take"))
                blocks.append(take(3 << 20))
                s = m.get_snapshot()
                seen.append(any(f.function == "take" for f in max(sizes(s, 3 << 20), key=lambda x: x.timestamp_ns).stack))
                _ctypes.dlclose(handle)
        left = [line for line in open("/proc/self/maps") if "/lib0.so" in line and "x" in line.split()[1]]
        s = m.get_snapshot()
        named = sum(any(f.function == "take" for f in x.stack) for x in sizes(s, 3 << 20))
        libc = ctypes.CDLL(None)
        libc.free.argtypes = [ctypes.c_void_p]
        [libc.free(block) for block in blocks]
        say(count=len(sizes(s, 3 << 20)), seen=sum(seen), named=named, left=len(left), end=len(sizes(m.get_snapshot(), 3 << 20)))
        """, tmp_path)
    assert found["count"] == 15 and found["seen"] == 15 and found["named"] == 15
    assert found["left"] == 0 and found["end"] == 0


# ---- 100 lives ------------------------------------------------------------------------------------------------------------------------------


def test_a_hundred_lives_leave_nothing_behind(tmp_path):
    """Start, stop, look, record: resident memory (2 MiB of slack), files, descriptors and mappings are those of life 20."""
    found = answer("""
        def now():
            gc.collect()
            with open("/proc/self/statm") as statm:
                rss = int(statm.read().split()[1]) * 4096
            with open("/proc/self/maps") as maps:
                count = sum(1 for _ in maps)
            return [rss, count, len(os.listdir("/proc/self/fd")), len(os.listdir(sys.argv[1]))]

        marks = []
        for life in range(1, 101):
            m.start(64)
            keep = [bytearray(100_000) for _ in range(20)]
            m.get_snapshot()
            m.stop()
            with memtap.record(sys.argv[1] + "/record", overwrite=True):
                keep = [bytearray(100_000) for _ in range(20)]
            del keep
            if life in (20, 100):
                marks.append(now())
        m.shutdown()
        say(marks=marks, end=now())
        """, tmp_path, env={"TMPDIR": str(tmp_path)})
    early, late = found["marks"]
    assert late[0] - early[0] < 2 << 20
    assert late[1] - early[1] <= 4 and late[2:] == early[2:]
    assert found["end"][2] < early[2] + 1 and os.listdir(tmp_path) == ["record"]


def test_stopping_and_starting_again_costs_no_memory_and_no_file(tmp_path):
    found = answer("""
        m.start(64)
        def now():
            return [len(os.listdir("/proc/self/fd")), len(os.listdir(sys.argv[1])), sum(1 for _ in open("/proc/self/maps"))]
        m.get_snapshot()
        before = now()
        for _ in range(1000):
            m.stop()
            m.start(64)
        m.get_snapshot()
        say(before=before, after=now())
        """, tmp_path, env={"TMPDIR": str(tmp_path)})
    assert found["after"][:2] == found["before"][:2] and found["after"][2] <= found["before"][2] + 20  # 1,000 times


@pytest.mark.parametrize("end", ["pass", "sys.exit(3)", "os._exit(3)", "raise SystemExit(3)", "1 / 0", "os.abort()",
                                 "os.kill(os.getpid(), 9)", "threading.Thread(target=time.sleep, args=(0.2,)).start()"])
def test_every_end_of_a_program_is_what_it_is_without_the_profiler(end, tmp_path):
    """Killed programs leave their file, which can be read."""
    status = {"pass": 0, "1 / 0": 1, "os.abort()": -6, "os.kill(os.getpid(), 9)": -9}.get(end, 3)
    status = 0 if "Thread" in end else status
    out, err = run(f"import atexit\natexit.register(lambda: print('last', bool(bytearray(1 << 20))))\n"
                   f"m.start(64)\nkeep = bytearray(5 << 20)\n{end}\n", status=status, env={"TMPDIR": str(tmp_path)})
    died = end.startswith("os.")
    assert out == ("" if died else "last True\n") and ("Traceback" in err) == (end == "1 / 0")
    files = os.listdir(tmp_path)
    if not died:
        assert files == []
    else:
        import memtap

        (trace,) = (name for name in files if name.endswith(".mtap"))
        with memtap.open(tmp_path / trace) as trace:
            assert trace.stats()["leaked_bytes"] >= 5 << 20
