"""A program that restricts its own system calls lives, and is recorded as far as memory mapped beforehand reaches."""

import pytest

NOT_IN_THIS_KERNEL = 77


@pytest.fixture
def filtered(record, target):
    """filtered(HOW): the target under memtap; skipped where the kernel has no seccomp."""

    def start(how, **options):
        recording = record(target("filtered"), how, check=False, **options)
        if recording.returncode == NOT_IN_THIS_KERNEL:
            pytest.skip("no seccomp in this kernel")
        assert recording.returncode == 0, recording.stderr
        return recording

    return start


@pytest.mark.parametrize("how", ["prctl", "syscall", "strict", "errno", "twice", "refused"])
def test_a_filter_costs_neither_the_program_nor_an_event(filtered, how):
    recording = filtered(how)
    recording.assert_truth()
    assert not recording.report("stats")["warnings"]


def test_what_the_reserve_does_not_hold_is_said(filtered):
    """With a limit there is no room for the reserve: the recording ends and says why."""
    recording = filtered("prctl", options=["--max-file", "400K"])
    stats = recording.report("stats")
    assert stats["dropped_events"] is None
    assert any("seccomp" in warning or "--max-file" in warning for warning in stats["warnings"]), stats["warnings"]


def test_the_filter_is_noted(filtered):
    assert any(note.startswith("seccomp") for note in map(str, filtered("prctl").trace.notes))
