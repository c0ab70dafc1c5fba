"""A process that cannot say when it ends, because it is killed or becomes a program that is not recorded, ends when memtap sees it."""

import os

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
