"""What starting costs: a Python that does nothing, the lines that `memtap run` says at the end, and a process that executes
another."""

import os
import sys
from pathlib import Path

from . import core, env, peers

EXECS = 40
MEMORY = Path("/dev/shm")  # where traces of executed programs lie: a disk's own price is not ours
PYTHON = "/usr/bin/python3"
FIXED_MS, CLOSING_MS, EXEC_MS = 25, 10, 0.6


def _run(name, *options, folder=None):
    """memtap run as it comes: exact, native stacks, Python objects."""

    def wrap(work, out):
        trace = f"{out}.mtap" if folder is None else folder / f"memtap-bench-{os.getpid()}.mtap"
        return [env.memtap(), "run", *options, "-f", "-o", trace, "--", *work.full_argv()], {}

    return peers.Config(name, wrap, captures=folder is None)


def _run_python(python):
    def run_one(config):
        if not os.access(python, os.X_OK):
            raise env.Missing(f"{python}: not there")
        metrics = core.run_work(config, peers.Work(["-c", "pass"], python=python), expect_bench=False)
        return {**metrics, "cpu_ms": metrics["cpu_s"] * 1e3}

    return run_one


def _run_execs(config):
    program = str(env.BIN / "execs")
    try:
        none, many = (core.run_work(config, peers.Work([program, str(count)]))["cpu_s"] for count in (0, EXECS))
    finally:
        (MEMORY / f"memtap-bench-{os.getpid()}.mtap").unlink(missing_ok=True)
    return {"exec_ms": (many - none) / EXECS * 1e3}


def _closing(result):
    return core.stats.added(result.rows.get("memtap run", []), result.rows.get("memtap run -q", []), "cpu_ms")


def _python_bars(name, fixed):
    def bars(result):
        lines = _closing(result)
        found = [core.Bar(name, "closing lines (run less run -q)", lines["median"] if lines else None, CLOSING_MS, "ms")]
        if fixed:
            found.append(core.Bar(name, "memtap run beyond plain", result.added("memtap run", "cpu_ms"), FIXED_MS, "ms",
                                  fastest=result.lowest_added("memtap run", "cpu_ms")))
        return found

    return bars


def _exec_bars(result):
    return [core.Bar("start-exec", "an exec beyond plain", result.added("memtap run -q", "exec_ms"), EXEC_MS, "ms",
                     fastest=result.lowest_added("memtap run -q", "exec_ms"))]


def benches():
    """CPU time of the whole process tree, the tool's included."""
    both = [peers.plain(), peers.plain("plain again"), _run("memtap run"), _run("memtap run -q", "-q")]
    quiet = [peers.plain(), peers.plain("plain again"), _run("memtap run -q", "-q", folder=MEMORY)]
    group = "starting"
    return [
        core.Bench("start-python", group, f"{PYTHON} -c pass", both, "cpu_ms", "ms", _run_python(PYTHON),
                   _python_bars("start-python", True), repeat=8),
        core.Bench("start-python-debug", group, "a Python with debug information, -c pass ($MEMTAP_BENCH_DEBUG_PYTHON)", both,
                   "cpu_ms", "ms", _run_python(os.environ.get("MEMTAP_BENCH_DEBUG_PYTHON", sys.executable)),
                   _python_bars("start-python-debug", False), repeat=3),
        core.Bench("start-exec", group, f"a process that executes itself {EXECS} times, traces in a tmpfs, each", quiet, "exec_ms", "ms",
                   _run_execs, _exec_bars, repeat=4),
    ]
