"""The page of two recordings, and of two moments of one: every number is that of memtap diff and of the two sides of it, to the byte."""

import sys

import pytest
from block import Block
from conftest import MEMTAP, memtap, memtap_json, run
from pages import chromium, recorded, service, visit  # noqa: F401

COMMON = """
kept = []
def same():
    kept.append(bytearray(1_000_000))
def grows(n):
    kept.append(bytearray(n))
same()
grows({size})
"""
OLD = COMMON.format(size=2_000_000) + """
def vanishes():
    kept.append(bytearray(3_000_000))
vanishes()
"""
NEW = "# one line more\n" + COMMON.format(size=2_500_000) + """
def appears():
    kept.append(bytearray(4_000_000))
appears()
"""


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Traces of two versions of one program, in folders of their own, and the page of what changed."""
    traces = []
    for name, source in (("old", OLD), ("new", NEW)):
        folder = tmp_path_factory.mktemp(name)
        (folder / "app.py").write_text(source)
        memtap("run", "-q", "-o", folder / "app.mtap", "--", sys.executable, folder / "app.py")
        traces.append(folder / "app.mtap")
    page = traces[1].with_suffix(".html")
    memtap("flamegraph", "-o", page, "--diff", *traces)
    return *traces, page


def changes(page):
    """{kind: (lines, bytes)} as the page has it."""
    heads = {kind: page.locator(f"#changes-{kind}") for kind in ("appeared", "vanished", "grew", "shrank")}
    return {kind: (int(head.get_attribute("data-lines")), int(head.get_attribute("data-bytes"))) for kind, head in heads.items()}


def test_every_sum_is_the_difference_of_both_sides(two, visit):  # noqa: F811
    old, new, file = two
    before, after = memtap_json("stats", old), memtap_json("stats", new)
    page = (shown := visit(file)).page
    for measure, field in (("peak", "peak_bytes"), ("live", "leaked_bytes"), ("total", "total_allocated_bytes"), ("temporary", "temporary_bytes")):
        page.click(f"#measure-{measure}")
        page.wait_for_selector(f"#measure-{measure}[aria-checked='true']")
        expected = after[field] - before[field]
        assert shown.bytes_of(f"#measure-{measure}") == shown.bytes_of("#flame") == shown.bytes_of("#view-lines") == expected
        assert sum(in_bytes for _, in_bytes in changes(page).values()) == expected
        page.click("#inverted")
        page.wait_for_selector("#inverted[aria-pressed='true']")
        assert shown.bytes_of("#flame") == expected
        page.click("#inverted")
    assert not page.is_visible("#tab-leaks") and not page.is_visible("#thread")


def test_appeared_and_vanished_are_those_of_memtap_diff(two, visit):  # noqa: F811
    old, new, file = two
    page = visit(file, "#of=live&view=changes").page
    rows = memtap_json("diff", "--leaks", old, new)["rows"]
    for kind in ("appeared", "vanished"):
        expected = [row for row in rows if row["change"] == kind]
        assert changes(page)[kind] == (len(expected), sum(row["bytes"] for row in expected)), (kind, expected)
    assert "app.py:12 appears" in page.inner_text("#view-changes table[aria-label='Appeared']")
    assert "app.py:11 vanishes" in page.inner_text("#view-changes table[aria-label='Vanished']")
    grew = page.inner_text("#view-changes table[aria-label='Grew']")
    assert "app.py:7 grows" in grew and "same" not in grew  # of the line where it is now; what only moved has not changed
    assert "app.py:12 appears grew by 3.81 MiB" in page.inner_text("#answer")


def test_a_recording_has_not_changed_since_itself(two, visit):  # noqa: F811
    _, new, _ = two
    file = new.with_name("same.html")
    memtap("flamegraph", "-o", file, "--diff", new, new)
    assert Block(file).data["rows"] == Block(file, "before").data["rows"]
    page = (shown := visit(file, "#of=total&view=changes")).page
    assert changes(page) == {kind: (0, 0) for kind in ("appeared", "vanished", "grew", "shrank")}
    assert shown.bytes_of("#flame") == 0 and "Nothing changed" in page.inner_text("#answer")


def test_nothing_is_lost_when_one_side_cannot_be_read(two, tmp_path):
    _, new, _ = two
    out = tmp_path / "kept.html"
    out.write_text("mine")
    missing = run([MEMTAP, "flamegraph", "-o", out, "--diff", tmp_path / "no.mtap", new])
    assert missing.returncode == 1 and b"no.mtap" in missing.stderr and out.read_text() == "mine"


def test_what_changed_between_two_moments(service, visit):  # noqa: F811
    """Of one recording: alive at the second time less what was alive at the first, whenever it was allocated."""
    page = (shown := visit(service.page, "#of=change&from=100&to=220")).page
    times = service.block.data["edges"]["time_ns"]
    at = [sum(row["bytes"] for row in memtap_json("table", "--by", "type", "--at", f"{time}ns", service.trace)) for time in (times[99], times[220])]
    expected = at[1] - at[0]
    assert shown.bytes_of("#flame") == shown.bytes_of("#view-lines") == shown.bytes_of("#measure-change") == expected
    rows = memtap_json("diff", f"{service.trace}@{times[99]}ns", f"{service.trace}@{times[220]}ns")
    assert rows["bytes"] == expected and f"FILE@{times[99]}ns FILE@{times[220]}ns" in page.inner_text("#window-command")
    assert sum(in_bytes for _, in_bytes in changes(page).values()) == expected
    page.click("#tab-changes")
    (handle,) = [row for row in rows["rows"] if row["function"] == "handle" and row["line"] == 9]
    assert f"{handle['count']:,}" in page.inner_text(f"#view-changes table[aria-label='{handle['change'].title()}'] tr:has-text('service.py:9 handle')")
    page.keyboard.press("c")
    page.wait_for_selector("#measure-window[aria-checked='true']")
    page.keyboard.press("6")
    page.wait_for_selector("#measure-change[aria-checked='true']")
