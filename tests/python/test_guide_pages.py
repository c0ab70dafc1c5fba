"""docs/guide/cli.md, pytest.md and torch.md, run as they stand; fences as in test_guide.py. What the pages call beside memtap has stand-ins.

"sh by hand" is not run: it sends signals to processes or joins them (test_snapshots.py and the tests of attach have such ones).
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from test_guide import GUIDE, Story, assert_shape, blocks_of, in_this_tree

PAGES = GUIDE.parent
OTHERS = ("jq", "go", "flamegraph.pl", "heaptrack_print")  # they get what the page gives them


def blocks_of_page(name):
    return list(blocks_of((PAGES / name).read_text(encoding="utf-8")))


@pytest.mark.parametrize("name, count", [("cli.md", 10), ("pytest.md", 6), ("torch.md", 9)])
def test_every_block_of_the_page_is_run(name, count):
    text = (PAGES / name).read_text(encoding="utf-8")
    blocks = blocks_of_page(name)
    assert len(blocks) >= count and text.count("```") == 2 * len(blocks)
    by_hand = [block.content for block in blocks if block.tag == "by hand"]
    assert all(re.search(r"^(kill|memtap (attach|top|memory|query)) ", content, re.MULTILINE) for content in by_hand)
    assert all(block.language in ("sh", "text", "python") for block in blocks)


def plain(text):
    """Without what depends on the machine (a rate, where it was slow) and on the interpreter (kinds of objects, where it is stripped)."""
    return re.sub(r" +← bytearray\b", "", text).replace("—", "…")


class Page(Story):
    """One page, told in a folder; a text block is what was printed last, on either stream; behind one that is not run it is not looked at."""

    def tell_page(self, name):
        printed, cells = "", []
        for block in blocks_of_page(name):
            if block.language == "text":
                if printed is not None:
                    assert_shape(plain(printed), plain(block.content))
            elif block.tag.startswith("file="):
                (self.folder / block.tag[5:]).write_text(block.content, encoding="utf-8")
            elif block.tag == "notebook":
                cells.append(block.content)
                self._cells = cells
                printed = self._notebook()
            else:
                printed = self.shell(block) if block.tag != "by hand" else None

    def shell(self, block):
        self.before(block)
        done = subprocess.run(["bash", "-eu", "-o", "pipefail", "-c", block.content], cwd=self.folder, env=self.environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True,
                              timeout=300)
        assert done.returncode == 0, f"exit {done.returncode} of line {block.line}:\n{done.stdout}"
        return done.stdout

    def before(self, block):
        """Recordings that a block speaks of and the page does not make."""
        for name in ("main.mtap", "branch.mtap", "memtap-app.4242.mtap"):
            if name in block.content and not (self.folder / name).exists():
                shutil.copy(self.folder / "app.mtap", self.folder / name)


@pytest.fixture
def page(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    environment = in_this_tree(tmp_path)
    for name in OTHERS:
        stand_in = tmp_path / "bin" / name
        stand_in.write_text('#!/bin/sh\n[ -t 0 ] || cat >/dev/null\nfor file in "$@"; do case $file in *.pb|*.heaptrack) test -s "$file";; esac || exit 1; done\n')
        stand_in.chmod(0o755)
    shutil.copy(shutil.which("true"), folder / "server")
    environment.update(MEMTAP_PYTHON=sys.executable, PYTHONPATH=os.pathsep.join([environment["PYTHONPATH"], str(folder)]))
    page = Page(folder, environment, installs=False)
    page.environment["COLUMNS"] = "80"
    return page


def test_the_command_line_runs_as_written(page):
    page.tell_page("cli.md")
    made = {path.name for path in pathlib.Path(page.folder).iterdir()}
    assert {"web.mtap", "app.speedscope.json", "app.pb", "app.svg", "app.trace.json", "app.heaptrack", "comment.md", "report.html",
            "memtap-app.4242.html"} <= made


def test_tests_and_cells_run_as_written(page):
    pytest.importorskip("IPython")
    page.tell_page("pytest.md")


def test_training_loops_run_as_written(page):
    """With the stand-in for torch; make test-torch asks the same of the real one."""
    fakes = pathlib.Path(__file__).resolve().parents[1] / "fakes"
    page.environment["PYTHONPATH"] = os.pathsep.join([page.environment["PYTHONPATH"], str(fakes)])
    page.tell_page("torch.md")
