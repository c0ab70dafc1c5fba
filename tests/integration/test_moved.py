"""A trace that travelled: another path, other places for the binaries, found again by build-id."""

import pathlib
import shutil
import subprocess

import pytest
from conftest import frame_function, memtap, memtap_json, run


@pytest.fixture
def travelling(tmp_path, target):
    """A program copied to a folder of its own."""
    folder = tmp_path / "home"
    folder.mkdir()
    return pathlib.Path(shutil.copy(target("inlined"), folder / "traveller"))


def names(path):
    return {frame_function(frame) for row in memtap_json("leaks", path) for frame in row["stack"]}


def test_a_moved_trace_reads_the_same(record, travelling, tmp_path):
    recording = record(travelling)
    before = names(recording.path)
    assert {"baz", "case_outer", "main"} <= before
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    assert names(shutil.move(recording.path, moved / "renamed.mtap")) == before


def test_symbols_are_found_by_build_id_in_another_folder(record, travelling, tmp_path, monkeypatch):
    recording = record(travelling)
    symbols = tmp_path / "symbols"
    symbols.mkdir()
    shutil.move(travelling, symbols / "traveller.debug")
    assert "case_outer" not in names(recording.path)
    monkeypatch.setenv("MEMTAP_DEBUG_PATH", str(symbols))
    assert {"baz", "case_outer", "main"} <= names(recording.path)


def test_separate_debug_files_are_found_by_build_id(record, travelling, tmp_path, monkeypatch):
    recording = record(travelling)
    build_id = next(m.build_id.hex() for m in recording.trace.modules.values() if m.path == str(travelling))
    folder = tmp_path / "debug" / ".build-id" / build_id[:2]
    folder.mkdir(parents=True)
    subprocess.run(["objcopy", "--only-keep-debug", travelling, folder / f"{build_id[2:]}.debug"], check=True)
    subprocess.run(["strip", travelling], check=True)
    monkeypatch.setenv("MEMTAP_DEBUG_PATH", str(tmp_path / "debug"))
    assert {"baz", "case_outer", "main"} <= names(recording.path)


def test_another_binary_at_the_same_path_is_not_believed(record, travelling, target):
    recording = record(travelling)
    shutil.copy(target("deep"), travelling)
    found = names(recording.path)
    assert not found & {"case_descend", "case_bottom", "case_top", "case_half_way", "case_way_back", "case_outer"}
    said = memtap("leaks", recording.path).stderr.decode()
    assert f"{travelling} was built anew since the recording" in said and "MEMTAP_DEBUG_PATH" in said


def test_nothing_is_said_of_a_binary_that_is_gone_or_the_same(record, travelling):
    recording = record(travelling)
    assert "built anew" not in memtap("leaks", recording.path).stderr.decode()
    travelling.unlink()
    assert "built anew" not in memtap("leaks", recording.path).stderr.decode()


def test_a_stripped_program_keeps_its_dynamic_names(record, travelling):
    subprocess.run(["strip", travelling], check=True)
    recording = record(travelling)
    recording.assert_exact()
    assert names(recording.path)
    assert run([travelling]).stdout == recording.stdout
