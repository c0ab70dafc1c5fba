"""Joins many processes, kills memtap many times, and says what it saw: `make test-inject`.

Usage: inject.py [--storms N] [--pythons N] [--cycles N] [--kills N] [--redis N] [--seed N]

Every target computes a checksum that must be an undisturbed run's; a process that dies, hangs, or keeps a descriptor fails the run. How long
threads were stopped and how long the borrowed one was away is what memtap says, shown as median, 99th percentile and largest.
"""

import argparse
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
MEMTAP = os.environ.get("MEMTAP_BIN", str(ROOT / "build/bin/memtap"))
TARGET = str(pathlib.Path(MEMTAP).parent.parent / "targets/attached")
SCRIPT = str(ROOT / "tests/targets/py_attached.py")
PATIENT = ("--timeout", "60s", "--max-stop", "1s")
UNITS = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3}
SPENT = re.compile(r"longer than ([\d.]+ \w+); one was away for ([\d.]+ \w+)")


def milliseconds(text):
    number, unit = text.split()
    return float(number) * UNITS[unit]


class Times:
    def __init__(self):
        self.stopped, self.away = [], []

    def take(self, said):
        found = SPENT.search(" ".join(said.split()))
        if found:
            self.stopped.append(milliseconds(found[1]))
            self.away.append(milliseconds(found[2]))

    def __str__(self):
        parts = []
        for name, values in (("stopped", sorted(self.stopped)), ("away", sorted(self.away))):
            if values:
                at = [values[min(len(values) - 1, int(len(values) * share))] for share in (0.5, 0.99, 1)]
                parts.append(f"{name} median {at[0]:.2f} ms, p99 {at[1]:.2f}, largest {at[2]:.2f}")
        return "; ".join(parts)


def start(argv):
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    return process


def finish(process):
    out = process.communicate(b"\n", timeout=300)[0]
    return out if process.returncode == 0 else f"died: {process.returncode}".encode()


def attach(pid, output, times=None):
    done = subprocess.run([MEMTAP, "attach", *PATIENT, "-o", output, str(pid)], capture_output=True, text=True)
    if times is not None:
        times.take(done.stderr)
    return done


def detach(pid):
    return subprocess.run([MEMTAP, "detach", *PATIENT, str(pid)], capture_output=True, text=True)


def join_fresh(name, argv, count, folder):
    """A new process each time, joined once."""
    times, failures = Times(), []
    want = finish(start(argv))
    for i in range(count):
        process = start(argv)
        done = attach(process.pid, folder / "fresh.mtap", times)
        got = finish(process)
        if done.returncode != 0 or got != want:
            failures.append((i, done.returncode, done.stderr, got))
        (folder / "fresh.mtap").unlink(missing_ok=True)
    print(f"{name}: {count} processes joined, {len(failures)} failures; {times}", *failures, sep="\n  ", flush=True)
    return not failures


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


def redis(count, folder):
    """Joined and left under load: every answer is checked."""
    if shutil.which("redis-server") is None:
        print("redis: not installed, not run", flush=True)
        return True
    path = folder / "redis.sock"
    server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--daemonize", "no"], stdout=subprocess.DEVNULL)
    while not path.exists():
        time.sleep(0.01)
    load = subprocess.Popen(["redis-benchmark", "-s", path, "-n", "200000", "-P", "16", "-r", "10000", "-t", "set,get", "-q"], stdout=subprocess.PIPE, text=True)
    times, failures = Times(), []
    for i in range(count):
        done = attach(server.pid, folder / f"redis{i}.mtap", times), detach(server.pid)
        failures += [(i, part.returncode, part.stderr) for part in done if part.returncode != 0]
    said = load.communicate()[0]
    answer = subprocess.run(["redis-cli", "-s", path, "ping"], capture_output=True, text=True).stdout.strip()
    if load.returncode != 0 or "rror" in said or answer != "PONG":
        failures.append((load.returncode, said[-500:], answer))
    server.terminate()
    server.wait()
    print(f"redis: {count} times joined and left under load, {len(failures)} failures; {times}", *failures, sep="\n  ", flush=True)
    return not failures


def main():
    parser = argparse.ArgumentParser()
    for name, otherwise in (("storms", 200), ("pythons", 100), ("cycles", 100), ("kills", 200), ("redis", 10)):
        parser.add_argument(f"--{name}", type=int, default=otherwise)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        good = [join_fresh("storms", [TARGET, "storm", "3", "400000"], asked.storms, folder),
                join_fresh("pythons", [sys.executable, SCRIPT, "busy"], asked.pythons, folder), cycles(asked.cycles, folder),
                kills(asked.kills, folder, asked.seed), redis(asked.redis, folder)]
    sys.exit(0 if all(good) else 1)


main()
