"""The prompt of `memtap query TARGET` on a terminal: lines, history, completion, and Ctrl-C."""

import os
import pathlib
import signal
import stat
import sys

import pytest
from armed import until
from conftest import MEMTAP, memtap
from screen import Screen
from watched import Watched

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n;"
LEFT, UP, DOWN = "\x1b[D", "\x1b[A", "\x1b[B"


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prompt")
    (folder / "program.py").write_text("kept = [bytes(1000) for _ in range(3000)]\n")
    memtap("run", "-q", "-o", folder / "program.mtap", folder / "program.py")
    return folder / "program.mtap"


class Prompt(Screen):
    def __init__(self, target, state, columns=100, term="xterm", options=()):
        os.environ.update(XDG_STATE_HOME=str(state), TERM=term)
        super().__init__([MEMTAP, "query", *options, target], columns=columns, rows=200)
        self.wait_for(r"^memtap> $")

    def ask(self, text):
        """Types it, and what has come when the next prompt is there."""
        before = self.text().count("memtap>")
        self.type(text)
        self.wait(lambda: self.text().count("memtap>") > before and self.text().endswith("\nmemtap> "), "no next prompt")
        return self.text()


@pytest.fixture
def prompt(trace, tmp_path, monkeypatch):
    for name in ("XDG_STATE_HOME", "TERM"):
        monkeypatch.setenv(name, "")
    with Prompt(trace, tmp_path) as screen:
        yield screen


def leave(screen, keys=".quit\r"):
    screen.type(keys)
    assert screen.ended() == 0


def test_queries_of_several_lines_are_answered_one_after_the_other(prompt):
    assert "21" in prompt.ask("SELECT 3 *\r7 AS product -- ; not yet\r;\r")
    assert "   ...> 7 AS product" in prompt.text()
    assert "no such column" in prompt.ask("SELECT nothing_such FROM leaks;\r")
    assert "a;b" in prompt.ask("SELECT 'a;b' AS word;\r")
    assert "memory.allocations" in prompt.ask(".tables\r") and "temp." not in prompt.text()
    assert "A query ends with ;" in prompt.ask(".help\r")
    assert "there is no .nonsense" in prompt.ask(".nonsense\r")
    leave(prompt)


@pytest.mark.parametrize("keys", ["\x04", "quit;\r", "exit\r"])
def test_a_prompt_is_left(prompt, keys):
    leave(prompt, keys)


def test_lines_are_edited_and_remembered(prompt, trace, tmp_path):
    assert "\n42\n" in prompt.ask("SELECT 40 + 1 AS n;" + 6 * LEFT + "\x7f2\x1b[F\r")
    prompt.ask("SELECT 'second';\r")
    prompt.type(UP + UP)
    prompt.wait_for(r"^memtap> SELECT 40 \+ ")
    prompt.type(DOWN)
    prompt.wait_for(r"^memtap> SELECT 'second';$")
    prompt.type(DOWN + "half")
    prompt.wait_for(r"^memtap> half$")
    prompt.type(UP + DOWN)
    prompt.wait_for(r"^memtap> half$")
    assert "^C" in prompt.ask("\x03")
    leave(prompt)
    history = tmp_path / "memtap/history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600 and stat.S_IMODE(history.parent.stat().st_mode) == 0o700
    assert history.read_text().splitlines() == ["SELECT 40 + 2 AS n;", "SELECT 'second';", ".quit"]
    with Prompt(trace, tmp_path) as again:
        again.type(UP + UP)
        again.wait_for(r"^memtap> SELECT 'second';$")
        leave(again, "\x15\x04")


def test_a_history_that_is_a_link_is_left_alone(trace, tmp_path, monkeypatch):
    for name in ("XDG_STATE_HOME", "TERM"):
        monkeypatch.setenv(name, "")
    precious = tmp_path / "precious"
    precious.write_text("x\n")
    (tmp_path / "state/memtap").mkdir(parents=True)
    (tmp_path / "state/memtap/history").symlink_to(precious)
    with Prompt(trace, tmp_path / "state") as screen:
        screen.ask("SELECT 1;\r")
        leave(screen)
    assert precious.read_text() == "x\n"


def test_tables_columns_and_keywords_are_completed(prompt):
    prompt.type("sel\t")
    prompt.wait_for(r"^memtap> SELECT ?$")
    prompt.type("stack_\t")
    prompt.wait_for(r"^memtap> SELECT stack_id ?$")
    prompt.type("FROM memory.al\t")
    prompt.wait_for(r"^memtap> SELECT stack_id FROM memory.allocations ?$")
    prompt.ask("\x03")
    prompt.type("memory.t\t")  # several
    prompt.wait_for(r"^memory\.tensors +memory\.threads +memory\.timeline +$")
    prompt.type("h\t")
    prompt.wait_for(r"^memtap> memory\.threads ?$")
    prompt.ask("\x03")
    leave(prompt)


def processor_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_ctrl_c_ends_the_query_and_not_the_prompt(prompt):
    before = processor_seconds(prompt.pid)
    prompt.type(ENDLESS + "\r")
    until(lambda: processor_seconds(prompt.pid) > before + 0.2, "the query did not begin")
    assert "the query was interrupted" in prompt.ask("\x03")
    assert "yes" in prompt.ask("SELECT 'ye' || 's' AS after;\r")
    prompt.type("SELECT 1\r")
    prompt.wait_for(r"^   \.\.\.> $")
    prompt.ask("\x03")  # a statement that is not whole is given up
    assert "there is no query" not in prompt.ask("SELECT 2;\r")
    leave(prompt)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_terminal_is_given_back_whoever_ends_it(prompt, number):
    prompt.signal(number)
    assert prompt.ended() == -number


def test_a_hangup_that_was_ignored_still_is(trace, tmp_path, monkeypatch):
    for name in ("XDG_STATE_HOME", "TERM"):
        monkeypatch.setenv(name, "")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        screen = Prompt(trace, tmp_path)
    finally:
        signal.signal(signal.SIGHUP, before)
    with screen:
        screen.signal(signal.SIGHUP)
        assert "42" in screen.ask("SELECT 6 * 7;\r")
        leave(screen)


def test_a_query_has_its_time(trace, tmp_path, monkeypatch):
    for name in ("XDG_STATE_HOME", "TERM"):
        monkeypatch.setenv(name, "")
    with Prompt(trace, tmp_path, options=("--timeout", "200ms", "-f", "ndjson")) as screen:
        assert "took longer than its time" in screen.ask(ENDLESS + "\r")
        assert '{"n":7}' in screen.ask("SELECT 7 AS n;\r").replace(" ", "")
        leave(screen)


def test_a_terminal_that_knows_nothing_has_plain_lines(trace, tmp_path, monkeypatch):
    for name in ("XDG_STATE_HOME", "TERM"):
        monkeypatch.setenv(name, "")
    with Prompt(trace, tmp_path, term="dumb") as screen:
        assert "42" in screen.ask("SELECT 6 *\n7 AS n;\n")
        assert "\x1b" not in screen.log.decode()
        leave(screen, ".quit\n")


def test_a_process_is_asked_as_it_is_now(tmp_path, monkeypatch):
    for name in ("XDG_STATE_HOME", "TERM"):
        monkeypatch.setenv(name, "")
    with Watched(sys.executable, tmp_path / "a.mtap") as program:
        program.do("hold 1000000")
        with Prompt(program.pid, tmp_path) as screen:
            sql = "SELECT 'blocks: ' || count(*) AS n FROM memory.allocations WHERE size_bytes > 900000;\r"
            assert "blocks: 1" in screen.ask(sql)
            program.do("hold 2000000")
            assert "blocks: 2" in screen.ask(sql)
            leave(screen)
