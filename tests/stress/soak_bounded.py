"""make soak: a sampled trace with a size, for as long as months of a service: 10**8 samples through one process beside 10,000 that live,
and 200 programs that are killed while bases are written.

    soak_bounded.py MEMTAP TARGETS [SAMPLES [KILLS]]

Looked at all the time: the blocks the files have on the disk, the agent's memory. At the end, and after each kill: what the trace says is
alive against the program's books, by the independent reader (tracefile.py). Moments of kills are drawn from a printed seed
(MEMTAP_STRESS_SEED).
"""

import array
import collections
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import tracefile  # noqa: E402

LIVE, LEAST, LIMIT, SMALL = 10_000, 8192, 64 << 20, 1 << 20
BASE_OFFSET = 456  # of the header


def on_disk(folder):
    return sum(path.stat().st_blocks * 512 for path in folder.iterdir())


def base_offset(folder):
    """Of the trace as it is now: in its journal."""
    for path in folder.glob(".*.journal"):
        data = path.read_bytes()[:512]
        return int.from_bytes(data[BASE_OFFSET : BASE_OFFSET + 8], "little")
    return 0


def sizes_alive(path):
    """How often which size is alive, of the program's own; the file is read without the hole in its front."""
    live = {}
    for event in tracefile.load(path).events:
        if event.kind == "alloc":
            live[event.addr] = event.size
        elif event.kind == "free":
            live.pop(event.addr, None)
    return collections.Counter(size for size in live.values() if LEAST <= size < LEAST + LIVE)


def start(memtap, folder, limit, *program):
    return subprocess.Popen([memtap, "run", "-q", "--no-pack", "--mode", "sample", "--rate", "1", "--max-file", str(limit),
                             "-o", folder / "x.mtap", "--", *program], stdout=subprocess.PIPE, start_new_session=True)


def program_of(process):
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    names = {pathlib.Path(f"/proc/{child}/comm").read_text().strip(): int(child) for child in children}
    return names.get("bounded")


def resident(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def watch(process, folder):
    """The most on the disk, resident sizes early and late, bases seen."""
    most, sizes, bases = 0, [], set()
    while process.poll() is None:
        most = max(most, on_disk(folder))
        bases.add(base_offset(folder))
        try:
            pid = program_of(process)
            sizes.append(resident(pid) if pid else 0)
        except (FileNotFoundError, ProcessLookupError):
            pass  # it has just ended
        time.sleep(0.05)
    return most, [size for size in sizes if size], len(bases - {0})


def long_run(memtap, targets, samples):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="memtap-soak-"))
    began = time.monotonic()
    process = start(memtap, folder, LIMIT, targets / "bounded", str(LIVE), str(samples))
    most, sizes, bases = watch(process, folder)
    truth = json.loads(process.stdout.read())
    alive = sizes_alive(folder / "x.mtap")
    quarter = len(sizes) // 4
    early, late = max(sizes[quarter : 2 * quarter]), max(sizes[-quarter:])
    print(f"{samples:,} samples in {time.monotonic() - began:.0f} s beside {LIVE:,}: at most {most / 2**20:.1f} of {LIMIT / 2**20:.0f} MiB on the "
          f"disk, file of {(folder / 'x.mtap').stat().st_size / 2**20:.0f} MiB, {bases} bases seen, resident {early / 2**20:.1f} MiB in the second "
          f"quarter and {late / 2**20:.1f} in the last", flush=True)
    assert most <= LIMIT
    assert bases > 1 or samples < 2 * 10**7  # fewer may be over at the first
    assert alive == collections.Counter(range(LEAST, LEAST + LIVE)), "what is alive"
    assert sum(alive.elements()) == truth["bytes"]
    assert late <= early + (1 << 20), "the agent grows"
    shutil.rmtree(folder)


def kill_one(memtap, targets, chance):
    """Killed somewhere in its first bases; the record that was being made may be in the trace or not."""
    folder, elsewhere = (pathlib.Path(tempfile.mkdtemp(prefix="memtap-soak-")) for _ in range(2))
    process = start(memtap, folder, SMALL, targets / "bounded", str(LIVE // 10), "0", elsewhere / "books")
    bases = chance.randrange(1, 5)
    seen = set()
    while len(seen - {0}) < bases:
        assert process.poll() is None
        seen.add(base_offset(folder))
    time.sleep(chance.random() * 0.1)
    os.kill(program_of(process), signal.SIGKILL)
    process.wait()
    books = array.array("Q", (elsewhere / "books").read_bytes())
    expected = collections.Counter(size for size in books if size)
    alive = sizes_alive(folder / "x.mtap")
    assert not expected - alive, expected - alive
    assert sum((alive - expected).values()) <= 1, alive - expected
    shutil.rmtree(folder)
    shutil.rmtree(elsewhere)


def main():
    memtap, targets = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    samples, kills = int(sys.argv[3]) if len(sys.argv) > 3 else 10**8, int(sys.argv[4]) if len(sys.argv) > 4 else 200
    seed = int(os.environ.get("MEMTAP_STRESS_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
    print(f"seed {seed}", flush=True)
    chance = random.Random(seed)
    for _ in range(kills):
        kill_one(memtap, targets, chance)
    print(f"{kills} kills: each trace has what the books have", flush=True)
    long_run(memtap, targets, samples)


main()
