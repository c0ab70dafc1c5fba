"""Libraries that come and go while the program runs."""

import json

import pytest
from conftest import run


def test_two_plugins_at_the_same_address_keep_their_own_names(record, target):
    recording = record(target("dlopen"), "reopen")
    assert b"never shared an address" not in recording.stderr
    recording.assert_truth()


def test_a_deepbind_plugin_is_recorded(record, target):
    record(target("dlopen"), "deepbind").assert_truth()


def test_a_library_still_finds_others_by_its_own_runpath(record, target):
    record(target("dlopen"), "runpath").assert_truth()


def test_malloc_found_by_dlsym_is_recorded(record, target):
    record(target("dlopen"), "symbols").assert_truth()


@pytest.mark.parametrize("case", ["missing", "namespace", "namespace-runpath"])
def test_the_loader_answers_as_it_does_alone(record, target, case):
    program = [target("dlopen"), case]
    alone = run(program)
    recording = record(*program)
    its_own = b"".join(line for line in recording.stderr.splitlines(True) if not line.startswith(b"memtap: note: "))
    assert (recording.returncode, recording.stdout, its_own) == (alone.returncode, alone.stdout, alone.stderr)


def test_a_namespace_of_its_own_is_named(record, target):
    warnings = record(target("dlopen"), "namespace").report("stats")["warnings"]
    assert [warning.split(": ", 1)[1] for warning in warnings] == [
        "libplugin_a.so was loaded into a namespace of its own (dlmopen): what is allocated there is not recorded"]
    assert record(target("dlopen"), "reopen").report("stats")["warnings"] == []


def test_a_namespace_of_its_own_found_by_runpath_is_named(record, target):
    warnings = record(target("dlopen"), "namespace-runpath").report("stats")["warnings"]
    assert [warning.split(": ", 1)[1] for warning in warnings] == [
        "libplugin_inner.so was asked for in a namespace of its own (dlmopen): what is allocated there is not recorded"]


def test_modules_carry_path_and_build_id(record, target):
    trace = record(target("dlopen"), "reopen").trace
    plugins = [m for m in trace.modules.values() if "libplugin_" in m.path]
    assert len(plugins) >= 6 and all(module.gone for module in plugins)
    assert all(len(m.build_id) == 20 for m in plugins)
    assert len({m.build_id for m in plugins}) == 2
    assert json.dumps([m.path for m in plugins])  # valid text
