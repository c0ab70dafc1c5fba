"""A packed trace says what the unpacked one says: every report of both is the same, byte for byte."""

import re

import pytest
import tracefile
from conftest import MEMTAP, memtap, run

PROGRAM = """
import json, threading

class Tree:
    def __init__(self, depth):
        self.left, self.right = (Tree(depth - 1), Tree(depth - 1)) if depth else (None, None)
        self.text = "x" * (600 + depth)

def numbers(count):
    for i in range(count):
        yield [i] * (
            i % 700)  # a call whose arguments are on other lines

def work(rounds):
    kept = [json.loads(json.dumps({str(i): [i, "a" * 900] for i in range(20)})) for _ in range(rounds)]
    kept += list(numbers(900))
    space = {}
    exec(compile("\\n" * 400 + "def far(n):\\n    return bytearray(n)\\n", "far.py", "exec"), space)
    return kept, Tree(4), [space["far"](n) for n in range(512, 4096, 64)]

threads = [threading.Thread(target=work, args=(6,)) for _ in range(3)]
[thread.start() for thread in threads]
kept = work(6)
[thread.join() for thread in threads]
"""
MODES = {
    "exact": ("--mode", "exact", "--native", "--python-allocators"),
    "python-stacks": ("--mode", "exact", "--no-native", "--no-python-allocators"),
    "sample": ("--mode", "sample", "--rate", "4K"),
    "aggregate": ("--aggregate",),
}
REPORTS = [(name, "-f", "json") for name in ("stats", "summary", "tree", "table", "leaks", "timeline")]
REPORTS += [("tree", "--interpreter", "-f", "json"), ("table", "--temporary", "-f", "json"),
            ("leaks", "--include", "work", "-f", "json")]
EXPORTS = ("collapsed", "speedscope", "pprof", "json", "csv")
# What differs: where the file's parts lie, how large they are, rates said anew where a block begins, and line tables, whose
# lines the reports show.
OF_THE_FILE = re.compile(rb"^(header (version|flags|file-tail)|block|event \S+ \d+ rate) .*\n|(?<= )kind \d+ table \d+$", re.M)
SIZE = re.compile(rb'"trace_bytes": *\d+')


def report(arguments, path):
    done = run([MEMTAP, *arguments, path])
    return done.returncode, SIZE.sub(b"", done.stdout)


def says(path, folder):
    """Every report of a trace: by its command, what it prints."""
    found = {" ".join(arguments): report(arguments, path) for arguments in REPORTS}
    for name in EXPORTS:
        out = folder / f"export.{name}"
        found[f"export {name}"] = (run([MEMTAP, "export", "--format", name, "-o", out, "-f", path]).returncode,
                                   out.read_bytes() if out.exists() else None)
        out.unlink(missing_ok=True)
    found["parse"] = OF_THE_FILE.sub(b"", memtap("parse", path).stdout)
    return found


def check(program, options, tmp_path):
    """Records, packs and packs again; returns the bytes of the two files."""
    raw, packed, again = (tmp_path / name / "x.mtap" for name in ("raw", "packed", "again"))
    for path in (raw, packed, again):
        path.parent.mkdir()
    memtap("run", "-q", "--no-pack", "-o", raw, *options, "--", *program)
    memtap("pack", "-q", "-o", packed, raw)
    memtap("pack", "-q", "-o", again, packed)
    expected = says(raw, tmp_path)
    assert expected["stats -f json"][0] == 0 and len(expected["parse"]) > 2000
    for path in (packed, again):
        got = says(path, tmp_path)
        assert {name for name in expected if got[name] != expected[name]} == set()
    assert abs(again.stat().st_size - packed.stat().st_size) <= packed.stat().st_size // 10
    return raw, packed


@pytest.mark.parametrize("mode", MODES)
def test_reports_of_a_python_program(mode, any_python, tmp_path):
    raw, packed = check([any_python, "-c", PROGRAM], MODES[mode], tmp_path)
    if mode != "aggregate":
        assert packed.stat().st_size < raw.stat().st_size / 3


def test_reports_for_every_line_table(python, tmp_path):
    check([python, "-c", PROGRAM], MODES["python-stacks"], tmp_path)


@pytest.mark.parametrize("name, arguments", [("threads", (6, 400)), ("exchange", (4, 3000))])
def test_reports_of_native_programs(name, arguments, target, tmp_path):
    check([target(name), *arguments], MODES["exact"], tmp_path)


def test_the_end_of_a_run_packs_what_a_second_packing_keeps(any_python, tmp_path):
    """The end of a run joins blocks as they are, a second packing encodes them anew; the independent reader reads both."""
    quick, again = tmp_path / "quick.mtap", tmp_path / "again.mtap"
    program = PROGRAM.replace("args=(6,)", "args=(60,)")
    memtap("run", "-q", "-o", quick, *MODES["exact"], "--", any_python, "-c", program)
    memtap("pack", "-q", "-o", again, quick)
    one, two = tracefile.load(quick), tracefile.load(again)
    assert len(one.events) > 60_000 and one.events == two.events
    assert b"\xb7" in b"".join(one.payload(at, header) for at, header in one.extents() if header["codec"] == 2)
    assert report(REPORTS[0], quick) == report(REPORTS[0], again)
