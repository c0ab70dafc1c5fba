"""A process that cannot say when it ends, because it is killed or becomes a program that is not recorded, ends when memtap sees it."""

import os
import re

import pytest
from conftest import memtap

MIB = 1024 * 1024
AROUND_BYTES = 100_000  # what the parent takes besides: buffers, its own of the C library


@pytest.fixture(autouse=True)
def kernel_with_pidfds():
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        pytest.skip(f"no pidfd_open: {error}")


@pytest.mark.parametrize("how", ["child", "exec"])
def test_a_process_holds_its_memory_until_it_is_gone(record, target, how):
    """Not until its last event, which is before the parent's 32 MiB: 40 MiB; nor to the end of the run: 56 MiB."""
    recording = record(target("killed"), how)
    assert 48 * MIB <= recording.stats["peak_bytes"] < 48 * MIB + AROUND_BYTES
    (child,) = recording.family
    assert child.end_clock > max(event.clock for event in child.events) and child.end_within_ns > 0
    assert recording.trace.end_within_ns == 0  # it said so itself


def named(recording):
    return [text for text in recording.stats["warnings"] if re.search(r"process \d+ \(.*\) is not recorded", text)]


def filters_are_counted():
    with open("/proc/self/status") as status:
        return any(line.startswith("Seccomp_filters:") for line in status)


@pytest.mark.skipif(not filters_are_counted(), reason="this kernel does not tell how many filters there are (before 5.9)")
def test_a_program_in_its_place_under_an_unknown_filter_is_named(record, target):
    recording = record(target("killed"), "filtered")
    (child,) = recording.family
    (warning,) = named(recording)
    assert warning.endswith(f"process {child.pid} (cat) is not recorded: it restricts its system calls with a seccomp filter that memtap "
                            "does not know; what it starts inherits that, and is not recorded either")
    assert f"process {child.pid} (cat) is not recorded".encode() in recording.stderr
    assert child.end_within_ns > 0


def test_a_program_in_its_place_without_settings_is_not_said_to_be_filtered(record, target):
    assert named(record(target("killed"), "exec")) == []


@pytest.mark.parametrize("how", ["self", "vfork"])
def test_the_program_itself_ends_when_it_is_waited_for(record, target, how):
    recording = record(target("killed"), how, check=False)
    trace = recording.trace
    assert trace.end_clock > max(event.clock for event in trace.events) and trace.end_within_ns > 0
    assert recording.stats["duration_s"] == (trace.end_clock - trace.start_clock) / 1e9


def test_how_exact_that_is_is_said(record, target):
    recording = record(target("killed"), "child")
    warnings = recording.stats["warnings"]
    assert any(text.startswith("1 of them was found dead, up to ") for text in warnings)
    (child,) = recording.family
    assert f"header end-within-ns {child.end_within_ns}" in memtap("parse", recording.path).stdout.decode()


def test_a_failed_exec_is_no_end(record, target):
    """It is tried and fails, then the process is killed: the end is the tool's word."""
    trace = record(target("killed"), "failed", check=False).trace
    assert trace.end_within_ns > 0
