"""Names from a program are data: shown escaped, quoted for spreadsheets, and given back whole by JSON."""

import ast
import csv
import io
import json
import unicodedata

import pytest
from conftest import MEMTAP, PYTHON_TARGETS, find_interpreter, memtap, memtap_json, run

FORMULA_STARTS = tuple("=+-@\t\r")


@pytest.fixture(scope="module")
def names():
    scope = {"__name__": "py_names"}
    exec((PYTHON_TARGETS / "py_names.py").read_text(), scope)
    return scope["NAMES"]


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    python = find_interpreter("3.12") or find_interpreter("3.11") or find_interpreter("debian")
    path = tmp_path_factory.mktemp("names") / "x\x1b[31m.mtap"
    program = path.parent / "app\u202e.py"
    program.write_text((PYTHON_TARGETS / "py_names.py").read_text())
    result = run([MEMTAP, "run", "-o", path, "--", python, program])
    assert result.returncode == 0, result.stderr
    assert_harmless(result.stderr)
    return path


def assert_harmless(output):
    """Lines of text that neither drive a terminal nor reorder or hide anything."""
    text = output.decode("utf-8")  # raises where it is not UTF-8
    bad = [c for c in text if c not in "\r\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert not bad, f"{bad[:5]!r} in {text[:2000]!r}"


@pytest.mark.parametrize("command", [["summary"], ["stats"], ["table", "-n", "0"], ["table", "--by", "file"],
                                     ["table", "--by", "thread"], ["tree", "-n", "0"], ["leaks", "-n", "0"], ["parse"]],
                         ids=" ".join)
def test_text_is_harmless(trace, command):
    result = memtap(*command, trace)
    assert b"RED" in result.stdout or command[0] == "stats" or "thread" in command
    assert_harmless(result.stdout)
    assert_harmless(result.stderr)


@pytest.mark.parametrize("form", ["csv", "json", "ndjson"])
@pytest.mark.parametrize("command", ["summary", "stats", "table", "tree", "leaks"])
def test_data_is_harmless_to_a_terminal(trace, command, form):
    assert_harmless(memtap(command, "-f", form, trace).stdout)


@pytest.mark.parametrize("form", ["collapsed", "speedscope", "csv", "json", "chrome", "heaptrack"])
def test_exports_are_harmless_to_a_terminal(trace, form, tmp_path):
    memtap("export", trace, "--format", form, "-o", tmp_path / "out")
    assert_harmless((tmp_path / "out").read_bytes())


def test_json_gives_the_very_names_back(trace, names):
    rows = memtap_json("table", "-n", "0", trace)
    assert set(names) <= {row["function"] for row in rows}
    assert set(names) <= {row["file"] for row in rows}
    lines = memtap("table", "-n", "0", "-f", "ndjson", trace).stdout.splitlines()
    assert set(names) <= {json.loads(line)["function"] for line in lines}


@pytest.mark.parametrize("command", [["table", "-n", "0"], ["tree", "-n", "0"], ["leaks", "-n", "0"], ["export", "--format", "csv"]],
                         ids=" ".join)
def test_no_cell_is_a_formula(trace, command):
    form = [] if command[0] == "export" else ["-f", "csv"]
    rows = list(csv.reader(io.StringIO(memtap(*command, *form, trace).stdout.decode(), newline="")))
    assert len({len(row) for row in rows}) == 1
    cells = [cell for row in rows for cell in row]
    assert any("1+1" in cell for cell in cells)

    def is_number(cell):
        try:
            return bool(float(cell)) or True
        except ValueError:
            return False

    assert not [cell for cell in cells if cell.startswith(FORMULA_STARTS) and not is_number(cell)]
    assert "-1" not in cells  # a function's name here


def test_mistakes_are_told_without_repeating_escapes(tmp_path):
    for arguments in (["\x1b[31m"], ["summary", "no\x1b[31m.mtap"], ["table", "--by", "\u202e", "x"],
                      ["summary", "--at", "\x9b", "x"], ["summary", "--\x1b[31m", "x"], ["run", "--", "./no\x1b[31m"]):
        result = memtap(*arguments, check=False, cwd=tmp_path)
        assert result.returncode != 0 and result.stderr
        assert_harmless(result.stderr)


def test_parse_quotes_so_that_a_name_ends_where_it_ends(record):
    """Each quoted text is read back as a Python literal: quotes and backslashes in a name are not those of the quoting."""
    python = find_interpreter("debian")
    said = 'C:\\new "x" \\" end'
    recording = record(python, "-c", f"data = {said!r}")
    lines = memtap("parse", recording.path).stdout.decode().splitlines()
    command = next(line for line in lines if line.startswith("header command "))
    assert ast.literal_eval(command.removeprefix("header command ").replace("\\x00", "\\0")).rstrip("\0").split("\0") == \
        recording.trace.command
    assert said.replace("\\", "\\\\") in recording.trace.command[2]
