"""Programs that leave a hooked call by another way than its return: the thread is recorded on, what was lost is counted."""

import json

import pytest
import tracereplay
from conftest import run

ROUNDS = 20


@pytest.mark.parametrize("way", ["jump", "altstack", "throw", "exit", "cancel"])
def test_a_thread_is_recorded_after_it_left_a_hooked_call(record, target, way):
    program = target("jumps")
    recording = record(program, way)
    assert recording.stdout == run([program, way]).stdout
    assert tracereplay.by_case(recording.trace) == json.loads(recording.stdout)
    assert recording.trace.counters["dropped_events"] == recording.stats["dropped_events"] == ROUNDS
