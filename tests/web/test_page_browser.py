"""The page in a real browser: what it shows is what stats says, by mouse and by keyboard, without a network."""

import collections
import sys

from conftest import memtap, memtap_json
from pages import chromium, recorded, sampled, service, visit  # noqa: F401

HOSTILE = '''
import types

def make(name):
    code = compile("def f():\\n    return bytearray(100_000)\\n", "/srv/" + name, "exec")
    space = {}
    exec(code, space)
    f = space["f"]
    if hasattr(f.__code__, "co_qualname"):
        f.__code__ = f.__code__.replace(co_name=name, co_qualname=name)
    else:
        f.__code__ = f.__code__.replace(co_name=name)
    return f

kept = [make(name)() for name in ("</script><script>alert(1)</script>", "<img src=x onerror=alert(2)>", "\\u202egnp.exe", "@MEMTAP-DATA@")]
'''


def test_every_view_shows_what_stats_says(service, visit):
    """Views, search, zoom and keys in one visit: the one run of a browser in `make test`."""
    stats = memtap_json("stats", service.trace)
    sums = {"peak": stats["peak_bytes"], "live": stats["leaked_bytes"], "total": stats["total_allocated_bytes"],
            "temporary": stats["temporary_bytes"]}
    page = (shown := visit(service.page)).page
    for key, (measure, expected) in enumerate(sums.items(), 1):
        page.keyboard.press(str(key))
        page.wait_for_selector(f"#measure-{measure}[aria-checked='true']")
        assert shown.bytes_of(f"#measure-{measure}") == expected
        assert shown.bytes_of("#flame") == expected
        page.keyboard.press("l")
        page.wait_for_selector("#view-lines:not([hidden])")
        assert shown.bytes_of("#view-lines") == expected
        page.keyboard.press("f")
        page.keyboard.press("i")
        page.wait_for_selector("#inverted[aria-pressed='true']")
        assert shown.bytes_of("#flame") == expected
        page.keyboard.press("i")
        page.wait_for_selector("#inverted[aria-pressed='false']")

    page.keyboard.press("2")
    page.wait_for_selector("#measure-live[aria-checked='true']")
    assert "service.py:9 handle" in page.inner_text("#answer")
    page.keyboard.press("/")
    page.keyboard.type("handle")
    shown.wait("document.getElementById('matched').textContent.includes('%')")
    page.keyboard.press("Escape")
    shown.wait("document.getElementById('matched').textContent === ''")

    page.focus("#flame")
    page.keyboard.press("ArrowDown")
    shown.wait("document.getElementById('spoken').textContent !== ''")
    page.keyboard.press("Enter")
    shown.wait("document.querySelectorAll('#crumbs button').length === 2")
    assert "at=" in page.evaluate("location.hash")
    page.keyboard.press("Escape")
    shown.wait("document.querySelectorAll('#crumbs button').length === 1")

    page.select_option("#thread", label=page.locator("#thread option", has_text="worker-1").inner_text())
    (worker,) = [row for row in memtap_json("table", "--leaks", "--by", "thread", service.trace) if row["thread"].startswith("worker-1 ")]
    shown.wait(f"document.getElementById('flame').dataset.bytes === '{worker['bytes']}'")
    assert shown.bytes_of("#view-lines") == worker["bytes"]


def test_leaks_are_those_of_the_terminal(service, visit):
    """All that is alive, whatever is chosen, and of a thread; suspects as memtap leaks names them."""
    page = (shown := visit(service.page, "#of=total")).page
    page.keyboard.press("k")
    page.wait_for_selector("#view-leaks:not([hidden])")
    assert shown.bytes_of("#view-leaks") == memtap_json("stats", service.trace)["leaked_bytes"]
    assert "alive" in page.inner_text("#leaks-words") and "when the program ended" in page.inner_text("#leaks-words")
    rows = memtap_json("leaks", service.trace)
    named = page.locator("#suspects button").all_inner_texts()
    assert sorted(named) == sorted(f"service.py:{row['line']} {row['function']}" for row in rows if row["suspect"])
    page.select_option("#thread", label=page.locator("#thread option", has_text="worker-1").inner_text())
    (worker,) = [row for row in memtap_json("table", "--leaks", "--by", "thread", service.trace) if row["thread"].startswith("worker-1 ")]
    shown.wait(f"document.getElementById('view-leaks').dataset.bytes === '{worker['bytes']}'")


NATIVE = '''
import numpy
kept = [numpy.ones(20000) for _ in range(50)]
'''


def test_native_frames_can_be_left_out(recorded, visit):
    """The sums stay, and so do stacks without Python code."""
    numeric = recorded(NATIVE, page_options=["--native"])
    code = numeric.block.data["frames"]["code"]
    native = {numeric.block.place(i)[2] for i, one in enumerate(code) if one == 1 and i > 0}
    page = (shown := visit(numeric.page, "#of=live")).page
    names = "[...document.querySelectorAll('#mirror td:nth-child(2)')].map((cell) => cell.textContent.split('  ')[0])"
    shown.wait(f"{names}.length > 3")
    assert native & set(page.evaluate(names))
    before = shown.bytes_of("#flame")
    page.keyboard.press("n")
    page.wait_for_selector("#native[aria-pressed='false']")
    only = {numeric.block.place(frame)[2] for node in numeric.block.node
            for frames in [list(numeric.block.frames_of(node))] if not any(code[f] == 2 for f in frames) for frame in frames if code[frame] == 1}
    shown.wait(f"!{names}.some((name) => {sorted(native - only)!r}.includes(name))")
    assert shown.bytes_of("#flame") == shown.bytes_of("#view-lines") == before == memtap_json("stats", numeric.trace)["leaked_bytes"]
    assert "native=0" in page.evaluate("location.hash")


FORKS = '''
import os
kept = bytearray(3 << 20)
if os.fork() == 0:
    more = bytearray(5 << 20)
    os._exit(0)
os.wait()
'''


def test_one_process_of_several(tmp_path, visit):
    program, page_file = tmp_path / "forks.py", tmp_path / "forks.html"
    program.write_text(FORKS)
    memtap("run", "-q", "-o", tmp_path / "trace.mtap", "--", sys.executable, program)
    traces = sorted(tmp_path.glob("*.mtap"))
    memtap("flamegraph", "-o", page_file, *traces)
    page = (shown := visit(page_file, "#of=total")).page
    sums = collections.Counter()
    for row in memtap_json("table", "--total", "--by", "process", *traces):
        sums[row["process"]] += row["bytes"]
    assert len(sums) == 2
    for pid, expected in sums.items():
        page.select_option("#process", label=page.locator("#process option", has_text=f"({pid})").inner_text())
        shown.wait(f"document.getElementById('flame').dataset.bytes === '{expected}'")
        assert shown.bytes_of("#view-lines") == expected


def test_the_address_brings_back_what_was_seen(service, visit):
    page = (shown := visit(service.page, "#view=lines&of=live&search=handle")).page
    assert page.get_attribute("#measure-live", "aria-checked") == "true"
    assert page.is_visible("#view-lines") and not page.is_visible("#view-flame")
    assert page.input_value("#search") == "handle"
    page.goto(f"{shown.url}#of=live&at=1")
    shown.wait("document.querySelectorAll('#crumbs button').length === 2")
    assert page.is_visible("#view-flame") and page.input_value("#search") == ""
    page.goto(f"{shown.url}#of=live&view=lines")
    page.wait_for_selector("#view-lines:not([hidden])")
    assert shown.bytes_of("#flame") == memtap_json("stats", service.trace)["leaked_bytes"]


def test_a_brush_selects_the_window_of_every_view(service, visit):
    """By mouse, snapped to stored edges; by the sliders; and away again by a double click."""
    page = (shown := visit(service.page)).page
    box = page.locator("#chart .u-over").bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 40, steps=4)
    page.mouse.up()
    page.wait_for_selector("#measure-window[aria-checked='true']")
    assert_window(service, shown)
    page.focus("#window-from")
    before = page.input_value("#window-from")
    page.keyboard.press("ArrowLeft")
    shown.wait(f"document.getElementById('window-from').value !== '{before}'")
    assert_window(service, shown)
    page.dblclick("#chart .u-over")
    page.wait_for_selector("#measure-peak[aria-checked='true']")
    assert not page.is_visible("#window")


def test_a_window_of_estimates_says_how_sure_it_is(sampled, visit):
    page = visit(sampled.page, "#of=window&from=100&to=220").page
    margin = 1.959963984540054 * sampled.block.window_variance(100, 220) ** 0.5
    shown = page.inner_text("#measure-window b").partition("±")[2]
    amount, unit = shown.split()
    scale = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20}[unit]
    assert abs(float(amount) * scale - margin) <= 0.01 * margin


def assert_window(recording, shown):
    first, last = (int(shown.page.input_value(f"#window-{end}")) for end in ("from", "to"))
    rows = memtap_json("table", "--by", "type", "--between", recording.block.between(first, last), recording.trace)
    expected = sum(row["bytes"] for row in rows)
    assert 0 < first < last < 249 and expected > 0
    assert shown.bytes_of("#flame") == shown.bytes_of("#view-lines") == shown.bytes_of("#measure-window") == expected
    assert recording.block.between(first, last) in shown.page.inner_text("#window-command")


def test_a_sandwich_focus_and_hide_are_sums_of_their_stacks(service, visit):
    """Of one function: what is below it, who calls it, only it, and all but it."""
    page = (shown := visit(service.page, "#of=total")).page
    functions = service.block.data["frames"]["function"]
    frame = next(i for i, name in enumerate(functions) if service.block.strings[name] == "handle" and service.block.place(i)[1] == 8)
    through = service.block.through("total", frame)
    everything = service.block.sum("total")
    assert 0 < through < everything

    page.goto(f"{shown.url}#of=total&view=sandwich&function={frame}")
    shown.wait(f"document.getElementById('sandwich-sum').dataset.bytes === '{through}'")
    assert page.get_attribute("#sandwich-sum", "data-callers") == str(through)
    assert page.is_visible("#callers") and page.is_visible("#callees")

    page.goto(f"{shown.url}#of=total&focus={frame}")
    shown.wait(f"document.getElementById('flame').dataset.bytes === '{through}'")
    assert shown.bytes_of("#view-lines") == through
    page.goto(f"{shown.url}#of=total&hide={frame}")
    shown.wait(f"document.getElementById('flame').dataset.bytes === '{everything - through}'")
    page.click("#narrowed button")
    shown.wait(f"document.getElementById('flame').dataset.bytes === '{everything}'")


def test_memory_says_what_the_rss_is_made_of(service, visit):
    page = visit(service.page, "#view=memory").page
    stats = memtap_json("stats", service.trace)
    text = page.inner_text("#view-memory")
    assert "mapped files and libraries" in text and "Freed blocks by lifetime" in text
    for allocator, amounts in stats["by_allocator"].items():
        assert allocator in text and f"{amounts['count']:,}" in text


def test_names_of_the_target_are_text(recorded, visit):
    recording = recorded(HOSTILE)
    assert recording.block.text.count("alert(1)") == 0
    page = visit(recording.page, "#view=lines&of=live").page
    text = page.inner_text("#view-lines")
    assert "</script><script>alert(1)</script>" in text and "<img src=x onerror=alert(2)>" in text
    assert "\u202e" not in text and "@MEMTAP-DATA@" in text
    assert page.locator("#view-lines img").count() == 0
