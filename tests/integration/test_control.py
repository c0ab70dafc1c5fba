"""Armed processes: what waits at the socket, who may ask, and that the program does what it would have done."""

import http.client
import os
import pathlib
import signal
import tempfile

import pytest
from armed import DENIED, HELLO, OK, UNKNOWN, Armed, Connection, until
from conftest import memtap, memtap_json

SLEEPER = ("/bin/sleep", "600")
SOCKETS = pathlib.Path(f"/tmp/memtap-{os.geteuid()}")


@pytest.fixture(autouse=True)
def own_sockets(monkeypatch):
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)


def row_of(pid):
    return next((row for row in memtap_json("list") if row["pid"] == pid), None)


def files_of(pid):
    return list(SOCKETS.glob(f"memtap-{pid}-*.sock"))


def test_list_shows_an_armed_process():
    with Armed(*SLEEPER) as program:
        row = row_of(program.pid)
        assert row["command"] == "/bin/sleep 600" and row["mode"] == "off" and row["trace"] is None
        assert row["rss_bytes"] > 0 and row["dropped_events"] == 0
        assert b"/bin/sleep 600" in memtap("list", "-v").stdout


def test_one_thread_waits_and_none_without_arming():
    with Armed(*SLEEPER) as program:
        until(lambda: program.threads() == 2, "one thread beside the program's")
    with Armed(*SLEEPER, listen="0", wait=False) as program:
        assert program.threads() == 1 and row_of(program.pid) is None


def test_hello_says_who_is_there():
    with Armed(*SLEEPER) as program, program.connect() as connection:
        status, values = connection.ask(HELLO)
        assert status == OK and values["PID"] == str(program.pid) and values["MODE"] == "off"
        assert connection.ask(999) == (UNKNOWN, {})
        assert connection.ask(HELLO)[0] == OK


def test_the_socket_goes_with_the_program():
    with Armed("/bin/cat") as program:
        assert len(until(lambda: files_of(program.pid), "no file")) == 1
        program.process.stdin.close()
        assert program.process.wait() == 0
        assert files_of(program.pid) == []


def test_what_a_killed_program_left_is_removed_by_the_next_look(monkeypatch):
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # of its own: other tests list too
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        with Armed(*SLEEPER) as program:
            sockets = pathlib.Path(folder, "memtap")
            left = until(lambda: list(sockets.glob(f"memtap-{program.pid}-*.sock")), "no file")
            program.process.send_signal(signal.SIGKILL)
            program.process.wait()
            assert list(sockets.iterdir()) == left
            assert row_of(program.pid) is None
            assert list(sockets.iterdir()) == []


def test_a_browser_is_told_what_this_is():
    with Armed(*SLEEPER, listen="127.0.0.1:0") as program:
        port = until(lambda: (row_of(program.pid) or {}).get("port"), "no port")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        connection.request("GET", "/")
        answer = connection.getresponse()
        assert answer.status == 400 and b"memtap's control socket" in answer.read()
        connection.close()


def test_over_tcp_a_token_is_wanted():
    with Armed(*SLEEPER, listen="127.0.0.1:0", env={"MEMTAP_TOKEN": "correct horse"}) as program:
        port = until(lambda: (row_of(program.pid) or {}).get("port"), "no port")
        for token in ((), ("TOKEN=",), ("TOKEN=correct",), ("TOKEN=correct horsf",), ("TOKEN=correct horse battery",)):
            with Connection(("127.0.0.1", port)) as connection:
                assert connection.ask(HELLO, *token) == (DENIED, {})
        with Connection(("127.0.0.1", port)) as connection:
            assert connection.ask(HELLO, "TOKEN=correct horse")[0] == OK


def test_a_tcp_socket_for_others_needs_a_token():
    with Armed(*SLEEPER, listen="0.0.0.0:0") as program:
        assert row_of(program.pid)["port"] is None
    with Armed(*SLEEPER, listen="0.0.0.0:0", env={"MEMTAP_TOKEN": "x"}) as program:
        until(lambda: (row_of(program.pid) or {}).get("port"), "no port")


def test_list_takes_no_target():
    assert memtap("list", "1", check=False).returncode == 2
