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
        rows = [line for item in told for line in item["plain"].splitlines() if line.startswith("  ")]
        assert not [row for row in rows if re.search(r"^ +0 B|memtap|IPython\.core\.(interactive|history|displayhook)|/IPython/|traitlets", row)]
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


def test_a_cell_that_does_nothing_has_nothing(shell):
    cell, = shell("%%memtap\npass")
    assert cell["error"] == "NoneType"
    assert cell["plain"] == "peak: 0 B\nheld at the end: 0 B in 0 blocks\nallocated in all: 0 B in 0 blocks"


LIBRARY = """\
def table(size):
    return _rows(size)
def _rows(size):
    return bytearray(size)
"""


@pytest.fixture
def library(tmp_path):
    """An installed package."""
    folder = tmp_path / "lib" / "site-packages"
    folder.mkdir(parents=True)
    (folder / "tables.py").write_text(LIBRARY)
    return "import sys; sys.path.insert(0, {!r}); import tables".format(str(folder))


def test_memory_of_a_library_is_the_lines_that_called_it(shell, library):
    _, cell = shell(library, "%%memtap\nsmall = [0]\nkept = tables.table(5 << 20)\nmore = tables.table(3 << 20)")
    wanted = (r"held at the end:\n +5\.0 MiB +\d+  cell, line 3 ← tables\.table\n"
              r" +3\.0 MiB +\d+  cell, line 4 ← tables\.table\n")
    assert re.search(wanted, cell["plain"] + "\n"), cell["plain"]
    assert "tables.py" not in cell["plain"] + cell["html"]


def test_memory_of_numpy_is_the_lines_that_called_it(shell):
    pytest.importorskip("numpy")
    _, cell = shell("import numpy", "%%memtap\nkept = numpy.ones(1 << 20)")
    assert re.search(r"held at the end:\n +8\.0 MiB +\d+  cell, line 2 ← numpy[\w.]*\.ones", cell["plain"]), cell["plain"]


def test_a_package_that_a_cell_imports_is_at_the_line_that_imports_it(shell, library, tmp_path):
    (tmp_path / "lib" / "site-packages" / "heavy.py").write_text("kept = bytearray(4 << 20)\n")
    _, cell = shell(library, "%%memtap\nx = 1\nimport heavy")
    assert re.search(r"held at the end:\n +4\.0 MiB +\d+  cell, line 3 import heavy", cell["plain"]), cell["plain"]


def test_a_line_of_an_earlier_cell_is_named_by_its_number(shell):
    _, cell = shell("def make():\n    return bytearray(2 << 20)", "%%memtap\nkept = make()")
    assert re.search(r"at the peak:\n +2\.0 MiB +\d+  cell \[\d+\], line 2 make", cell["plain"]), cell["plain"]


def test_memory_of_threads_that_a_cell_starts_is_its_own(shell):
    cell, = shell("""\
        %%memtap
        import threading
        kept = []
        thread = threading.Thread(target=lambda: kept.append(bytearray(6 << 20)))
        thread.start()
        thread.join()
    """)
    assert mebibytes(cell["plain"], "held at the end") == pytest.approx(6, abs=0.3)
    assert re.search(r"held at the end:\n +6\.0 MiB +\d+  cell, line 4 <lambda>", cell["plain"]), cell["plain"]


def test_what_a_cell_asks_of_the_shell_as_a_library_is_its_own(shell):
    load = "import IPython.display\nopen('page.html', 'w').write('x' * (3 << 20))"
    _, cell = shell(load, "%%memtap\nkept = IPython.display.HTML(filename='page.html')")
    assert re.search(r"held at the end:\n +3\.0 MiB +\d+  cell, line 2 ← IPython\.", cell["plain"]), cell["plain"]


def test_a_cell_that_is_run_twice_gives_two_results(shell):
    first, second, third = shell(*["%%memtap\nkept = bytearray(2 << 20)"] * 2, "%%memtap\ndel kept")
    for cell in (first, second):
        assert mebibytes(cell["plain"], "held at the end") == pytest.approx(2, abs=0.1)
        assert re.search(r"held at the end:\n +2\.0 MiB +\d+  cell, line 2", cell["plain"])
    assert mebibytes(third["plain"], "peak") == pytest.approx(0, abs=0.1)


def test_amounts_of_a_sampled_cell_have_their_margins(shell):
    exact, sampled = shell(*["%%memtap {}\nkept = [bytes(1000) for _ in range(5000)]".format(options)
                             for options in ("", "--mode sample --rate 16K")])
    assert "±" not in exact["plain"] + exact["html"]
    total = re.search(r"held at the end: ([\d.]+) MiB ± ([\d.]+) (KiB|MiB) in \d+ ± \d+ blocks", sampled["plain"])
    assert total, sampled["plain"]
    row = re.search(r"held at the end:\n +([\d.]+) MiB +± ([\d.]+ [KM]iB) +\d+  cell, line 2", sampled["plain"])
    assert row and "± 95 %" in sampled["html"] and row.group(2) in sampled["html"], sampled["plain"]


def test_a_cell_that_awaits(shell):
    _, cell = shell("import asyncio", "%%memtap\nblock = bytearray(2 << 20)\nawait asyncio.sleep(0, 'slept')")
    assert cell["value"] == "'slept'" and mebibytes(cell["plain"], "peak") == pytest.approx(2, abs=0.5)


def test_rows_and_output(shell, tmp_path):
    cell, again, wrong = shell(
        "%%memtap -n 1 -o kept.mtap\na = bytearray(1 << 20)\nb = bytearray(2 << 20)",
        "%%memtap -o kept.mtap\npass", "%%memtap --mode sample --rate much\npass")
    assert cell["plain"].count(" cell, line") == 2 and (tmp_path / "kept.mtap").stat().st_size > 100
    assert "trace: {}".format(tmp_path / "kept.mtap") in cell["plain"]
    assert again["error"] == "NoneType" and "trace: {}".format(tmp_path / "kept-2.mtap") in again["plain"]
    assert (tmp_path / "kept-2.mtap").stat().st_size > 100
    assert wrong["error"] == "UsageError" and "--rate: not a size: 'much'" in wrong["text"]


def test_the_flame_graph_of_a_cell_is_linked(shell, tmp_path):
    cell, refused = shell("%%memtap --flamegraph page#1.html\nkept = bytearray(2 << 20)", "%%memtap -f no/folder/page.html\n6 * 7")
    page = tmp_path / "page#1.html"
    assert "flame graph: {}".format(page) in cell["plain"] and '<a href="page%231.html" target="_blank"' in cell["html"]
    assert page.read_text().startswith("<!doctype html>")
    assert refused["value"] == "42" and "no/folder/page.html" in refused["plain"] and "<a " not in refused["html"]


def test_names_are_escaped_in_html(shell):
    cell, = shell("%%memtap\nkept = (lambda: bytearray(2 << 20))()")
    assert "&lt;lambda&gt;" in cell["html"] and "<lambda>" not in cell["html"]


def test_a_cell_runs_also_when_it_cannot_be_recorded(shell):
    refusal = "import memtap\ndef refuse(*a, **k): raise RuntimeError('one is under way')\nmemtap.record = refuse"
    _, cell = shell(refusal, "%%memtap\n6 * 7")
    assert cell["value"] == "42" and "this cell was not recorded: RuntimeError: one is under way" in cell["plain"]


def executed(tmp_path, cells):
    """A notebook of these cells, executed from top to bottom by a real kernel; and how that failed."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "IPYTHONDIR": str(tmp_path), "JUPYTER_RUNTIME_DIR": str(tmp_path)}
    saved = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    error = None
    try:
        client = nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}})
        client.execute()
    except nbclient.exceptions.CellExecutionError as failure:
        error = failure
    finally:
        for name, value in saved.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
    return notebook, error


def test_a_notebook_with_a_real_kernel(tmp_path):
    cells = ["%load_ext memtap", "%%memtap\nkept = bytearray(4 << 20)\nlen(kept)", "%%memtap\n1 / 0"]
    notebook, error = executed(tmp_path, cells)
    assert "ZeroDivisionError" in str(error)
    report, value = notebook.cells[1].outputs
    assert report["data"]["text/html"].startswith("<div><b>peak</b>: 4.")
    assert mebibytes(report["data"]["text/plain"], "held at the end") == pytest.approx(4, abs=0.3)
    assert value["data"]["text/plain"] == str(4 * MIB)
    assert [output["output_type"] for output in notebook.cells[2].outputs] == ["display_data", "error"]


def test_a_notebook_of_every_kind_of_cell_run_from_top_to_bottom(tmp_path, library):
    cells = ["%load_ext memtap\n" + library, "def make(size):\n    return bytearray(size << 20)",
             "%%memtap\nkept = tables.table(5 << 20)\nprint('shown')", "%%memtap -o kept.mtap\nblock = make(2)",
             "%%memtap -o kept.mtap\nblock = make(2)", "%%memtap --mode sample --rate 16K\nmany = [bytes(1000) for _ in range(5000)]",
             "%%memtap\npass", "x = 1"]
    notebook, error = executed(tmp_path, cells)
    assert error is None
    reports = {}
    for number, cell in enumerate(notebook.cells, 1):
        data = [output["data"] for output in cell.outputs if output["output_type"] == "display_data"]
        assert len(data) == ("%%memtap" in cell.source)
        for one in data:
            assert {"text/html", "text/plain"} <= set(one)
            reports[number] = one["text/plain"]
            for name, value in (line.split(": ", 1) for line in one["text/plain"].splitlines() if ": " in line):
                assert "<b>{}</b>: {}<br>".format(name, value) in one["text/html"]
    assert [output["name"] for output in notebook.cells[2].outputs if output["output_type"] == "stream"] == ["stdout"]
    assert re.search(r"held at the end:\n +5\.0 MiB +\d+  cell, line 2 ← tables\.table\b", reports[3]), reports[3]
    for number, file in ((4, "kept.mtap"), (5, "kept-2.mtap")):
        assert re.search(r"held at the end:\n +2\.0 MiB +\d+  cell \[2\], line 2 make\b", reports[number]), reports[number]
        assert reports[number].split("trace: ")[1].splitlines()[0] == str(tmp_path / file) and (tmp_path / file).exists()
    assert re.search(r"held at the end: [\d.]+ MiB ± [\d.]+ [KM]iB in \d+ ± \d+ blocks", reports[6]), reports[6]
    assert reports[7].startswith("peak: 0 B\nheld at the end: 0 B in 0 blocks\nallocated in all: "), reports[7]
