"""What is left when things go wrong: SIGKILL, full disks, folders nobody may write to."""

import json
import os
import signal
import subprocess
import time

import pytest
import tracefile
from conftest import MEMTAP, TIMEOUT_S, live_stacks, memtap, memtap_json, run

HEADER_BYTES = 576  # of a packed trace, at least


@pytest.fixture
def small_disk(tmp_path):
    """A tmpfs of 2 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    folder = tmp_path / "small"
    folder.mkdir()
    if run(["mount", "-t", "tmpfs", "-o", "size=2m", "memtap-test", folder]).returncode != 0:
        pytest.skip("cannot mount a tmpfs here")
    yield folder
    run(["umount", folder])


def test_a_killed_program_leaves_a_complete_trace(record, target):
    recording = record(target("endings"), "kill", check=False)
    assert recording.returncode == 128 + signal.SIGKILL
    recording.assert_truth()
    recording.assert_stats_follow()


@pytest.mark.parametrize("how", ["_exit", "exit"])
def test_the_end_of_a_program_is_in_its_trace(record, target, how):
    trace = record(target("endings"), how, check=False).trace
    assert trace.end_clock > 0


def test_when_memtap_is_killed_too_the_trace_is_complete(target, tmp_path):
    """The whole process group dies at once, as from the OOM killer of a container."""
    path = tmp_path / "x.mtap"
    script = f"{target('threads')} 10 100 keep; kill -9 0"
    subprocess.run([MEMTAP, "run", "-q", "-o", path, "--", "/bin/sh", "-c", script], start_new_session=True,
                   capture_output=True, check=False, timeout=TIMEOUT_S)
    traces = tracefile.load_run(path)
    assert len(traces) == 2
    assert any(len(trace.threads) == 11 for trace in traces)
    total = sum(row["count"] for row in memtap_json("leaks", path) if "case_worker" in json.dumps(row["stack"]))
    assert total == 1000


def test_a_trace_cut_anywhere_opens_up_to_its_last_whole_record(record, target, tmp_path):
    recording = record(target("threads"), 10, 200)
    data = recording.path.read_bytes()
    whole = recording.stats["allocations"]
    cut = tmp_path / "cut.mtap"
    for part in range(1, 12):
        cut.write_bytes(data[: HEADER_BYTES + (len(data) - HEADER_BYTES) * part // 12])
        result = memtap("stats", "-f", "json", cut, check=False)
        left = json.loads(result.stdout)["allocations"]
        assert left <= whole and (result.returncode == 0 or (result.returncode == 1 and left == 0))
    cut.write_bytes(data[:100])
    assert memtap("stats", cut, check=False).returncode == 1


def test_a_damaged_trace_is_an_error_not_a_crash(record, target, tmp_path):
    recording = record(target("threads"), 10, 200)
    data = bytearray(recording.path.read_bytes())
    broken = tmp_path / "broken.mtap"
    for at in range(HEADER_BYTES, len(data), max(1, len(data) // 60)):
        damaged = bytearray(data)
        damaged[at] ^= 0x5A
        broken.write_bytes(damaged)
        assert memtap("stats", "-f", "json", broken, check=False).returncode in (0, 1)


def test_a_full_disk_stops_the_trace_not_the_program(record, target, small_disk):
    recording = record(target("exchange"), 4, 200_000, 1, folder=small_disk, quiet=False)
    assert recording.truth["case_make"]["allocations"] == 800_000
    stats = recording.stats
    assert stats["dropped_events"] is None  # what came after the end nobody counted
    assert 0 < stats["allocations"] < 1_200_000
    assert b"full" in recording.stderr or b"space" in recording.stderr


def test_a_disk_without_any_room_is_survived(record, target, small_disk):
    run(["dd", "if=/dev/zero", f"of={small_disk / 'ballast'}", "bs=64k"])
    result = run([MEMTAP, "run", "-o", small_disk / "x.mtap", "--", target("threads"), 10, 100])
    if result.returncode == 0:
        assert json.loads(result.stdout)["case_worker"]["allocations"] == 1000
    assert b"x.mtap" in result.stderr and b"space" in result.stderr.lower()


def test_a_size_limit_is_kept(record, target):
    recording = record(target("exchange"), 4, 100_000, 1, options=["--max-file", "1M"])
    assert recording.truth["case_make"]["allocations"] == 400_000
    assert recording.path.stat().st_size <= 2**20
    assert recording.stats["dropped_events"] is None


@pytest.mark.parametrize("place", ["/proc/x.mtap", "/no/such/folder/x.mtap", "/etc/passwd/x.mtap", "/dev/full/x"])
def test_an_unwritable_path_is_told_before_the_program_starts(target, tmp_path, place):
    result = run([MEMTAP, "run", "-o", place, "--", "/bin/sh", "-c", f"touch {tmp_path / 'started'}"])
    assert result.returncode in (2, 3)
    assert place.encode() in result.stderr or os.path.dirname(place).encode() in result.stderr
    assert not (tmp_path / "started").exists()


def test_a_read_only_folder_is_told(target, tmp_path):
    folder = tmp_path / "read-only"
    folder.mkdir()
    if os.geteuid() != 0 or run(["mount", "-t", "tmpfs", "-o", "ro,size=64k", "memtap-test", folder]).returncode != 0:
        pytest.skip("mounting a read-only tmpfs needs root")
    try:
        result = run([MEMTAP, "run", "-o", folder / "x.mtap", "--", target("empty")])
    finally:
        run(["umount", folder])
    assert result.returncode in (2, 3) and b"Read-only" in result.stderr


def test_an_existing_file_is_not_overwritten_without_force(target, tmp_path):
    path = tmp_path / "x.mtap"
    path.write_text("precious")
    result = run([MEMTAP, "run", "-o", path, "--", target("empty")])
    assert result.returncode == 2 and path.read_text() == "precious"


def test_a_missing_program_is_told(tmp_path):
    result = run([MEMTAP, "run", "-o", tmp_path / "x.mtap", "--", "/no/such/program"])
    assert result.returncode in (2, 127) and b"/no/such/program" in result.stderr


def test_a_running_trace_can_be_read(target, tmp_path, any_python):
    """The file is being written; a report reads what is there."""
    path = tmp_path / "x.mtap"
    code = "import sys; x=[bytes(12345) for _ in range(100)]; print('ready', flush=True); sys.stdin.read()"
    process = subprocess.Popen([MEMTAP, "run", "-q", "-o", path, "--", any_python, "-c", code],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"ready\n"
        rows = [row for row in live_stacks(path) if row["count"] == 100 and row["bytes"] == 100 * (12345 + 33)]
        assert len(rows) == 1
    finally:
        process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0


def test_a_duration_stops_the_recording_not_the_program(record, any_python):
    code = "import time; e=time.monotonic()+6\nwhile time.monotonic() < e: x=bytes(5000)\nprint('done')"
    start = time.monotonic()
    recording = record(any_python, "-c", code, options=["--duration", "0.3s"])
    assert recording.stdout == b"done\n" and time.monotonic() - start >= 6
    assert recording.stats["duration_s"] < 5.9


def test_no_stray_files_are_left(target, tmp_path):
    memtap("run", "-q", "-o", tmp_path / "out.mtap", "--", target("threads"), 2, 100)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mtap"]
