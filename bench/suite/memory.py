"""What the agent itself needs: beside a 1 GiB heap of a million blocks, and in a program that allocates nothing."""

from . import core, env, peers

BLOCKS, BLOCK_BYTES = 1_000_000, 1024
HEAP_KIB = BLOCKS * BLOCK_BYTES // 1024


def _run_one(count):
    def run_one(config):
        return core.run_work(config, peers.Work([str(env.BIN / "heap"), str(count), str(BLOCK_BYTES)]))

    return run_one


def _heap_bars(result):
    added = result.added("memtap sample", "hwm_kib")
    share = None if added is None else added / HEAP_KIB
    return [core.Bar("memory-heap", "sample mode beside a 1 GiB heap", share, 0.01, "of the heap")]


def _fixed_bars(result):
    return [core.Bar("memory-fixed", f"{config}, fixed", result.added(config, "hwm_kib"), 16384, "KiB")
            for config in ("memtap sample", "memtap exact")]


def benches():
    """Resident size, not time."""
    configs = [peers.plain(), peers.plain("plain again"), peers.memtap_sample(), peers.memtap_exact(), peers.tcmalloc(),
               peers.tcmalloc_sample(), peers.jemalloc(), peers.jemalloc_sample(), peers.heaptrack_raw()]
    group = "memory of the profiler"
    return [
        core.Bench("memory-heap", group, "peak resident size, 1,000,000 blocks of 1 KiB", configs, "hwm_kib", "KiB",
                   _run_one(BLOCKS), _heap_bars, extra=("capture_bytes",), rounds=5),
        core.Bench("memory-fixed", group, "peak resident size, no allocation", configs, "hwm_kib", "KiB", _run_one(0),
                   _fixed_bars),
    ]
