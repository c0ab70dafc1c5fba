"""What is alive when a program ends: a Python program ends where its code does, before the interpreter takes it down."""

import json
import os
import subprocess

import pytest
from conftest import MEMTAP, PYTHON_TARGETS, memtap, memtap_json, run

PROGRAM = PYTHON_TARGETS / "py_end.py"
PROGRAM_END, MAIN_RETURNED = 3, 4


LINES = {number for number, line in enumerate(PROGRAM.read_text().splitlines(), 1) if " = bytes(" in line or " = make(" in line}


def held(path, *selection):
    """{function of py_end.py: bytes of its blocks} of a selection."""
    done = memtap("export", *selection, "--format", "json", "-o", "-", path)
    found = {}
    for stack in json.loads(done.stdout)["stacks"]:
        frame = next((f for f in stack["stack"] if os.path.basename(f["file"] or "") == "py_end.py"), None)
        if frame is not None and frame["line"] in LINES:
            name = frame["function"].rpartition(".")[2]
            found[name] = found.get(name, 0) + stack["bytes"]
    return found


def marks(recording, kind):
    return [mark for mark in recording.trace.marks if mark[2] == kind]


def check_end(recording, moment="end"):
    """What the program held when its code was done is alive then; one mark says when that was."""
    truth = json.loads(recording.stdout.splitlines()[0])
    assert recording.stats["leaks_at"] == moment
    found = held(recording.path, "--leaks")
    assert {name: found.get(name, 0) for name in ("keep", "cycle", "side", "before", "late")} == \
        {"keep": 0, "cycle": 0, "side": 0, "before": 0, "late": 0} | truth
    assert found == held(recording.path, "--at", "end")


@pytest.mark.parametrize("options", [[], ["--no-python-allocators", "--no-native"]], ids=["all", "few"])
def test_a_program_holds_what_its_code_left(record, python, options):
    recording = record(python, PROGRAM, "return", options=options)
    check_end(recording)
    assert len(marks(recording, PROGRAM_END)) == 1
    assert held(recording.path, "--at", "exit").keys() == {"late"}
    assert held(recording.path, "--between", "end,exit").keys() == {"late"}


@pytest.mark.parametrize("how", ["exit", "exception", "sigterm", "daemon", "thread"])
def test_however_it_ends(record, python_ends, how):
    recording = record(python_ends, PROGRAM, how, check=False)
    check_end(recording)
    assert len(marks(recording, PROGRAM_END)) == 1


@pytest.mark.parametrize("how", ["quit", "killed", "exec"])
def test_where_it_does_not_come_to_its_end_the_last_event_counts(record, python_ends, how):
    recording = record(python_ends, PROGRAM, how, check=False)
    truth = json.loads(recording.stdout.splitlines()[0])
    assert not marks(recording, PROGRAM_END)
    assert recording.stats["leaks_at"] == "exit"
    found = held(recording.path, "--leaks")
    assert found["keep"] == truth["keep"] and "before" in found


@pytest.mark.parametrize("arguments", [["-m", "py_end"], ["-c", "import py_end; py_end.main('return')"]], ids=["m", "c"])
def test_whatever_was_run(record, python_ends, arguments, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(PYTHON_TARGETS))
    check_end(record(python_ends, *arguments))


def test_samples_end_there_too(record, python_ends):
    recording = record(python_ends, PROGRAM, "return", mode="sample", options=["--rate", "1"])
    check_end(recording)


def test_an_aggregate_knows_the_end(record, python_ends):
    recording = record(python_ends, PROGRAM, "return", options=["--aggregate"])
    check_end(recording)


def test_the_independent_reader_finds_the_same_amount(record, python_ends):
    recording = record(python_ends, PROGRAM, "return")
    recording.assert_exact()
    recording.assert_stats_follow()


def test_a_child_ends_by_itself(record, python_ends, tmp_path):
    script = tmp_path / "parent.py"
    script.write_text("import subprocess, sys\nsubprocess.check_call([sys.executable, *sys.argv[1:]])\n")
    recording = record(python_ends, script, PROGRAM, "return")
    truth = json.loads(recording.stdout)
    assert held(recording.path, "--leaks") == truth
    assert [len([m for m in trace.marks if m[2] == PROGRAM_END]) for trace in recording.traces] == [1, 1]


# ---- shells ----------------------------------------------------------------------------------------------------------

SHELL = """
class InteractiveShell:
    def __init__(self):
        import atexit
        self.names = {}
        atexit.register(self.atexit_operations)
    def atexit_operations(self):
        self.clear()
    def clear(self):
        self.names.clear()
"""
CELLS = """
import atexit, json, sys
import IPython.core.interactiveshell as core
def early(): del shell.names["early"]
def late(): shell.names.pop("late", None)
atexit.register(late)
shell = core.InteractiveShell()
atexit.register(early)
shell.names["rows"] = [bytes(10_007) for _ in range(50)]
shell.names["early"] = [bytes(11_003) for _ in range(50)]
shell.names["late"] = [bytes(12_007) for _ in range(50)]
"""


@pytest.mark.parametrize("mode, options", [("exact", []), ("exact", ["--aggregate"]), ("sample", ["--rate", "1"]),
                                           ("exact", ["--no-python-allocators", "--no-native"])],
                         ids=["exact", "aggregate", "sample", "few"])
def test_a_shell_ends_before_it_clears_its_names(record, python_ends, tmp_path, mode, options):
    (tmp_path / "IPython/core").mkdir(parents=True)
    for package in ("IPython", "IPython/core"):
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / "IPython/core/interactiveshell.py").write_text(SHELL)
    (tmp_path / "cells.py").write_text(CELLS)
    recording = record(python_ends, tmp_path / "cells.py", mode=mode, options=options)
    held = {}
    for row in recording.report("leaks", "--by", "line"):
        if row["file"] == str(tmp_path / "cells.py"):
            held[row["line"]] = held.get(row["line"], 0) + row["bytes"]
    for line, size in ((9, 10_007), (11, 12_007)):
        assert 50 * size <= held[line] < 50 * size + 10_000, held
    assert held.get(10, 0) < 10_000  # freed by a function of the program's own
    assert recording.stats["leaks_at"] == "end" and len(marks(recording, PROGRAM_END)) == 1


# ---- Python inside another program ---------------------------------------------------------------------------------


@pytest.fixture
def embed(python_ends, tmp_path):
    """The embedding program for an interpreter; skipped where that has no shared library or headers."""
    query = ("import sysconfig as s; print(s.get_config_var('Py_ENABLE_SHARED'), s.get_paths()['include'], "
             "s.get_config_var('LIBDIR'), s.get_config_var('LDVERSION') or s.get_config_var('VERSION'), s.get_config_var('prefix'))")
    shared, include, libraries, version, prefix = run([python_ends, "-c", query]).stdout.decode().split()
    library = f"{libraries}/libpython{version}.so"
    if shared != "1" or not os.path.exists(f"{include}/Python.h") or not os.path.exists(library):
        pytest.skip(f"no library or headers to embed {python_ends}")
    program = tmp_path / "embed"
    subprocess.run(["cc", "-g", "-O1", PYTHON_TARGETS / "pyext/embed.c", f"-I{include}", library, f"-Wl,-rpath,{libraries}", "-o", program],
                   check=True)
    return program, {**os.environ, "PYTHONHOME": prefix}


def test_an_embedded_interpreter_ends_its_program(record, embed):
    program, environment = embed
    recording = record(program, PROGRAM, env=environment)
    check_end(recording)


def test_a_program_that_goes_on_without_python_ends_later(record, embed):
    program, environment = embed
    recording = record(program, PROGRAM, 1_000_003, env=environment)
    assert recording.stats["leaks_at"] == "exit"
    assert held(recording.path, "--leaks").keys() == {"late"}
    assert recording.live_by_case()["case_go_on"] == (1, 1_000_003)


# ---- other programs --------------------------------------------------------------------------------------------------


@pytest.fixture
def native(tmp_path):
    """Two blocks: one freed by a function of atexit, one kept; main returns 3 or calls exit(4) or _exit(5)."""
    source = tmp_path / "native.c"
    source.write_text("""
#include <stdlib.h>
#include <unistd.h>
void *kept, *freed;
static void empty(void) { free(freed); }
int main(int argc, char **argv)
{
    atexit(empty);
    kept = malloc(10007);
    freed = malloc(20011);
    if (argc > 1 && argv[1][0] == 'e') exit(4);
    if (argc > 1 && argv[1][0] == '_') _exit(5);
    return 3;
}
""")
    program = tmp_path / "native"
    subprocess.run(["cc", "-O1", "-fno-builtin", source, "-o", program], check=True)
    return program


@pytest.mark.parametrize("argument, code", [("return", 3), ("exit", 4)])
def test_the_end_of_main_is_before_functions_of_atexit(record, native, argument, code):
    recording = record(native, argument, check=False)
    assert recording.returncode == code
    assert [mark[3] for mark in marks(recording, MAIN_RETURNED)] == [code]
    sizes = {moment: sum(row["bytes"] for row in memtap_json("table", "--at", moment, recording.path))
             for moment in ("end", "exit", "main-end")}
    assert sizes == {"end": 10_007, "exit": 10_007, "main-end": 30_018}
    assert recording.stats["leaks_at"] == "exit"


def test_empty_leaks_name_the_end_of_main_where_it_is_known(record, tmp_path):
    (tmp_path / "map.cpp").write_text("#include <map>\n#include <unistd.h>\nstd::map<int, int> kept;\n"
                                      "int main(int argc, char **)\n{\n    for (int i = 0; i < 100; i++)\n        kept[i] = i;\n"
                                      "    if (argc > 1) { kept.clear(); _exit(0); }\n}\n")
    subprocess.run(["c++", "-g", "-O1", tmp_path / "map.cpp", "-o", tmp_path / "map"], check=True)
    returned, left = record(tmp_path / "map", name="a.mtap"), record(tmp_path / "map", "_exit", name="b.mtap")
    hint = "memtap leaks FILE@main-end"
    assert hint in memtap("leaks", returned.path).stdout.decode() and hint not in memtap("leaks", left.path).stdout.decode()
    shown = memtap("leaks", f"{returned.path}@main-end").stdout.decode()
    assert "alive when main returned" in shown and "map.cpp:7 main" in shown


def test_where_main_never_ended_that_is_said(record, native):
    recording = record(native, "_exit", check=False)
    done = run([MEMTAP, "table", "--at", "main-end", recording.path])
    assert done.returncode == 2 and b"main-end is not known" in done.stderr
