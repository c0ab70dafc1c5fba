"""Commands to an armed process: attach, config, snapshot and detach by its socket, with nothing stopped."""

import json
import os
import pathlib
import re
import signal
import subprocess

import pytest
from armed import PATIENCE_S, Armed, sockets_of, until
from conftest import MEMTAP, TARGETS, memtap, memtap_json
from watched import Watched

GROWS = "import sys\nkept = []\nprint('ready', flush=True)\nfor line in sys.stdin:\n    kept.append(bytearray(1 << 20)); print('grown', flush=True)\n"


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def program(any_python):
    with Armed(any_python, "-c", GROWS) as armed:
        assert armed.process.stdout.readline() == b"ready\n"
        yield armed


def grow(program):
    program.process.stdin.write(b"\n")
    program.process.stdin.flush()
    assert program.process.stdout.readline() == b"grown\n"


def test_a_recording_is_begun_and_ended_by_the_socket(program, place):
    said = memtap("attach", "--mode", "exact", "-o", place / "x.mtap", program.pid).stderr.decode()
    assert "asked at its socket; no thread was stopped" in said
    assert memtap_json("config", program.pid)["trace"] == str(place / "x.mtap")
    grow(program)
    refused = memtap("attach", "-o", place / "y.mtap", program.pid, check=False)
    assert refused.returncode == 1 and b"recorded already" in refused.stderr
    assert memtap("attach", program.pid).returncode == 0
    memtap("detach", program.pid)
    assert memtap_json("config", program.pid)["mode"] == "off"  # it was armed by itself, and stays so
    rows = memtap_json("table", place / "x.mtap")
    assert max(row["bytes"] for row in rows) >= 1 << 20
    program.process.stdin.close()
    assert program.process.wait(PATIENCE_S) == 0


def test_config_changes_mode_and_rate(program, place):
    assert memtap_json("config", program.pid, "mode=sample")["mode"] == "sample"
    assert memtap_json("config", program.pid, "rate=64K") == {"rate": 65536}
    assert memtap("config", program.pid, "rate").stdout.split()[-2:] == [b"64.0", b"KiB"]
    assert memtap_json("config", program.pid, "rate=0")["rate"] == 0
    assert memtap_json("config", program.pid, "mode=off", "mode") == {"mode": "off"}
    assert memtap_json("config", program.pid, "mode=exact")["mode"] == "exact"
    late = memtap("config", program.pid, "rate=1K", check=False)
    assert late.returncode == 1
    assert len(list(place.glob("memtap-*.mtap"))) == 2


@pytest.mark.parametrize("words", [("rate=many",), ("mode=loud",), ("nothing",), ("pid=3",), ("mode=",)])
def test_config_refuses_what_makes_no_sense(program, words):
    done = memtap("config", program.pid, *words, check=False)
    assert done.returncode == 2 and done.stdout == b"" and done.stderr.count(b"\n") == 1


def test_targets_can_be_named_in_every_way(program, monkeypatch):
    wanted = memtap_json("config", program.pid, "pid")
    path = until(lambda: list(pathlib.Path(f"/tmp/memtap-{os.geteuid()}").glob(f"memtap-{program.pid}-*.sock")), "no file")[0]
    assert wanted == {"pid": program.pid} == memtap_json("config", f"unix:{path}", "pid")
    for words in (("-t", program.pid, "config"), (program.pid, "config")):
        assert json.loads(memtap(*words, "-f", "json", "pid").stdout) == wanted
    monkeypatch.setenv("MEMTAP_ENDPOINT", str(program.pid))
    assert memtap_json("config", "pid") == wanted


def test_who_is_not_there_or_not_armed_is_unreachable():
    with subprocess.Popen(["/bin/sleep", "600"]) as plain:
        for target in (plain.pid, 2**31 - 2, "unix:/no/such", "127.0.0.1:1"):
            done = memtap("config", target, check=False)
            assert done.returncode == 3 and done.stderr.count(b"\n") == 1, done
        plain.kill()


def test_over_tcp_with_a_token(any_python, monkeypatch):
    with Armed(any_python, "-c", GROWS, listen="127.0.0.1:0", env={"MEMTAP_TOKEN": "sesame"}) as program:
        port = until(lambda: memtap_json("config", program.pid)["port"], "no port")
        monkeypatch.setenv("MEMTAP_TOKEN", "simsala")
        wrong = memtap("config", f"127.0.0.1:{port}", check=False)
        assert wrong.returncode == 3 and b"token" in wrong.stderr and b"simsala" not in wrong.stderr
        monkeypatch.setenv("MEMTAP_TOKEN", "sesame")
        shown = memtap("config", f"localhost:{port}").stdout
        assert b"sesame" not in shown and str(port).encode() in shown


def test_a_snapshot_is_a_mark_to_read_at(program, place):
    nothing = memtap("snapshot", program.pid, check=False)
    assert nothing.returncode == 1 and b"nothing is recorded" in nothing.stderr
    memtap("attach", "--mode", "exact", "-o", place / "x.mtap", program.pid)
    grow(program)
    assert memtap_json("snapshot", program.pid) == {"trace": str(place / "x.mtap"), "mode": "exact"}
    grow(program)
    assert memtap("snapshot", program.pid).stdout.decode() == f"{place / 'x.mtap'}@mark\n"
    memtap("detach", program.pid)
    first, second = (sum(row["bytes"] for row in memtap_json("table", "-n", "100000", f"x.mtap@mark:{n}")) for n in (1, 2))
    assert (1 << 20) <= second - first < (2 << 20)


def noted(trace):
    return re.findall(r'^note "control" "(.*)"$', memtap("parse", trace).stdout.decode(), re.M)


def test_what_is_asked_for_is_noted_and_by_whom(program, place):
    who = f"by user {os.geteuid()}"
    memtap("attach", "-o", place / "x.mtap", program.pid)
    for words in (("config", program.pid, "rate=64K"), ("config", program.pid, "rate=0"), ("snapshot", program.pid), ("detach", program.pid)):
        memtap(*words)
    assert noted(place / "x.mtap") == [f"attach {who}", f"rate 65536 {who}", f"pause {who}", f"snapshot {who}", f"stop {who}"]


def test_who_attaches_from_outside_is_noted(tmp_path):
    with subprocess.Popen([TARGETS / "armed", "wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        memtap("attach", "--timeout", "60s", "--max-stop", "10s", "--no-listen", "-o", tmp_path / "x.mtap", process.pid)
        process.communicate(b"\n")
    assert noted(tmp_path / "x.mtap") == [f"attach by user {os.geteuid()}"]


def test_list_has_what_is_recorded_and_does_not_listen(any_python, tmp_path):
    trace = tmp_path / "x.mtap"
    with Watched(any_python, trace) as program:
        program.do(f"hold {20 << 20}")
        (row,) = [row for row in json.loads(memtap("list", "-v", "-f", "json").stdout) if row["pid"] == program.pid]
        assert (row["armed"], row["mode"], row["rate_bytes"], row["trace"]) == (False, "exact", None, str(trace))
        assert 20 << 20 <= row["heap_bytes"] < 40 << 20 and row["began_unix_ns"] > 0 and row["rss_bytes"] >= 20 << 20
        assert "py_watched.py" in row["command"]
        text = memtap("list", "-v").stdout.decode()
        assert re.search(rf"^ *{program.pid}  exact +no .*\n  does not listen, 2\d\.\d MiB alive of what is recorded, trace {trace}$", text, re.M), text
        program.end()
    assert program.pid not in [row["pid"] for row in json.loads(memtap("list", "-f", "json").stdout)]


def test_mode_off_runs_the_program_itself(any_python, place):
    with subprocess.Popen([MEMTAP, "run", "--mode", "off", any_python, "-c", GROWS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout.readline() == b"ready\n"
        until(lambda: sockets_of(program.pid), "no socket")
        assert memtap_json("config", program.pid)["mode"] == "off"
        memtap("attach", "-o", place / "x.mtap", program.pid)
        program.send_signal(signal.SIGTERM)
        assert program.wait(PATIENCE_S) == -signal.SIGTERM
    assert (place / "x.mtap").exists()
    for words in (("-o", "x"), ("--aggregate",), ("--listen", "0.0.0.0:1"), ("--listen", "nowhere")):
        assert memtap("run", "--mode", "off", *words, "/bin/true", check=False).returncode == 2
    assert memtap("run", "--mode", "off", "/bin/sh", "-c", "exit 7", check=False).returncode == 7


def test_attach_arms_and_detach_disarms(tmp_path):
    with subprocess.Popen([TARGETS / "armed", "wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        patient = ("--timeout", "60s", "--max-stop", "10s")
        memtap("attach", *patient, "-o", tmp_path / "x.mtap", program.pid)
        until(lambda: memtap("config", program.pid, check=False).returncode == 0, "not armed")
        memtap("detach", *patient, program.pid)
        until(lambda: sockets_of(program.pid) == [] and len(os.listdir(f"/proc/{program.pid}/task")) == 1, "armed still")
        memtap("attach", *patient, "--no-listen", "-o", tmp_path / "y.mtap", program.pid)
        assert sockets_of(program.pid) == []
        memtap("detach", *patient, program.pid)
        assert program.communicate(b"\n", timeout=PATIENCE_S)[0] == b"wait 0\n"
