"""Programs with an allocator of their own, and programs the agent cannot enter."""

import pytest
from conftest import run


@pytest.mark.parametrize("name", ["linked", "linked_jemalloc", "linked_tcmalloc", "linked_tcmalloc_minimal", "linked_bump"])
@pytest.mark.parametrize("mode", ["exact", "sample"])
def test_a_shared_allocator_is_recorded_and_unharmed(record, target, name, mode):
    recording = record(target(name), mode=mode)
    assert recording.stdout == run([target(name)]).stdout
    if mode == "exact":
        recording.assert_truth()


@pytest.mark.parametrize("name", ["linked_own", "linked_static_jemalloc"])
def test_an_executable_that_defines_malloc_is_unharmed(record, target, name):
    """Its own calls are direct calls nobody can see; blocks it hands to libraries must still be freed by it."""
    recording = record(target(name))
    assert recording.stdout == run([target(name)]).stdout
    recording.assert_exact()


def test_a_static_executable_runs_and_the_user_is_told(record, target):
    alone = run([target("linked_nothing_shared")])
    recording = record(target("linked_nothing_shared"), quiet=False, check=False)
    assert (recording.returncode, recording.stdout) == (alone.returncode, alone.stdout)
    assert b"static" in recording.stderr.lower()
