"""Names of a program are data where Python's faces show them."""

import unicodedata

import pytest

import memtap
from memtap import memprof
from memtap._text import shown

NAMES = {
    "plain": "plain",
    "größe 中文 🐍": "größe 中文 🐍",
    "\x1b[31m": "\\x1b[31m",
    "\x9b31m": "\\u009b31m",
    "a\nb\tc\rd": "a\\nb\\tc\\rd",
    "\u202egnp": "\\u202egnp",
    "\u200b\u2060\ufeff\u3164": "\\u200b\\u2060\\ufeff\\u3164",
    "\U000e0041": "\\U000e0041",
    "\udcff": "\\xff",
    "\ud800": "\\ud800",
    "nul\0": "nul\\x00",
}


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_what_deceives_is_shown_as_an_escape(name):
    assert shown(name) == NAMES[name]
    assert shown(shown(name)) == shown(name)
    assert not [c for c in shown(name) if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_frames_as_text_are_harmless(name):
    assert str(memtap.StackFrame(1, name, name, 3, True)) == f"{NAMES[name]} ({NAMES[name]}:3)"


def test_saved_stacks_are_harmless(tmp_path):
    frame = memtap.StackFrame(1, "\x1b[31m\u202e", "x.py", 3, True)
    sample = memtap.AllocationSample(16, 100, 120, 120, 5, None, [frame])
    health = memprof.FramePointerHealth(1, 10, 3.5, 1)
    memtap.HeapSnapshot([sample], 1, 1, 120, 7, health).save(tmp_path / "c", "collapsed")
    assert (tmp_path / "c").read_text("utf-8") == "\\x1b[31m\\u202e 120\n"


def test_the_reports_give_the_very_names(tmp_path):
    name = "\x1b[31m\u202e\udcff"
    scope = {}
    exec(compile("def f():\n    return bytearray(1_000_000)\n", name, "exec"), scope)
    with memtap.record(tmp_path / "x.mtap"):
        kept = scope["f"]()
    with memtap.open(tmp_path / "x.mtap") as trace:
        files = [row["file"] for row in trace.table()]
    assert name in files and len(kept) == 1_000_000
