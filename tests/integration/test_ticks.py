"""Times of a program with one thread, whose clock is read now and then and counted on in between.

The oracle makes the times anew from what the independent reader finds in the trace (tracereplay.times).
"""

import json

import tracereplay
from conftest import memtap, memtap_json


def query(path, text):
    return json.loads(memtap("query", "-f", "json", path, text).stdout)


def test_times_between_ticks_are_interpolated(record, target):
    recording = record(target("scheduled"))
    expected = [time - recording.trace.start_clock for time in tracereplay.times(recording.trace)]
    shown = [round(row["time_s"] * 1e9) for row in query(recording.path, "SELECT time_s FROM memory.events")]
    assert shown == expected
    assert all(before < after for before, after in zip(shown, shown[1:]))
    readings = tracereplay.counts(recording.trace)
    assert len(readings) > 3 and any(len(part) > 1 for part in readings)


def test_every_command_has_these_times(record, target):
    recording = record(target("scheduled"))
    rows = query(recording.path, "SELECT time_s, size_bytes FROM memory.events WHERE kind = 'alloc'")
    peak = memtap_json("stats", "--all", recording.path)["peak_time_s"]
    assert peak == rows[-1]["time_s"]
    for index in (0, len(rows) // 3, len(rows) - 2):  # what is alive at the very time of an event, and right before the next one
        held = sum(row["size_bytes"] for row in rows[: index + 1])
        for time in (rows[index]["time_s"], rows[index + 1]["time_s"] - 1e-9):
            [row] = query(recording.path, f"SELECT sum(bytes) AS bytes FROM memory.live_at({time:.9f})")
            assert row["bytes"] == held
            sites = memtap_json("table", "--all", "-n", "0", "--at", f"{time:.9f}", recording.path)
            assert sum(site["bytes"] for site in sites) == held


def test_stats_say_so(record, target):
    text = record(target("scheduled")).path
    assert "clock                  tick, to 4 ms; between two ticks times are interpolated\n" in memtap("stats", text).stdout.decode()
