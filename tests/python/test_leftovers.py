"""What a killed process leaves in the temporary folder goes when memprof next starts; nothing else does."""

import os
import shutil

import pytest
from childprogram import answer, run, start

from memtap import _leftovers

STARTED = "m.start(512); say(pid=os.getpid(), files=sorted(os.listdir(tempfile.gettempdir())))"
KILLED = STARTED + "; os.kill(os.getpid(), 9)"


def is_journal_of(name, trace):
    return name.startswith(f".{trace}.") and name.endswith(".journal")


@pytest.fixture
def folder(tmp_path):
    """A temporary folder of its own."""
    path = tmp_path / "tmp"
    path.mkdir()
    return path


def test_the_file_of_a_killed_process_goes_at_the_next_start(folder):
    left = answer(KILLED, status=-9, env={"TMPDIR": str(folder)})["files"]
    assert is_journal_of(*left) and sorted(os.listdir(folder)) == left
    found = answer(STARTED, env={"TMPDIR": str(folder)})
    assert is_journal_of(*found["files"]) and not set(found["files"]) & set(left)
    assert os.listdir(folder) == []


def test_the_file_of_a_process_that_ended_is_whole_and_goes_too(folder):
    _, trace = answer(STARTED + "; os._exit(0)", env={"TMPDIR": str(folder)})["files"]
    assert os.listdir(folder) == [trace]
    answer(STARTED, env={"TMPDIR": str(folder)})
    assert os.listdir(folder) == []


def test_the_file_of_a_live_process_stays(folder):
    child = start(STARTED + "; sys.stdin.read()", stdin=-1, env={"TMPDIR": str(folder)})
    assert child.stdout.readline()
    mine = set(os.listdir(folder))
    assert len(mine) == 2 and mine < set(answer(STARTED, env={"TMPDIR": str(folder)})["files"])
    assert set(os.listdir(folder)) == mine
    child.stdin.close()
    child.stdin = None  # communicate() would flush it
    child.communicate(timeout=300)
    assert os.listdir(folder) == []


def test_only_what_is_surely_ours_is_swept(folder):
    """A dead process's file under other names, of another namespace, with another content, twice linked, behind a link."""
    journal, name = answer(KILLED, status=-9, env={"TMPDIR": str(folder)})["files"]
    _, purpose, pid, namespace, token = name.split("-")
    data = (folder / name).read_bytes()
    others = {
        f"memtap-record-{pid}-{namespace}-{token}": data,
        f"memtap-{purpose}-{pid}-{int(namespace) + 1}-{token}": data,
        f"memtap-{purpose}-{pid}-{token}": data,
        f"memtap-{purpose}-{pid}-{namespace}-00000001.mtap": b"a person's notes" * 100,
        f"memtap-{purpose}-{os.getpid()}-{namespace}-00000002.mtap": data,
        f"memtap-{purpose}-{pid}-{namespace}-00000003.mtap": data[:20],
        f"x{name}": data,
        f"{journal[:-24]}{'0' * 16}.journal": b"a person's notes" * 100,
        f".x{name}.{'0' * 16}.journal": (folder / journal).read_bytes(),
    }
    for other, content in others.items():
        (folder / other).write_bytes(content)
    (folder / f"memtap-{purpose}-{pid}-{namespace}-00000004.mtap").symlink_to(folder / f"x{name}")
    (folder / f"memtap-{purpose}-{pid}-{namespace}-00000005.mtap").mkdir()
    os.mkfifo(folder / f"memtap-{purpose}-{pid}-{namespace}-00000006.mtap")
    os.link(folder / f"memtap-record-{pid}-{namespace}-{token}", folder / f"memtap-{purpose}-{pid}-{namespace}-00000007.mtap")
    before = set(os.listdir(folder))
    run(STARTED, env={"TMPDIR": str(folder)})
    assert set(os.listdir(folder)) == before - {name, journal}


def test_a_folder_that_cannot_be_read_is_left(folder, monkeypatch):
    monkeypatch.setattr(_leftovers, "_folder", lambda: str(folder))
    shutil.rmtree(folder)
    _leftovers.sweep("memprof")
