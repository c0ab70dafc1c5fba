"""What it costs to look at a process that is being recorded, from inside: snapshots, totals and reports again and again."""

from . import core, env, peers

LIVE = 10_000
PYTHON = "/usr/bin/python3"
NAME = "looks"


def _run_one(config):
    if not (env.REPO / "build" / "python" / "memtap").exists():
        raise env.Missing("memtap for Python: build/python is not built (make bench-build)")
    work = peers.Work([str(env.BENCH / "programs" / "looks.py"), str(LIVE)], python=PYTHON,
                      env={"PYTHONPATH": str(env.REPO / "build" / "python"), "TMPDIR": str(env.SCRATCH)})
    return core.run_work(config, work)


def _bar(result, text, key, limit, unit):
    return core.Bar(NAME, text, result.middle("memtap", key), limit, unit, fastest=result.lowest("memtap", key))


def _bars(result):
    return [_bar(result, f"first snapshot of {LIVE:,} live samples", "first_ms", 150.0, "ms"),
            _bar(result, "a further snapshot, new events read before", "later_ms", 10.0, "ms"),
            _bar(result, "get_stats, new events read before", "idle_stats_ms", 0.2, "ms"),
            _bar(result, "get_stats with 40,000 new events", "stats_ms", 5.0, "ms"),
            _bar(result, "events of the last equal look by those of the second", "last_by_first_events", 1.02, "x")]


def benches():
    """Processor time of the thread that asks."""
    return [core.Bench(NAME, "looks at a running process", f"{LIVE:,} live samples, six looks with equal work between",
                       [peers.plain("memtap")], "later_ms", "ms", _run_one, _bars, base="memtap",
                       extra=("first_ms", "stats_ms", "idle_stats_ms", "report_ms", "last_by_first_events"))]
