"""Which allocator Python's objects have: told to the trace when Python is initialised, and shown by stats and summary."""

import pytest
from conftest import memtap

PROGRAM = "kept = [str(i) for i in range(1000)]"
ASKED = {None: "pymalloc", "malloc": "malloc", "debug": "pymalloc_debug", "malloc_debug": "malloc_debug"}


@pytest.mark.parametrize("asked", ASKED)
def test_reports_name_it_as_pythonmalloc_does(record, python_ends, tmp_path, monkeypatch, asked):
    monkeypatch.delenv("PYTHONMALLOC", raising=False)
    if asked is not None:
        monkeypatch.setenv("PYTHONMALLOC", asked)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    recording = record(python_ends, "-S", program)
    assert recording.stats["python_allocator"] == ASKED[asked]
    (line,) = [line for line in memtap("stats", recording.path).stdout.decode().splitlines() if line.startswith("python ")]
    assert line.endswith(f", {ASKED[asked]}")
    odd = f", PYTHONMALLOC={ASKED[asked]}\n" in memtap("summary", recording.path).stdout.decode()
    assert odd == (asked is not None)


def test_a_program_without_python_has_none(record, target):
    recording = record(target("threads"))
    assert recording.stats["python_allocator"] is None and b"\npython " not in memtap("stats", recording.path).stdout
