"""CPython: exact mode against memray in each of its four modes, sample mode against scalene and sampling allocators.

The metric is CPU time of the program's own body, so that it does not depend on how long the program runs; the process
tree as a whole (starting the interpreter and the profiler, writing, packing, compressing) is judged as well.
"""

import functools
import json
import subprocess

from . import core, env, peers

EXACT = {"json": ("json_trips.py", 250), "recursion": ("recursion.py", 600), "objects": ("objects.py", 250),
         "buffers": ("buffers.py", 1500), "calls": ("calls.py", 1800)}
SAMPLE = {
    "json": ("json_trips.py", 700, {}),
    "objects": ("objects.py", 900, {}),
    "json-malloc": ("json_trips.py", 700, {"PYTHONMALLOC": "malloc"}),
    "objects-malloc": ("objects.py", 900, {"PYTHONMALLOC": "malloc"}),
    "numpy": ("numpy_work.py", 150, {}),
}
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
THIRD = 1 / 3


def _work(version, script, rounds, variables):
    path = env.BENCH / "programs" / script
    return peers.Work([str(path), str(rounds)], env.venv_python(version), {**ONE_THREAD, **variables})


@functools.lru_cache(maxsize=None)
def _events(_key, path):
    """Events of a memtap capture. Counted once per bench and configuration (the key): the work is the same every round."""
    done = subprocess.run([env.memtap(), "stats", path, "-f", "json"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None
    facts = json.loads(done.stdout)
    return facts["allocations"] + facts["deallocations"]


def _run_exact(name, version, script, rounds):
    def run_one(config):
        metrics = core.run_work(config, _work(version, script, rounds, {}))
        if config.name.startswith("memtap"):
            events = _events((name, config.name), f"{peers.out_stem(config.name)}.mtap")
            if events:
                metrics["events"] = events
                metrics["bytes_per_event"] = metrics["capture_bytes"] / events
        return metrics

    return run_one


def _share(ratio, mode, key):
    """memtap's overhead as a part of memray's: (ratio - 1) / (ratio - 1); None when memray's is within noise."""
    ours = ratio(f"memtap {mode}", key)
    theirs = ratio(f"memray {mode}", key)
    if ours is None or theirs is None or theirs <= 1.02:
        return None
    return (ours - 1) / (theirs - 1)


def _density_bar(result, name, mode):
    """Bytes an event, where there are enough events for the fixed part of a file not to matter."""
    events = result.middle(f"memtap {mode}", "events")
    if events is not None and events < 200_000:
        return []
    return [core.Bar(name, f"capture, {mode}", result.middle(f"memtap {mode}", "bytes_per_event"), 3.0, "B/event")]


def _exact_bars(name, program):
    def bars(result):
        if program == "calls":
            return [result.ratio_bar(name, f"only calls functions, memtap {mode}", f"memtap {mode}", "body_cpu_s", 1.03)
                    for mode, *_ in peers.MEMRAY_MODES]
        found = []
        for mode, *_ in peers.MEMRAY_MODES:
            for key, what in (("body_cpu_s", "body"), ("cpu_s", "process tree")):
                found.append(core.Bar(name, f"overhead as a share of memray's, {mode}, {what}", _share(result.ratio, mode, key),
                                      THIRD, "x", fastest=_share(result.lowest_ratio, mode, key)))
            sizes = [result.middle(f"{tool} {mode}", "capture_bytes") for tool in ("memtap", "memray")]
            if None not in sizes:
                found.append(core.Bar(name, f"capture against memray's, {mode}", sizes[0] / sizes[1], 1.0, "x"))
            found += _density_bar(result, name, mode)
        return found

    return bars


def _exact_bench(version, program):
    script, rounds = EXACT[program]
    name = f"py{version}-{program}"
    configs = [peers.plain(), peers.plain("plain again"), *peers.memray_pairs()]
    return core.Bench(name, f"Python {version}, exact mode", f"{script}: four modes of memray", configs, "body_cpu_s", "s",
                      _run_exact(name, version, script, rounds), _exact_bars(name, program),
                      extra=("cpu_s", "capture_bytes", "bytes_per_event"))


def _sample_bench(version, program):
    script, rounds, variables = SAMPLE[program]
    name = f"sample-py{version}-{program}"
    configs = [peers.plain(), peers.plain("plain again"), peers.memtap_sample(), peers.scalene(), peers.tcmalloc(),
               peers.tcmalloc_sample(), peers.jemalloc(), peers.jemalloc_sample()]

    def run_one(config):
        return core.run_work(config, _work(version, script, rounds, variables), limit_s=60)

    def bars(result):
        return [result.ratio_bar(name, "sample mode, body", "memtap sample", "body_cpu_s", 1.03)]

    title = script + "".join(f", {key}={value}" for key, value in variables.items())
    return core.Bench(name, f"Python {version}, sample mode", title, configs, "body_cpu_s", "s", run_one, bars,
                      extra=("cpu_s", "maxrss_kib", "capture_bytes"))


def benches():
    """Every program under every version and mode."""
    found = []
    for version in env.PYTHONS:
        found += [_exact_bench(version, program) for program in EXACT]
        found += [_sample_bench(version, program) for program in SAMPLE]
    return found
