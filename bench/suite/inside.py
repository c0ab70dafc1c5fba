"""A profiler started inside a process that runs (memtap.memprof): what a malloc + free pair pays, and whether memory grows.

The agent is loaded with dlopen and patches calls, so the plain process is the very same program with nothing loaded. With
50,000 live blocks, each of which is a sample, most frees are of blocks that are none: that price is the free path's.
"""

from . import core, counts, env, peers

PAIRS, MANY = 20_000_000, 1_000_000_000
LIVE = 50_000


def _agent():
    return env.memtap().replace("bin/memtap", "bin/libmemtap-agent.so")


def _config(name, mode, live=0):
    def wrap(work, _out):
        agent = [] if mode == "plain" else [_agent()]
        return [*work.argv, mode, str(live), *agent], {"TMPDIR": str(env.SCRATCH), "MEMTAP_ALLOW_VALGRIND": "1"}

    return peers.Config(name, wrap)


def _configs():
    return [_config("plain", "plain"), _config("plain again", "plain"), _config("memprof", "sample"), _config("stopped", "paused"),
            _config("shut down", "removed"), _config("plain, live", "plain", LIVE), _config("memprof, live", "sample", LIVE)]


def _run_one(pairs):
    return lambda config: core.run_work(config, peers.Work([str(env.BIN / "inside"), str(pairs)]))


def _difference(one, other):
    return None if one is None or other is None else one - other


def _pair_bars(result):
    added, low = result.added("memprof", "ns_per_op"), result.lowest_added("memprof", "ns_per_op")
    live = result.added("memprof, live", "ns_per_op", "plain, live")
    live_low = result.lowest_added("memprof, live", "ns_per_op", "plain, live")
    share = None if added is None else added * 1e6 / 1e9  # a million pairs a second is the claim's 100 MB/s
    return [core.Bar("inside-pairs", "memprof at 512 KiB adds to a pair", added, 5.0, "ns", fastest=low),
            core.Bar("inside-pairs", f"more than that beside {LIVE:,} live samples (frees of blocks that are none)",
                     _difference(live, added), 3.0, "ns", fastest=_difference(live_low, low)),
            core.Bar("inside-pairs", "share of a program that allocates 100 MB in a million blocks a second", share, 0.001, "x")]


def _growth_bars(result):
    return [core.Bar("inside-growth", f"resident memory that {MANY:,} pairs add under memprof", result.middle("memprof", "grown_kib"),
                     60 * 1024, "KiB")]


def _count(config):
    return {"instructions": counts.per_operation(config, "inside")}


def benches():
    """Nanoseconds, instructions, and growth over a billion pairs."""
    group = "memprof, inside the process"
    growth = [_config("memprof", "sample")]
    return [
        core.Bench("inside-pairs", group, "malloc + free, 8-300 B, 64 live", _configs(), "ns_per_op", "ns", _run_one(PAIRS), _pair_bars,
                   repeat=3),
        core.Bench("instr-inside", group, "the same: instructions a pair", _configs(), "instructions", "instr", _count, rounds=1),
        core.Bench("inside-growth", group, f"resident memory added by {MANY:,} pairs", growth, "grown_kib", "KiB", _run_one(MANY),
                   _growth_bars, base="memprof", rounds=1),
    ]
