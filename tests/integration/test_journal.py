"""What is mapped while a trace is written lies in a hidden file beside it: whoever empties or cuts the trace ends the recording and
not the program, and a kill of program and tool together loses nothing."""

import json
import shutil
import subprocess

import pytest
import tracefile
from conftest import MEMTAP, TIMEOUT_S, memtap, memtap_json


def hidden(folder):
    return [path for path in folder.rglob(".*") if path.is_file()]


def test_an_emptied_trace_ends_the_recording_and_not_the_program(record, target, tmp_path):
    recording = record(target("inode"), "empty", tmp_path / "out.mtap", quiet=False)
    assert recording.truth["case_after"]["allocations"] == 60000
    stats = recording.report("stats")
    assert stats["dropped_events"] is None
    assert any("emptied" in warning for warning in stats["warnings"]), stats["warnings"]
    assert b"emptied" in recording.stderr
    assert not hidden(tmp_path)


def test_an_emptied_aggregate_trace_is_complete(record, target, tmp_path):
    """It has tables and no blocks: all of it was in the journal."""
    recording = record(target("inode"), "empty", tmp_path / "out.mtap", options=["--aggregate"])
    assert recording.stats["allocations"] >= 120_000
    assert recording.stats["dropped_events"] == 0 and recording.trace.state == 2
    assert not hidden(tmp_path)


@pytest.mark.parametrize("options", [["--mode", "sample"], ["--mode", "sample", "--no-pack"], ["--no-pack"]])
def test_a_program_survives_its_emptied_trace_in_every_mode(record, target, tmp_path, options):
    recording = record(target("inode"), "empty", tmp_path / "out.mtap", options=options)
    assert recording.truth["case_after"]["allocations"] == 60000
    assert recording.report("stats")["processes"] == 1
    assert not hidden(tmp_path)


def test_a_cut_trace_goes_on_and_says_what_is_lost(record, target, tmp_path):
    recording = record(target("inode"), "cut", tmp_path / "out.mtap", options=["--no-pack"])
    assert recording.truth["case_after"]["allocations"] == 60000
    stats = recording.report("stats")
    assert any("blocks of events are missing" in warning for warning in stats["warnings"]), stats["warnings"]
    assert stats["allocations"] > 60_000  # what came after the cut is there


def test_an_emptied_trace_of_a_child_is_harmless_too(record, target, tmp_path):
    script = f"{target('inode')} empty_others {tmp_path / 'out.mtap'}; exit $?"
    recording = record("/bin/sh", "-c", script, quiet=False)
    assert recording.truth["case_after"]["allocations"] == 60000
    stats = recording.report("stats")
    assert stats["processes"] == 2
    assert any("emptied" in warning for warning in stats["warnings"]), stats["warnings"]
    assert [path.name for path in tmp_path.iterdir()] == ["out.mtap"]


def test_an_unpacked_trace_has_its_slots_in_itself_at_the_end(record, target, tmp_path):
    recording = record(target("threads"), 10, 200, options=["--no-pack"])
    recording.assert_truth()
    assert [path.name for path in tmp_path.iterdir()] == ["out.mtap"]


@pytest.fixture
def killed(target, tmp_path):
    """The trace of a program of ten threads; it and memtap were killed at once, and its folder is the program's."""
    script = f"{target('threads')} 10 100 keep; kill -9 0"
    subprocess.run([MEMTAP, "run", "-q", "-o", tmp_path / "x.mtap", "--", "/bin/sh", "-c", script], start_new_session=True,
                   capture_output=True, check=False, timeout=TIMEOUT_S)
    (trace,) = (path for path in (tmp_path / "x.mtap.d").glob("*.mtap") if len(tracefile.load(path).threads) == 11)
    return trace


def kept(trace):
    return sum(row["count"] for row in memtap_json("leaks", trace) if "case_worker" in json.dumps(row["stack"]))


def test_a_trace_that_was_moved_alone_finds_its_journal(killed, tmp_path):
    moved = killed.rename(tmp_path / "moved.mtap")
    assert kept(moved) == 1000


def test_a_folder_that_was_moved_keeps_trace_and_journal_together(killed, tmp_path):
    folder = killed.parent.rename(tmp_path / "moved")
    assert kept(folder / killed.name) == 1000


def test_a_trace_without_its_journal_says_so(killed, tmp_path):
    alone = tmp_path / "elsewhere" / killed.name
    alone.parent.mkdir()
    shutil.copy(killed, alone)
    for journal in hidden(killed.parent):
        journal.unlink()
    stats = memtap_json("stats", alone)
    assert stats["dropped_events"] is None
    assert any("journal" in warning for warning in stats["warnings"]), stats["warnings"]


def test_a_hidden_file_that_was_left_is_said_until_it_is_packed(killed):
    def said():
        return [warning for warning in memtap_json("stats", killed)["warnings"] if "hidden file" in warning]

    (warning,) = said()
    assert str(killed) in warning and "memtap pack" in warning
    memtap("pack", "-q", killed.parent)
    assert not said() and not hidden(killed.parent)


def test_packing_takes_the_journal_in(killed):
    before = hidden(killed.parent)
    memtap("pack", "-q", killed)
    assert kept(killed) == 1000
    assert len(hidden(killed.parent)) == len(before) - 1


def test_an_old_run_is_replaced_with_its_journals(killed, tmp_path):
    assert hidden(tmp_path)
    memtap("run", "-q", "-f", "-o", tmp_path / "x.mtap", "true")
    assert [path.name for path in tmp_path.iterdir()] == ["x.mtap"]


def test_what_lies_in_a_journal_s_place_is_not_read(killed):
    """Neither a file of somebody's own nor a link to a journal, and nobody waits for a FIFO."""
    (journal,) = (path for path in hidden(killed.parent) if killed.name in path.name)
    real = journal.rename(journal.with_name("real"))
    for plant in (lambda: journal.write_bytes(b"my notes"), lambda: journal.symlink_to(real),
                  lambda: subprocess.run(["mkfifo", journal], check=True)):
        plant()
        assert any("journal" in warning for warning in memtap_json("stats", killed)["warnings"])
        journal.unlink()
    real.rename(journal)
    assert kept(killed) == 1000
