"""Python programs: stacks with lines, objects with their exact costs, on every interpreter there is."""

import json
import os
import subprocess

import pytest
import tracereplay
from conftest import PYTHON_TARGETS, run

PYMEM = {"pymem mem", "pymem object"}
MALLOC = {"malloc", "calloc", "realloc"}  # where Python's allocators get what is larger than 512 bytes


def python_frames(row, file):
    """[[function, line]] of the frames of one Python file, innermost first, by their short names."""
    frames = [frame for frame in row["stack"] if os.path.basename(frame["file"] or "") == file]
    return [[frame["function"].rpartition(".")[2], frame["line"]] for frame in frames]


def blocks_by_size(rows):
    found = {}
    for row in rows:
        if row["count"] == 1:
            found.setdefault(row["bytes"], []).append(row)
    return found


def check_frames(recording, truth):
    """Each block is alive once, on the stack of Python frames the program itself saw."""
    assert recording.stats["dropped_events"] == 0
    found = blocks_by_size(recording.live_stacks)
    for block in truth["blocks"]:
        rows = found.get(block["size"], [])
        if not block["live"]:
            assert rows == []
            continue
        assert len(rows) == 1, block
        wanted = [[function.rpartition(".")[2], line] for function, line in block["stack"]]
        assert python_frames(rows[0], "py_frames.py") == wanted


def test_every_kind_of_python_stack_is_exact(record, python, truth_file):
    recording = record(python, PYTHON_TARGETS / "py_frames.py")
    check_frames(recording, json.loads(truth_file.read_text()))


@pytest.mark.parametrize("option", ["--no-python-allocators", "--no-native"])
def test_python_stacks_are_exact_with_fewer_layers(record, python_ends, truth_file, option):
    recording = record(python_ends, PYTHON_TARGETS / "py_frames.py", options=[option])
    check_frames(recording, json.loads(truth_file.read_text()))


def test_a_recording_counts_each_object_once(record, python):
    recording = record(python, PYTHON_TARGETS / "py_objects.py")
    recording.assert_exact()
    recording.assert_stats_follow()
    truth = json.loads(recording.stdout)
    trace = recording.trace
    for function, expected in truth.items():
        live = [event for event in recording.replay.live.values() if event.size == expected["size"]
                and function in trace.python_stack(event.stack)]
        assert len(live) == expected["count"], function
        assert {event.allocator for event in live} <= (PYMEM if expected["size"] <= 512 else MALLOC)


def test_python_allocators_are_left_alone_when_not_wanted(record, python_ends):
    recording = record(python_ends, PYTHON_TARGETS / "py_objects.py", options=["--no-python-allocators"])
    recording.assert_exact()
    kinds = {event.allocator for event in recording.trace.events if event.kind == "alloc"}
    assert not kinds & PYMEM
    (grown,) = [e for e in recording.replay.live.values() if e.size == json.loads(recording.stdout)["grow"]["size"]]
    assert grown.allocator == "realloc"


@pytest.fixture(scope="session")
def extension(tmp_path_factory):
    """Builds pyext/tapped.c for an interpreter; returns the folder."""
    built = {}

    def build(python):
        if python not in built:
            query = "import sysconfig as s; print(s.get_paths()['include'], s.get_config_var('EXT_SUFFIX'))"
            include, suffix = run([python, "-c", query]).stdout.decode().split()
            if not os.path.exists(os.path.join(include, "Python.h")):
                pytest.skip(f"no headers for {python}")
            folder = tmp_path_factory.mktemp("extension")
            subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-g", "-fomit-frame-pointer", "-fno-builtin", f"-I{include}",
                            PYTHON_TARGETS / "pyext/tapped.c", "-o", folder / f"tapped{suffix}"], check=True)
            built[python] = folder
        return built[python]

    return build


def mixed_frames(row):
    wanted = {"case_call", "case_allocate", "again", "below", "main", "<module>"}
    names = [frame["function"].rpartition(".")[2] for frame in row["stack"]]
    return [name for name in names if name in wanted]


def test_c_frames_stand_between_python_frames(record, python, truth_file, extension):
    recording = record(python, PYTHON_TARGETS / "py_extension.py", extension(python))
    recording.assert_exact()
    found = blocks_by_size(recording.report("leaks", "--native", "--stacks"))
    outer = ["again", "case_call", "again", "case_call", "again", "case_call", "again", "case_call", "main", "<module>"]
    for size in (60_011, 60_013, 60_015, 60_017):
        assert mixed_frames(found[size][0]) == ["case_allocate", "below", *outer], size
    (block,) = json.loads(truth_file.read_text())["blocks"]
    assert mixed_frames(found[block["size"]][0]) == ["below", *outer]


@pytest.mark.parametrize("size, allocators", [(60_011, {"malloc"}), (60_013, MALLOC), (60_015, MALLOC),
                                              (60_017, MALLOC), (117, {"pymem object"}), (119, {"pymem mem"})])
def test_each_block_is_recorded_once_where_it_comes_from(record, any_python, truth_file, extension, size, allocators):
    recording = record(any_python, PYTHON_TARGETS / "py_extension.py", extension(any_python))
    namer = tracereplay.Namer(recording.trace)
    found = [event for event in recording.trace.events if event.kind == "alloc" and event.size == size
             and namer.case(event.stack) == "case_allocate"]
    assert len(found) == 1 and found[0].allocator in allocators


def test_numpy_arrays_have_their_size_and_line(record):
    python = "/usr/bin/python3.11"
    if run([python, "-c", "import numpy"]).returncode != 0:
        pytest.skip("no numpy for Debian's Python")
    recording = record(python, PYTHON_TARGETS / "py_numpy.py")
    recording.assert_exact()
    for function, size in json.loads(recording.stdout).items():
        live = [e for e in recording.replay.live.values() if e.size == size
                and function in recording.trace.python_stack(e.stack)]
        assert len(live) == 1, function
    freed = [e for e in recording.trace.events if e.kind == "alloc" and e.size == 2_000_003]
    assert len(freed) == 1 and "make_and_drop" in recording.trace.python_stack(freed[0].stack)
    assert 2_000_003 not in {e.size for e in recording.replay.live.values()}


def test_output_is_the_same_with_and_without(record, python):
    program = [python, "-c", "import json,sys; print(json.dumps({'a': list(range(1000))})); sys.exit(4)"]
    alone = run(program)
    recording = record(*program, check=False)
    assert (recording.returncode, recording.stdout, recording.stderr) == (alone.returncode, alone.stdout, alone.stderr)


def test_a_traceback_is_the_same(record, python, tmp_path):
    script = tmp_path / "broken.py"
    script.write_text("def f():\n    raise RuntimeError('no')\nf()\n")
    alone = run([python, script])
    recording = record(python, script, check=False)
    assert (recording.returncode, recording.stderr) == (alone.returncode, alone.stderr)


def test_a_py_file_runs_by_itself(record, tmp_path, any_python):
    script = tmp_path / "script.py"
    script.write_text("import sys; print(sys.argv, __name__)\n")
    path = str(any_python.parent) + os.pathsep + os.environ["PATH"]
    recording = record(script, "a", "-b", env={**os.environ, "PATH": path})
    assert recording.stdout.decode() == f"['{script}', 'a', '-b'] __main__\n"


@pytest.mark.parametrize("version", ["3.6", "3.7", "2.7"])
def test_an_unknown_version_is_recorded_with_native_stacks_and_said(record, version):
    from conftest import PYENV

    found = sorted(PYENV.glob(version + ".*/bin/python"))
    if not found:
        pytest.skip(f"no Python {version} on this machine")
    recording = record(found[-1], "-c", "x = [bytearray(100) for i in range(1000)]; print(len(x))", quiet=False)
    assert recording.stdout == b"1000\n"
    recording.assert_exact()
    assert version.encode() in recording.stderr
    assert not any(recording.trace.python_stack(e.stack) for e in recording.trace.events if e.kind == "alloc")


def test_tracemalloc_and_memtap_bear_each_other(record, python_ends):
    code = "import tracemalloc; tracemalloc.start(); x=[str(i) for i in range(5000)]; s=tracemalloc.take_snapshot(); " \
           "tracemalloc.stop(); y=[str(i) for i in range(5000)]; print(len(s.traces) > 0, len(x), len(y))"
    recording = record(python_ends, "-c", code)
    assert recording.stdout == b"True 5000 5000\n"
    assert recording.stats["dropped_events"] == 0


@pytest.mark.parametrize("setting", ["malloc", "pymalloc_debug", "malloc_debug", "default"])
def test_every_python_allocator_setting_works(record, any_python, setting):
    code = "x = [object() for _ in range(10000)]; print(len(x))"
    recording = record(any_python, "-c", code, env={**os.environ, "PYTHONMALLOC": setting})
    assert recording.stdout == b"10000\n"
    recording.assert_exact()
    recording.assert_stats_follow()


