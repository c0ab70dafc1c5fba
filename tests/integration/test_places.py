"""A place is a line of the program: whose memory rows of table and leaks are, what stands behind them, how they look."""

import csv
import io
import os
import pathlib
import re

import pytest
from conftest import MEMTAP, PYTHON_TARGETS, Recording, frame_function, memtap, memtap_json, run
from onterminal import columns_of, on_a_terminal

MACHINERY = ("importlib._bootstrap", "_find_and_load", "runpy", "_bootstrap_inner", "_start", "mt_thread_create")


@pytest.fixture(scope="module")
def places(any_python, tmp_path_factory):
    """One recording that all tests of this file read."""
    path = tmp_path_factory.mktemp("places") / "x.mtap"
    result = run([MEMTAP, "run", "-q", "-o", path, "--", any_python, PYTHON_TARGETS / "py_places.py"])
    assert result.returncode == 0, result.stderr
    return Recording(result.returncode, result.stdout, result.stderr, path)


def line_of(text):
    """Number of the line of py_places.py that contains text."""
    lines = (PYTHON_TARGETS / "py_places.py").read_text().splitlines()
    (number,) = [i for i, line in enumerate(lines, 1) if text in line]
    return number


def total(rows):
    return sum(row["bytes"] for row in rows), sum(row["count"] for row in rows)


def test_the_first_rows_are_the_lines_a_person_would_edit(record, python_ends):
    rows = record(python_ends, PYTHON_TARGETS / "py_places.py").report("leaks")
    first = rows[0]
    assert first["line"] == line_of("bytearray(50_000)") and pathlib.Path(first["file"]).name == "py_places.py"
    assert 5_000_000 <= first["bytes"] < 5_020_000 and first["by"][0] == "bytearray"
    library = [row for row in rows if row["line"] == line_of("json.loads(json.dumps")]
    assert len(library) == 1 and library[0]["bytes"] > 200_000 and "json.loads" in library[0]["by"]
    (lists,) = [row for row in rows if row["line"] == line_of("bytes(5_000)")]
    assert lists["bytes"] >= 400_000 and set(lists["by"]) <= {"list"}  # a stripped interpreter does not say
    assert [frame_function(frame) for frame in lists["stack"]][-1] == "thread"


def test_imports_are_rows_of_the_lines_that_import(record, python_ends):
    recording = record(python_ends, PYTHON_TARGETS / "py_places.py")
    rows = {row["function"]: row for row in recording.report("table", "--leaks")}
    for module, text in (("wsgiref", "IMPORT of a package"), ("colorsys", "IMPORT of a module")):
        row = rows.get(f"import {module}") or rows[f"import {module}.headers"]
        assert row["imported_by"]["file"].endswith("py_places.py") and row["imported_by"]["line"] == line_of(text)
        assert row["file"] is None or module in row["file"]  # null: the import system itself allocated
        assert row["line"] is None and row["bytes"] > 0


@pytest.mark.parametrize("command", [["table"], ["leaks"], ["tree"], ["summary"], ["export", "-f", "collapsed"]])
def test_no_report_shows_what_only_brings_code_in(places, command):
    shown = memtap(*command, *([] if command[0] == "export" else ["-n", "0"]), places.path).stdout.decode()
    assert not [word for word in MACHINERY if re.search(rf"(?<![\w.]){re.escape(word)}\b", shown)]
    assert "import" in shown
    everything = memtap(*command, "--all-frames", *([] if command[0] == "export" else ["-n", "0"]), places.path).stdout.decode()
    assert "importlib._bootstrap" in everything


def test_the_tree_is_of_the_program(places):
    shown = memtap("tree", "-n", "0", places.path).stdout.decode()
    lines = shown.splitlines()
    at = next(i for i, line in enumerate(lines) if "keep_item  py_places.py" in line)
    assert "⋯ 2 frames" in lines[at - 1] and "loads  json/__init__.py" in lines[at - 2]  # decode and raw_decode
    assert "json/__init__.py" not in "".join(line for line in lines if "import json" in line)
    assert "raw_decode" not in shown and "json.decoder" not in shown
    assert "raw_decode" in memtap("tree", "-n", "0", "--all-frames", places.path).stdout.decode()
    rows = memtap_json("tree", places.path)
    assert "raw_decode" in {row["function"].rsplit(".", 1)[-1] for row in rows}


@pytest.mark.parametrize("options", [[], ["--by", "function"], ["--by", "file"], ["--by", "process"], ["--by", "module"],
                                     ["--by", "type"], ["--by", "thread"], ["--stacks"], ["--invert"], ["--all-frames"],
                                     ["--native"], ["--wrapper", "case_own"], ["--by", "process", "--stacks"]])
def test_rows_add_up_to_the_byte(places, options):
    alive = places.stats["leaked_bytes"], places.stats["leaked_allocations"]
    assert total(memtap_json("leaks", *options, places.path)) == alive
    assert total(memtap_json("table", "--leaks", *options, places.path)) == alive
    assert total(memtap_json("table", *options, places.path))[0] == places.stats["peak_bytes"]


def test_wrappers_belong_to_their_callers(record, target):
    recording = record(target("wrapped"))
    rows = recording.report("leaks")
    held = {}
    for row in rows:
        held[row["function"].split("(")[0]] = held.get(row["function"].split("(")[0], 0) + row["bytes"]
    assert held["case_vector"] == 100_000 + 24
    assert 100 * 1000 < held["case_map"] < 130_000
    assert held["case_new"] == 50_000 and held["case_wrapped"] == 60_000 and held["my_pool_get"] == 70_000
    by = {row["function"].split("(")[0]: row["by"] for row in rows if row["bytes"] >= 50_000}
    assert by["case_wrapped"] == ["xmalloc"] and by["case_new"][0].startswith("operator new")
    assert by["case_vector"] and all(name.startswith("std::") for name in by["case_vector"])


def test_a_line_that_allocates_itself_says_with_what(record, target):
    rows = record(target("wrapped")).report("leaks")
    (holder,) = [row for row in rows if row["function"].startswith("case_vector") and row["bytes"] == 24]
    assert holder["by"] == ["malloc"]


@pytest.mark.parametrize("name", ["my_pool_get", "my_pool*"])
def test_a_wrapper_can_be_named(record, target, name):
    recording = record(target("wrapped"))
    rows = {row["function"].split("(")[0]: row for row in recording.report("leaks", "--wrapper", name)}
    assert rows["case_pool"]["bytes"] == 70_000 and rows["case_pool"]["by"] == ["my_pool_get"] and "my_pool_get" not in rows


def test_a_row_is_one_place_over_all_processes(record, target):
    recording = record(target("wrapped"), 3)
    (row,) = [row for row in recording.report("leaks") if row["function"].startswith("case_wrapped")]
    assert (row["bytes"], row["count"]) == (4 * 60_000, 4)
    apart = [row for row in recording.report("leaks", "--by", "process") if row["function"].startswith("case_wrapped")]
    assert [row["bytes"] for row in apart] == [60_000] * 4 and len({row["process"] for row in apart}) == 4
    assert total(recording.report("leaks")) == (recording.stats["leaked_bytes"], recording.stats["leaked_allocations"])


def test_inverted_rows_are_what_allocated(record, target):
    recording = record(target("wrapped"))
    rows = {row["function"]: row for row in memtap_json("leaks", "--invert", recording.path)}
    (wrapped,) = [row for row in rows.values() if row["function"].split("(")[0] == "xmalloc"]
    assert wrapped["bytes"] == 60_000 + 70_000
    assert [line.rsplit(" ", 1)[1] for line in wrapped["lines"]] == ["my_pool_get", "case_wrapped"]


def test_a_table_fits_the_terminal_and_keeps_the_names_of_files(places):
    for command in (["leaks"], ["leaks", "-n", "1"], ["table"], ["table", "--stacks"], ["leaks", "--invert"]):
        shown = on_a_terminal(80, MEMTAP, *command, places.path)
        assert columns_of(shown) <= 80 and "█" not in shown
        assert f"py_places.py:{line_of('bytearray(50_000)')}" in shown
        assert str(PYTHON_TARGETS) not in shown
    wide = on_a_terminal(140, MEMTAP, "leaks", places.path)
    assert "█" in wide and "bytearray" in wide and columns_of(wide) <= 140


@pytest.mark.parametrize("columns", [80, 100, 140])
def test_no_line_of_a_report_is_wider_than_the_terminal(places, any_python, columns):
    for command in ("summary", "stats", "tree", "table", "leaks", "timeline"):
        shown = on_a_terminal(columns, MEMTAP, command, places.path).splitlines()
        lines = [line for line in shown if str(any_python) not in line and str(PYTHON_TARGETS) not in line]  # of the command
        assert len(shown) - len(lines) <= 2 and columns_of("\n".join(lines)) <= columns, command


def test_rows_without_a_share_are_shown_when_asked_for(record, any_python, tmp_path):
    (tmp_path / "app.py").write_text("large = bytearray(16 << 20)\nsmall = bytearray(2000)\n")
    recording = record(any_python, tmp_path / "app.py")
    for command in ("leaks", "table"):
        by_default = memtap(command, recording.path).stdout.decode()
        assert "app.py:1 <module>" in by_default and "app.py:2 " not in by_default and " 0.0 %" not in by_default
        assert "(-n 0 shows all)" in by_default
        assert "app.py:2 <module>" in memtap(command, "-n", "0", recording.path).stdout.decode()


def test_growths_are_in_one_unit(record, any_python, tmp_path):
    (tmp_path / "app.py").write_text("import time\nkept = []\nfor number in range(12):\n    kept.append(bytearray(400_000))\n"
                                     "    kept.append(bytearray(90_000))\n    time.sleep(0.1)\n")
    rows = memtap("leaks", record(any_python, tmp_path / "app.py").path).stdout.decode().splitlines()
    growths = [re.search(r" \+([\d.]+) (\w+)/(s|min) ", row) for row in rows if "app.py:4 " in row or "app.py:5 " in row]
    assert len(growths) == 2 and len({growth.group(2, 3) for growth in growths}) == 1


def test_data_begins_with_lines_of_the_program_too(record, any_python, tmp_path):
    (tmp_path / "app.py").write_text("kept = bytearray(90_000)\n")
    rows = record(any_python, tmp_path / "app.py").report("table")
    kinds = [2 if row["bytes"] == 0 else 1 if row["function"] == "Python itself" else 0 for row in rows]
    assert kinds == sorted(kinds) and set(kinds) == {0, 1, 2}
    assert rows[0]["line"] == 1 and max(row["bytes"] for row in rows) == rows[kinds.index(1)]["bytes"] > rows[0]["bytes"] > 90_000


def test_a_pipe_gets_plain_text(places):
    shown = memtap("leaks", places.path).stdout.decode()
    assert "█" not in shown and "\x1b" not in shown and not [line for line in shown.splitlines() if line.endswith(" ")]
    assert f"py_places.py:{line_of('bytearray(50_000)')} case_own" in shown and "← bytearray" in shown
    full = memtap("leaks", "--full-paths", places.path).stdout.decode()
    assert f"{PYTHON_TARGETS}/py_places.py:{line_of('bytearray(50_000)')} case_own" in full


def test_an_empty_list_says_what_to_try(places):
    shown = memtap("leaks", "--min-age", "1h", places.path).stdout.decode()
    assert "memtap table" in shown


def test_csv_names_what_allocated(places):
    rows = list(csv.DictReader(io.StringIO(memtap("leaks", "-f", "csv", places.path).stdout.decode())))
    assert rows[0]["by"].split(";")[0] == "bytearray" and int(rows[0]["stacks"]) >= 1


@pytest.mark.parametrize("wrong", [["--by", "colour"], ["--wrapper", ""], ["--wrapper", "*"]])
def test_what_cannot_be_asked_is_refused(places, wrong):
    result = memtap("leaks", *wrong, places.path, check=False)
    assert result.returncode == 2 and wrong[0].encode() in result.stderr


LEAKS = {
    "a global dict": "kept = {}\nfor i in range(1000):\n    kept[i] = bytearray(10_000)  # HERE\n",
    "a class attribute": "class Server:\n    sessions = []\n    def open(self):\n        self.sessions.append(bytearray(10_000))  # HERE\n"
                         "for i in range(1000):\n    Server().open()\n",
    "a closure": "def make():\n    seen = []\n    def add(x):\n        seen.append(x * 10_000)  # HERE\n    return add\n"
                 "add = make()\nfor i in range(1000):\n    add(b'x')\n",
    "a cache": "import functools\n@functools.lru_cache(None)\ndef load(i):\n    return bytearray(10_000)  # HERE\n"
               "for i in range(1000):\n    load(i)\n",
    "a package's list": "import helper\nfor i in range(1000):\n    helper.remember(i)\n",
    "a library's cache": "import library\nfor i in range(1000):\n    library.remember(i)  # HERE\n",
    "thread-local": "import threading\nlocal = threading.local()\ndone = threading.Event()\nkept = threading.Event()\n"
                    "def work():\n    local.rows = [bytearray(10_000) for _ in range(1000)]  # HERE\n    kept.set()\n"
                    "    done.wait()\nthreading.Thread(target=work, daemon=True).start()\nkept.wait()\n",
    "an exception's frame": "def fail():\n    rows = [bytearray(10_000) for _ in range(1000)]  # HERE\n    raise ValueError\n"
                            "try:\n    fail()\nexcept ValueError as error:\n    kept = error\n",
    "a subprocess's text": "import json\nkept = json.loads('[' + ','.join(['\"' + 'x' * 10_000 + '\"'] * 1000) + ']')  # HERE\n",
}
HELPER = "KEPT = []\ndef remember(i):\n    KEPT.append(bytearray(10_000))\n"


@pytest.mark.parametrize("kind", LEAKS)
def test_the_first_row_is_the_line_that_leaks(kind, record, any_python, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(LEAKS[kind] + "import os\nos._exit(0)\n")
    packages = tmp_path / "venv/lib/python3.0/site-packages"
    packages.mkdir(parents=True)
    (packages / "library.py").write_text(HELPER)
    (tmp_path / "helper.py").write_text(HELPER)
    recording = record(any_python, program, env={**os.environ, "PYTHONPATH": str(packages), "PYTHONDONTWRITEBYTECODE": "1"})
    first = recording.report("leaks")[0]
    where = {"a package's list": (tmp_path / "helper.py", 3)}.get(kind) or \
        (program, next(i for i, line in enumerate(LEAKS[kind].splitlines(), 1) if "# HERE" in line))
    assert (first["file"], first["line"]) == (str(where[0]), where[1]) and first["bytes"] >= 10_000_000
    if kind == "a library's cache":
        assert first["by"] == ["library.remember"]


def test_lists_that_python_hands_out_again_are_noted(record, python_ends):
    """The 18,000 lists that one line holds were nearly all made by another, which gave them back: nothing recorded tells that."""
    recording = record(python_ends, PYTHON_TARGETS / "py_reused.py")
    text = " ".join(memtap("leaks", recording.path).stdout.decode().split())
    rows = [row for row in memtap_json("leaks", recording.path) if "py_reused.py" in str(row["file"]) and row["by"][:1] == ["list"]]
    makes = (PYTHON_TARGETS / "py_reused.py").read_text().splitlines().index("    made = [[] for _ in range(count)]") + 1
    assert rows[0]["count"] > 17_000 and rows[0]["line"] == makes
    assert "hands out lists, dicts, tuples and floats that were freed again" in text


def test_other_objects_are_not(record, any_python):
    recording = record(any_python, "-c", "kept = [bytes(100) for _ in range(20_000)]")
    assert "that were freed again" not in memtap("leaks", recording.path).stdout.decode()
