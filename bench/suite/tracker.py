"""The exact tracker: what a report of an allocation and of its end costs, from C and from Python, and what it keeps.

One pass is half a million allocations of distinct addresses and as many ends, in the order they came. Bars in CPU time, a busy
machine lets others run meanwhile; the fastest round counts.
"""

import subprocess

from . import core, env, measure, peers

PAIRS = 500_000
STACKS = 10  # frames
THREADS = 8
MS_A_PASS = 2 * PAIRS * 1e-6  # of a nanosecond an operation


def _build():
    library = env.REPO / "build" / "lib" / "libmemtap.a"
    if not library.exists():
        raise env.Missing(f"{library} is not built (make)")
    source = env.BENCH / "micro" / "tracker.c"
    for target, flags in (("tracker", []), ("tracker-fp", ["-fno-omit-frame-pointer"])):
        command = ["cc", *env.CFLAGS, *flags, f"-I{env.REPO / 'include'}", source, library, "-o", env.BIN / target, "-pthread"]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise measure.Failed(done.stderr[-300:])


def _config(name, threads=1, depth=0, frame_pointers=0, shuffled=0, times=1):
    """times: so many times the pairs that the others do in each thread."""
    def wrap(work, _out):
        program = env.BIN / ("tracker-fp" if frame_pointers else "tracker")
        pairs = times * int(work.argv[0])
        return [str(program), str(pairs), str(threads), str(depth), str(frame_pointers), str(shuffled)], {}

    return peers.Config(name, wrap)


def _from_c(config):
    return core.run_work(config, peers.Work([str(PAIRS)]))


def _ms(value):
    return None if value is None else value * MS_A_PASS


def _c_bars(result):
    key, base = "ns_per_op", "C"
    bars = [core.Bar("tracker-c", f"{PAIRS:,} allocations and as many ends from C", _ms(result.lowest(base, key)), 100.0, "ms",
                     fastest=_ms(result.lowest(base, key)))]
    for config in ("C, stacks by frame pointers", "C, stacks"):
        bars.append(core.Bar("tracker-c", f"the same with stacks of {STACKS} frames: {config}", result.lowest_ratio(config, key, base), 5.0,
                             "x", fastest=result.lowest_ratio(config, key, base)))
    alone = f"C, the work of {THREADS} threads by one"
    bars.append(core.Bar("tracker-c", f"{THREADS} threads, CPU of an operation against one thread that does it all",
                         result.ratio(f"C, {THREADS} threads", key, alone), 1.5, "x",
                         fastest=result.lowest_ratio(f"C, {THREADS} threads", key, alone)))
    bars.append(core.Bar("tracker-c", "memory of a live block", result.middle(base, "bytes_per_block"), 53.0, "B"))
    return bars


def _from_python(version):
    def run_one(config):
        if not (env.REPO / "build" / "python" / "memtap").exists():
            raise env.Missing("memtap for Python: build/python is not built (make bench-build)")
        work = peers.Work([str(env.BENCH / "micro" / "tracker.py"), str(PAIRS), "1"], python=env.venv_python(version),
                          env={"PYTHONPATH": str(env.REPO / "build" / "python")})
        return core.run_work(config, work)

    return run_one


def _python_bars(name):
    def bars(result):
        return [core.Bar(name, f"{PAIRS:,} allocations and as many ends from Python", result.lowest("Python", "plain_ms"), 300.0, "ms",
                         fastest=result.lowest("Python", "plain_ms")),
                core.Bar(name, f"the same with stacks of {STACKS} frames", result.lowest("Python", "stacks_ratio"), 5.0, "x",
                         fastest=result.lowest("Python", "stacks_ratio"))]

    return bars


def benches():
    """From C and from each Python."""
    group = "exact tracker"
    from_c = [_config("C"), _config("C, stacks by frame pointers", depth=STACKS, frame_pointers=1), _config("C, stacks", depth=STACKS),
              _config("C, ends in another order", shuffled=1), _config("C, 2 threads", threads=2),
              _config(f"C, {THREADS} threads", threads=THREADS), _config(f"C, the work of {THREADS} threads by one", times=THREADS)]
    found = [core.Bench("tracker-c", group, f"{PAIRS:,} allocations and as many ends a thread, from C", from_c, "ns_per_op", "ns", _from_c,
                        _c_bars, base="C", extra=("wall_ns_per_op",), prepare=_build)]
    for version in env.PYTHONS:
        found.append(core.Bench(f"tracker-py{version}", group, f"the same from Python {version}", [peers.plain("Python")], "plain_ms", "ms",
                                _from_python(version), _python_bars(f"tracker-py{version}"), base="Python", extra=("stacks_ms",)))
    return found
