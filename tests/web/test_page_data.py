"""The data of the page, read by an independent reader, is what the commands say, to the byte."""

import base64
import collections
import hashlib
import json
import re

from block import Block
from conftest import memtap, memtap_json
from pages import recorded, sampled, service  # noqa: F401

STATS = {
    "peak": ("peak_bytes", "peak_allocations"),
    "live": ("leaked_bytes", "leaked_allocations"),
    "total": ("total_allocated_bytes", "allocations"),
    "temporary": ("temporary_bytes", "temporary_allocations"),
}
SELECT = {"peak": "--peak", "live": "--leaks", "total": "--total", "temporary": "--temporary"}


PROCESSES = """
import os

kept = []
for round in range(4):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        held = [bytearray(5000 + i) for i in range(300)]
        os.write(writing, b"x")
        os._exit(0)
    os.read(reading, 1)
    kept.extend(bytearray(700) for _ in range(2000))
    os.waitpid(child, 0)
    kept.extend(bytearray(70) for _ in range(20000))
"""


def assert_sums(recording):
    stats = memtap_json("stats", recording.trace)
    for measure, (in_bytes, in_blocks) in STATS.items():
        assert recording.block.sum(measure) == stats[in_bytes], measure
        assert recording.block.sum(measure, "count") == stats[in_blocks], measure
    return stats


def test_sums_are_those_of_stats(service):
    stats = assert_sums(service)
    assert stats["leaked_bytes"] > 600 * 3000
    for allocator, amounts in stats["by_allocator"].items():
        assert service.block.allocators("total")[allocator] == amounts["bytes"]
        assert service.block.allocators("live")[allocator] == amounts["leaked_bytes"]


def test_estimates_are_those_of_stats(sampled):
    assert assert_sums(sampled)["mode"] == "sample"
    variance = sum(sampled.block.data["measures"]["live"]["bytes_variance"])
    stats = memtap_json("stats", sampled.trace)
    rows = len(sampled.block.node)
    assert abs(1.959963984540054 * variance**0.5 - stats["leaked_bytes_ci95"]) <= 2 * rows**0.5


def test_lines_are_those_of_the_table(service):
    for measure, select in SELECT.items():
        rows = memtap_json("table", select, service.trace)
        expected = collections.Counter()
        for row in rows:
            if row["line"]:
                expected[row["file"], row["line"], row["function"].replace("<locals>.", "")] += row["bytes"]
        lines = {place: amount for place, amount in service.block.lines(measure).items() if amount > 0 and place[1] > 0}
        assert lines == {place: expected[place] for place in lines}, measure
        least = service.block.data["smallest_share"] * sum(row["bytes"] for row in rows)
        assert len(lines) > 5 and all(amount < least for place, amount in expected.items() if place not in lines), measure


def test_the_leaking_line_is_the_largest(service):
    (place, amount), *_ = service.block.lines("live").most_common(1)
    assert place == (str(service.program), 9, "handle")
    assert amount >= 600 * 3000


def test_threads_are_those_of_the_table(service):
    rows = memtap_json("table", "--leaks", "--by", "thread", service.trace)
    threads = service.block.data["threads"]
    shown = {f"{service.block.strings[threads['name'][number]]} ({threads['tid'][number]})": amount
             for number, amount in service.block.by("thread", "live").items() if amount > 0}
    assert shown == {row["thread"]: row["bytes"] for row in rows if row["bytes"] > 0}


def test_age_and_growth_are_those_of_leaks(service):
    row = memtap_json("leaks", service.trace)[0]
    line = service.block.rows["line"][max(range(len(service.block.node)), key=service.block.data["measures"]["live"]["bytes"].__getitem__)]
    chosen = [i for i, number in enumerate(service.block.rows["line"]) if number == line and service.block.data["measures"]["live"]["count"][i]]
    end = service.block.data["processes"]["end_ns"][0]
    oldest = min(service.block.rows["oldest_ns"][i] for i in chosen)
    assert abs((end - oldest) / 1e9 - row["age_s"]) < 1e-6
    slopes = [slope for slope, number in zip(service.block.rows["growth"], service.block.rows["line"]) if number == line]
    assert abs(sum(slopes) - row["growth_bytes_per_s"]) <= 1e-3 * sum(map(abs, slopes))


def test_a_list_that_grows_is_one_block_that_moved(recorded):
    """So the page can tell it from a block that stays as it is, as leaks does."""
    recording = recorded("kept, thing = [], object()\nfor _ in range(20000):\n    kept.append(thing)\nstays = bytearray(300000)\n")
    block = recording.block
    moved, blocks = {}, {}
    for row, number in enumerate(block.rows["line"]):
        path, line, _ = block.place(block.data["lines"]["frame"][number])
        if path != str(recording.program):
            continue
        moved[line] = moved.get(line, 0) + block.rows["moved"][row]
        blocks[line] = blocks.get(line, 0) + block.data["measures"]["live"]["count"][row]
    assert blocks[3] == 1 and moved[3] >= 16
    assert blocks[4] >= 1 and moved[4] == 0


def test_the_timeline_is_that_of_timeline(service):
    points = memtap_json("timeline", "-n", "1000", service.trace)
    shown = service.block.data["timeline"]
    assert shown["heap"] == [point["heap_bytes"] for point in points]
    assert shown["most"] == [point["heap_max_bytes"] for point in points]


def test_an_aggregate_says_what_it_does_not_know(recorded):
    recording = recorded("kept = [bytearray(1000) for _ in range(500)]\n", "--aggregate")
    assert set(recording.block.data["measures"]) == {"peak", "live", "total"}
    assert recording.block.data["timeline"] is None
    stats = memtap_json("stats", recording.trace)
    for measure in ("peak", "live", "total"):
        assert recording.block.sum(measure) == stats[STATS[measure][0]]


def test_the_policy_fits_the_page(service):
    """The one script and the one style are allowed by their hashes; nothing else is, and nothing is loaded."""
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', service.block.text).group(1)
    script = re.search(r"<script>(.*?)</script>", service.block.text, re.S).group(1)
    style = re.search(r"<style>(.*?)</style>", service.block.text, re.S).group(1)
    for kind, text in (("script-src", script), ("style-src", style)):
        assert f"{kind} 'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "http" not in policy


def test_the_other_name_writes_the_same(service, tmp_path):
    for command in ("flamegraph", "report"):
        result = memtap(command, service.trace, cwd=tmp_path)
        written = tmp_path / "service.html"
        assert written.read_bytes() == service.page.read_bytes()
        assert b"service.html" in result.stderr
        written.unlink()
    assert memtap("flamegraph", "-o", "-", service.trace).stdout == service.page.read_bytes()


def test_a_file_that_is_no_trace_leaves_no_page(tmp_path):
    (tmp_path / "x.mtap").write_bytes(b"not a trace")
    result = memtap("flamegraph", tmp_path / "x.mtap", check=False, cwd=tmp_path)
    assert result.returncode == 1 and b"x.mtap" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["x.mtap"]


WINDOWS = [(0, 249), (0, 100), (60, 61), (100, 249), (120, 200), (249, 249)]


def assert_windows(recording):
    sums = [recording.block.window(first, last) for first, last in WINDOWS]
    for (first, last), shown in zip(WINDOWS, sums):
        rows = memtap_json("table", "--by", "type", "--between", recording.block.between(first, last), recording.trace)
        assert shown == (sum(row["bytes"] for row in rows), sum(row["count"] for row in rows)), (first, last)
    assert sums[1][0] > 0 and sums[4][0] > 0


def test_windows_are_those_of_between(service):
    assert len(service.block.data["edges"]["time_ns"]) >= 200
    assert_windows(service)


def test_windows_of_estimates_are_those_of_between(sampled):
    assert_windows(sampled)


def test_windows_of_estimates_are_as_sure_as_between_says(sampled):
    cells = len(sampled.block.data["edges"]["cells"]["row"])
    for first, last in ((0, 249), (30, 200), (100, 220)):
        rows = memtap_json("table", "--by", "type", "--between", sampled.block.between(first, last), sampled.trace)
        expected = sum(row["bytes_ci95"] ** 2 for row in rows) / 1.959963984540054**2
        assert expected > cells
        assert abs(sampled.block.window_variance(first, last) - expected) <= cells  # each is rounded


def test_windows_of_processes_end_with_them(recorded):
    """What a child held is gone after its end, while its parent goes on."""
    assert_windows(recorded(PROCESSES))


def test_a_budget_is_kept_and_no_sum_changes(service, tmp_path):
    least, small = tmp_path / "least.html", tmp_path / "small.html"
    refused = memtap("flamegraph", "--max-size", "1", "-o", least, service.trace, check=False)
    assert refused.returncode == 2 and not least.exists()
    words = refused.stderr.decode().partition("give ")[2].partition(" or more")[0]
    memtap("flamegraph", "--max-size", words, "-o", least, service.trace)
    budget = (least.stat().st_size + service.page.stat().st_size) // 2
    assert least.stat().st_size < budget < service.page.stat().st_size
    memtap("flamegraph", "--max-size", str(budget), "-o", small, service.trace)
    folded = Folded(service, small)
    assert small.stat().st_size <= budget
    assert len(folded.block.parent) < len(service.block.parent)
    assert_sums(folded)
    assert_windows(folded)
    assert_sums(Folded(service, least))
    assert folded.block.by("thread", "live") == service.block.by("thread", "live")
    assert folded.block.allocators("total") == service.block.allocators("total")
    (place, _), *_ = folded.block.lines("live").most_common(1)
    assert place == (str(service.program), 9, "handle")


def test_a_confidential_page_has_no_paths(service, tmp_path):
    page = tmp_path / "confidential.html"
    memtap("flamegraph", "--confidential", "-o", page, service.trace)
    folded = Folded(service, page)
    text = json.dumps(folded.block.data)
    assert service.program.parent.name not in text and "/usr/lib" not in text and "/tmp" not in text
    assert [string for string in folded.block.strings if "/" in string] == []
    assert_sums(folded)
    (place, _), *_ = folded.block.lines("live").most_common(1)
    assert place == ("service.py", 9, "handle")


class Folded:
    """The same recording with another page."""

    def __init__(self, recording, page):
        self.trace = recording.trace
        self.block = Block(page)


def test_live_at_an_edge_is_what_table_at_says(service):
    times = service.block.data["edges"]["time_ns"]
    rows = memtap_json("table", "--by", "type", "--at", f"{times[150]}ns", service.trace)
    assert service.block.window(0, 150) == (sum(row["bytes"] for row in rows), sum(row["count"] for row in rows))
