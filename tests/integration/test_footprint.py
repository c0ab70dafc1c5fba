"""Peak and RSS: programs that hold much more, or much less, than their heap, each for one reason."""

import re

import pytest
from conftest import memtap

MIB = 1024 * 1024
BYTES = 64 * MIB
CAUSES = {"untouched": "untouched_bytes", "slack": "rss_slack_bytes", "files": "rss_file_bytes"}
WORDS = {"untouched": "never touched", "slack": "free blocks and rounding of the allocator", "files": "mapped files"}


@pytest.mark.parametrize("cause", CAUSES)
def test_the_cause_of_the_difference_is_named_with_its_bytes(record, target, cause):
    recording = record(target("footprint"), cause, BYTES)
    stats = recording.stats
    apart = abs(stats["peak_bytes"] - stats["rss_peak_bytes"])
    assert apart > 0.9 * BYTES
    assert stats[CAUSES[cause]] >= 0.9 * apart
    assert WORDS[cause] in stats["rss_note"]
    text = memtap("stats", recording.path).stdout.decode()
    assert stats["rss_note"] in " ".join(text.split())
    note = [line for line in text.splitlines() if line[23:] and line[23:] in stats["rss_note"]]
    assert len(note) > 1 and max(map(len, note)) <= 80
    summary = memtap("summary", recording.path).stdout.decode()
    assert summary.count("RSS") == 1
    assert re.search(rf"\(RSS .*: .*{cause}", summary), summary


def test_the_parts_add_up(record, target):
    for cause in (*CAUSES, "same"):
        stats = record(target("footprint"), cause, BYTES).stats
        resident = stats["rss_file_bytes"] + stats["rss_own_bytes"] + stats["rss_slack_bytes"] - stats["untouched_bytes"]
        assert stats["rss_inherited_bytes"] == stats["rss_unmeasured_bytes"] == 0
        assert resident + stats["peak_bytes"] == stats["rss_peak_bytes"]
        assert 0 < stats["rss_own_bytes"] < 8 * MIB


def test_nothing_is_said_where_they_agree(record, target):
    assert record(target("footprint"), "same", BYTES).stats["rss_note"] is None


def test_the_pages_of_children_are_their_parents(record, target):
    """Three children have the parent's 64 MiB in their RSS; the heap of the run has them once."""
    stats = record(target("forked"), BYTES, 3).stats
    apart = stats["rss_peak_bytes"] - stats["peak_bytes"]
    assert apart > 3 * BYTES and stats["rss_inherited_bytes"] >= 0.9 * apart
    assert "pages that children have from their parents" in stats["rss_note"] and "4 processes together" in stats["rss_note"]
    parts = ("rss_file_bytes", "rss_own_bytes", "rss_inherited_bytes", "rss_unmeasured_bytes", "rss_slack_bytes", "peak_bytes")
    assert sum(stats[part] for part in parts) - stats["untouched_bytes"] == stats["rss_peak_bytes"]


def test_own_memory_is_one_number(record, target):
    recording = record(target("footprint"), "same", BYTES)
    lines = [line.split() for line in memtap("parse", recording.path).stdout.decode().splitlines()]
    counted = next(int(words[2]) for words in lines if words[:2] == ["header", "agent_bytes"])
    measured = [int(words[6]) for words in lines if words[:1] == ["rss"] and "own" in words]
    assert measured and counted == measured[-1]


def test_what_recording_itself_took_is_said(record, target):
    """A million recorded calls take time, and no more than the process had in all."""
    recording = record(target("sizes"), 64, 1, 500_000, "freed")
    stats = recording.stats
    assert 0 < stats["own_cpu_s"] <= stats["cpu_s"]
    assert stats["own_cpu_share"] == pytest.approx(stats["own_cpu_s"] / stats["cpu_s"])
    text = memtap("summary", recording.path).stdout.decode()
    assert " CPU (" in next(line for line in text.splitlines() if line.startswith("  memtap "))
    assert "CPU time" in memtap("stats", recording.path).stdout.decode()
