"""`memtap memory`: what the resident memory of programs is made of that know it themselves."""

import json
import os
import pathlib
import re
import subprocess

import pytest
from conftest import MEMTAP, memtap, memtap_json
from watched import Watched, may_trace_siblings

MIB = 1 << 20
pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64" or not may_trace_siblings(),
                                reason="another process's memory may not be read here (kernel.yama.ptrace_scope), or not x86-64")

RESERVES = """
import mmap
def reserve(size):
    return mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)  # MAP_NORESERVE
empty, touched = reserve(16 << 40), reserve(1 << 40)
empty.madvise(mmap.MADV_DONTFORK)  # else the two would be one mapping
for at in range(0, 1 << 40, 1 << 37):
    touched[at + 4096] = 1
print("ready", flush=True)
input()
"""

STATISTICS = """
import sys
kept = [str(i) * 3 for i in range(200000)] + [(i,) for i in range(100000)]
del kept[::3]
print("ready", flush=True)
for line in sys.stdin:
    sys._debugmallocstats()
    print("ok", flush=True)
"""


def explained(pid):
    answer = memtap_json("memory", pid)
    parts = {part["part"]: part["bytes"] for part in answer["parts"] if part["resident"]}
    assert sum(parts.values()) == answer["rss_bytes"]
    return answer, parts


def resident(pid, kind="Rss"):
    return int(re.search(rf"^{kind}:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1]) * 1024


class Program:
    def __init__(self, *argv, **options):
        self.process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)
        self.pid = self.process.pid

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def read(self):
        return self.process.stdout.readline()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.mark.parametrize("threads", (0, 3))
def test_a_fragmented_heap_is_what_malloc_info_says(target, threads):
    with Program(target("fragmented"), threads) as program:
        truth = json.loads(program.read())
        answer, parts = explained(program.pid)
        malloc = answer["malloc"]
        assert malloc["arenas"] == threads + 1 and answer["threads"] == threads + 1
        assert malloc["system_bytes"] == truth["system"]
        free = truth["fast"] + truth["rest"]
        assert abs(malloc["free_bytes"] + malloc["top_bytes"] - free) <= free / 1000
        assert malloc["in_use_bytes"] == malloc["system_bytes"] - malloc["free_bytes"] - malloc["top_bytes"]
        assert abs(answer["rss_bytes"] - resident(program.pid)) <= answer["rss_bytes"] / 50
        assert malloc["mapped_blocks"] == 2 and truth["large"] <= parts["malloc_mapped"] <= truth["mmap"]
        assert truth["own"] <= parts["unexplained"] <= truth["own"] + answer["rss_bytes"] / 50
        before = resident(program.pid, "Anonymous")
        program.say("trim")
        assert json.loads(program.read())["system"] <= truth["system"]
        given_back = before - resident(program.pid, "Anonymous")
        assert malloc["trim_bytes"] > 4 * MIB
        assert abs(given_back - malloc["trim_bytes"]) <= malloc["trim_bytes"] / 20 + 256 * 1024


def test_objects_of_a_python_are_what_its_allocator_says(python_ends):
    with Program(python_ends, "-c", STATISTICS, stderr=subprocess.PIPE) as program:
        assert program.read() == b"ready\n"
        answer, parts = explained(program.pid)
        program.say("statistics")
        assert program.read() == b"ok\n"
        program.process.stdin.close()
        said = program.process.stderr.read().decode()
    allocated, available = (int(re.search(rf"# bytes in {kind} blocks\s+=\s+([\d,]+)", said)[1].replace(",", "")) for kind in ("allocated", "available"))
    assert abs(parts["python_used"] - allocated) <= allocated / 100
    assert available * 0.9 <= parts["python_free"] <= (available + allocated) * 0.1 + available + 16384 * 64
    assert parts.get("unexplained", 0) <= answer["rss_bytes"] / 50


@pytest.mark.skipif(pathlib.Path("/proc/sys/vm/overcommit_memory").read_text() == "2\n", reason="nothing may be reserved here (vm.overcommit_memory=2)")
def test_terabytes_that_are_only_reserved_cost_no_memory(any_python, tmp_path):
    with Program(any_python, "-c", RESERVES) as program, (tmp_path / "told").open("w+b") as told:
        assert program.read() == b"ready\n"
        reader = subprocess.Popen([MEMTAP, "memory", "-f", "json", str(program.pid)], stdout=told)
        _, status, usage = os.wait4(reader.pid, 0)
        reader.returncode = os.waitstatus_to_exitcode(status)
        assert reader.returncode == 0
        told.seek(0)
        answer = json.load(told)
        parts = {part["part"]: part["bytes"] for part in answer["parts"] if part["resident"]}
        assert sum(parts.values()) == answer["rss_bytes"] and parts["unexplained"] >= 8 * 4096
        assert usage.ru_maxrss < 256 * 1024  # KiB: a byte for each page of the smaller one alone


def test_a_program_that_allocates_all_the_time_is_read_and_not_disturbed(target):
    argv = (target("attached"), "storm", 3, 200000)
    with Program(*argv) as program:
        assert program.read() == b"ready\n"
        want = program.process.communicate(b"\n", timeout=300)[0]
    with Program(*argv) as program:
        assert program.read() == b"ready\n"
        for _ in range(10):
            answer, _ = explained(program.pid)
            assert answer["malloc"] is not None or answer["malloc_unknown"]
        got = program.process.communicate(b"\n", timeout=300)[0]
        assert (program.process.returncode, got) == (0, want)


def test_of_a_recorded_process_lines_and_the_recorder_are_known(any_python, tmp_path):
    with Watched(any_python, tmp_path / "x.mtap") as program:
        program.do(f"hold {20 * MIB}")
        for operand in (program.pid, tmp_path / "x.mtap"):
            answer, parts = explained(program.pid) if operand == program.pid else (memtap_json("memory", operand), None)
            assert answer["live"] and answer["pid"] == program.pid and answer["trace"] == str(tmp_path / "x.mtap")
            (held,) = [site for site in answer["sites"] if " hold ← bytearray" in site["line"]]
            assert 20 * MIB <= held["bytes"] < 20 * MIB + 1000
        assert parts is None or parts["memtap"] > 100 * 1024
        text = memtap("memory", program.pid).stdout.decode()
        assert re.search(r"^ *20\.\d MiB +\d+ %  large blocks of malloc", text, re.M), text
        program.end()


def test_sql_has_the_mappings_of_a_process_that_runs(any_python, tmp_path):
    trace = tmp_path / "x.mtap"
    query = ("SELECT count(*) AS mappings, sum(rss_bytes) AS rss, sum(size_bytes) AS size, max(path LIKE '%libc.so%') AS libc, "
             "min(process) AS process FROM memory.smaps")
    with Watched(any_python, trace) as program:
        program.do(f"hold {20 * MIB}")
        (row,) = json.loads(memtap("query", "-f", "json", trace, query).stdout)
        lines = pathlib.Path(f"/proc/{program.pid}/maps").read_text().splitlines()
        assert (row["process"], row["mappings"], row["libc"]) == (program.pid, len(lines), 1)
        assert row["size"] == sum(int(high, 16) - int(low, 16) for low, high in (line.split()[0].split("-") for line in lines))
        assert abs(row["rss"] - resident(program.pid)) <= row["rss"] / 50
        program.end()
    assert json.loads(memtap("query", "-f", "json", trace, query).stdout)[0]["mappings"] == 0


def test_a_recording_tells_the_parts_of_its_largest_rss(any_python, tmp_path):
    trace = tmp_path / "y.mtap"
    with Watched(any_python, trace) as program:
        program.do(f"hold {20 * MIB}")
        program.end()
    answer = memtap_json("memory", trace)
    parts = {part["part"]: part["bytes"] for part in answer["parts"] if part["resident"]}
    assert not answer["live"] and sum(parts.values()) == answer["rss_bytes"] > 20 * MIB
    assert parts["heap"] > 20 * MIB and parts["memtap"] > 0 and parts["files"] > 0
    assert answer["sites"][0]["line"].endswith(" hold") and 20 * MIB <= answer["sites"][0]["bytes"] < 21 * MIB
    assert "largest RSS of the recording" in memtap("memory", trace).stdout.decode()


def test_what_cannot_be_explained_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "text").write_text("no trace")
    for arguments, code, words in (((), 2, "one PID or one FILE"), (("1", "2"), 2, "one PID or one FILE"), (("4194304",), 3, "no process"),
                                   ((tmp_path / "none.mtap",), 1, "none.mtap"), ((tmp_path / "text",), 1, "not a memtap trace")):
        result = memtap("memory", *arguments, check=False)
        assert (result.returncode, result.stdout) == (code, b""), (arguments, result)
        assert words in result.stderr.decode(), (arguments, result.stderr)


def test_another_users_process_is_refused_by_name():
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    process = subprocess.Popen(["sleep", "1000"])
    try:
        result = memtap("memory", process.pid, check=False, user=65534)
        assert (result.returncode, result.stdout) == (3, b"") and re.search(rb"sudo|user|CAP_SYS_PTRACE", result.stderr), result
    finally:
        process.kill()
        process.wait()
