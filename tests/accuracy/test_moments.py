"""The error of a difference between two moments of one sampled recording, against known truth.

Each of 400 lines of a program holds 2,400 blocks at the first moment; at the second it has given back 300 of them and made 300 others. At
a rate of 4 KiB that is some 78 samples at either moment, of which some 20 are not the same. The difference is 0; its 95 % interval must
hold that for 90 to 99 % of the lines. One standard deviation of that share is 1.1 %, so the bars are more than 3.6 of them: false alarm
3e-4, and intervals with 20 samples cover some 94.5 %. Were the moments taken for independent, the interval would be 2.8 times as wide and
hold the truth everywhere. The seed is fixed and printed, so a result repeats until the sampler changes.
"""

import os
import subprocess

from conftest import MEMTAP, memtap_json

LINES, HELD, GIVEN_BACK = 400, 2400, 300
SEED = "4711"

PROGRAM = f"""
import os, signal
kept = [[None] * {HELD + GIVEN_BACK} for _ in range({LINES})]
def mark():
    os.kill(os.getpid(), signal.SIGUSR2)
"""
HOLDER = """
def hold_{n}(at, first, last):
    for i in range(first, last):
        at[i] = bytes(100)
"""
PHASES = f"""
holders = [globals()[f"hold_{{n}}"] for n in range({LINES})]
for at, hold in zip(kept, holders):
    hold(at, 0, {HELD})
mark()
for at in kept:
    at[:{GIVEN_BACK}] = [None] * {GIVEN_BACK}
for at, hold in zip(kept, holders):
    hold(at, {HELD}, {HELD + GIVEN_BACK})
mark()
"""


def changes_between(trace, before, after):
    """{line: (bytes, half width)} of the lines that hold blocks."""
    rows = memtap_json("diff", "-n", "0", f"{trace}@{before}", f"{trace}@{after}")["rows"]
    return {row["line"]: (row["bytes"], row["bytes_ci95"]) for row in rows if str(row["function"]).startswith("hold_")}


def test_the_interval_of_a_difference_between_two_moments_holds_the_truth(any_python, tmp_path):
    script, trace = tmp_path / "changing.py", tmp_path / "x.mtap"
    script.write_text(PROGRAM + "".join(HOLDER.format(n=n) for n in range(LINES)) + PHASES)
    print(f"MEMTAP_SEED={SEED}")
    subprocess.run([MEMTAP, "run", "-q", "--mode", "sample", "--rate", "4K", "--snapshot-signal", "USR2", "-o", trace, "--", any_python, script],
                   env={**os.environ, "MEMTAP_SEED": SEED}, check=True, timeout=600)
    forward, backward = changes_between(trace, "mark:1", "mark:2"), changes_between(trace, "mark:2", "mark:1")
    assert len(forward) == LINES
    covered = sum(abs(change) <= half for change, half in forward.values())
    print(f"{covered} of {LINES}")
    assert 0.90 * LINES <= covered <= 0.99 * LINES
    assert backward == {line: (-change, half) for line, (change, half) in forward.items()}
