"""docs/guide/python.md, run as it stands: files are written, commands executed, outputs compared.

The page's fences say what they are. "python file=NAME" is written to NAME; "sh" is run by bash, where every command must
succeed ("sh fails": the last one must not); "sh install" is for the test that installs; "python notebook" is a cell of one
notebook. A "text" fence is what the block before it printed, as a shape: a number stands for any number with any unit of
size, … for anything, a line of … for any lines; places in files (app.py:8) and everything else are literal.
"""

import ast
import importlib.util
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import typing

import pytest

pytest.importorskip("flask")

GUIDE = pathlib.Path(__file__).resolve().parents[2] / "docs/guide/python.md"
FENCE = re.compile(r"^```(.*)\n((?:.*\n)*?)```$", re.MULTILINE)
MIB = 1024 * 1024
TIMEOUT_S = 400
PAGES = 400  # that load.py asks for between its two looks

NOTEBOOK = r"""
import json, sys
from IPython.core.interactiveshell import InteractiveShell
sys.path.insert(0, "")
shell = InteractiveShell.instance()
shell.colors = "NoColor"
for cell in json.load(open(sys.argv[1])):
    shell.run_cell(cell).raise_error()
"""


class Block(typing.NamedTuple):
    language: str
    tag: str
    content: str
    line: int  # of the page


def blocks_of(text):
    for found in FENCE.finditer(text):
        language, _, tag = found.group(1).partition(" ")
        yield Block(language, tag, found.group(2), text.count("\n", 0, found.start()) + 1)


# ---- shapes ----------------------------------------------------------------------------------------------------------------

TOKEN = re.compile(r"(?P<folder>…/)|(?P<any>…)|(?P<place>\.\w+:\d+|0x[0-9a-f]+)|(?P<number>[+-]?\d[\d,]*(\.\d+)?"
                   r"( [KMGT]?i?B\b| [mun]?s\b)?)|(?P<space> +)|(?P<text>.)", re.DOTALL)
NUMBER = r"[+-]?\d[\d,]*(\.\d+)?( [KMGT]?i?B\b| [mun]?s\b)?"


def line_pattern(line):
    parts = []
    for token in TOKEN.finditer(line):
        kind, text = token.lastgroup, token.group()
        parts.append({"folder": "(.*/)?", "any": ".*", "number": NUMBER, "space": " +"}.get(kind) or re.escape(text))
    pattern = "".join(parts)
    return re.sub(r"^ \+", " *", pattern)


def shape_pattern(shape):
    lines = [r"(?:.*\n)*" if line.strip() == "…" else line_pattern(line) + r" *\n" for line in shape.splitlines()]
    return re.compile("".join(lines))


def assert_shape(output, shape):
    output = output if output.endswith("\n") or not output else output + "\n"
    assert shape_pattern(shape).fullmatch(output), f"printed:\n{output}\nthe guide says:\n{shape}"


@pytest.mark.parametrize("output", ["1 test, 2.5 MiB  /x/a.py:8\n", "1,234 test, 512 B /y y/a.py:8 \n",
                                    "-3 test, +2 KiB a.py:8\n"])
def test_a_shape_takes_other_numbers(output):
    assert_shape(output, "7 test, 9 MiB  …/a.py:8\n")


@pytest.mark.parametrize("output", ["x test, 9 MiB  /x/a.py:8\n", "7 test, 9 MiB  /x/a.py:9\n", "7 tests, 9 MiB  /x/a.py:8\n",
                                    "7 test, 9 MiB  /x/a.py:81\n", "7 test, 9 MiB  /x/a.py:8\nmore\n", "", "7 test, 9 MiB\n"])
def test_a_shape_refuses_anything_else(output):
    with pytest.raises(AssertionError):
        assert_shape(output, "7 test, 9 MiB  …/a.py:8\n")


def test_a_shape_with_a_line_of_dots_leaves_out_whole_lines():
    assert_shape("head\n1\n2\ntail\n", "head\n…\ntail\n")
    assert_shape("head\ntail\n", "head\n…\ntail\n")
    with pytest.raises(AssertionError):
        assert_shape("head\ntail 3\n", "head\n…\ntail\n")


# ---- the page --------------------------------------------------------------------------------------------------------------


def test_every_block_of_the_guide_is_run():
    kinds = {"python": r"file=[\w.]+|notebook", "sh": r"|fails|install", "text": ""}
    blocks = list(blocks_of(GUIDE.read_text(encoding="utf-8")))
    assert len(blocks) > 20 and GUIDE.read_text(encoding="utf-8").count("```") == 2 * len(blocks)
    for block in blocks:
        assert block.language in kinds and re.fullmatch(kinds[block.language], block.tag), block
    before = [earlier.language for earlier, block in zip(blocks, blocks[1:]) if block.language == "text"]
    assert set(before) <= {"sh", "python"}


class Story:
    """The page told in one folder; `outputs` are what its commands printed, by the number of the line of their fence."""

    def __init__(self, folder, environment, installs, page=GUIDE):
        self.folder = folder
        self.page = page
        self.environment = {**environment, "FLASK_RUN_PORT": str(free_port()), "NO_COLOR": "1", "COLUMNS": "200",
                            "IPYTHONDIR": str(folder / "ipython"), "PYTHONDONTWRITEBYTECODE": "1"}
        self.installs = installs
        self.outputs = []
        self._cells = []

    def tell(self):
        printed = None
        blocks = list(blocks_of(self.page.read_text(encoding="utf-8")))
        for block, following in zip(blocks, [*blocks[1:], None]):
            if block.language == "text":
                assert_shape(printed, block.content)
            elif block.tag.startswith("file="):
                (self.folder / block.tag[5:]).write_text(block.content, encoding="utf-8")
            elif block.tag == "notebook":
                self._cells.append(block.content)
                printed = self._notebook() if following is not None and following.language == "text" else None
            else:
                printed = self._shell(block)
            self.outputs.append(printed or "")

    def _shell(self, block):
        lines = [line for line in block.content.splitlines() if self.installs or not line.startswith("pip install")]
        code, output = self._run(["bash", "-eu", "-o", "pipefail", "-c", "\n".join(lines)])
        assert (code != 0) == (block.tag == "fails"), f"exit {code} of line {block.line}:\n{output}{self._log()}"
        return output

    def _notebook(self):
        cells = self.folder / "cells.json"
        cells.write_text(json.dumps(self._cells))
        code, output = self._run(["python", "-c", NOTEBOOK, str(cells)])
        assert code == 0, output
        return output

    def _log(self):
        log = self.folder / "server.log"
        return log.read_text()[-2000:] if log.exists() else ""

    def _run(self, command):
        """(exit status, what it printed); what it left running is killed."""
        process = subprocess.Popen(command, cwd=self.folder, env=self.environment, start_new_session=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   universal_newlines=True)
        try:
            output, errors = process.communicate(timeout=TIMEOUT_S)
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return process.returncode, output + (errors if process.returncode else "")

    def printed(self, pattern):
        """The groups of a pattern that one of the outputs has."""
        found = [match for match in (re.search(pattern, output) for output in self.outputs) if match]
        assert found, f"nothing printed {pattern}"
        return found[0].groups()


def free_port():
    """A port of this process below those that the kernel gives out, so that nobody gets it before the server does."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
    raise OSError("no free port")


def in_this_tree(folder):
    """The package on PYTHONPATH, its command and its pytest plugin made known by hand, under the interpreter of this test."""
    programs = pathlib.Path(sys.executable).parent
    if not all((programs / name).exists() for name in ("flask", "pytest", "python")):
        pytest.skip(f"no flask and pytest beside {sys.executable}")
    (folder / "bin").mkdir()
    command = folder / "bin/memtap"
    command.write_text(f"#!/bin/sh\nexec {sys.executable} -m memtap \"$@\"\n")
    command.chmod(0o755)
    package = pathlib.Path(importlib.util.find_spec("memtap").origin).parents[1]
    return {**os.environ, "PATH": os.pathsep.join([str(folder / "bin"), str(programs), os.environ["PATH"]]),
            "PYTHONPATH": str(package), "PYTEST_PLUGINS": "memtap.pytest_plugin", "PYTEST_ADDOPTS": "-p no:cacheprovider"}


def check_truth(story):
    """What the numbers of the page must be, by the sizes of what its programs allocate."""
    page = sys.getsizeof("<h1>Item 1</h1>" + "<p>Also seen by v1234</p>" * 500)
    # Of 400 pages about 70 are sampled, which gives a standard deviation of 11 %; 60 % happens once in millions of runs.
    assert float(story.printed(r"([\d.]+) MiB  render  \S+/app\.py:8")[0]) == pytest.approx(PAGES * page / MIB, rel=0.6)
    size = sum(sys.getsizeof("<h1>Item 1</h1>" + f"<p>Also seen by v{n}</p>" * 500) for n in range(200))
    held, = story.printed(r"\n([\d.]+) MiB in 200 blocks:\n    render")
    assert float(held) == pytest.approx(size / MIB, abs=0.11)
    assert story.printed("12 MiB now, 24 MiB at the peak") is not None
    assert story.printed("7 events in step 1") is not None
    assert float(story.printed(r"Python \+([\d.]+) MiB")[0]) == pytest.approx(300 * page / MIB, rel=0.15)


def test_guide_runs_as_written(tmp_path):
    pytest.importorskip("IPython")
    folder = tmp_path / "shop"
    folder.mkdir()
    story = Story(folder, in_this_tree(tmp_path), installs=False)
    story.tell()
    check_truth(story)
    assert (folder / "items.speedscope.json").stat().st_size > 1000
    assert not [path for path in folder.iterdir() if path.name.startswith("memtap-")]


def test_the_guide_to_monitoring_runs_as_written(tmp_path):
    folder = tmp_path / "service"
    folder.mkdir()
    story = Story(folder, in_this_tree(tmp_path), installs=False, page=GUIDE.with_name("monitoring.md"))
    story.tell()
    grown, kept = float(story.printed(r"\+([\d.]+) MiB")[0]), float(story.printed(r"number> ([\d.]+) MiB")[0])
    # blocks of 1 MB at 64 KiB: one is missed with probability 2e-7
    assert grown == pytest.approx(20e6 / MIB, rel=0.02) and kept == pytest.approx(30e6 / MIB, rel=0.05)


@pytest.mark.install
@pytest.mark.slow
def test_guide_runs_as_written_where_the_wheel_is_installed(wheel, tmp_path):
    place = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    (tmp_path / "constraints").write_text(f"memtap @ {wheel.as_uri()}\n")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PYTEST", "PIP_"))}
    environment.update(PATH=os.pathsep.join([str(place / "bin"), os.environ["PATH"]]), PIP_QUIET="1",
                       PIP_CONSTRAINT=str(tmp_path / "constraints"), PIP_DISABLE_PIP_VERSION_CHECK="1")
    subprocess.run([place / "bin/python", "-m", "pip", "install", "ipython"], check=True, env=environment)  # the notebook
    folder = tmp_path / "shop"
    folder.mkdir()
    story = Story(folder, environment, installs=True)
    story.tell()
    check_truth(story)


def test_worker_hook_samples_in_the_forked_worker(tmp_path):
    hook = next(block for block in blocks_of(GUIDE.read_text(encoding="utf-8")) if block.tag == "file=gunicorn.conf.py")
    program = hook.content + """
import os
import memtap.memprof as memprof
memprof.start(64)
kept = [bytes(100_000) for _ in range(50)]
child = os.fork()
if child == 0:
    post_fork(None, None)
    assert memprof.get_stats().total_samples < 5  # the parent has 39; a call or two here are a sample once in 200 times
    grown = [bytes(1_000_000) for _ in range(50)]
    site = memprof.get_snapshot().top_allocators(1)[0]
    os._exit(0 if 30e6 < site["estimated_bytes"] < 80e6 and site["line"] == LINE else 1)
_, status = os.waitpid(child, 0)
assert status == 0, status
"""
    line = 1 + [text.lstrip().startswith("grown =") for text in program.splitlines()].index(True)
    file = tmp_path / "worker.py"
    file.write_text(program.replace("LINE", str(line)))
    subprocess.run([sys.executable, str(file)], check=True, timeout=TIMEOUT_S)


def test_readme_example_runs(tmp_path):
    text = (GUIDE.parents[2] / "README.md").read_text(encoding="utf-8")
    example, = (block.content for block in blocks_of(text) if block.language == "python")
    program = "held = []\ndef serve(): held.extend(bytearray(4 << 20) for _ in range(20))\nload = serve\n" + example
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE, check=True,
                          universal_newlines=True, timeout=TIMEOUT_S)
    (sampled, *_), (recorded, *_) = map(ast.literal_eval, done.stdout.splitlines())
    for row, size in ((sampled, sampled["estimated_bytes"]), (recorded, recorded["bytes"])):
        assert row["line"] == 2 and size == pytest.approx(80 * MIB, rel=0.15)  # 8 times the rate: one of 150 misses a block


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_readme_commands_run(tmp_path):
    text = (GUIDE.parents[2] / "README.md").read_text(encoding="utf-8")
    commands, = (block.content for block in blocks_of(text) if block.language == "sh")
    (tmp_path / "app.py").write_text("KEPT = []\nfor number in range(200):\n    KEPT.append(bytearray(20_000 + number))\n")
    command = tmp_path / "bin/memtap"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m memtap "$@"\n')
    command.chmod(0o755)
    environment = {**os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}", "MEMTAP_PYTHON": sys.executable}
    done = subprocess.run(["bash", "-eu", "-c", commands], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, check=True,
                          universal_newlines=True, timeout=TIMEOUT_S)
    rows = [line for line in done.stdout.splitlines() if re.search(r" app\.py:3 <module>( +← bytearray(, list)?)?$", line)]
    assert len(rows) == 2  # of leaks and of table
    assert "Py_BytesMain" not in done.stdout  # what starts Python is no line of the program


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_a_failing_command_fails_the_story(tmp_path):
    story = Story(tmp_path, dict(os.environ), installs=False)
    with pytest.raises(AssertionError, match="exit 3"):
        story._shell(Block("sh", "", "echo before\n(exit 3)\necho after\n", 1))
    with pytest.raises(AssertionError, match="exit 0"):
        story._shell(Block("sh", "fails", "true\n", 1))
