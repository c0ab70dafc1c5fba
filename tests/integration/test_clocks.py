"""Times of a trace are the machine's, whatever clock a library puts in front of the program."""

import os
import pathlib
import time

import pytest
from conftest import run

FAKETIME = pathlib.Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
YEARS_S = 9 * 365 * 24 * 3600  # less than the ten years that clocks are put back
PROGRAM = "import time; blocks = [bytearray(100_000) for _ in range(50)]; print(int(time.time()))"


@pytest.fixture(params=["own", "libfaketime"])
def clock(request, target):
    """Variables of a program whose time is ten years ago, and passes faster."""
    if request.param == "own":
        return {"LD_PRELOAD": target("plugins/libshifted.so")}
    if not FAKETIME.exists():
        pytest.skip("no libfaketime")
    return {"LD_PRELOAD": str(FAKETIME), "FAKETIME": "-10y x10"}


def check(recording, before_ns, after_ns):
    assert int(recording.stdout) < time.time() - YEARS_S  # the program lives in the past
    assert before_ns <= recording.trace.start_realtime <= after_ns
    stats = recording.report("stats")
    assert 0 < stats["duration_s"] * 1e9 <= after_ns - before_ns
    assert 0 <= stats["peak_time_s"] <= stats["duration_s"]
    recording.assert_exact()


@pytest.mark.parametrize("around", ["memtap", "program"])
def test_times_are_the_machine_s(record, any_python, clock, around):
    before_ns = time.clock_gettime_ns(time.CLOCK_REALTIME)
    if around == "memtap":
        recording = record(any_python, "-c", PROGRAM, env={**os.environ, **clock})
    else:
        variables = [f"{name}={value}" for name, value in clock.items()]
        recording = record("/usr/bin/env", *variables, any_python, "-c", PROGRAM)
    check(recording, before_ns, time.clock_gettime_ns(time.CLOCK_REALTIME))


def test_the_library_shifts_a_program_s_clocks(any_python, clock):
    shifted = run([any_python, "-c", "import time; print(int(time.time()))"], env={**os.environ, **clock})
    assert int(shifted.stdout) < time.time() - YEARS_S
