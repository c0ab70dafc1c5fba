"""What inject.py and inject_servers.py share: memtap attach and detach, how long they took, and processes that are joined once."""

import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
MEMTAP = os.environ.get("MEMTAP_BIN", str(ROOT / "build/bin/memtap"))
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
    """A new process each time, joined once; what it computed must be what an undisturbed one did."""
    times, failures = Times(), []
    want = finish(start(argv)) if count > 0 else b""
    for i in range(count):
        process = start(argv)
        done = attach(process.pid, folder / "fresh.mtap", times)
        got = finish(process)
        if done.returncode != 0 or got != want:
            failures.append((i, done.returncode, done.stderr, got))
        (folder / "fresh.mtap").unlink(missing_ok=True)
    print(f"{name}: {count} processes joined, {len(failures)} failures; {times}", *failures, sep="\n  ", flush=True)
    return not failures


def join_and_leave(name, pids, count, folder):
    """Processes that serve, joined and left in turn while they do. Returns what failed."""
    times, failures = Times(), []
    for i in range(count):
        pid = pids[i % len(pids)]
        done = attach(pid, folder / f"{name}{i}.mtap", times), detach(pid)
        failures += [(i, part.returncode, part.stderr) for part in done if part.returncode != 0]
    print(f"{name}: {count} times joined and left under load, {len(failures)} failures; {times}", *failures, sep="\n  ", flush=True)
    return failures
