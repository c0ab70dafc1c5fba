"""The first row of `leaks` and of `table` is the line a person would edit, in the programs of tests/answers."""

import os
import sys

import pytest
from conftest import TESTS, memtap

sys.path.insert(0, str(TESTS / "answers"))
import answers  # noqa: E402


def test_the_tree_has_names_a_person_calls(record, any_python, tmp_path):
    recording = record(*answers.command("map.cpp", any_python, tmp_path))
    shown = memtap("tree", recording.path).stdout.decode()
    assert "std::map::emplace  stl_map.h:" in shown and "std::allocator<" not in shown
    assert "std::allocator<" in memtap("tree", "--all-frames", recording.path).stdout.decode()


START = {"map.cpp": "load libstdc++.so.6", "global_dict.py": "Python itself"}


@pytest.mark.parametrize("program", answers.ALONE)
def test_the_first_row_is_the_line_to_edit(program, record, any_python, tmp_path):
    if answers.missing(program):
        pytest.skip(f"{answers.missing(program)} is not installed")
    recording = record(*answers.command(program, any_python, tmp_path), env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    path, line = answers.right_line(answers.ALONE[program])
    for report in ("leaks", "table"):
        shown = answers.first_row(memtap(report, "--full-paths", recording.path).stdout.decode())
        assert f" {path}:{line} " in shown, (report, shown)


def test_what_a_constructor_of_a_library_and_python_keep_is_no_row_of_leaks(record, any_python, tmp_path):
    for program in START:
        recording = record(*answers.command(program, any_python, tmp_path))
        shown = memtap("leaks", "-n", "0", recording.path).stdout.decode()
        assert "Py_BytesMain" not in shown and "libstdc++" not in shown
        assert ("in start-up and imports" in shown) == program.endswith(".py")
        starts = {row["function"] for row in recording.report("table") if row["line"] is None and row["bytes"] > 50_000}
        assert {"load libstdc++.so.6", "Python itself"} & starts == {START[program]}
