"""%%memtap in a real IPython shell, and in a notebook with a real kernel."""

import json
import os
import re
import subprocess
import sys
import textwrap

import pytest

pytest.importorskip("IPython")
MIB = 1024 * 1024

# Runs cells in a fresh shell; says what each printed, published as HTML, gave, and how it failed.
SHELL = r"""
import contextlib, io, json, re, sys
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.displaypub import CapturingDisplayPublisher
shell = InteractiveShell.instance()
shell.colors = "NoColor"
shell.display_pub = publisher = CapturingDisplayPublisher()
told = []
assert "memtap" not in sys.modules
for cell in ["%load_ext memtap", *json.load(sys.stdin)]:
    publisher.outputs.clear()
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        result = shell.run_cell(cell, store_history=True)
    data = [output["data"] for output in publisher.outputs]
    told.append({"text": re.sub(r"\x1b\[[\d;]*m", "", text.getvalue()), "value": repr(result.result),
                 "error": type(result.error_in_exec).__name__,
                 "html": "".join(item.get("text/html", "") for item in data),
                 "plain": "".join(item.get("text/plain", "") for item in data)})
json.dump(told, sys.stdout)
"""


@pytest.fixture
def shell(tmp_path):
    def run(*cells):
        environment = {**os.environ, "IPYTHONDIR": str(tmp_path / "ipython"), "PYTHONPATH": os.pathsep.join(sys.path),
                       "TMPDIR": str(tmp_path)}
        result = subprocess.run([sys.executable, "-c", SHELL], input=json.dumps([textwrap.dedent(cell) for cell in cells]),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, cwd=str(tmp_path),
                                env=environment, timeout=300)
        assert result.returncode == 0, result.stderr
        load, *told = json.loads(result.stdout[result.stdout.index("[{"):])
        assert load["text"] == "" and load["error"] == "NoneType"
        assert not [path for path in tmp_path.iterdir() if path.name.startswith("memtap-cell-")]
        return told

    return run


def mebibytes(text, name):
    """The value of a "name: 5.0 MiB" line."""
    found = re.search(name + r": ([\d.]+) (B|KiB|MiB)", text)
    assert found, text
    return float(found.group(1)) * {"B": 1 / MIB, "KiB": 1 / 1024, "MiB": 1}[found.group(2)]


def test_a_cell_shows_its_peak_what_it_holds_and_where(shell):
    cell, = shell("""\
        %%memtap
        def make(size):
            return bytearray(size << 20)
        block = make(8)
        del block
        kept = make(3)
        print("done")
    """)
    assert cell["text"] == "done\n" and cell["error"] == "NoneType" and cell["value"] == "None"
    assert mebibytes(cell["plain"], "peak") == pytest.approx(8, abs=0.3)
    assert mebibytes(cell["plain"], "held at the end") == pytest.approx(3, abs=0.3)
    assert re.search(r"at the peak:\n\s+8\.0 MiB\s+\d+  cell, line 3 make\n", cell["plain"]), cell["plain"]
    assert re.search(r"held at the end:\n\s+3\.0 MiB\s+\d+  cell, line 3 make", cell["plain"]), cell["plain"]
    for text in ("<b>peak</b>: 8.", "cell, line 3 make", "<table"):
        assert text in cell["html"]


def test_names_and_values_are_the_users(shell):
    before, cell, after = shell("import math\nx = 2", "%%memtap\ny = x + 1\nmath.floor(7.5)", "(y, _)")
    assert cell["value"] == "7" and "7" in cell["text"]
    assert after["value"] == "(3, 7)"


def test_a_semicolon_keeps_the_value_back(shell):
    cell, = shell("%%memtap\n1 + 1;")
    assert cell["value"] == "None" and cell["text"] == ""


def test_an_error_is_shown_and_the_cell_has_failed(shell):
    cell, after = shell("%%memtap\nkept = bytearray(2 << 20)\ndef f():\n    return 1 / 0\nf()", "len(kept)")
    assert cell["error"] == "ZeroDivisionError"
    assert "return 1 / 0" in cell["text"] and "ZeroDivisionError: division by zero" in cell["text"]
    assert "jupyter.py" not in cell["text"]  # our frames are hidden
    assert mebibytes(cell["plain"], "peak") == pytest.approx(2, abs=0.3)
    assert after["value"] == str(2 * MIB)


def test_a_syntax_error_is_one(shell):
    cell, = shell("%%memtap\nx = = 3")
    assert "SyntaxError" in cell["text"] and cell["html"] == ""


def test_magics_and_commands_inside_the_cell(shell):
    cell, = shell("%%memtap\npath = %pwd\nwords = !echo one two\n(len(path) > 0, words[0])")
    assert cell["value"] == "(True, 'one two')"


def test_a_cell_that_does_nothing(shell):
    cell, = shell("%%memtap\npass")
    assert cell["error"] == "NoneType" and mebibytes(cell["plain"], "peak") < 0.3


def test_a_cell_that_awaits(shell):
    _, cell = shell("import asyncio", "%%memtap\nblock = bytearray(2 << 20)\nawait asyncio.sleep(0, 'slept')")
    assert cell["value"] == "'slept'" and mebibytes(cell["plain"], "peak") == pytest.approx(2, abs=0.5)


def test_rows_and_output(shell, tmp_path):
    cell, again, wrong = shell(
        "%%memtap -n 1 -o kept.mtap\na = bytearray(1 << 20)\nb = bytearray(2 << 20)",
        "%%memtap -o kept.mtap\npass", "%%memtap --mode sample --rate much\npass")
    assert cell["plain"].count(" cell, line") == 2 and (tmp_path / "kept.mtap").stat().st_size > 100
    assert again["error"] == "UsageError" and "kept.mtap is there already" in again["text"]
    assert wrong["error"] == "UsageError" and "--rate: not a size: 'much'" in wrong["text"]


def test_names_are_escaped_in_html(shell):
    cell, = shell("%%memtap\nkept = (lambda: bytearray(2 << 20))()")
    assert "&lt;lambda&gt;" in cell["html"] and "<lambda>" not in cell["html"]


def test_a_cell_runs_also_when_it_cannot_be_recorded(shell):
    refusal = "import memtap\ndef refuse(*a, **k): raise RuntimeError('one is under way')\nmemtap.record = refuse"
    _, cell = shell(refusal, "%%memtap\n6 * 7")
    assert cell["value"] == "42" and "this cell was not recorded: RuntimeError: one is under way" in cell["plain"]


def test_a_notebook_with_a_real_kernel(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    cells = ["%load_ext memtap", "%%memtap\nkept = bytearray(4 << 20)\nlen(kept)", "%%memtap\n1 / 0"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "IPYTHONDIR": str(tmp_path), "JUPYTER_RUNTIME_DIR": str(tmp_path)}
    saved = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        with pytest.raises(nbclient.exceptions.CellExecutionError, match="ZeroDivisionError"):
            nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    finally:
        for name, value in saved.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
    report, value = notebook.cells[1].outputs
    assert report["data"]["text/html"].startswith("<div><b>peak</b>: 4.")
    assert mebibytes(report["data"]["text/plain"], "held at the end") == pytest.approx(4, abs=0.3)
    assert value["data"]["text/plain"] == str(4 * MIB)
    assert [output["output_type"] for output in notebook.cells[2].outputs] == ["display_data", "error"]
