"""The page in a real browser: what it shows is what stats says, by mouse and by keyboard, without a network."""

from conftest import memtap_json
from pages import chromium, recorded, service, visit  # noqa: F401

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
    page.wait_for_function("document.getElementById('matched').textContent.includes('%')")
    page.keyboard.press("Escape")
    page.wait_for_function("document.getElementById('matched').textContent === ''")

    page.focus("#flame")
    page.keyboard.press("ArrowDown")
    page.wait_for_function("document.getElementById('spoken').textContent !== ''")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelectorAll('#crumbs button').length === 2")
    assert "at=" in page.evaluate("location.hash")
    page.keyboard.press("Escape")
    page.wait_for_function("document.querySelectorAll('#crumbs button').length === 1")

    page.select_option("#thread", label=page.locator("#thread option", has_text="worker-1").inner_text())
    (worker,) = [row for row in memtap_json("table", "--leaks", "--by", "thread", service.trace) if row["thread"].startswith("worker-1 ")]
    page.wait_for_function(f"document.getElementById('flame').dataset.bytes === '{worker['bytes']}'")
    assert shown.bytes_of("#view-lines") == worker["bytes"]


def test_the_address_brings_back_what_was_seen(service, visit):
    page = (shown := visit(service.page, "#view=lines&of=live&search=handle")).page
    assert page.get_attribute("#measure-live", "aria-checked") == "true"
    assert page.is_visible("#view-lines") and not page.is_visible("#view-flame")
    assert page.input_value("#search") == "handle"
    page.goto(f"{shown.url}#of=live&at=1")
    page.wait_for_function("document.querySelectorAll('#crumbs button').length === 2")
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
    page.wait_for_function(f"document.getElementById('window-from').value !== '{before}'")
    assert_window(service, shown)
    page.dblclick("#chart .u-over")
    page.wait_for_selector("#measure-peak[aria-checked='true']")
    assert not page.is_visible("#window")


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
    page.wait_for_function(f"document.getElementById('sandwich-sum').dataset.bytes === '{through}'")
    assert page.get_attribute("#sandwich-sum", "data-callers") == str(through)
    assert page.is_visible("#callers") and page.is_visible("#callees")

    page.goto(f"{shown.url}#of=total&focus={frame}")
    page.wait_for_function(f"document.getElementById('flame').dataset.bytes === '{through}'")
    assert shown.bytes_of("#view-lines") == through
    page.goto(f"{shown.url}#of=total&hide={frame}")
    page.wait_for_function(f"document.getElementById('flame').dataset.bytes === '{everything - through}'")
    page.click("#narrowed button")
    page.wait_for_function(f"document.getElementById('flame').dataset.bytes === '{everything}'")


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
