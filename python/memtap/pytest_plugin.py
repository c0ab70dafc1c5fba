"""pytest plugin: the memory of each test.

    pytest --memtap                                   record each test, say peak and leaks at the end
    @pytest.mark.limit_memory("24 MB")                the test fails when its peak is higher
    @pytest.mark.limit_leaks("1 KB")                  … when one call stack leaves more than that behind
    pytest --memtap-baseline memory.json              … when it needs more than it did (--memtap-update-baseline writes it)
    pytest --memtap-json report.json                  everything, for other programs

Decides: only the test's own call is recorded, not its fixtures; marks act when recording is on (`--memtap`, any other
--memtap option, or `memtap = true` in the ini file). A limit that could not be checked fails the test: an unmeasured test
has not passed. Blocks that existed before the test do not count; cyclic garbage is collected before leaks are counted. KB
and KiB are both 1024 bytes. Runs in xdist's workers and gathers in the controller; children a test forks are not counted.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, Generator, List, Optional

import pytest

from memtap._measure import Measurement, Recording, format_size, parse_size, stack_of
from memtap._text import shown

NOISE_BYTES = 64 * 1024  # growth over a baseline that is never held against a test: caches, free lists, dictionaries
JSON_FORMAT = 1
BASELINE_KEYS = ("peak_bytes", "leaked_bytes")
ROWS_PER_TEST = 5

MARKERS = (
    "limit_memory(size): fail the test when it needs more memory at its peak, e.g. '24 MB' (needs --memtap)",
    "limit_leaks(size, filter_fn=None, warmups=0): fail the test when a call stack leaves more than that behind; "
    "filter_fn(stack) says which stacks count, warmups runs the test that many times before (needs --memtap)",
    "no_memtap: do not record this test",
)


class MemoryLimitError(pytest.fail.Exception):  # type: ignore[name-defined,misc]
    """A test used more memory than it may; reported without a traceback."""

    __module__ = "builtins"  # pytest prints the name with its module, "builtins" excepted

    def __init__(self, problems: List[str]) -> None:
        super().__init__("\n".join(problems), pytrace=False)


# ---- options ---------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("memtap", "memory of each test")
    group.addoption("--memtap", action="store_true", help="record each test; peak and leaks in the summary")
    group.addoption("--memtap-native", action="store_true", help="with native frames in the stacks (slower)")
    group.addoption("--memtap-aggregate", action="store_true", help="traces of bounded size, for very many allocations")
    group.addoption("--memtap-rows", type=int, metavar="N", help="tests in the summary, largest peak first (10; 0: all)")
    group.addoption("--memtap-dir", metavar="DIR", help="keep every test's trace in this folder")
    group.addoption("--memtap-json", metavar="FILE", help="write the results as JSON")
    group.addoption("--memtap-baseline", metavar="FILE", help="fail tests that need more memory than this file says")
    group.addoption("--memtap-update-baseline", action="store_true", help="write the results into the baseline instead")
    group.addoption("--memtap-tolerance", metavar="N%|SIZE", help="growth over the baseline that is allowed (10%%)")
    parser.addini("memtap", "record each test, as --memtap", type="bool", default=False)
    parser.addini("memtap_rows", "as --memtap-rows", default="10")
    parser.addini("memtap_baseline", "as --memtap-baseline", default="")
    parser.addini("memtap_tolerance", "as --memtap-tolerance", default="10%")


def _option(config: pytest.Config, name: str) -> Any:
    """The command line's value, else the ini file's."""
    value = config.getoption("memtap_" + name)
    return config.getini("memtap_" + name) if value is None else value


def _is_active(config: pytest.Config) -> bool:
    options = ("memtap", "memtap_native", "memtap_aggregate", "memtap_dir", "memtap_json", "memtap_baseline",
               "memtap_update_baseline")
    return config.getini("memtap") or any(config.getoption(name) for name in options)


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    if not _is_active(config):
        return
    for name in ("memtap_dir", "memtap_json", "memtap_baseline"):  # workers of xdist may run elsewhere
        path = getattr(config.option, name) or (config.getini(name) if name == "memtap_baseline" else None)
        setattr(config.option, name, os.path.abspath(str(path)) if path else None)
    config.pluginmanager.register(Recorder(config), "memtap-recorder")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Summary(config), "memtap-summary")


# ---- the baseline ----------------------------------------------------------------------------------------------------


def parse_tolerance(text: str) -> Callable[[int], int]:
    """"10%" or "1 MB" as a function from the baseline's bytes to the bytes allowed. ValueError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", text)
    if match:
        share = float(match.group(1)) / 100
        return lambda bytes_: bytes_ + max(NOISE_BYTES, int(bytes_ * share))
    growth = parse_size(text)
    return lambda bytes_: bytes_ + max(NOISE_BYTES, growth)


def python_version() -> str:
    """"3.11" """
    return "{}.{}".format(*sys.version_info)


class Baseline:
    """What each test needed: {"format": 1, "python": "3.11", "tests": {nodeid: {"peak_bytes": n, "leaked_bytes": n}}}."""

    def __init__(self, config: pytest.Config) -> None:
        self.path: Optional[str] = config.option.memtap_baseline
        self.updating: bool = config.option.memtap_update_baseline
        self.tests: Dict[str, Dict[str, int]] = {}
        self.python = python_version()
        if self.updating and not self.path:
            raise pytest.UsageError("--memtap-update-baseline needs --memtap-baseline FILE")
        try:
            self._allowed = parse_tolerance(str(_option(config, "tolerance")))
        except ValueError as error:
            raise pytest.UsageError(f"--memtap-tolerance: {error}") from None
        if self.path and not (self.updating and not os.path.exists(self.path)):
            self._read(self.path)

    def _read(self, path: str) -> None:
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            if content["format"] != JSON_FORMAT:
                raise ValueError(f"format {content['format']} is not {JSON_FORMAT}")
            self.tests = {nodeid: {key: int(row[key]) for key in BASELINE_KEYS} for nodeid, row in content["tests"].items()}
            self.python = content["python"]
        except FileNotFoundError:
            raise pytest.UsageError(f"no baseline {path}: write it with --memtap-update-baseline") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise pytest.UsageError(f"cannot read the baseline {path}: {error!r}") from None

    def problems(self, nodeid: str, measurement: Measurement) -> List[str]:
        """Where a test exceeds its baseline."""
        known = {} if self.updating else self.tests.get(nodeid, {})
        found = []
        for key, before in known.items():
            now = getattr(measurement, key)
            if now > self._allowed(before):
                found.append(f"memtap: {key[:-6]} is {format_size(now)}, the baseline has {format_size(before)} and "
                             f"{format_size(self._allowed(before))} would be allowed")
        return found

    def write(self, results: Dict[str, Dict[str, Any]]) -> None:
        """Adds the passed tests of this run to the file; the file is replaced as a whole or not at all."""
        passed = {nodeid: row for nodeid, row in results.items() if row["outcome"] == "passed" and "peak_bytes" in row}
        tests = {**self.tests, **{nodeid: {key: row[key] for key in BASELINE_KEYS} for nodeid, row in passed.items()}}
        _write_json(str(self.path), {"format": JSON_FORMAT, "python": python_version(), "tests": dict(sorted(tests.items()))})


def _write_json(path: str, content: Dict[str, Any]) -> None:
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=os.path.basename(path), suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
            file.write("\n")
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


# ---- limits ----------------------------------------------------------------------------------------------------------


class MemoryLimit:
    """@pytest.mark.limit_memory(size)"""

    def __init__(self, size: Any) -> None:
        self.bytes = parse_size(size)

    def problems(self, measurement: Measurement) -> List[str]:
        if measurement.peak_bytes <= self.bytes:
            return []
        return [f"memtap: the peak is {format_size(measurement.peak_bytes)}, limit_memory allows {format_size(self.bytes)}",
                *_describe_rows("at the peak", measurement.table)]


class LeakLimit:
    """@pytest.mark.limit_leaks(size, filter_fn=None, warmups=0); per call stack."""

    def __init__(self, size: Any, filter_fn: Optional[Callable[[Any], bool]] = None, warmups: int = 0) -> None:
        self.bytes = parse_size(size)
        self.filter = filter_fn
        self.warmups = warmups

    def problems(self, measurement: Measurement) -> List[str]:
        rows = [row for row in measurement.leaks if row["bytes"] > self.bytes and self._counts(row)]
        if not rows:
            return []
        total = format_size(sum(row["bytes"] for row in rows))
        stacks = "1 call stack" if len(rows) == 1 else f"{len(rows)} call stacks"
        return [f"memtap: {total} left behind by {stacks}, limit_leaks allows {format_size(self.bytes)} each",
                *_describe_rows("left behind", rows)]

    def _counts(self, row: Dict[str, Any]) -> bool:
        return self.filter is None or bool(self.filter(stack_of(row)))


_RUNNER = re.compile(r"/(_pytest|pluggy)/|/unittest/case\.py$")  # what called the test says nothing


def _describe_rows(what: str, rows: List[Dict[str, Any]]) -> List[str]:
    lines = []
    for row in rows[:ROWS_PER_TEST]:
        lines.append(f"  {format_size(row['bytes'])} {what} in {row['count']} blocks: {_site(row)}")
        for frame in (row.get("stack") or [])[1:4]:
            if _RUNNER.search(frame.get("file") or ""):
                break
            lines.append(f"      called from {_site(frame)}")
    return lines


def _site(frame: Dict[str, Any]) -> str:
    return shown(f"{frame.get('file') or '?'}:{frame.get('line') or 0} {frame.get('function') or '?'}")


LIMITS = {"limit_memory": MemoryLimit, "limit_leaks": LeakLimit}


def limits_of(item: pytest.Item) -> List[Any]:
    """The limits in force for a test: of each kind the mark closest to it. UsageError for wrong arguments."""
    limits = []
    for name, kind in LIMITS.items():
        mark = item.get_closest_marker(name)
        if mark is None:
            continue
        try:
            limits.append(kind(*mark.args, **mark.kwargs))
        except (TypeError, ValueError) as error:
            raise pytest.UsageError(f"{item.nodeid}: {name}: {error}") from None
    if any(getattr(limit, "warmups", 0) for limit in limits) and _is_unittest(item):
        raise pytest.UsageError(f"{item.nodeid}: limit_leaks: warmups work for test functions, not for unittest's methods")
    return limits


def _is_unittest(item: pytest.Item) -> bool:
    owner, unittest = getattr(item, "cls", None), sys.modules.get("unittest")  # who has not imported it has no such test
    return owner is not None and unittest is not None and issubclass(owner, unittest.TestCase)


# ---- recording (in every worker) ---------------------------------------------------------------------------------------


class Recorder:
    """Records the call of each test, checks its limits, and puts the numbers on its report as `report.memtap`."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._baseline = Baseline(config)
        self._results: Dict[str, Dict[str, Any]] = {}
        self._kept: Optional[str] = config.option.memtap_dir
        self._folder = self._kept or tempfile.mkdtemp(prefix="memtap-pytest-")
        os.makedirs(self._folder, exist_ok=True)

    def pytest_unconfigure(self) -> None:
        if not self._kept:
            shutil.rmtree(self._folder, ignore_errors=True)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: List[pytest.Item]) -> None:
        for item in items:
            limits_of(item)  # a wrong mark stops the run before it begins

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, None]:
        """Innermost of the wrappers: what others do around the test is not the test's."""
        if item.get_closest_marker("no_memtap"):
            yield
            return
        limits = limits_of(item)
        self._warm_up(item, limits)
        mode = "aggregate" if self._config.option.memtap_aggregate else "exact"
        recording = Recording(self._trace_path(item.nodeid), mode=mode, overwrite=True,
                              native=self._config.option.memtap_native)
        reason = _attempt(recording.start)
        outcome = yield
        measurement = None
        if reason is None:
            reason = _attempt(lambda: recording.stop(thorough=bool(limits) or bool(self._baseline.path)))
        if reason is None:
            measurement, reason = self._read(recording)
        problems = self._judge(item, limits, measurement, reason)
        self._results[item.nodeid] = _result(measurement, reason, problems)
        if measurement is not None:
            item.user_properties.append(("memtap_peak_bytes", measurement.peak_bytes))
            item.user_properties.append(("memtap_leaked_bytes", measurement.leaked_bytes))
        if problems and outcome.excinfo is None:
            _force_failure(outcome, MemoryLimitError(problems))

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: Any) -> Generator[None, Any, None]:
        outcome = yield
        if call.when == "call":
            outcome.get_result().memtap = self._results.pop(item.nodeid, None)

    def _warm_up(self, item: pytest.Item, limits: List[Any]) -> None:
        for _ in range(max((getattr(limit, "warmups", 0) for limit in limits), default=0)):
            try:
                item.runtest()
            except (Exception, pytest.skip.Exception, pytest.fail.Exception):
                return  # the recorded run shows it

    def _trace_path(self, nodeid: str) -> str:
        readable = re.sub(r"[^\w.-]+", "-", nodeid)[-80:].strip("-")
        return os.path.join(self._folder, f"{readable}-{hashlib.sha1(nodeid.encode()).hexdigest()[:8]}.mtap")

    def _read(self, recording: Recording) -> Any:
        found: List[Measurement] = []
        reason = _attempt(lambda: found.append(recording.read()))
        if not self._kept:
            for name in os.listdir(self._folder):  # the traces of forked children too
                _attempt(lambda: os.unlink(os.path.join(self._folder, name)))
        return (found[0] if found else None), reason

    def _judge(self, item: pytest.Item, limits: List[Any], measurement: Optional[Measurement], reason: Any) -> List[str]:
        if measurement is None:
            return [f"memtap: the limits could not be checked: {reason}"] if limits else []
        if measurement.unseen is not None and limits:
            return [f"memtap: the limits could not be checked: {measurement.unseen}"]
        problems = [line for limit in limits for line in limit.problems(measurement)]
        return problems + self._baseline.problems(item.nodeid, measurement)


def _attempt(action: Callable[[], Any]) -> Optional[str]:
    """Does it; why it failed, or None. A test run goes on without its recording."""
    try:
        action()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def _force_failure(outcome: Any, error: BaseException) -> None:
    if hasattr(outcome, "force_exception"):
        outcome.force_exception(error)
    else:  # pluggy before 1.1
        outcome._excinfo = (type(error), error, error.__traceback__)


def _result(measurement: Optional[Measurement], reason: Optional[str], problems: List[str]) -> Dict[str, Any]:
    """What travels with the report: plain data, a few KB."""
    if measurement is None:
        return {"not_recorded": reason, "problems": problems}
    numbers = {key: value for key, value in measurement._asdict().items() if key not in ("table", "leaks")}
    rows = {key: [_site_row(row) for row in getattr(measurement, key)[:ROWS_PER_TEST]] for key in ("table", "leaks")}
    return {**numbers, **rows, "problems": problems}


def _site_row(row: Dict[str, Any]) -> Dict[str, Any]:
    return {key: row.get(key) for key in ("function", "file", "line", "bytes", "count")}


# ---- the summary (in the controller) -----------------------------------------------------------------------------------


class Summary:
    """Gathers the reports of all workers: terminal table, JSON, baseline."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._baseline = Baseline(config)
        self._results: Dict[str, Dict[str, Any]] = {}
        self._errors: List[str] = []

    def pytest_report_header(self) -> List[str]:
        lines = ["memtap: recording each test"]
        if self._baseline.path and not self._baseline.updating:
            lines.append(f"memtap: baseline {self._baseline.path} of Python {self._baseline.python}")
        return lines

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        result = getattr(report, "memtap", None)
        if result is not None:
            self._results[report.nodeid] = {"outcome": report.outcome, **result}

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        reasons = [_attempt(self._write_json) if self._config.option.memtap_json else None,
                   _attempt(lambda: self._baseline.write(self._results)) if self._baseline.updating else None]
        self._errors = [f"memtap: {reason}" for reason in reasons if reason]
        if self._errors:
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR

    def _write_json(self) -> None:
        tests = [{"nodeid": nodeid, **row} for nodeid, row in self._results.items()]
        content = {"format": JSON_FORMAT, "python": python_version(), "tests": tests}
        _write_json(self._config.option.memtap_json, content)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        recorded = {nodeid: row for nodeid, row in self._results.items() if "peak_bytes" in row}
        missed = {nodeid: row["not_recorded"] for nodeid, row in self._results.items() if "peak_bytes" not in row}
        if not self._results and not self._errors:
            return
        terminalreporter.section("memtap: memory of each test")
        for line in [*self._table(recorded), *_missed_lines(missed), *self._baseline_lines(recorded), *self._errors]:
            terminalreporter.write_line(line)

    def _table(self, recorded: Dict[str, Dict[str, Any]]) -> List[str]:
        limit = int(_option(self._config, "rows"))
        order = sorted(recorded, key=lambda nodeid: -recorded[nodeid]["peak_bytes"])
        shown = order[:limit] if limit > 0 else order
        lines = [f"{'peak':>10} {'leaked':>10} {'blocks':>10}  test"] if shown else []
        for nodeid in shown:
            row = recorded[nodeid]
            lines.append(f"{format_size(row['peak_bytes']):>10} {format_size(row['leaked_bytes']):>10} "
                         f"{row['allocations']:>10}  {nodeid}{_dropped(row)}")
            if row["table"]:
                lines.append(f"{'':>34}{format_size(row['table'][0]['bytes'])} at {_site(row['table'][0])}")
        if len(order) > len(shown):
            lines.append(f"and {len(order) - len(shown)} tests with smaller peaks (--memtap-rows 0 shows all)")
        return lines

    def _baseline_lines(self, recorded: Dict[str, Dict[str, Any]]) -> List[str]:
        if not self._baseline.path:
            return []
        if self._baseline.updating:
            passed = sum(row["outcome"] == "passed" for row in recorded.values())
            return [f"baseline {self._baseline.path}: {passed} tests written"]
        new = [nodeid for nodeid in recorded if nodeid not in self._baseline.tests]
        return [f"baseline: {len(recorded) - len(new)} tests compared, {len(new)} not in it"]


def _dropped(row: Dict[str, Any]) -> str:
    if row["dropped_events"] is None:
        return "  (the recording ended early: lower bounds)"
    return f"  ({row['dropped_events']} events lost: lower bounds)" if row["dropped_events"] else ""


def _missed_lines(missed: Dict[str, str]) -> List[str]:
    return [f"not recorded: {nodeid}: {reason}" for nodeid, reason in missed.items()]
