"""The page of `memtap serve` in a real browser: the numbers of stats, new data as it comes with what was looked at kept, SQL."""

import re
import subprocess

import pytest
from conftest import MEMTAP, memtap, memtap_json
from pages import WAIT_MS, Visit, chromium, recorded, service  # noqa: F401
from served import Server, until

GROWING = '''
import sys
kept = []
def keep():
    kept.append(bytearray(4 << 20))
def other():
    kept.append(bytearray(1 << 20))
keep()
other()
print("one", flush=True)
for line in sys.stdin:
    keep()
    print("more", flush=True)
'''


MARKED = '''
import os
import sys
kept = []
def before():
    kept.append(bytearray(3_000_000))
def between():
    kept.append(bytearray(5_000_000))
def after():
    kept.append(bytearray(9_000_000))
for step in (before, between, after):
    step()
    print(os.getpid(), flush=True)
    sys.stdin.readline()
'''


class ServedVisit(Visit):
    """A visit of a server, which may be asked for more than the page."""

    def __init__(self, browser, url, address=""):
        self.context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
        self.context.set_default_timeout(WAIT_MS)
        self.page = self.context.new_page()
        self.complaints = []
        self.requests = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.url = url + "/"
        self.page.goto(self.url + address)
        self.page.wait_for_selector("html[data-ready='1']")

    def version(self):
        """How often the page was put together."""
        return int(self.page.evaluate("document.documentElement.dataset.version"))

    def close(self):
        self.context.close()
        assert self.complaints == []
        assert [url for url in self.requests if not url.startswith(self.url) and not url.startswith("data:")] == []


@pytest.fixture
def visit_server(chromium):
    opened = []

    def visit(*targets, address="", **options):
        server = Server(*targets, **options)
        opened.append(server)
        opened.append(ServedVisit(chromium, server.url, address))
        return opened[-1]

    yield visit
    for one in reversed(opened):
        (one.stop if isinstance(one, Server) else one.close)()


def test_a_finished_recording_is_shown_as_by_flamegraph(service, visit_server):
    stats = memtap_json("stats", service.trace)
    page = (shown := visit_server(service.trace)).page
    for measure, name in (("peak", "peak_bytes"), ("live", "leaked_bytes"), ("total", "total_allocated_bytes")):
        page.click(f"#measure-{measure}")
        page.wait_for_selector(f"#measure-{measure}[aria-checked='true']")
        assert shown.bytes_of("#flame") == stats[name]
    page.click("#tab-sql")
    page.fill("#sql-text", "SELECT sum(live_bytes) AS live, '<b>x</b>' AS text FROM memory.sites")
    page.click("#sql-ask")
    shown.wait("document.querySelectorAll('#sql-answer td').length === 2")
    cells = page.locator("#sql-answer td").all_inner_texts()
    assert cells == [str(stats["leaked_bytes"] + stats["libc_bytes"]), "<b>x</b>"]
    page.fill("#sql-text", "SELECT nothing FROM memory.sites")
    shown.complaints.clear()
    page.click("#sql-ask")
    shown.wait("document.getElementById('sql-failure').textContent.includes('nothing')")
    shown.complaints[:] = [text for text in shown.complaints if "400" not in text]  # what a browser says of every such answer


def test_what_grows_is_shown_with_what_was_looked_at(tmp_path, visit_server):
    trace = tmp_path / "growing.mtap"
    (tmp_path / "growing.py").write_text(GROWING)
    with subprocess.Popen([MEMTAP, "run", "-q", "-o", trace, tmp_path / "growing.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as process:
        try:
            assert process.stdout.readline() == "one\n"
            page = (shown := visit_server(trace, address="#of=live")).page
            shown.wait("document.querySelector('#view-lines').dataset.bytes > 5 << 20")
            page.fill("#search", "keep")
            page.locator("#search").blur()
            page.focus("#flame")
            for key in ("ArrowDown", "Enter"):
                page.keyboard.press(key)
            shown.wait("document.querySelectorAll('#crumbs button').length === 2")
            crumb = page.locator("#crumbs button").nth(1).inner_text()
            page.click("#tab-lines")
            before = shown.bytes_of("#view-lines")

            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "more\n"
            shown.wait(f"document.querySelector('#view-lines').dataset.bytes >= {before + (4 << 20)}")
            assert page.input_value("#search") == "keep" and page.is_visible("#view-lines")
            assert page.locator("#crumbs button").nth(1).inner_text() == crumb

            page.wait_for_selector("#live:not([hidden])")
            page.click("#live")
            page.wait_for_selector("#live[aria-pressed='false']")
            page.click("#mark")
            page.wait_for_selector("#measure-window[aria-checked='true']")
            page.click("#live")
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "more\n"
            shown.wait("document.querySelector('#flame').dataset.bytes >= 4 << 20")
            assert page.get_attribute("#measure-window", "aria-checked") == "true"
            assert shown.bytes_of("#flame") < 6 << 20  # one more, not those before
        finally:
            process.stdin.close()
            process.kill()


def test_a_late_answer_is_not_shown_under_another_name(tmp_path, service, visit_server):
    """Of two that are chosen quickly the last one is shown, though what was asked first is answered last."""
    (tmp_path / "other.py").write_text("kept = bytearray(9 << 20)\n")
    memtap("run", "-q", "-o", tmp_path / "other.mtap", tmp_path / "other.py")
    page = (shown := visit_server(service.trace, tmp_path / "other.mtap", address="#of=live")).page
    stats = memtap_json("stats", service.trace)
    held = []
    page.route("**/page/block?target=1", lambda route: held.append(route))  # no built-in function can be one
    page.select_option("#target", "1")
    until(lambda: page.evaluate("1") == 1 and held, "the other one is asked for")
    version = shown.version()
    page.select_option("#target", "0")
    shown.wait(f"Number(document.documentElement.dataset.version) > {version}")
    version = shown.version()
    with page.expect_response("**/page/block?target=1") as late:
        held.pop().continue_()
    late.value.finished()
    assert page.input_value("#target") == "0" and shown.version() == version
    page.click("#measure-live")
    assert shown.bytes_of("#flame") == stats["leaked_bytes"]
    page.unroute("**/page/block?target=1")
    page.select_option("#target", "1")
    shown.wait(f"Number(document.documentElement.dataset.version) > {version}")
    assert page.input_value("#target") == "1"


def test_one_that_cannot_be_read_is_named_and_changes_nothing(tmp_path, service, visit_server):
    """Neither when it is chosen nor when it was looked at last; it can be chosen again when it is whole."""
    traces = tmp_path / "traces"
    traces.mkdir()
    (traces / "a.mtap").write_bytes(service.trace.read_bytes())
    (traces / "b.mtap").write_bytes(b"no trace")
    page = (shown := visit_server(traces, address="#of=live")).page
    expected = memtap_json("stats", service.trace)["leaked_bytes"]
    assert shown.bytes_of("#flame") == expected
    page.select_option("#target", label="b.mtap")
    shown.wait("document.getElementById('unreadable').textContent.startsWith('b.mtap cannot be read: ')")
    assert page.locator("#target option:checked").inner_text() == "a.mtap" and shown.bytes_of("#flame") == expected

    page.evaluate("sessionStorage.setItem('target', '1')")
    page.reload()
    page.wait_for_selector("html[data-ready='1']")
    assert page.locator("#target option:checked").inner_text() == "a.mtap" and page.is_visible("#unreadable")

    (tmp_path / "whole.mtap").write_bytes(service.trace.read_bytes())
    (tmp_path / "whole.mtap").rename(traces / "b.mtap")

    def choose():
        page.select_option("#target", label="b.mtap")
        return page.evaluate("document.querySelector('#target').value === '1' && document.getElementById('unreadable').hidden")

    until(choose, "it can be read by now")
    shown.complaints[:] = [text for text in shown.complaints if "Failed to load resource" not in text]  # of the answers that refuse


def test_two_marks_of_what_runs_are_compared(tmp_path, visit_server):
    """What is alive at the second more than at the first, while the program goes on."""
    trace = tmp_path / "marked.mtap"
    (tmp_path / "marked.py").write_text(MARKED)
    with subprocess.Popen([MEMTAP, "run", "-q", "--listen", "1", "-o", trace, tmp_path / "marked.py"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        try:
            for step in range(3):
                pid = process.stdout.readline().strip()
                if step < 2:
                    memtap("snapshot", pid)
                    process.stdin.write("\n")
                    process.stdin.flush()
            page = (shown := visit_server(trace, address="#of=window&from=0&to=249")).page
            page.click("#live")
            for end, number in (("from", 1), ("to", 2)):
                label = page.locator(f"#mark-{end} option", has_text=f"snapshot {number} (").inner_text()
                page.select_option(f"#mark-{end}", label=label)
            page.click("#window-kind")
            page.wait_for_selector("#measure-change[aria-checked='true']")
            first, second = [int(time) for time in re.findall(r"FILE@(\d+)ns", page.inner_text("#window-command"))]
            marks = [mark["time_s"] for mark in memtap_json("stats", trace)["marks"]]
            assert first / 1e9 <= marks[0] < marks[1] <= second / 1e9
            expected = memtap_json("diff", f"{trace}@{first}ns", f"{trace}@{second}ns")["bytes"]
            assert shown.bytes_of("#flame") == expected >= 5_000_000
        finally:
            process.stdin.close()
            process.kill()
