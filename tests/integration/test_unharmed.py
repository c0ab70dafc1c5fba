"""A program under memtap behaves as it does alone: output, exit status, signals, files; however hostile its ways."""

import json
import os
import subprocess

import pytest
import tracefile
import tracereplay
from conftest import MEMTAP, TARGETS, TIMEOUT_S, run

ENDINGS = ("return exit _exit quick_exit exit_group abort kill term segv overflow trap exec thread_exit main_leaves "
           "other_threads").split()
SETTINGS = ("none close_all close_standard chdir chroot nofile core as umask nodump user daemon sigmask").split()
PROGRAMS = {
    "sh": ["/bin/sh", "-c", "echo out; echo err >&2; exit 5"],
    "cat": ["/bin/cat", "/etc/passwd"],
    "ls": ["/bin/ls", "-l", "/usr/bin"],
    "grep": ["/bin/grep", "-c", "root", "/etc/passwd"],
    "missing file": ["/bin/cat", "/no/such/file"],
    "sort": ["/usr/bin/sort", "/etc/services"],
    "tar": ["/bin/tar", "-cf", "-", "-C", "/etc", "passwd"],
    "gcc --version": ["gcc", "--version"],
    "perl": ["perl", "-e", "my %h = map { $_ => [1..$_] } 1..200; print scalar(keys %h), qq(\\n); exit 3"],
}


def status(returncode):
    """What `memtap run` returns for a program that ended with this subprocess return code."""
    return returncode if returncode >= 0 else 128 - returncode


@pytest.mark.parametrize("mode", ["exact", "sample"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_output_and_exit_code_are_the_same(record, name, mode):
    alone = run(PROGRAMS[name])
    recording = record(*PROGRAMS[name], mode=mode, check=False)
    assert recording.stdout == alone.stdout
    assert recording.stderr == alone.stderr
    assert recording.returncode == status(alone.returncode)


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_is_the_same_and_the_trace_complete(record, target, ending):
    program = [target("endings"), ending]
    alone = run(program)
    recording = record(*program, check=False)
    assert recording.returncode == status(alone.returncode)
    assert recording.stdout == alone.stdout
    recording.assert_truth(json.loads(alone.stdout))


@pytest.mark.parametrize("setting", SETTINGS)
def test_hostile_surroundings_change_nothing(record, target, setting, tmp_path):
    (tmp_path / "alone").mkdir()
    program = [target("surroundings"), setting]
    alone = run(program, cwd=tmp_path / "alone")
    if alone.returncode == 77:
        pytest.skip(f"{setting} is not permitted here")
    (tmp_path / "under").mkdir()
    recording = record(*program, cwd=tmp_path / "under")
    assert recording.stdout == alone.stdout
    assert recording.stderr == alone.stderr
    truth = json.loads(alone.stdout)
    if setting == "daemon":  # half of the work was done in the daemon, all of it is in the truth
        (daemon,) = recording.family
        halves = [tracereplay.by_case(trace)["case_work"] for trace in (recording.trace, daemon)]
        assert [half["allocations"] for half in halves] == [1000, 1000]
        return
    recording.assert_truth(truth)


@pytest.mark.parametrize("setting", ["fsize", "fsize_zero"])
def test_a_file_size_limit_stops_the_trace_not_the_program(record, target, setting):
    recording = record(target("surroundings"), setting)
    assert recording.truth["case_work"]["allocations"] == 501_000
    assert recording.trace.counters["dropped_events"] > 0
    assert recording.stats["dropped_events"] is None


def test_an_inherited_file_size_limit_is_survived(target, tmp_path):
    shell = f"ulimit -f 1; exec {MEMTAP} run -q -o {tmp_path / 'x.mtap'} -- {TARGETS / 'threads'} 100 100"
    result = run(["/bin/sh", "-c", shell])
    assert result.returncode in (0, 2), result
    if result.returncode == 0:
        assert json.loads(result.stdout)["case_worker"]["allocations"] == 10_000
    else:
        assert result.stderr


@pytest.mark.parametrize("limit", ["-v 4000000", "-n 16", "-s 256", "-u 4000", "-l 0", "-c 0"])
def test_inherited_limits_are_survived(target, tmp_path, limit):
    shell = f"ulimit {limit}; exec {MEMTAP} run -q -o {tmp_path / 'x.mtap'} -- {target('threads')} 20 100"
    result = run(["/bin/sh", "-c", shell])
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["case_worker"]["allocations"] == 2_000


def test_standard_input_reaches_the_program(record):
    text = b"line\n" * 10_000
    assert record("/bin/cat", input=text).stdout == text


def test_signals_sent_to_memtap_reach_the_program(tmp_path):
    script = "trap 'echo got; exit 9' TERM; echo ready; while :; do sleep 0.05; done"
    process = subprocess.Popen([MEMTAP, "run", "-q", "-o", tmp_path / "x.mtap", "--", "/bin/sh", "-c", script],
                               stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.terminate()
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert (output, process.returncode) == (b"got\n", 9)


def test_children_that_are_not_followed_see_nothing_of_the_agent(record):
    recording = record("/bin/sh", "-c", "/usr/bin/env; true", options=["--no-follow"])
    assert b"LD_PRELOAD" not in recording.stdout
    seen = {line.partition("=")[0] for line in recording.stdout.decode().splitlines() if line.startswith("MEMTAP_")}
    assert seen <= set(os.environ)  # the tester's own stay
    assert recording.family == [] and b"ASAN_OPTIONS" not in recording.stdout
    kept = record("/bin/sh", "-c", "/usr/bin/env; true", options=["--no-follow"], name="b.mtap",
                  env={**os.environ, "LD_PRELOAD": "libm.so.6", "ASAN_OPTIONS": "detect_leaks=0"})
    assert b"LD_PRELOAD=libm.so.6\n" in kept.stdout and b"ASAN_OPTIONS=detect_leaks=0\n" in kept.stdout


@pytest.mark.parametrize("options", [["--mode", "exact"], ["--mode", "exact", "--aggregate"], ["--mode", "sample", "--rate", "1K"],
                                     ["--mode", "sample", "--rate", "1K", "--max-file", "1M"],
                                     ["--mode", "sample", "--budget", "1%"]], ids=" ".join)
def test_floating_point_that_is_trapped_or_rounded_up_stays_so(target, tmp_path, options):
    command = [MEMTAP, "run", "-q", "-o", tmp_path / "x.mtap", *options, "--", target("trapped"), "20000"]
    assert run(command).returncode == 0
