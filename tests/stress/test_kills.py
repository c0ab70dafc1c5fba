"""SIGKILL at random moments: every trace opens and agrees with the log up to the last record.

tests/targets/storm.c runs threads that end and are replaced, forks, dlopen and dlclose; it logs each operation before and
after to a shared file that survives. Moments are drawn from a printed seed (MEMTAP_STRESS_SEED to repeat one), between
0 and 300 ms after the first worker has started. Every second time memtap itself dies with the program.
"""

import os
import pathlib
import random
import signal
import subprocess
import time

import pytest
import storm_model
import tracefile
import tracereplay
from conftest import MEMTAP, memtap_json

pytestmark = pytest.mark.stress
KILLS = int(os.environ.get("MEMTAP_STRESS_KILLS", "200"))
SEED = int(os.environ.get("MEMTAP_STRESS_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
BATCHES = 10


def wait_for(condition, limit_s=60):
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.001)


def started(log):
    return log.exists() and log.stat().st_size > 0 and any(row.done for row in storm_model.read_log(log))


def alive(pids):
    return [pid for pid in pids if pathlib.Path(f"/proc/{pid}").exists()]


def record_and_kill(target, folder, chance, seed, mode):
    """One storm, killed; returns its log."""
    log, path = folder / "log", folder / "x.mtap"
    process = subprocess.Popen([MEMTAP, "run", "-q", "--mode", mode, "-o", path, "--", target("storm"), log, str(seed)],
                               start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    wait_for(lambda: started(log) or process.poll() is not None)
    time.sleep(chance.random() * 0.3)
    assert process.poll() is None, process.stderr.read()
    if chance.random() < 0.5:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=60)
    else:
        os.kill(storm_model.root_pid(log), signal.SIGKILL)
        assert process.wait(timeout=60) == 128 + signal.SIGKILL
    rows = storm_model.read_log(log)
    wait_for(lambda: not alive({row.pid for row in rows if row.pid}))
    return storm_model.read_log(log)


def problems_of(folder, log, seed):
    traces = [trace for path in folder.glob("*.mtap") for trace in tracefile.load_run(path)]
    problems = []
    for trace in traces:
        replay = tracereplay.Replay(trace.events)
        problems += [f"{trace.pid}: double allocation {event}" for event in replay.double_allocations[:3]]
        problems += [f"{trace.pid}: gap {gap}" for gap in trace.gaps]
        problems += [f"{trace.pid}: dropped {trace.counters['dropped_events']}"] * bool(trace.counters["dropped_events"])
        problems += [f"{trace.pid}: {text}" for text in storm_model.check(trace, tracereplay.Namer(trace), log, seed)]
    known = {trace.pid for trace in traces}
    problems += [f"process {row.pid} has no trace" for row in log if row.begun and row.pid not in known]
    if memtap_json("stats", folder)["allocations"] <= 0:
        problems.append("stats sees no allocation")
    return problems


@pytest.mark.parametrize("batch", range(BATCHES))
def test_every_trace_of_a_killed_program_agrees_with_its_log(target, tmp_path, batch):
    print(f"MEMTAP_STRESS_SEED={SEED}")
    chance = random.Random(SEED * 1000 + batch)
    for kill in range(KILLS // BATCHES):
        folder = tmp_path / str(kill)
        folder.mkdir()
        seed = chance.randrange(1, 2**31)
        log = record_and_kill(target, folder, chance, seed, "exact")
        problems = problems_of(folder, log, seed)
        assert not problems, (f"batch {batch}, kill {kill}, storm seed {seed}", folder, problems[:10])


@pytest.mark.parametrize("mode", ["exact", "sample"])
def test_a_storm_that_ends_by_itself_is_complete(record, target, tmp_path, mode):
    log = tmp_path / "log"
    recording = record(target("storm"), log, 42, 3000, 200, mode=mode)
    rows = storm_model.read_log(log)
    assert len(rows) == 200 + 4 + 5 * 6 and all(row.done == 3000 for row in rows)
    assert len(recording.family) == 5
    if mode == "exact":
        assert problems_of(tmp_path, rows, 42) == []
