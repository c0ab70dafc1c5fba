"""The command line beside run: exit codes, both word orders, outputs whole or absent, and every export format read back by a
reader of that format."""

import csv
import io
import json
import os
import shutil
import subprocess

import pytest
from conftest import MEMTAP, memtap, memtap_json, run

COMMANDS = ("run", "attach", "inject", "detach", "top", "memory", "list", "config", "snapshot", "summary", "stats", "tree", "table", "leaks", "timeline", "ask", "query", "tables", "diff", "postmortem", "parse",
            "export", "pack", "doctor", "completion", "man")
READERS = ("summary", "stats", "tree", "table", "leaks", "timeline")


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    """A recording of the exchange target that the reading tests share."""
    from conftest import TARGETS

    path = tmp_path_factory.mktemp("cli") / "x.mtap"
    result = run([MEMTAP, "run", "-q", "-o", path, "--", TARGETS / "exchange", 2, 500])
    assert result.returncode == 0, result.stderr
    return path


# ---- front door --------------------------------------------------------------------------------------------------


def test_version_names_tool_agent_and_format():
    lines = memtap("--version").stdout.decode().splitlines()
    assert [line.split()[0] for line in lines] == ["memtap", "agent", "trace"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_manual_page(command):
    by_flag, by_word = memtap(command, "-h").stdout, memtap("help", command).stdout
    assert by_flag == by_word
    for section in (b"SYNOPSIS", b"DESCRIPTION", b"OPTIONS", b"EXIT CODES", b"EXAMPLES"):
        assert section in by_flag
    assert max(len(line) for line in by_flag.decode().splitlines()) <= 80


def test_usage_mistakes_give_2_and_name_the_nearest():
    for arguments, words in (
        (["sumary"], "did you mean summary"),
        (["stats", "--frmat", "json", "x"], "did you mean --format"),
        (["stats", "-f", "xml", "x"], "table, json, csv, ndjson"),
        (["stats"], "which trace"),
        (["table", "--at", "noon", "x"], "--at"),
        (["table", "--between", "1", "x"], "T0,T1"),
        (["export", "x"], "which format"),
        (["parse", "a", "b"], "exactly one"),
        (["run"], "nothing to run"),
        (["run", "--rate", "x", "ls"], "512K"),
        (["run", "--mode", "sample", "--rate", "0", "ls"], "1 or more"),
        (["run", "--duration", "0", "ls"], "more than 0"),
        (["run", "--mode", "sample", "--aggregate", "ls"], "one of them"),
        (["table", "--peak", "--leaks", "x"], "--peak and --leaks"),
        (["tree", "--at", "1", "--between", "0,1", "x"], "--at and --between"),
        (["attach"], "one PID"),
        (["attach", "x"], "no process id"),
        (["flamegraph"], "which trace"),
        (["-t"], "-t needs"),
        (["doctor", "1", "2"], "PID or FILE"),
    ):
        result = memtap(*arguments, check=False)
        assert (result.returncode, result.stdout) == (2, b""), arguments
        assert words in result.stderr.decode(), arguments


def test_a_variable_is_no_second_choice(trace):
    """A flag wins over MEMTAP_PEAK=1, as over every variable."""
    environment = {**os.environ, "MEMTAP_PEAK": "1"}
    assert memtap("table", "--leaks", "-f", "json", trace, env=environment).stdout == memtap("table", "--leaks", "-f", "json", trace).stdout


def test_a_moment_after_the_end_is_refused_with_the_length(trace):
    stats = memtap_json("stats", trace)
    for option, value in (("--at", "99h"), ("--at", f"{stats['duration_s'] * 1.02}"), ("--between", "99h,100h")):
        result = memtap("table", option, value, trace, check=False)
        assert (result.returncode, result.stdout) == (2, b""), value
        assert b"after the end: the recording is" in result.stderr
    memtap("table", "--at", f"{stats['duration_s'] * 1.005}", trace)  # rounded by whoever copied it
    memtap("table", "--between", "0,99h", trace)  # open to the right


FOREIGN = {
    "a memray capture": b"memray\0\x0c\0\0\0", "memray capture": b"\x04\x22\x4d\x18@@\xc0\xd2\x09\0\0\xf1\x01memray\0",
    "(ELF)": b"\x7fELF\x02\x01", "pprof and heaptrack": b"\x1f\x8b\x08\0", "zstd": b"\x28\xb5\x2f\xfd\x04", "JSON": b'{"a": 1}',
    "heaptrack's raw text": b"v 10400 3\nX ls\n", "but text": b"hello\n", "but empty": b"", "pickle": b"\x80\x04\x95", "zip": b"PK\x03\x04",
}


@pytest.mark.parametrize("words", FOREIGN)
def test_a_file_of_another_kind_is_called_what_it_is(tmp_path, words):
    (tmp_path / "x.mtap").write_bytes(FOREIGN[words] + (b"" if words == "but empty" else FOREIGN[words][:4] * 2000))
    result = memtap("summary", tmp_path / "x.mtap", check=False)
    assert result.returncode == 1 and words in result.stderr.decode() and result.stderr.count(b"\n") == 1


def test_a_file_without_a_command_is_asked_about(trace):
    result = memtap(trace, check=False)
    assert result.returncode == 2 and b"memtap summary" in result.stderr


def test_no_arguments_is_a_usage_error_and_help_is_not():
    assert memtap(check=False).returncode == 2
    assert memtap("help").stdout == memtap("--help").stdout == memtap("-h").stdout


def test_the_target_may_stand_first(trace):
    wanted = memtap("stats", "-f", "json", trace).stdout
    assert memtap(trace, "stats", "-f", "json").stdout == wanted
    assert memtap("-t", trace, "stats", "-f", "json").stdout == wanted
    assert memtap("stats", trace, "-f", "json").stdout == wanted


def test_unreadable_traces_give_1_and_one_sentence(tmp_path, trace):
    foreign, empty, short, missing = (tmp_path / name for name in ("foreign", "empty", "short", "missing"))
    foreign.write_bytes(b"\x7fELF" * 5000)
    empty.touch()
    short.write_bytes(trace.read_bytes()[:300])
    folder = tmp_path / "folder"
    folder.mkdir()
    for path in (foreign, empty, short, missing, folder):
        for command in (*READERS, "parse"):
            result = memtap(command, path, check=False)
            assert (result.returncode, result.stdout) == (1, b""), (command, path)
            assert path.name in result.stderr.decode() and result.stderr.count(b"\n") == 1


# ---- reports -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", READERS)
def test_every_report_speaks_every_format(trace, command):
    assert memtap(command, trace).stdout
    whole = json.loads(memtap(command, "-f", "json", trace).stdout)
    lines = [json.loads(line) for line in memtap(command, "-f", "ndjson", trace).stdout.splitlines()]
    assert lines == (whole if isinstance(whole, list) else [whole])
    table = list(csv.reader(io.StringIO(memtap(command, "-f", "csv", trace).stdout.decode())))
    assert len({len(row) for row in table}) == 1 and len(table) > 1


def test_stats_have_the_same_numbers_in_csv_and_json(trace):
    whole = json.loads(memtap("stats", "-f", "json", trace).stdout)
    rows = dict(csv.reader(io.StringIO(memtap("stats", "-f", "csv", trace).stdout.decode(), newline="")))
    assert rows.pop("name") == "value"
    numbers = {key: value for key, value in whole.items() if not isinstance(value, (list, dict)) and key != "out_of_memory"}
    assert {key: rows[key] for key in numbers} == {key: "" if value is None else str(value) for key, value in numbers.items()}


def test_the_suffix_of_the_output_selects_the_format(trace, tmp_path):
    for suffix in ("json", "csv", "ndjson"):
        out = tmp_path / f"t.{suffix}"
        assert memtap("table", trace, "-o", out).stdout == b""
        assert out.read_bytes() == memtap("table", trace, "-f", suffix).stdout
    out = tmp_path / "t.txt"
    memtap("table", trace, "-o", out)
    assert out.read_bytes() == memtap("table", trace).stdout


@pytest.mark.parametrize("selection", [[], ["--peak"], ["--leaks"], ["--temporary"], ["--temporary=100"], ["--at", "50%"],
                                       ["--at", "peak"], ["--between", "0,peak"], ["--between", "10%,1s"], ["--native"]])
def test_every_selection_agrees_between_table_and_tree(trace, selection):
    rows = json.loads(memtap("table", "-f", "json", *selection, trace).stdout)
    for invert in ([], ["--invert"]):
        tree = json.loads(memtap("tree", "-f", "json", *selection, *invert, trace).stdout)
        assert sum(row["bytes"] for row in rows) == tree[0]["bytes"]
        assert sum(node["self_bytes"] for node in tree) == tree[0]["bytes"]


def test_at_peak_is_the_peak(trace):
    assert json.loads(memtap("tree", "--at", "peak", "-f", "json", trace).stdout)[0]["bytes"] == \
           json.loads(memtap("tree", "-f", "json", trace).stdout)[0]["bytes"]


def test_tree_nodes_are_parents_first_and_hold_their_children(trace):
    nodes = json.loads(memtap("tree", "-f", "json", trace).stdout)
    children = {}
    for position, node in enumerate(nodes):
        assert node["id"] == position and (node["parent"] is None) == (position == 0)
        if position:
            assert node["parent"] < position and node["depth"] == nodes[node["parent"]]["depth"] + 1
            children[node["parent"]] = children.get(node["parent"], 0) + node["bytes"]
    for parent, total in children.items():
        assert total + nodes[parent]["self_bytes"] == nodes[parent]["bytes"]


def test_rows_are_limited_and_counted(trace):
    assert len(json.loads(memtap("table", "-f", "json", "-n", 2, trace).stdout)) == 2
    text = memtap("table", "-n", 1, trace).stdout.decode()
    assert "more rows" in text and "more rows" not in memtap("table", "-n", 0, trace).stdout.decode()


def test_threads_add_up_and_can_be_chosen(trace):
    rows = json.loads(memtap("table", "--leaks", "--by", "thread", "-f", "json", trace).stdout)
    whole = json.loads(memtap("stats", "-f", "json", trace).stdout)["leaked_bytes"]
    assert sum(row["bytes"] for row in rows) == whole
    for row in rows:
        tid = row["thread"].rsplit("(", 1)[1].rstrip(")")
        chosen = json.loads(memtap("table", "--leaks", "--thread", tid, "-f", "json", trace).stdout)
        assert sum(item["bytes"] for item in chosen) == row["bytes"]
    result = memtap("table", "--thread", "no such thread", trace, check=False)
    assert result.returncode == 2 and b"no such thread" in result.stderr


def test_several_files_and_a_folder_are_merged(trace, tmp_path, target):
    second = tmp_path / "second.mtap"
    run([MEMTAP, "run", "-q", "-o", second, "--", target("threads"), 3, 50])
    shutil.copy(trace, tmp_path / "first.mtap")

    def leaked(*paths):
        return json.loads(memtap("stats", "-f", "json", *paths).stdout)["leaked_bytes"]

    assert leaked(trace, second) == leaked(trace) + leaked(second) == leaked(tmp_path)


def refused(*arguments, cwd=None):
    result = run([MEMTAP, *arguments], cwd=cwd)
    assert result.returncode != 0 and result.stdout == b""
    return result.stderr.decode()


def test_a_trace_that_is_not_there_is_looked_for(trace, tmp_path):
    shutil.copy(trace, tmp_path / "program.mtap")
    assert "there is no such file; did you mean program.mtap?" in refused("summary", "program", cwd=tmp_path)
    assert "did you mean program.mtap?" in refused("leaks", "progam.mtap", cwd=tmp_path)
    assert "did you mean program.mtap?" in refused("diff", "program.mtap", "prorgam.mtap", cwd=tmp_path)
    assert "`memtap run -o FILE PROGRAM` makes a trace" in refused("diff", "quite-another-one.mtap", "program.mtap", cwd=tmp_path)
    assert "@MOMENT is for leaks" in refused("summary", "program.mtap@peak", cwd=tmp_path)
    (tmp_path / "empty").mkdir()
    assert "`memtap run -o empty/NAME.mtap PROGRAM` makes one" in refused("stats", "empty", cwd=tmp_path)


def test_a_command_is_only_suggested_when_it_is_near():
    assert "did you mean summary?" in refused("sumary", "x.mtap")
    assert "did you mean" not in refused("foo") and "lists the commands" in refused("foo")


def test_a_reader_that_goes_away_is_no_error(trace):
    reader, writer = os.pipe()
    os.close(reader)
    assert subprocess.run([MEMTAP, "parse", trace], stdout=writer, check=False).returncode == 0
    os.close(writer)


def test_full_disk_is_reported_and_leaves_nothing(trace):
    result = memtap("parse", trace, "-o", "/dev/full", check=False)
    assert result.returncode == 1 and b"/dev/full" in result.stderr


def test_parse_shows_damage_and_goes_on(trace, tmp_path):
    text = memtap("parse", trace).stdout.decode()
    assert not [line for line in text.splitlines() if line.startswith("bad ")]
    broken = tmp_path / "broken.mtap"
    data = bytearray(trace.read_bytes())
    broken.write_bytes(data[: len(data) * 2 // 3])
    result = memtap("parse", broken, check=False)
    assert result.returncode == 1
    assert "\nbad " in result.stdout.decode() and "damaged" in result.stderr.decode()


# ---- exports -----------------------------------------------------------------------------------------------------


def peak_of(trace):
    return json.loads(memtap("stats", "-f", "json", trace).stdout)["peak_bytes"]


def test_collapsed_lines_add_up(trace):
    total = 0
    seen = set()
    for line in memtap("export", "-f", "collapsed", trace).stdout.decode().splitlines():
        stack, _, value = line.rpartition(" ")
        assert stack and all(stack.split(";")) and stack not in seen
        seen.add(stack)
        total += int(value)
    assert total == peak_of(trace)


def test_speedscope_has_what_its_schema_asks(trace, tmp_path):
    out = tmp_path / "x.speedscope.json"
    memtap("export", "-o", out, trace)
    data = json.loads(out.read_text())
    assert data["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    frames = data["shared"]["frames"]
    assert all(isinstance(frame["name"], str) and set(frame) <= {"name", "file", "line", "col"} for frame in frames)
    for profile in data["profiles"]:
        assert {"type", "name", "unit", "startValue", "endValue", "samples", "weights"} == set(profile)
        assert profile["type"] == "sampled" and profile["unit"] in ("bytes", "none")
        assert len(profile["samples"]) == len(profile["weights"])
        assert all(0 <= frame < len(frames) for sample in profile["samples"] for frame in sample)
        assert profile["endValue"] - profile["startValue"] == sum(profile["weights"])
    assert data["profiles"][0]["endValue"] == peak_of(trace)


@pytest.mark.parametrize("kind, key", [("inuse_space", "peak_bytes"), ("inuse_objects", "peak_allocations"),
                                       ("alloc_space", "total_allocated_bytes"), ("alloc_objects", "allocations")])
def test_go_reads_the_pprof_export(trace, tmp_path, kind, key):
    if shutil.which("go") is None:
        pytest.skip("no go")
    out = tmp_path / "x.pb"
    memtap("export", "--format", "pprof", "-o", out, trace)
    environment = {"HOME": str(tmp_path), **os.environ}  # go does not start without one
    text = run(["go", "tool", "pprof", "-raw", out], env=environment).stdout.decode()
    lines = text.partition("Samples:")[2].partition("Locations")[0].splitlines()
    kinds = [word.split("/")[0] for word in lines[1].split()]
    numbers = [line.split(":")[0].split() for line in lines[2:]]
    samples = [[int(word) for word in row] for row in numbers if len(row) == len(kinds) and row[0].isdigit()]
    wanted = json.loads(memtap("stats", "-f", "json", trace).stdout)[key]
    assert sum(sample[kinds.index(kind)] for sample in samples) == wanted
    top = run(["go", "tool", "pprof", "-top", f"-sample_index={kind}", out], env=environment)
    assert top.returncode == 0 and b"case_" in top.stdout, top.stderr


def test_csv_and_json_carry_every_stack(trace, tmp_path):
    rows = list(csv.DictReader(io.StringIO(memtap("export", "-f", "csv", trace).stdout.decode())))
    data = json.loads(memtap("export", "-f", "json", trace).stdout)
    assert sum(int(row["bytes"]) for row in rows) == data["bytes"] == peak_of(trace)
    assert len(rows) == len(data["stacks"])
    assert all(stack["stack"] for stack in data["stacks"])


def test_chrome_counters_end_at_what_is_alive(trace):
    events = json.loads(memtap("export", "-f", "chrome", trace).stdout)["traceEvents"]
    heap = [event for event in events if event["ph"] == "C" and event["name"] == "heap"]
    assert heap and [event["ts"] for event in heap] == sorted(event["ts"] for event in heap)
    assert heap[-1]["args"]["bytes"] == json.loads(memtap("stats", "--all", "-f", "json", trace).stdout)["leaked_bytes"]


def test_heaptrack_reads_its_export(trace, tmp_path):
    if shutil.which("heaptrack_print") is None:
        pytest.skip("no heaptrack")
    out = tmp_path / "x.heaptrack"
    memtap("export", "-o", out, trace)
    text = run(["heaptrack_print", out]).stdout.decode()
    stats = json.loads(memtap("stats", "--all", "-f", "json", trace).stdout)
    assert set(stats["by_allocator"]) <= {"malloc", "calloc", "realloc"}  # no maps: the format cannot say them
    assert f"calls to allocation functions: {stats['allocations']} (" in text
    assert f"total memory leaked: {stats['leaked_bytes'] / 1000:.2f}K" in text
    assert f"peak heap memory consumption: {stats['peak_bytes'] / 1000:.2f}K" in text
    assert memtap("export", "-f", "heaptrack", trace, trace, check=False).returncode == 2


# ---- doctor ------------------------------------------------------------------------------------------------------


def test_doctor_reports_in_words_and_json():
    words = memtap("doctor", check=False)
    findings = json.loads(memtap("doctor", "-f", "json", check=False).stdout)
    assert len(words.stdout.splitlines()) == len(findings)
    assert {"agent", "libc", "python", "shared memory", "folder"} <= {finding["topic"] for finding in findings}
    assert words.returncode == (1 if any(f["level"] == "problem" for f in findings) else 0)


def test_doctor_and_run_name_the_python_that_run_uses(any_python, tmp_path):
    shim = tmp_path / "python3"
    shim.write_text(f'#!/bin/sh\nexec "{any_python}" "$@"\n')
    shim.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    used = run([MEMTAP, "run", "-q", "-o", tmp_path / "x.mtap", "-c", "import sys; print(sys.executable)"], env=environment)
    path = used.stdout.decode().strip()
    assert path and path != str(shim)
    assert path in memtap("doctor", check=False, env=environment).stdout.decode()
    assert path in memtap("run", "-h", env=environment).stdout.decode().replace("\n    ", " ")


def test_doctor_looks_at_a_trace(trace, tmp_path):
    whole = memtap("doctor", trace)
    assert b"process" in whole.stdout and b"PROBLEM" not in whole.stdout
    (tmp_path / "cut.mtap").write_bytes(trace.read_bytes()[:-1000])
    cut = memtap("doctor", tmp_path / "cut.mtap", check=False)
    assert cut.returncode == 1 and b"PROBLEM" in cut.stdout and b"ends too early" in cut.stdout
    (tmp_path / "text").write_text("text")
    assert memtap("doctor", tmp_path / "text", check=False).returncode == 1
    assert memtap("doctor", tmp_path / "missing", check=False).returncode == 3


def test_a_stump_is_no_success(record, target, tmp_path):
    path = record(target("threads"), 2, 10, options=["--no-pack"]).path
    stump = tmp_path / "stump.mtap"
    for length in (3000, 4096, 4150):
        stump.write_bytes(path.read_bytes()[:length])
        for command in READERS:
            result = memtap(command, stump, check=False)
            assert result.returncode == 1 and b"stump.mtap" in result.stderr, (command, length)


def test_doctor_looks_at_a_process():
    result = memtap("doctor", "-f", "json", os.getpid(), check=False)
    topics = {finding["topic"]: finding for finding in json.loads(result.stdout)}
    assert topics["process"]["level"] == "ok" and "recording" in topics
    assert "glibc" in topics["access"]["text"] or topics["access"]["level"] == "problem"
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert memtap("doctor", gone.pid, check=False).returncode == 3
