"""Programs with an allocator of their own, and programs the agent cannot enter."""

import pytest
from conftest import run


@pytest.mark.parametrize("name", ["linked", "linked_jemalloc", "linked_tcmalloc", "linked_tcmalloc_minimal", "linked_mimalloc", "linked_bump"])
@pytest.mark.parametrize("mode", ["exact", "sample"])
def test_a_shared_allocator_is_recorded_and_unharmed(record, target, name, mode):
    recording = record(target(name), mode=mode)
    assert recording.stdout == run([target(name)]).stdout
    if mode == "exact":
        recording.assert_truth()


@pytest.mark.parametrize("mode", ["exact", "sample"])
@pytest.mark.parametrize("name", ["holds", "holds_jemalloc", "holds_tcmalloc", "holds_tcmalloc_minimal", "holds_mimalloc"])
def test_what_an_allocator_maps_for_itself_is_not_held_twice(record, target, name, mode):
    """Its mappings are a storage of their own. The program's two are held; so are two pages of the library that tcmalloc
    walks stacks with, when it does that outside a recorded call."""
    recording = record(target(name), mode=mode)
    truth, held = recording.truth, recording.stats["by_allocator"]
    assert 0 <= held["mmap"]["bytes"] - truth["map_bytes"] <= 8192 and "sbrk" not in held
    if mode == "exact":
        assert recording.live_by_case()["case_blocks"] == (truth["blocks"], truth["blocks"] * truth["block_bytes"])
        recording.assert_stats_follow()
    kept_in_maps = recording.stats["by_storage"].get("arena", {"bytes": 0})["bytes"]
    if name in ("holds_jemalloc", "holds_tcmalloc", "holds_tcmalloc_minimal"):  # others map once, before the program begins
        assert kept_in_maps > 0.9 * truth["blocks"] * truth["block_bytes"]


@pytest.mark.parametrize("mode", ["exact", "sample"])
@pytest.mark.parametrize("name", ["linked_own", "linked_static_jemalloc", "linked_static_tcmalloc"])
def test_an_executable_that_defines_malloc_is_recorded_and_unharmed(record, target, name, mode):
    """Its own calls are direct calls; blocks it hands to libraries must still be freed by it."""
    recording = record(target(name), mode=mode)
    assert recording.stdout == run([target(name)]).stdout
    if mode == "exact":
        recording.assert_truth()


def test_a_static_executable_runs_and_the_user_is_told(record, target):
    alone = run([target("linked_nothing_shared")])
    recording = record(target("linked_nothing_shared"), quiet=False, check=False)
    assert (recording.returncode, recording.stdout) == (alone.returncode, alone.stdout)
    assert b"static" in recording.stderr.lower()


def test_a_program_under_address_sanitizer_is_recorded_and_unchanged(record, target):
    alone = run([target("linked_asan")])
    recording = record(target("linked_asan"), check=False)  # it leaks, which LeakSanitizer says at the end
    assert (recording.stdout, recording.returncode) == (alone.stdout, alone.returncode)
    recording.assert_truth()


def test_a_program_under_address_sanitizer_that_a_script_starts_too(record, target):
    recording = record("/bin/sh", "-c", f"{target('linked_asan')}; exit 7", check=False)
    assert recording.returncode == 7
    assert any(path.endswith("linked_asan") for trace in recording.traces for path in trace.command)
