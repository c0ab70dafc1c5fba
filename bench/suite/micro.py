"""Micro benches: the price of a hook in nanoseconds, against allocators that sample and profilers that record all."""

from . import core, env, peers

SAMPLE_OPS = {"pairs": 12_000_000, "deep": 600_000, "mt": 9_000_000, "pc": 1_000_000, "large": 100_000,
              "realloc": 12_000_000, "live": 4_000_000}
EXACT_OPS = {"pairs": 2_000_000, "deep": 400_000, "mt": 1_800_000, "pc": 500_000, "large": 50_000,
             "realloc": 2_000_000}
TITLES = {
    "pairs": "malloc + free, 8-300 B, 8 frames",
    "deep": "malloc + free at 10-60 frames, random paths",
    "mt": "two threads, each malloc + free",
    "pc": "one thread allocates, another frees",
    "large": "64 KiB-4 MiB blocks",
    "realloc": "realloc growth by 64 B to 64 KiB",
    "live": "replace one of 20,000 live blocks",
}


def _run_one(workload, operations):
    def run_one(config):
        count = max(1000, int(operations * config.scale))
        return core.run_work(config, peers.Work([str(env.BIN / workload), str(count)]))

    return run_one


def _sample_configs():
    return [peers.plain(), peers.plain("plain again"), peers.memtap_sample(), peers.tcmalloc(), peers.tcmalloc_sample(),
            peers.jemalloc(), peers.jemalloc_sample()]


def _exact_configs():
    return [peers.plain(), peers.plain("plain again"), peers.memtap_exact(), peers.heaptrack_raw(),
            peers.jemalloc_exact(0.03), peers.tcmalloc_exact(0.01)]


def _scaling_bars(name, config):
    def bars(result):
        return [core.Bar(name, f"{config}: two threads scale as glibc ({key})", result.ratio(config, key), 0.9, "x", True)
                for key in ("scaling", "cpu_scaling")]

    return bars


def _sample_bars(workload, name):
    limits = {"pairs": ("added", 2.0), "large": ("ratio", 1.2), "realloc": ("ratio", 1.4)}
    if workload == "mt":
        return _scaling_bars(name, "memtap sample")
    if workload not in limits:
        return lambda result: []
    kind, limit = limits[workload]

    def bars(result):
        if kind == "added":
            return [core.Bar(name, "sample mode adds to a malloc + free pair", result.added("memtap sample", "ns_per_op"),
                             limit, "ns", fastest=result.lowest_added("memtap sample", "ns_per_op"))]
        return [result.ratio_bar(name, f"sample mode on {TITLES[workload]}", "memtap sample", "ns_per_op", limit)]

    return bars


# The bar in nanoseconds was set where heaptrack added the second number; the third bar is their quotient, which does
# not depend on how fast the machine is.
EXACT_LIMITS = {"pairs": (40.0, 145.0), "deep": (200.0, 500.0)}


def _quotient(ours, theirs):
    return ours / theirs if ours is not None and theirs else None


def _exact_bars(workload, name):
    if workload == "mt":
        return _scaling_bars(name, "memtap exact")
    if workload not in EXACT_LIMITS:
        return lambda result: []
    limit, reference = EXACT_LIMITS[workload]

    def bars(result):
        ours = result.added("memtap exact", "ns_per_op")
        ours_low = result.lowest_added("memtap exact", "ns_per_op")
        share = _quotient(ours, result.added("heaptrack (in process)", "ns_per_op"))
        share_low = _quotient(ours_low, result.lowest_added("heaptrack (in process)", "ns_per_op"))
        return [core.Bar(name, f"exact mode adds to {TITLES[workload]}", ours, limit, "ns", fastest=ours_low),
                core.Bar(name, f"the same as a share of what heaptrack adds ({limit:g}/{reference:g})", share,
                         limit / reference, "x", fastest=share_low)]

    return bars


def _reads():
    """The program alone, reading the time stamp counter in order twice a pair: what ordering two threads by it costs at least."""
    return peers.Config("two ordered reads", lambda work, _out: ([*work.full_argv(), "1"], {}))


def _threads_bars(result):
    ours, theirs, floor = (result.added(config, "ns_per_op") for config in ("memtap exact", "heaptrack (in process)", "two ordered reads"))
    lowest = [result.lowest_added(config, "ns_per_op") for config in ("memtap exact", "heaptrack (in process)")]
    limit = 40 / 145
    return [core.Bar("exact-pairs-threads", "exact mode in two threads at once, as a share of what heaptrack adds (40/145)",
                     _quotient(ours, theirs), limit, "x", fastest=_quotient(*lowest)),
            core.Bar("exact-pairs-threads", "of that, two ordered reads of the counter alone", _quotient(floor, theirs), limit, "x")]


def _threads_bench():
    def run_one(config):
        count = max(1000, int(EXACT_OPS["pairs"] * config.scale))
        return core.run_work(config, peers.Work([str(env.BIN / "pairs"), str(count), "2"]))

    configs = [peers.plain(), peers.plain("plain again"), _reads(), peers.memtap_exact(), peers.heaptrack_raw()]
    return core.Bench("exact-pairs-threads", "micro, exact mode", "the same in two threads at once", configs, "ns_per_op", "ns",
                      run_one, _threads_bars, repeat=3)


def _bench(mode, workload, operations):
    name = f"{mode}-{workload}"
    configs = _sample_configs() if mode == "sample" else _exact_configs()
    bars = (_sample_bars if mode == "sample" else _exact_bars)(workload, name)
    extra = ("scaling", "cpu_scaling") if workload == "mt" else ()
    return core.Bench(name, f"micro, {mode} mode", TITLES[workload], configs, "ns_per_op", "ns", _run_one(workload, operations),
                      bars, extra=extra, repeat=3)


def benches():
    """All micro benches."""
    found = [_bench("sample", workload, operations) for workload, operations in SAMPLE_OPS.items()]
    return found + [_bench("exact", workload, operations) for workload, operations in EXACT_OPS.items()] + [_threads_bench()]
