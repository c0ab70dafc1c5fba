"""The page at three sizes of input, in both themes and widths, without barriers, and as its sources make it. Run by `make test-web`.

Pictures of every view are left in build/web for eyes.
"""

import pathlib
import subprocess

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import MEMTAP, ROOT, memtap_json
from pages import SERVICE, chromium, recorded, visit  # noqa: F401

pytestmark = pytest.mark.slow

PICTURES = MEMTAP.parent.parent / "web"
VIEWS = {
    "flame": "#of=peak",
    "inverted": "#of=total&inverted=1",
    "sandwich": "#of=total&view=sandwich",
    "lines": "#of=live&view=lines",
    "leaks": "#of=live&view=leaks",
    "memory": "#of=peak&view=memory",
    "about": "#of=peak&view=about",
    "changes": "#of=change&from=100&to=220&view=changes",
    "window": "#of=window&from=100&to=220",
}
LOOKS = [(scheme, width) for scheme in ("light", "dark") for width in (1280, 390)]
WIDE = """
functions = []
source = "".join(f"def f{i}(path, depth):\\n    return bytearray(500) if depth == 0 else functions[path[depth - 1]](path, depth - 1)\\n" for i in range(15))
space = {"functions": functions}
exec(compile(source, "/srv/wide.py", "exec"), space)
functions.extend(space[f"f{i}"] for i in range(15))
import itertools
kept = [functions[path[3]](path, 3) for path in itertools.islice(itertools.product(range(15), repeat=4), 50000)]
"""
PROGRAMS = {"small": "kept = [bytearray(3000) for _ in range(100)]\n", "service": SERVICE, "wide": WIDE}


@pytest.fixture(scope="module", params=sorted(PROGRAMS))
def recording(request, recorded):  # noqa: F811
    made = recorded(PROGRAMS[request.param])
    made.name = request.param
    return made


def test_every_total_is_that_of_stats(recording, visit):  # noqa: F811
    stats = memtap_json("stats", recording.trace)
    shown = visit(recording.page)
    for measure, field in (("peak", "peak_bytes"), ("live", "leaked_bytes"), ("total", "total_allocated_bytes"), ("temporary", "temporary_bytes")):
        shown.page.click(f"#measure-{measure}")
        shown.page.wait_for_selector(f"#measure-{measure}[aria-checked='true']")
        for inverted in ("true", "false"):
            shown.page.click("#inverted")
            shown.page.wait_for_selector(f"#inverted[aria-pressed='{inverted}']")
            assert shown.bytes_of("#flame") == shown.bytes_of("#view-lines") == stats[field], (recording.name, measure)
    shown.page.click("#tab-leaks")
    shown.page.wait_for_selector("#view-leaks:not([hidden])")
    assert shown.bytes_of("#view-leaks") == stats["leaked_bytes"]


MILLION = """
kept = []
def make(depth, n):
    return bytearray(n) if depth == 0 else make(depth - 1, n)
for i in range(1_000_000):
    block = make(i % 20, 600)
    if i % 10 == 0:
        kept.append(block)
"""


@pytest.mark.parametrize("source, most", [(MILLION, 400_000), (WIDE, 1_500_000)], ids=["a million allocations", "50,000 stacks"])
def test_a_page_is_small(recorded, source, most):  # noqa: F811
    made = recorded(source)
    assert made.page.stat().st_size <= most
    assert made.block.sum("live") == memtap_json("stats", made.trace)["leaked_bytes"]


@pytest.mark.parametrize("scheme, width", LOOKS)
def test_every_view_is_without_barriers(recording, visit, scheme, width):  # noqa: F811
    PICTURES.mkdir(exist_ok=True)
    looks = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}, "bypass_csp": True}
    for view, address in VIEWS.items():
        shown = visit(recording.page, address, **looks)
        found = Axe().run(shown.page)
        shown.page.screenshot(path=PICTURES / f"{recording.name}-{view}-{scheme}-{width}.png")
        assert found.response["violations"] == [], (view, found.generate_report())
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= width, view


def test_the_page_is_what_its_sources_make(tmp_path):
    web = ROOT / "web"
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], cwd=web, check=True)
    subprocess.run(["npx", "tsc", "--noEmit"], cwd=web, check=True)
    built = pathlib.Path(tmp_path) / "report.html"
    subprocess.run(["node", "build.mjs", built], cwd=web, check=True)
    assert built.read_bytes() == (web / "dist/report.html").read_bytes()
