"""Programs that the kernel kills for want of memory, in memory control groups (v1): what memtap postmortem says of each, beside the program's
own books and the files of its control group.

    python3 tests/stress/oom.py build/bin/memtap [KILLS]

Half of them exact in 128 MiB: the three lines that hold memory must be named with at least 95 % of what was alive, and each with what the
program had got to the last block it could tell of. Half sampled every 64 KiB in 256 MiB: the same line is first and the sum within 15 %.
"""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile

MIB = 1024 * 1024
GROUPS = pathlib.Path("/sys/fs/cgroup/memory")
PROGRAM = """
import os, random, sys
random.seed(int(sys.argv[1]))
kept = {name: [] for name in ("first", "second", "third")}
def first():
    kept["first"].append(bytearray(60_000))
def second():
    kept["second"].append(bytearray(20_000))
def third():
    kept["third"].append(bytearray(5_000))
def passing():
    bytearray(random.randrange(100_000))
while True:
    first(), second(), third(), passing()
    os.write(1, b"%d\\n" % len(kept["third"]))
"""
SIZES = {6: 60_000, 8: 20_000, 10: 5_000}


def die(memtap, folder, limit, seed, options):
    """The postmortem, how many rounds the program told of, and what the group's files said."""
    group = GROUPS / f"memtap-oom-{os.getpid()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(limit))
        trace = folder / "x.mtap"
        command = [memtap, "run", "-q", "-f", "-o", trace, *options, "--", sys.executable, "-c", PROGRAM, str(seed)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              preexec_fn=lambda: (group / "cgroup.procs").write_text(str(os.getpid())))
        words = (group / "memory.oom_control").read_text().split()
        kills = int(words[words.index("oom_kill") + 1])
    finally:
        group.rmdir()
    assert done.returncode == 128 + signal.SIGKILL and kills == 1, (done.returncode, kills)
    text = subprocess.run([memtap, "postmortem", trace], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout.decode()
    data = subprocess.run([memtap, "postmortem", "-f", "json", trace], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
    return json.loads(data), text.splitlines(), int(done.stdout.split()[-1]), str(group)


def check_words(post, text, limit, group):
    assert (post["killed_by"], post["signal"], post["limit_bytes"], post["limit_kind"]) == ("kernel", 9, limit, "memory.limit_in_bytes"), post
    assert post["limit_group"] in (None, group) and limit / 2 < post["charged_bytes"] <= limit
    assert len(text) <= 10 and max(map(len, text)) <= 80, text


def check_exact(post, rounds):
    held = {row["line"]: row["bytes"] for row in post["held"] if row["file"] == "<string>"}
    share = sum(held.get(line, 0) for line in SIZES) / post["alive_bytes"]
    for line, size in SIZES.items():
        told = rounds * size
        assert told <= held[line] <= told + 2 * size + rounds * 200, (line, held[line], told)
    assert share >= 0.95, share
    return share


def check_sampled(post, rounds):
    rows = [row for row in post["held"] if row["file"] == "<string>" and row["line"] in SIZES]
    assert [row["line"] for row in rows] == list(SIZES) and post["held"][0] == rows[0], [row["line"] for row in post["held"][:4]]
    error = sum(row["bytes"] for row in rows) / (rounds * sum(SIZES.values())) - 1
    assert abs(error) <= 0.15, error
    return error


def main():
    memtap = os.path.abspath(sys.argv[1])
    kills = int(sys.argv[2]) if len(sys.argv) > 2 else 50
    shares, errors = [], []
    with tempfile.TemporaryDirectory(prefix="memtap-oom-") as folder:
        for number in range(kills):
            sampled = number % 2 == 1
            limit = (256 if sampled else 128) * MIB
            options = ["--mode", "sample", "--rate", "64K"] if sampled else []
            post, text, rounds, group = die(memtap, pathlib.Path(folder), limit, random.randrange(1 << 30), options)
            check_words(post, text, limit, group)
            (errors if sampled else shares).append((check_sampled if sampled else check_exact)(post, rounds))
    print(f"{kills} killed by the kernel: exact, the program's lines have {min(shares):.1%} or more of what was alive; "
          f"sampled, the same lines in the same order, sums off by {max(map(abs, errors), default=0):.1%} at most")


if __name__ == "__main__":
    main()
