"""How fast captures are read: each tool on its own capture of the same program.

`memray tree` is interactive, so memray is measured by `memray stats` and `memray summary`. heaptrack's symbols are
resolved while it records (its interpreter), memtap's and memray's native ones while they read. A packed trace of memtap
holds a summary, from which whole-trace reports are made without reading events; the rows "events" are on the same work
recorded with --no-pack, where every event is read.
"""

import json
import subprocess

from . import core, env, measure, peers

PYTHON_ROUNDS = 800
NATIVE_PAIRS = 5_000_000
VERSION = "3.11"
_facts = {}


def _capture_path(suffix):
    return env.SCRATCH / f"read-{suffix}"


def _record(config, work, stem):
    argv, extra = config.wrap(work, stem)
    if argv[0] == env.memtap():
        argv.remove("-q")  # as a user records: with --quiet a trace has no summary
    measure.run(argv, {**work.env, **extra}, limit_s=600)


def _count_events(path):
    done = subprocess.run([env.memtap(), "stats", str(path), "-f", "json"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise measure.Failed(f"memtap stats {path}: {done.stderr.strip()}")
    facts = json.loads(done.stdout)
    return facts["allocations"] + facts["deallocations"]


def _prepare_python():
    work = peers.Work([str(env.BENCH / "programs" / "objects.py"), str(PYTHON_ROUNDS)], env.venv_python(VERSION))
    _record(peers.memray("memray", "--trace-python-allocators"), work, _capture_path("memray"))
    _record(peers.memtap_exact("memtap", native=False, python=True), work, _capture_path("python"))
    _record(peers.memtap_exact("memtap", native=False, python=True, pack=False), work, _capture_path("python-events"))
    _facts["python"] = _count_events(_capture_path("python.mtap"))


def _prepare_native():
    work = peers.Work([str(env.BIN / "deep"), str(NATIVE_PAIRS)])
    _record(peers.heaptrack(), work, _capture_path("heaptrack"))
    _record(peers.memtap_exact("memtap"), work, _capture_path("native"))
    _record(peers.memtap_exact("memtap", pack=False), work, _capture_path("native-events"))
    _facts["native"] = _count_events(_capture_path("native.mtap"))


def _heaptrack_capture():
    found = sorted(env.SCRATCH.glob("read-heaptrack.*"))
    if not found:
        raise measure.Failed("heaptrack left no capture")
    return str(found[0])


def _memtap_command(verb, kind):
    return lambda: [env.memtap(), verb, str(_capture_path(f"{kind}.mtap"))]


def _memray_command(verb):
    return lambda: [env.venv_python(VERSION), "-m", "memray", verb, str(_capture_path("memray.bin"))]


def _configs(kind):
    commands = {"memtap stats": _memtap_command("stats", kind), "memtap tree": _memtap_command("tree", kind),
                "memtap table": _memtap_command("table", kind), "memtap stats, events": _memtap_command("stats", kind + "-events"),
                "memtap tree, events": _memtap_command("tree", kind + "-events")}
    if kind == "python":
        commands |= {"memray stats": _memray_command("stats"), "memray summary": _memray_command("summary")}
    else:
        commands["heaptrack_print"] = lambda: [env.command("heaptrack_print", "heaptrack"), _heaptrack_capture()]
    return [peers.Config(name, argv) for name, argv in commands.items()]


def _run_one(kind):
    def run_one(config):
        metrics = measure.run(config.wrap(), limit_s=600, expect_bench=False)
        metrics["events_per_s"] = _facts[kind] / metrics["cpu_s"]
        metrics["events"] = _facts[kind]
        return metrics

    return run_one


def _bars(name, rivals):
    def bars(result):
        fastest = max((row["events_per_s"] for row in result.rows.get("memtap stats, events", [])), default=None)
        found = [core.Bar(name, "memtap stats reads", result.middle("memtap stats, events", "events_per_s"), 1e7, "events/s",
                          True, fastest)]
        for rival in rivals:
            found.append(core.Bar(name, f"{rival} / memtap tree, CPU time", result.ratio(rival, "cpu_s", "memtap tree"), 10.0,
                                  "x", True, result.lowest_ratio(rival, "cpu_s", "memtap tree")))
        return found

    return bars


def benches():
    """Reading a Python and a native capture of at least ten million events."""
    group = "reading captures"
    extra = ("wall_s", "maxrss_kib", "events_per_s")
    return [
        core.Bench("read-python", group, "objects.py with Python allocators", _configs("python"), "cpu_s", "s",
                   _run_one("python"), _bars("read-python", ("memray stats", "memray summary")), base="memtap tree",
                   extra=extra, prepare=_prepare_python, rounds=5),
        core.Bench("read-native", group, f"deep, {NATIVE_PAIRS:,} pairs", _configs("native"), "cpu_s", "s", _run_one("native"),
                   _bars("read-native", ("heaptrack_print",)), base="memtap tree", extra=extra, prepare=_prepare_native,
                   rounds=5),
    ]
