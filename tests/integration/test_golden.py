"""Traces that earlier versions wrote say what they said then.

tests/golden holds recordings, by version; fuzz/corpus/decode holds small traces of every shape and version. expected.json
is what the version that wrote each of them said: the totals, and a hash of its records as lines.
"""

import gzip
import hashlib
import json

import pytest
import tracefile
import tracereplay
from conftest import ROOT, memtap, memtap_json

GOLDEN = ROOT / "tests/golden"
CORPUS = ROOT / "fuzz/corpus/decode"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))
BROKEN = {"aggregate", "aggregate-1.mtap", "hole", "python", "python-packed"}  # no events, or stacks that are not there
PLAIN = {"exact-1.mtap", "exact-2.mtap", "python-2.mtap", "grown", "grown-packed", "nested"}  # exact, and all of it heap
OF_THE_FILE = ("header ", "block ", "process ")  # where the records are, not what they say


@pytest.fixture
def golden(tmp_path):
    """golden(name): (path of the trace, what is known of it)"""

    def find(name):
        source = CORPUS / name
        if not source.exists():
            source = tmp_path / name
            source.write_bytes(gzip.decompress((GOLDEN / f"{name}.gz").read_bytes()))
        return source, EXPECTED[name]

    return find


def test_a_rate_is_not_shown_of_a_run_too_short_to_see_one(golden):
    source, _ = golden("python-2.mtap")  # 21 ms
    growths = {row.split()[4] for row in memtap("leaks", source).stdout.decode().splitlines() if row.endswith("  <unknown>")}
    assert growths == {"—"}


def records(path):
    text = memtap("parse", path, check=False).stdout.decode()
    return [line for line in text.splitlines() if not line.startswith(OF_THE_FILE)]


def rounded(value):
    """Intervals without the digits that only say in which order something was added."""
    if isinstance(value, dict):
        return {key: float(f"{of:.12g}") if key.endswith("_ci95") else rounded(of) for key, of in value.items()}
    return value


@pytest.mark.parametrize("name", EXPECTED)
def test_totals_are_the_same(golden, name):
    path, expected = golden(name)
    totals = memtap_json("stats", "--all", path)
    assert rounded({key: totals[key] for key in expected["stats"]}) == rounded(expected["stats"])


@pytest.mark.parametrize("name", EXPECTED)
def test_records_are_the_same(golden, name):
    path, expected = golden(name)
    lines = records(path)
    kinds = {word: sum(line.split(" ", 1)[0] == word for line in lines) for word in expected["kinds"]}
    assert kinds == expected["kinds"]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == expected["records"]


@pytest.mark.parametrize("name", sorted(EXPECTED.keys() - BROKEN))
def test_the_independent_reader_agrees(golden, name):
    path, expected = golden(name)
    trace = tracefile.load(path)
    traces = [trace, *trace.processes]
    assert sum(len(t.events) for t in traces) == expected["stats"]["events"]
    if name in PLAIN:
        replays = [tracereplay.Replay(t.events) for t in traces]
        assert sum(r.peak for r in replays) == expected["stats"]["peak_bytes"]  # of several: at the same moment
        assert sum(r.current for r in replays) == expected["stats"]["leaked_bytes"]


def test_every_trace_of_the_corpus_is_known():
    assert {path.name for path in CORPUS.iterdir()} <= EXPECTED.keys()
    assert {path.name.removesuffix(".gz") for path in GOLDEN.glob("*.gz")} <= EXPECTED.keys()
