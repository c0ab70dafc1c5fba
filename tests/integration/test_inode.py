"""The trace is an inode and not a name: whatever a program or a person does to the name, to the descriptor behind it or to
the rights to open it, the trace is whole, and nobody else's file has a byte more."""

import json
import os
import pathlib
import shutil
import tempfile

import pytest
import tracereplay
from conftest import MEMTAP, Recording, run

NOTES = b"my notes\n"
NOT_PERMITTED = 77


def at(recording, suffix):
    return pathlib.Path(f"{recording.path}{suffix}")


@pytest.fixture
def recorded(record, target, tmp_path):
    """recorded(WHAT): the target inode under memtap; skipped where the act is not permitted."""

    def start(what):
        recording = record(target("inode"), what, tmp_path / "out.mtap", check=False)
        if recording.returncode == NOT_PERMITTED:
            pytest.skip(f"{what} is not permitted here")
        assert recording.returncode == 0, recording.stderr
        return recording

    return start


@pytest.mark.parametrize("what", ["close_all", "take_numbers", "use_up", "limit_size", "become_nobody", "change_root"])
def test_what_becomes_of_descriptors_and_rights_costs_no_event(recorded, what):
    recording = recorded(what)
    recording.assert_truth()
    recording.assert_stats_follow()


@pytest.mark.parametrize("what", ["move", "replace_by_move", "link_elsewhere"])
def test_a_moved_trace_is_recorded_to_its_end(recorded, what):
    recording = recorded(what)
    moved = Recording(0, recording.stdout, b"", at(recording, ".moved"))
    moved.assert_truth()


@pytest.mark.parametrize("what, notes", [("replace", ""), ("replace_by_move", ""), ("link_elsewhere", ".notes")])
def test_a_file_put_in_the_trace_s_place_is_left_alone(recorded, what, notes):
    assert at(recorded(what), notes).read_bytes() == NOTES


def test_prints_to_closed_descriptors_go_nowhere(record, target):
    recording = record(target("closed"))
    recording.assert_truth()


def test_a_recording_that_ends_early_says_why(record, target):
    recording = record(target("exchange"), 4, 100_000, 1, options=["--max-file", "1M"], quiet=False)
    stats = recording.report("stats")
    assert stats["dropped_events"] is None
    assert any("--max-file" in warning and "ended at" in warning for warning in stats["warnings"]), stats["warnings"]
    assert b"--max-file" in recording.stderr


def test_the_kept_descriptor_takes_no_number_of_the_program_s(record, any_python):
    """The numbers a program gets are those it gets without memtap, up to its limit."""
    code = ("import os, resource\n"
            "resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))\n"
            "got = []\n"
            "try:\n"
            "    while True: got.append(os.open('/dev/null', os.O_RDONLY))\n"
            "except OSError: print(got)\n")
    assert record(any_python, "-S", "-c", code).stdout == run([any_python, "-S", "-c", code]).stdout


def test_the_trace_s_descriptor_is_not_handed_down(record, target, any_python):
    code = "import os; print(sorted(os.listdir('/proc/self/fd')))"
    shell = ["/bin/sh", "-c", f'exec {any_python} -S -c "{code}"']
    under = record(*shell, options=["--no-follow"]).stdout
    alone = run(shell).stdout
    assert len(eval(under)) <= len(eval(alone)) + 2  # the image's own trace and journal, not those of its forerunners


def assert_worked(recording):
    """The work's truth is in exactly one of the run's traces."""
    truth = json.loads(recording.stdout)
    found = [tracereplay.by_case(trace) for trace in (recording.trace, *recording.family)]
    assert [cases for cases in found if cases] == [truth]


@pytest.mark.parametrize("how", ["nobody", "root"])
def test_a_worker_that_drops_rights_before_it_allocates_is_recorded(record, target, how):
    if os.geteuid() != 0:
        pytest.skip("giving up rights needs them")
    recording = record(target("rights"), "worker", how)
    assert_worked(recording)


@pytest.fixture
def open_folder(target):
    """A folder everybody may enter, with a program in it."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        shutil.copy(target("rights"), folder / "rights")
        yield folder


def test_a_program_behind_one_that_drops_rights_is_recorded(record, target, open_folder):
    if os.geteuid() != 0:
        pytest.skip("giving up rights needs them")
    recording = record(target("rights"), "behind", open_folder / "rights", "work", folder=open_folder, check=False)
    if recording.returncode == 77:
        pytest.skip("another user cannot run programs from here")
    assert_worked(recording)


def test_a_process_that_cannot_be_helped_is_named(target, tmp_path):
    """The traces' folder is gone when the child begins."""
    if os.geteuid() != 0:
        pytest.skip("giving up rights needs them")
    folder = tmp_path / "gone"
    folder.mkdir()
    result = run(["/bin/sh", "-c", f"exec {os.fspath(MEMTAP)} run -q -o {folder}/x.mtap -- /bin/sh -c "
                  f"'mv {folder} {tmp_path}/moved; {target('rights')} work; exit 5'"])
    assert result.returncode == 5
    assert b"is not recorded" in result.stderr, result.stderr
