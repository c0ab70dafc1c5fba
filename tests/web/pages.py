"""Recordings with their pages, and a real browser, for the tests of the page.

The browser is Debian's chromium, driven by playwright. Whatever it may not do is noted: messages on its console, errors of scripts, and
requests for anything but the page itself.
"""

import dataclasses
import sys

import pytest
from block import Block
from conftest import MEMTAP, run
from playwright.sync_api import sync_playwright
from served import until

CHROMIUM = "/usr/bin/chromium"
WAIT_MS = 240_000

SERVICE = '''
import json
import threading

KEPT = {}

def handle(key):
    text = json.dumps({"id": key, "list": list(range(50))})
    KEPT[key] = bytearray(3000)
    return json.loads(text)

def render(rows):
    return "".join("<td>%d</td>" % row for row in range(rows))

def work(first, requests):
    for i in range(requests):
        handle((first, i))
        render(100)

threads = [threading.Thread(target=work, args=(t, 200), name=f"worker-{t}") for t in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
scratch = bytearray(4 << 20)
del scratch
'''


class Recorded:
    """A program, its trace and its page."""

    def __init__(self, folder, source, *options, page_options=()):
        self.program = folder / "service.py"
        self.trace = folder / "service.mtap"
        self.page = folder / "service.html"
        self.program.write_text(source)
        recorded = run([MEMTAP, "run", "-q", "-o", self.trace, *options, "--", sys.executable, self.program])
        assert recorded.returncode == 0, recorded.stderr
        made = run([MEMTAP, "flamegraph", *page_options, "-o", self.page, self.trace])
        assert made.returncode == 0, made.stderr
        self.block = Block(self.page)


@pytest.fixture(scope="session")
def recorded(tmp_path_factory):
    return lambda source, *options, **more: Recorded(tmp_path_factory.mktemp("page"), source, *options, **more)


@pytest.fixture(scope="session")
def service(recorded):
    return recorded(SERVICE)


@pytest.fixture(scope="session")
def sampled(recorded):
    return recorded(SERVICE, "--mode", "sample", "--rate", "4K")


@dataclasses.dataclass
class OneBrowser:
    """Each module that imports the fixture has one of its own, and playwright can be begun once at a time."""

    playwright: object = None
    browser: object = None
    users: int = 0

    def take(self):
        if self.users == 0:
            self.playwright = sync_playwright().start()
            self.browser = self.playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"], timeout=WAIT_MS)
        self.users += 1
        return self.browser

    def give_back(self):
        self.users -= 1
        if self.users == 0:
            self.browser.close()
            self.playwright.stop()


ONE_BROWSER = OneBrowser()


@pytest.fixture(scope="session")
def chromium():
    yield ONE_BROWSER.take()
    ONE_BROWSER.give_back()


class Visit:
    """A page as it is open in the browser."""

    def __init__(self, browser, path, address="", **looks):
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce", **looks})
        self.context.set_default_timeout(WAIT_MS)
        self.page = self.context.new_page()
        self.complaints = []
        self.requests = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.url = path.resolve().as_uri()
        self.page.goto(self.url + address)
        self.page.wait_for_selector("html[data-ready='1']")

    def wait(self, expression):
        """page.wait_for_function asks again by an eval in the page, which its policy forbids."""
        until(lambda: self.page.evaluate(expression), expression)

    def bytes_of(self, selector):
        return int(self.page.get_attribute(selector, "data-bytes"))

    def close(self):
        self.context.close()
        assert self.complaints == []
        assert [url for url in self.requests if url.split("#")[0] != self.url and not url.startswith("data:")] == []


@pytest.fixture
def visit(chromium):
    visits = []

    def open_page(path, address="", **looks):
        visits.append(Visit(chromium, path, address, **looks))
        return visits[-1]

    yield open_page
    for one in visits:
        one.close()
