"""Many threads, deep stacks, storms of signals, full disks, failing system calls."""

import json
import os
import random

import pytest
import tracereplay
from conftest import MEMTAP, run

pytestmark = pytest.mark.stress
FAULTY_AGENT = MEMTAP.parent / "libmemtap-agent-fault.so"
FAULTS = ("mmap", "open", "write", "fallocate")


def test_five_thousand_threads(record, target):
    recording = record(target("threads"), 5000, 20, "keep")
    assert recording.truth["case_worker"]["allocations"] == 100_000
    recording.assert_truth()


def test_ten_thousand_frames_on_many_stacks(record, target):
    for depth in random.Random(7).sample(range(1, 16000), 10):
        recording = record(target("deep"), depth, "thread", name=f"{depth}.mtap")
        recording.assert_truth()
        assert recording.trace.counters["broken_stacks"] == 0


@pytest.mark.parametrize("mode", ["exact", "sample"])
@pytest.mark.parametrize("threads, interval_us", [(1, 50), (4, 100), (8, 200)])
def test_handlers_that_allocate_at_any_instruction(record, target, mode, threads, interval_us):
    recording = record(target("signal_storm"), threads, 4000, interval_us, mode=mode)
    truth = recording.truth
    assert truth["case_handler"]["frees"] >= 8000
    if mode == "exact":
        found = tracereplay.by_case(recording.trace)
        assert found["case_interrupted"] == truth["case_interrupted"]
        assert not recording.replay.double_allocations and not recording.trace.gaps
        # A handler that interrupts the recorder is not recorded; that is counted and said.
        assert 0 < found["case_handler"]["allocations"] <= truth["case_handler"]["allocations"]
        lost = truth["case_handler"]["allocations"] - found["case_handler"]["allocations"]
        assert bool(lost) == (recording.stats["dropped_events"] != 0)


@pytest.mark.parametrize("seed", range(5))
def test_addresses_change_hands_between_many_threads(record, target, seed):
    print(f"seed {seed}")
    record(target("exchange"), 16, 4000, seed + 1).assert_truth()


@pytest.fixture
def tiny_disk(tmp_path):
    """A function that mounts a tmpfs of so many KiB."""
    mounted = []

    def mount(kib):
        folder = tmp_path / f"disk{kib}"
        folder.mkdir()
        if os.geteuid() != 0 or run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "memtap-test", folder]).returncode != 0:
            pytest.skip("mounting a tmpfs needs root")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        run(["umount", folder])


@pytest.mark.parametrize("kib", [4, 8, 16, 64, 68, 128, 256, 512, 1024, 4096])
@pytest.mark.parametrize("options", [[], ["--aggregate"]])
def test_a_disk_of_any_size_is_survived(target, tiny_disk, kib, options):
    folder = tiny_disk(kib)
    result = run([MEMTAP, "run", *options, "-o", folder / "x.mtap", "--", target("exchange"), 4, 20000])
    if result.returncode == 0:
        assert json.loads(result.stdout)["case_make"]["allocations"] == 80_000
    else:
        assert result.returncode in (2, 3) and b"x.mtap" in result.stderr and not result.stdout


@pytest.mark.parametrize("call", FAULTS)
def test_the_program_survives_the_failure_of_any_system_call_of_the_agent(target, tmp_path, call):
    """The Nth call and all later ones fail, then the Nth only ("!"); N grows well past what a run makes."""
    assert FAULTY_AGENT.exists(), f"{FAULTY_AGENT} is missing: build the tests first"
    complete = incomplete = 0
    for fault in (f"{call}:{number}{only}" for number in range(40) for only in ("", "!")):
        env = {**os.environ, "MEMTAP_FAULT": fault, "MEMTAP_AGENT": str(FAULTY_AGENT)}
        path = tmp_path / f"{fault}.mtap"
        result = run([MEMTAP, "run", "-q", "-o", path, "--", target("exchange"), 4, 3000], env=env)
        assert result.returncode == 0, (fault, result.stderr)
        assert json.loads(result.stdout)["case_make"]["allocations"] == 12_000
        stats = run([MEMTAP, "stats", "-f", "json", path])
        assert stats.returncode in (0, 1, 3), (fault, stats)
        if stats.returncode == 0 and json.loads(stats.stdout)["dropped_events"] == 0:
            complete += json.loads(stats.stdout)["allocations"] >= 12_000
        else:
            incomplete += 1
    assert complete > 0
    assert incomplete > 0 or call in ("write", "open")  # what cannot be written stays in its slot; the tool opens for the agent
