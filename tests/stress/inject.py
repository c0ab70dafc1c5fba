"""Joins many processes, kills memtap many times, and says what it saw: `make test-inject`.

Usage: inject.py [--storms N] [--pythons N] [--waits N] [--python-waits N] [--cycles N] [--kills N] [--redis N] … [--only ROW,…] [--seed N]
MEMTAP_PYTHONS: paths of interpreters, else the one that runs this.

Every target computes a checksum that must be an undisturbed run's; a process that dies, hangs, or keeps a descriptor fails the run. How long
threads were stopped and how long the borrowed one was away is what memtap says, shown as median, 99th percentile and largest.
"""

import argparse
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

from inject_servers import SERVERS
from joining import MEMTAP, PATIENT, ROOT, attach, detach, finish, join_fresh, start

TARGETS = pathlib.Path(MEMTAP).parent.parent / "targets"
TARGET = str(TARGETS / "attached")
SCRIPT = str(ROOT / "tests/targets/py_attached.py")
KINDS = ("condition", "timed-condition", "semaphore", "mutex", "rwlock", "barrier", "join", "futex", "nanosleep", "clock", "usleep", "read", "stream", "epoll")
PYTHON_WAYS = ("asleep", "locked", "joining", "queued", "c-call")


def waits(count, folder):
    """The only thread to borrow waits, in each way there is."""
    return all([join_fresh(f"waits, {kind}", [str(TARGETS / "asleep"), kind], count, folder) for kind in KINDS])


def python_waits(count, folder):
    """Each Python whose threads all wait, or where one is in C with the GIL."""
    pythons = os.environ.get("MEMTAP_PYTHONS", sys.executable).split()
    return all([join_fresh(f"{pathlib.Path(python).resolve().name}, {way}", [python, SCRIPT, way], count, folder)
                for python in pythons for way in PYTHON_WAYS])


def resident_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


def cycles(count, folder):
    """One process, joined and left again and again."""
    process, failures, first = start([TARGET, "phases", "4"]), [], 0
    before = sorted(os.listdir(f"/proc/{process.pid}/fd"))
    for i in range(count):
        done = attach(process.pid, folder / f"{i}.mtap"), detach(process.pid)
        failures += [(i, part.returncode, part.stderr) for part in done if part.returncode != 0]
        first = resident_kib(process.pid) if i == 0 else first
    grown = resident_kib(process.pid) - first
    if sorted(os.listdir(f"/proc/{process.pid}/fd")) != before or grown > 1024:
        failures.append("descriptors or memory are left behind")
    if not finish(process).startswith(b"{"):
        failures.append("the process did not end as it should")
    print(f"cycles: {count} in one process, RSS {grown:+} KiB from the first to the last, {len(failures)} failures", *failures, sep="\n  ",
          flush=True)
    return not failures


def kills(count, folder, seed):
    """SIGKILL at a random moment of a first visit to a storm."""
    chance, failures, killed = random.Random(seed), [], 0
    argv = [TARGET, "storm", "3", "200000"]
    want = finish(start(argv))
    process = start(argv)
    begun = time.monotonic()
    attach(process.pid, folder / "length.mtap")
    length = time.monotonic() - begun
    finish(process)
    for i in range(count):
        process = start(argv)
        visit = subprocess.Popen([MEMTAP, "attach", *PATIENT, "-o", folder / "killed.mtap", str(process.pid)], stderr=subprocess.DEVNULL)
        try:
            visit.wait(chance.uniform(0, 1.2 * length))
        except subprocess.TimeoutExpired:
            visit.kill()
            visit.wait()
            killed += 1
        got = finish(process)
        if got != want:
            failures.append((i, got))
        (folder / "killed.mtap").unlink(missing_ok=True)
    print(f"kills: {count} first visits (seed {seed}), {killed} of them killed within {length * 1200:.0f} ms, {len(failures)} failures", *failures,
          sep="\n  ", flush=True)
    return not failures


def execs(count, folder):
    """One process that executes itself for ever, an image a millisecond: it goes on."""
    loop = folder / "loop"
    loop.write_text(f"#!/bin/sh\nexec {loop}\n")
    loop.chmod(0o755)
    process, codes = subprocess.Popen([str(loop)]), {}
    for i in range(count):
        done = subprocess.run([MEMTAP, "attach", "--timeout", "300ms", "-o", folder / f"{i}.mtap", str(process.pid)], capture_output=True)
        codes[done.returncode] = codes.get(done.returncode, 0) + 1
        if process.poll() is not None:
            break
    good = process.poll() is None
    process.kill()
    process.wait()
    print(f"execs: {count} attaches to one that executes itself, exit codes {codes}, {'it goes on' if good else 'IT DIED'}", flush=True)
    return good


ROWS = {
    "storms": (200, lambda count, folder, seed: join_fresh("storms", [TARGET, "storm", "3", "400000"], count, folder)),
    "pythons": (100, lambda count, folder, seed: join_fresh("pythons", [sys.executable, SCRIPT, "busy"], count, folder)),
    "waits": (30, lambda count, folder, seed: waits(count, folder)),
    "python-waits": (30, lambda count, folder, seed: python_waits(count, folder)),
    "cycles": (100, lambda count, folder, seed: cycles(count, folder)),
    "kills": (200, kills),
    "execs": (100, lambda count, folder, seed: execs(count, folder)),
    **{name: (30, lambda count, folder, seed, join=join: join(count, folder)) for name, join in SERVERS.items()},
}


def main():
    parser = argparse.ArgumentParser()
    for name, (otherwise, _) in ROWS.items():
        parser.add_argument(f"--{name}", type=int, default=otherwise)
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(ROWS))
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    good = True
    for name, (_, join) in ROWS.items():
        if name in asked.only:
            with tempfile.TemporaryDirectory() as folder:
                good &= join(getattr(asked, name.replace("-", "_")), pathlib.Path(folder), asked.seed)
    sys.exit(0 if good else 1)


main()
