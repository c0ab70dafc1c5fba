"""A program that restricts its own system calls lives, and is recorded as far as memory mapped beforehand reaches."""

import re

import pytest
import tracereplay

NOT_IN_THIS_KERNEL = 77


@pytest.fixture
def filtered(record, target):
    """filtered(HOW…): the target under memtap; skipped where the kernel has no seccomp."""

    def start(*how, program="filtered", **options):
        recording = record(target(program), *how, check=False, **options)
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


def leaves(recording):
    found = [tracereplay.by_case(trace).get("case_leaf") for trace in recording.traces]
    return [(row["allocations"], row["bytes"]) for row in found if row]


def test_a_program_executed_under_a_harmless_filter_is_recorded(filtered):
    assert leaves(filtered("libc", "harmless", program="restricted")) == [(7, 7 * 4444)]


def test_a_program_executed_under_a_killing_filter_lives_and_is_named(filtered):
    recording = filtered("libc", "killing", program="restricted")
    assert leaves(recording) == []
    (warning,) = recording.report("stats")["warnings"]
    assert warning.endswith("the program restricts its system calls: programs that it executes are not recorded")


def test_children_under_a_killing_filter_live_and_are_named(filtered):
    recording = filtered("libc", "killing", "fork", program="restricted")
    assert leaves(recording) == []
    _, warning = recording.report("stats")["warnings"]
    assert re.search(r"process \d+ and 2 more that it forked are not recorded: a seccomp filter that they inherit may forbid", warning)


def test_children_under_a_harmless_filter_are_recorded(filtered):
    recording = filtered("libc", "harmless", "fork", program="restricted")
    assert leaves(recording) == 3 * [(7, 7 * 4444)]
    assert not any("recorded" in warning for warning in recording.report("stats")["warnings"])


def filters_are_counted():
    with open("/proc/self/status") as status:
        return any(line.startswith("Seccomp_filters:") for line in status)


@pytest.mark.skipif(not filters_are_counted(), reason="this kernel does not tell how many filters there are (before 5.9)")
@pytest.mark.parametrize("kind", ["killing", "harmless"])
def test_a_program_executed_under_an_unknown_filter_lives(filtered, kind):
    """What it forbids is not known: nothing is called in it, and nothing recorded; that is said."""
    recording = filtered("raw", kind, program="restricted")
    assert leaves(recording) == []
    (warning,) = recording.report("stats")["warnings"]
    assert warning.endswith("the program has a seccomp filter that memtap did not see being installed: programs that it executes "
                            "are not recorded")


@pytest.mark.skipif(not filters_are_counted(), reason="this kernel does not tell how many filters there are (before 5.9)")
@pytest.mark.parametrize("kind", ["killing", "harmless"])
def test_children_under_an_unknown_filter_live_and_are_named(filtered, kind):
    """Neither they nor, from when it knows of them, their parent makes a call."""
    recording = filtered("raw", kind, "fork", program="restricted")
    assert leaves(recording) == []
    (warning,) = recording.report("stats")["warnings"]
    assert re.search(r"process \d+ and 2 more that it forked are not recorded: a seccomp filter that they inherit may forbid", warning)
