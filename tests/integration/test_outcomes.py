"""`-f json` of every command that has something to say: what was done, or found, as one JSON value on standard output."""

import json
import subprocess

import pytest
from conftest import MEMTAP, TARGETS, memtap, run
from test_attach import PATIENT, TARGET, Running, may_trace_siblings

# Their output is the program's; formats of other tools; HTTP; texts.
WITHOUT = {"run", "eval", "export", "serve", "completion", "man"}


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    path = tmp_path_factory.mktemp("outcomes") / "x.mtap"
    result = run([MEMTAP, "run", "-q", "--no-pack", "-o", path, "--", TARGETS / "exchange", 2, 500])
    assert result.returncode == 0, result.stderr
    return path


def outcome(*arguments):
    result = memtap(*arguments)
    assert result.stderr == b""
    return json.loads(result.stdout)


def test_every_command_has_it():
    overview = memtap("help").stdout.decode().partition("commands:\n")[2].partition("\n\n")[0]
    commands = {line.split()[0] for line in overview.splitlines()}
    assert commands > WITHOUT
    for command in sorted(commands - WITHOUT):
        page = memtap(command, "-h").stdout.decode()
        options = page.partition("\nOPTIONS\n")[2]
        assert "--format" in options and "json" in options, command  # -f, but of eval, whose -f is a file


def test_pack_says_what_became_of_each_file(trace, tmp_path):
    before = trace.stat().st_size
    (done,) = outcome("pack", "-f", "json", "-o", tmp_path / "y.mtap", trace)
    assert done == {"file": str(trace), "output": str(tmp_path / "y.mtap"), "before_bytes": before,
                    "after_bytes": (tmp_path / "y.mtap").stat().st_size}


def test_flamegraph_says_where_the_page_is(trace, tmp_path):
    page = tmp_path / "page.html"
    for command in ("flamegraph", "report"):
        assert outcome(command, "-f", "json", "-o", page, trace) == {"output": str(page), "bytes": page.stat().st_size}
    refused = memtap("flamegraph", "-f", "json", "-o", "-", trace, check=False)
    assert (refused.returncode, refused.stdout) == (2, b"") and b"another -o" in refused.stderr


def test_a_page_that_cannot_be_so_small_is_refused_with_the_least(trace, tmp_path):
    page = tmp_path / "page.html"
    refused = memtap("flamegraph", "--max-size", "1", "-o", page, trace, check=False)
    assert (refused.returncode, page.exists()) == (2, False)
    words = refused.stderr.decode()
    assert "1 B is too small" in words
    least = words.partition("give ")[2].partition(" or more")[0]
    memtap("flamegraph", "--max-size", least, "-o", page, trace)
    assert page.stat().st_size <= int(least.removesuffix("K")) * 1024


def test_parse_has_the_words_of_each_line(trace):
    lines = memtap("parse", trace).stdout.decode().splitlines()
    records = outcome("parse", "-f", "json", trace)
    assert [record["record"] for record in records] == [line.split(" ")[0] for line in lines]
    for record, line in zip(records, lines):
        if '"' not in line and not line.startswith("event"):
            words = line.split(" ")[1:]
            assert [type(field)(word) for field, word in zip(record["fields"], words)] == record["fields"]
            assert len(words) == len(record["fields"])
    command = next(record for record in records if record["fields"][0] == "command")
    assert command["fields"][1].split("\\x00")[1:3] == ["2", "500"]
    event = next(record["fields"] for record in records if record["record"] == "event")
    assert isinstance(event[0], float) and isinstance(event[1], int)


def test_doctor_and_list_give_arrays(trace):
    assert {"topic", "level", "text"} == set(outcome("doctor", "-f", "json", trace)[0])
    assert isinstance(outcome("list", "-f", "json"), list)


@pytest.mark.skipif(not may_trace_siblings(), reason="kernel.yama.ptrace_scope forbids it without CAP_SYS_PTRACE")
def test_attach_and_detach_say_what_they_did(tmp_path):
    with Running(TARGET, "phases", 1) as running:
        path = tmp_path / "a.mtap"
        assert outcome("detach", *PATIENT, "-f", "json", running.pid) == {"pid": running.pid, "ended": False, "trace": None, "ended_early": None}
        begun = outcome("attach", *PATIENT, "-f", "json", "-o", path, running.pid)
        assert begun.pop("longest_stop_s") > 0 and begun.pop("away_s") > 0
        assert begun == {"pid": running.pid, "begun": True, "trace": str(path), "mode": "sample", "rate_bytes": 512 << 10}
        assert outcome("attach", *PATIENT, "-f", "json", running.pid) == {"pid": running.pid, "begun": False, "trace": str(path)}
        assert outcome("detach", *PATIENT, "-f", "json", running.pid) == {"pid": running.pid, "ended": True, "trace": str(path), "ended_early": None}
        running.finish()


def test_a_failure_is_a_sentence_and_a_code():
    ended = subprocess.Popen(["true"])
    ended.wait()
    for command in ("attach", "detach"):
        result = memtap(command, "-f", "json", ended.pid, check=False)
        assert (result.returncode, result.stdout) == (3, b"") and result.stderr
