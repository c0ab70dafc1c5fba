"""Times of a program with one thread, whose clock is read now and then and counted on in between.

The oracle makes the times anew from what the independent reader finds in the trace: events that were counted lie at equal
distances up to the next reading of the clock, or up to a tick behind the last one.
"""

import json

from conftest import memtap, memtap_json

COUNTED_UNITS = 2  # a clock so few units behind the one before was not read


def counts(clocks, counted_ns):
    """The clocks, cut where one was read."""
    parts = [[clocks[0]]]
    for before, clock in zip(clocks, clocks[1:]):
        if clock - before > counted_ns:
            parts.append([])
        parts[-1].append(clock)
    return parts


def times(trace):
    """ns since the start, of each event."""
    clocks = [event.clock for event in trace.events]
    parts = counts(clocks, COUNTED_UNITS << trace.clock_shift)
    nexts = [part[0] for part in parts[1:]] + [max(trace.end_clock, clocks[-1] + 1)]
    found = []
    for part, after in zip(parts, nexts):
        first, count = part[0], part[-1] - part[0] + 1
        span = max(min(after - first, trace.clock_tick_ns), count)
        found += [first + (clock - first) * span // count - trace.start_clock for clock in part]
    return found


def query(path, text):
    return json.loads(memtap("query", "-f", "json", path, text).stdout)


def test_times_between_ticks_are_interpolated(record, target):
    recording = record(target("scheduled"))
    expected = times(recording.trace)
    shown = [round(row["time_s"] * 1e9) for row in query(recording.path, "SELECT time_s FROM memory.events")]
    assert len(shown) == len(expected)
    assert all(0 <= want - time <= 1 for time, want in zip(shown, expected))  # a fraction is cut at another place
    assert all(before < after for before, after in zip(shown, shown[1:]))
    readings = counts([event.clock for event in recording.trace.events], COUNTED_UNITS << recording.trace.clock_shift)
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
