"""What a test run says about memory at its end: the terminal's section, the JSON file, the baseline. In the controller only.

Decides: tests with the largest peaks first, each with the place that holds most of it; then what was left behind, by place over
all tests, because one line of the program is what a person mends; then what was filled at first use, which is nobody's leak.
"""

from __future__ import annotations

import collections
from typing import Any, Callable, Dict, List, Optional

import pytest

from memtap._measure import format_size
from memtap._origin import Origins
from memtap._pytest_baseline import JSON_FORMAT, python_version, write_json
from memtap._pytest_limits import site

LEAK_PLACES = 5
LEAK_BYTES = 1024  # a place that keeps less over a whole run is not worth a line
_BARS = "▁▂▃▄▅▆▇█"


def attempt(action: Callable[[], Any]) -> Optional[str]:
    """Does it; why it failed, or None. A test run goes on without its recording."""
    try:
        action()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def histogram_line(buckets: List[Dict[str, int]]) -> str:
    """Sizes of blocks as "16 B ▁█▃ ▂ 1.0 MiB", a bar for each power of two, as high as its share of the fullest."""
    counts = {bucket["min_bytes"].bit_length(): bucket["count"] for bucket in buckets if bucket["count"] > 0}
    if not counts:
        return ""
    most = max(counts.values())
    bars = [_BARS[(counts[bits] * (len(_BARS) - 1) + most - 1) // most] if bits in counts else " "
            for bits in range(min(counts), max(counts) + 1)]
    least, largest = (bucket for bucket in (buckets[0], buckets[-1]))
    return f"sizes {format_size(least['min_bytes'])} {''.join(bars)} {format_size(largest['max_bytes'] + 1)}"


class Summary:
    """Gathers the reports of all workers."""

    def __init__(self, config: pytest.Config, settings: Any) -> None:
        self._config = config
        self._settings = settings
        self._origins = Origins(str(config.rootpath))
        self._results: Dict[str, Dict[str, Any]] = {}
        self._errors: List[str] = []

    def pytest_report_header(self) -> List[str]:
        settings = self._settings
        lines = ["memtap: recording each test"] if settings.records_all else []
        if settings.baseline.path and not settings.baseline.updating:
            lines.append(f"memtap: baseline {settings.baseline.path} of Python {settings.baseline.python}")
        return lines

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        result = getattr(report, "memtap", None)
        if result is not None:
            self._results[report.nodeid] = {"outcome": report.outcome, **result}

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        settings = self._settings
        reasons = [attempt(self._write_json) if settings.json else None,
                   attempt(lambda: settings.baseline.write(self._results)) if settings.baseline.updating else None,
                   attempt(lambda: settings.last_run.write(self._results)) if settings.last_run else None]
        self._errors = [f"memtap: {reason}" for reason in reasons if reason]
        if self._errors:
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR

    def _write_json(self) -> None:
        tests = [{"nodeid": nodeid, **row} for nodeid, row in self._results.items()]
        write_json(self._settings.json, {"format": JSON_FORMAT, "python": python_version(), "tests": tests})

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self._settings.yields_to:
            terminalreporter.write_line(f"memtap: {self._settings.yields_to} was given, so the limit_* marks are pytest-memray's; "
                                        "memtap's yield")
        shown = self._settings.records_all and not self._settings.hides_summary
        recorded = {nodeid: row for nodeid, row in self._results.items() if "peak_bytes" in row}
        missed = {nodeid: row["not_recorded"] for nodeid, row in self._results.items() if "peak_bytes" not in row}
        lines = [*self._table(recorded), *self._leaks(recorded), *_first_use(recorded), *_missed_lines(missed),
                 *self._baseline_lines(recorded)] if shown and self._results else []
        if lines or self._errors:
            terminalreporter.section("memtap: memory of each test")
        for line in [*lines, *self._errors]:
            terminalreporter.write_line(line)

    def _table(self, recorded: Dict[str, Dict[str, Any]]) -> List[str]:
        limit = self._settings.rows
        order = sorted(recorded, key=lambda nodeid: -recorded[nodeid]["peak_bytes"])
        shown = order[:limit] if limit > 0 else order
        lines = [f"{'peak':>10} {'leaked':>10} {'blocks':>10}  test"] if shown else []
        for nodeid in shown:
            row = recorded[nodeid]
            lines.append(f"{format_size(row['peak_bytes']):>10} {format_size(row['leaked_bytes']):>10} "
                         f"{row['allocations']:>10}  {nodeid}{_dropped(row)}")
            if row["table"]:
                lines.append(f"{'':>34}{format_size(row['table'][0]['bytes'])} at {self._place(row['table'][0])}")
            if row.get("histogram"):
                lines.append(f"{'':>34}{histogram_line(row['histogram'])}")
        if len(order) > len(shown):
            lines.append(f"and {len(order) - len(shown)} tests with smaller peaks (--memtap-rows 0 shows all)")
        return lines

    def _place(self, row: Dict[str, Any]) -> str:
        """"app.py:31 handle ← json/decoder.py:340 raw_decode": the project's line, and what it called where that asked."""
        asked = row["by"]
        own = site({**row, "file": self._origins.short(row["file"] or "?")})
        if str(asked["file"]).startswith("<frozen importlib"):
            return f"{own} ← import"
        by = site({**asked, "file": self._origins.short(asked["file"] or "?")})
        return own if own == by else f"{own} ← {by}"

    def _leaks(self, recorded: Dict[str, Dict[str, Any]]) -> List[str]:
        """What tests that passed left behind, by place; what a failed one holds is its traceback."""
        bytes_: Dict[str, int] = collections.defaultdict(int)
        tests: Dict[str, int] = collections.defaultdict(int)
        for row in recorded.values():
            for leak in row["leaks"] if row["outcome"] == "passed" or row["problems"] else ():
                place = self._place(leak)
                bytes_[place] += leak["bytes"]
                tests[place] += 1
        order = sorted((place for place in bytes_ if bytes_[place] >= LEAK_BYTES), key=lambda place: -bytes_[place])
        if not order:
            return []
        lines = ["", f"{'leaked':>10} {'tests':>10}  by place"]
        lines += [f"{format_size(bytes_[place]):>10} {tests[place]:>10}  {place}" for place in order[:LEAK_PLACES]]
        if len(order) > LEAK_PLACES:
            lines.append(f"and {len(order) - LEAK_PLACES} places that keep less (--memtap-json FILE has all)")
        return lines

    def _baseline_lines(self, recorded: Dict[str, Dict[str, Any]]) -> List[str]:
        baseline = self._settings.baseline
        if not baseline.path:
            return []
        if baseline.updating:
            passed = sum(row["outcome"] == "passed" for row in recorded.values())
            return [f"baseline {baseline.path}: {passed} tests written"]
        new = [nodeid for nodeid in recorded if nodeid not in baseline.tests]
        return [f"baseline: {len(recorded) - len(new)} tests compared, {len(new)} not in it"]


def _first_use(recorded: Dict[str, Dict[str, Any]]) -> List[str]:
    sums: Dict[str, int] = collections.defaultdict(int)
    for row in recorded.values():
        for name, size in row["first_use"].items():
            sums[name] += size
    if not sums:
        return []
    parts = [f"{format_size(sums[name])} {name}" for name in sorted(sums, key=lambda name: -sums[name])[:LEAK_PLACES]]
    return [f"filled at first use, in no test's leaked bytes: {', '.join(parts)}"]


def _dropped(row: Dict[str, Any]) -> str:
    if row["dropped_events"] is None:
        return "  (the recording ended early: lower bounds)"
    return f"  ({row['dropped_events']} events lost: lower bounds)" if row["dropped_events"] else ""


def _missed_lines(missed: Dict[str, str]) -> List[str]:
    return [f"not recorded: {nodeid}: {reason}" for nodeid, reason in missed.items()]
