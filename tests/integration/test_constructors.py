"""What a program allocates before main() is recorded like the rest."""

import pytest


@pytest.mark.parametrize("name", ["constructors", "constructors_initfirst"])
def test_what_runs_before_main_is_recorded(record, target, name):
    """initfirst: the library has the one place in front of all constructors, and the agent starts at its first call."""
    recording = record(target(name))
    recording.assert_truth()
    assert recording.trace.counters["broken_stacks"] == 0


def test_a_library_that_is_preloaded_as_well_is_recorded(record, target, monkeypatch):
    monkeypatch.setenv("LD_PRELOAD", target("libconstructed.so"))
    recording = record(target("constructors"))
    recording.assert_truth()
