"""pytest plugin: the memory of each test.

    @pytest.mark.limit_memory("24 MB")                the test fails when its peak is higher
    @pytest.mark.limit_leaks("1 KB")                  … when one call stack leaves more than that behind
    @pytest.mark.limit_leaked_objects()               … when Python objects stay
    pytest --memtap                                   record every test, say peak and leaks at the end
    pytest --memtap-baseline memory.json              … and fail when one needs more than it did (--memtap-update-baseline writes it)
    pytest --memtap-json report.json                  everything, for other programs

Decides: a test with a limit is recorded always, others when `--memtap`, another --memtap option or `memtap = true` in the ini
file asks for it; `--no-memtap` switches all of it off. Only the test's own function is recorded, not its fixtures, nor the
runner (_pytest_call.py). A limit that could not be checked fails the test: an unmeasured test has not passed. Blocks that
existed before the test do not count; cyclic garbage is collected before leaks are counted. KB and KiB are both 1024 bytes.
Runs in xdist's workers and gathers in the controller; children a test forks are not counted. Beside pytest-memray, which has
marks of the same names, one of the two acts: memray when `--memray` is given, else memtap.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from typing import Any, Dict, Generator, List, Optional

import pytest

from memtap._origin import Origins, sites
from memtap._pytest_baseline import Baseline, LastRun, numbers_of, parse_tolerance
from memtap._pytest_call import Call, Measurement, Window, muted, own_words
from memtap._pytest_limits import MARKERS, ROWS_PER_TEST, Shown, has_limit, limits_of
from memtap._pytest_summary import Summary, attempt

_IMPLYING = ("memtap", "memtap_native", "memtap_aggregate", "memtap_dir", "memtap_json", "memtap_baseline",
             "memtap_update_baseline", "memtap_fail_on_increase")
_SHARED_MEMORY = "/dev/shm"
_ROOM_BYTES = 4 << 30  # free, with other workers' traces beside
_FLAGS = ("memtap_native", "memtap_hide_summary", "memtap_fail_on_increase")  # also in the ini file


class MemoryLimitError(pytest.fail.Exception):  # type: ignore[name-defined,misc]
    """A test used more memory than it may; reported without a traceback."""

    __module__ = "builtins"  # pytest prints the name with its module, "builtins" excepted

    def __init__(self, problems: List[str]) -> None:
        super().__init__("\n".join(problems), pytrace=False)


# ---- options ---------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("memtap", "memory of each test")
    group.addoption("--memtap", action="store_true", help="record each test; peak and leaks in the summary")
    group.addoption("--no-memtap", action="store_true", help="record nothing, also where a limit_* mark asks for it")
    group.addoption("--memtap-native", action="store_true", help="with native frames in the stacks (slower)")
    group.addoption("--memtap-aggregate", action="store_true", help="traces of bounded size, for very many allocations")
    group.addoption("--memtap-rows", "--memtap-most-allocations", metavar="N",
                    help="tests in the summary, largest peak first (10; 0: all)")
    group.addoption("--memtap-stacks", metavar="N", help="Python frames shown of a stack when a limit is not kept (4)")
    group.addoption("--memtap-hide-summary", action="store_true", help="no summary at the end")
    group.addoption("--memtap-dir", metavar="DIR", help="keep every test's trace in this folder")
    group.addoption("--memtap-json", metavar="FILE", help="write the results as JSON")
    group.addoption("--memtap-baseline", metavar="FILE", help="fail tests that need more memory than this file says")
    group.addoption("--memtap-update-baseline", action="store_true", help="write the results into the baseline instead")
    group.addoption("--memtap-fail-on-increase", action="store_true", help="fail tests that need more than when they last passed")
    group.addoption("--memtap-tolerance", metavar="N%|SIZE", help="growth that is allowed by these two (10%%)")
    parser.addini("memtap", "record each test, as --memtap", type="bool", default=False)
    for name in _FLAGS:
        parser.addini(name, f"as --{name.replace('_', '-')}", type="bool", default=False)
    parser.addini("memtap_rows", "as --memtap-rows", default="")
    parser.addini("memtap_most_allocations", "as --memtap-rows", default="")
    parser.addini("memtap_stacks", "as --memtap-stacks", default="4")
    parser.addini("memtap_baseline", "as --memtap-baseline", default="")
    parser.addini("memtap_tolerance", "as --memtap-tolerance", default="10%")


class Settings:
    """What options and ini file say, checked. UsageError for what cannot be meant."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.off: bool = config.option.no_memtap
        self.records_all = not self.off and bool(config.getini("memtap") or any(config.getoption(name) for name in _IMPLYING))
        self.native, self.hides_summary, increase = (
            bool(config.getoption(name) or config.getini(name)) for name in _FLAGS)
        self.aggregate: bool = config.option.memtap_aggregate
        self.rows = self._count("--memtap-rows", config.option.memtap_rows or config.getini("memtap_rows")
                                or config.getini("memtap_most_allocations") or "10", 0, "tests, 0 for all")
        self.stacks = self._count("--memtap-stacks", config.option.memtap_stacks or config.getini("memtap_stacks"), 1,
                                  "frames, at least 1")
        self.verbose: int = config.option.verbose
        self.folder = self._path("memtap_dir")
        self.json = self._path("memtap_json")
        self.yields_to = _memray_option(config) if not self.off else None
        try:
            tolerance = parse_tolerance(str(config.option.memtap_tolerance or config.getini("memtap_tolerance")))
        except ValueError as error:
            raise pytest.UsageError(f"--memtap-tolerance: {error}") from None
        path = self._path("memtap_baseline", str(config.getini("memtap_baseline")))
        updating = config.option.memtap_update_baseline
        self.baseline = Baseline(path if self.records_all else None, updating and not self.off, tolerance)
        self.last_run = LastRun(config, tolerance) if increase and not self.off else None
        self._prepare_folder()

    def _count(self, option: str, value: str, least: int, what: str) -> int:
        text = str(value).strip()
        if not text.isdecimal() or int(text) < least:
            raise pytest.UsageError(f"{option}: {value!r} is not a number of {what}")
        return int(text)

    def _path(self, name: str, default: str = "") -> Optional[str]:
        """Absolute: workers of xdist may run elsewhere."""
        path = self._config.getoption(name) or default
        value = os.path.abspath(path) if path else None
        setattr(self._config.option, name, value)
        if value is not None and name != "memtap_dir" and os.path.isdir(value):
            raise pytest.UsageError(f"--{name.replace('_', '-')}: {path} is a folder, give a file")
        return value

    def _prepare_folder(self) -> None:
        if self.folder is not None and not self.off:
            try:
                os.makedirs(self.folder, exist_ok=True)
            except OSError as error:
                raise pytest.UsageError(f"--memtap-dir: {error.strerror}: {self.folder}; give a folder that can be written") from None

    @property
    def thorough(self) -> bool:
        """Do numbers of all recorded tests decide about them?"""
        return bool(self.baseline.path) or self.last_run is not None


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    settings = Settings(config)
    if settings.off:
        return
    if settings.yields_to is None:
        _switch_memray_off(config)
    config.pluginmanager.register(Recorder(config, settings), "memtap-recorder")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Summary(config, settings), "memtap-summary")


# ---- beside pytest-memray ----------------------------------------------------------------------------------------------


def _memray_option(config: pytest.Config) -> Optional[str]:
    """"--memray" or "memray = true" where pytest-memray is installed and was asked for, else None."""
    if not config.pluginmanager.has_plugin("memray_manager"):
        return None
    if config.getoption("memray", False):
        return "--memray"
    try:
        return "memray = true" if config.getini("memray") else None
    except (KeyError, ValueError):
        return None


class _MemrayCleanup:
    """The last step of pytest-memray's manager, which removes its folder, without the others."""

    def __init__(self, manager: Any) -> None:
        self.pytest_unconfigure = manager.pytest_unconfigure


def _switch_memray_off(config: pytest.Config) -> None:
    """pytest-memray acts on marks also without its option."""
    manager = config.pluginmanager.get_plugin("memray_manager")
    if manager is None:
        return
    config.pluginmanager.unregister(manager)
    if hasattr(manager, "pytest_unconfigure"):
        config.pluginmanager.register(_MemrayCleanup(manager), "memtap-memray-cleanup")


# ---- recording (in every worker) ---------------------------------------------------------------------------------------


class Recorder:
    """Records the call of tests, checks their limits, and puts the numbers on their reports as `report.memtap`."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self._config = config
        self._settings = settings
        self._marks_act = settings.yields_to is None
        self._results: Dict[str, Dict[str, Any]] = {}
        self._window: Optional[Window] = None  # of the test that is running
        self._folder: Optional[str] = settings.folder
        self._origins: Optional[Origins] = None
        self._keeps_hooks = False

    def pytest_unconfigure(self) -> None:
        if self._folder is not None and not self._settings.folder:
            shutil.rmtree(self._folder, ignore_errors=True)
        if self._keeps_hooks:
            attempt(lambda: _keep_hooks(False))

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: List[pytest.Item]) -> None:
        if self._marks_act:
            for item in items:
                limits_of(item)  # a wrong mark stops the run before it begins
        if not any(self._records(item) for item in items):
            self._config.pluginmanager.unregister(self)  # a run without memtap costs nothing

    def _records(self, item: pytest.Item) -> bool:
        if item.get_closest_marker("no_memtap"):
            return False
        return self._settings.records_all or (self._marks_act and has_limit(item))

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, None]:
        """Innermost of the wrappers: what others do around the test is not the test's."""
        if not self._records(item):
            yield
            return
        limits = limits_of(item) if self._marks_act else []
        self._warm_up(item, limits)
        with contextlib.ExitStack() as account:
            reason = attempt(lambda: account.enter_context(muted()))
            calls: List[Call] = []
            if reason is None:
                reason = attempt(lambda: calls.append(self._begin(item, limits)))
            call = calls[0] if calls else None
            take_away = call.window.place(item) if call else lambda: None
            outcome = yield
            take_away()
            self._window = None
            self._finish(item, limits, call, reason, outcome)

    def _begin(self, item: pytest.Item, limits: List[Any]) -> Call:
        if not self._keeps_hooks:
            _keep_hooks(True)
            self._keeps_hooks = True
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="memtap-pytest-", dir=_memory_folder())
        if self._origins is None:
            self._origins = Origins(str(self._config.rootpath))
        objects = _counts_objects(limits)
        call = Call(self._trace_path(item.nodeid), self._origins, native=self._settings.native,
                    aggregate=self._settings.aggregate and not objects, thread=any(limit.thread for limit in limits), objects=objects)
        call.start()
        self._window = call.window
        return call

    def _finish(self, item: pytest.Item, limits: List[Any], call: Optional[Call], reason: Optional[str], outcome: Any) -> None:
        measurement = None
        if call is not None:
            reason = attempt(lambda: call.stop(bool(limits) or self._settings.thorough))
            measurement, reason = self._read(call) if reason is None else (None, reason)
            if not call.window.opened:
                if outcome.excinfo is not None:
                    return  # skipped before it began
                measurement, reason = None, "the function of this test was not called by pytest or unittest"
        problems = self._judge(item, limits, measurement, reason)
        self._results[item.nodeid] = self._result(measurement, reason, problems)
        if measurement is not None:
            item.user_properties.append(("memtap_peak_bytes", measurement.peak_bytes))
            item.user_properties.append(("memtap_leaked_bytes", measurement.leaked_bytes))
        if problems and outcome.excinfo is None:
            _force_failure(outcome, MemoryLimitError(problems))

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: Any) -> Generator[None, Any, None]:
        with self._not_the_tests():
            outcome = yield
        if call.when == "call" and self._window is None:  # not of a subtest
            outcome.get_result().memtap = self._results.pop(item.nodeid, None)

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, Any, None]:
        with self._not_the_tests():
            if self._window is not None and hasattr(report, "context"):
                own_words(report.context)
            yield

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_fixture_setup(self) -> Generator[None, Any, None]:
        with self._not_the_tests():
            yield

    def _not_the_tests(self) -> Any:
        return self._window.closed() if self._window is not None else contextlib.nullcontext()

    def _warm_up(self, item: pytest.Item, limits: List[Any]) -> None:
        for _ in range(max((limit.warmups for limit in limits), default=0)):
            try:
                item.runtest()
            except (Exception, pytest.skip.Exception, pytest.fail.Exception):
                return  # the recorded run shows it

    def _trace_path(self, nodeid: str) -> str:
        readable = re.sub(r"[^\w.-]+", "-", nodeid)[-80:].strip("-")
        return os.path.join(str(self._folder), f"{readable}-{hashlib.sha1(nodeid.encode()).hexdigest()[:8]}.mtap")

    def _read(self, call: Call) -> Any:
        found: List[Measurement] = []
        reason = attempt(lambda: found.append(call.measure()))
        if not self._settings.folder:
            attempt(lambda: os.unlink(call.path))
        return (found[0] if found else None), reason

    def _judge(self, item: pytest.Item, limits: List[Any], measurement: Optional[Measurement], reason: Any) -> List[str]:
        if measurement is None:
            return [f"memtap: the limits could not be checked: {reason}"] if limits else []
        assert self._origins is not None
        shown = Shown(self._settings.stacks, self._settings.native, self._settings.verbose > 1, self._origins)
        problems = [line for limit in limits for line in limit.problems(measurement, shown)]
        if limits and not problems and measurement.incomplete is not None:
            return [f"memtap: the limits could not be checked: {measurement.incomplete}"]
        problems += self._settings.baseline.problems(item.nodeid, measurement)
        return problems + (self._settings.last_run.problems(item.nodeid, measurement) if self._settings.last_run else [])

    def _result(self, measurement: Optional[Measurement], reason: Optional[str], problems: List[str]) -> Dict[str, Any]:
        """What travels with the report: plain data, a few KB."""
        if measurement is None:
            return {"not_recorded": reason, "problems": problems}
        left_out = ("table", "leaks", "peak_stacks", "thread", "objects", *(() if self._settings.verbose > 0 else ("histogram",)))
        numbers = {key: value for key, value in measurement._asdict().items() if key not in left_out}
        rows = {"table": measurement.table[:ROWS_PER_TEST], "leaks": sites(measurement.leaks, ROWS_PER_TEST)}
        return {**numbers, **rows, "steady": numbers_of(measurement), "problems": problems}


def _memory_folder() -> Optional[str]:
    """A folder in memory with room for large traces, which live as long as a test; None: where temporary files go.

    On a disk half the time of a short test went into making a file and giving its blocks back."""
    if any(os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP")):
        return None
    try:
        room = os.statvfs(_SHARED_MEMORY)
    except OSError:
        return None
    roomy = room.f_bavail * room.f_frsize >= _ROOM_BYTES
    return _SHARED_MEMORY if roomy and os.access(_SHARED_MEMORY, os.W_OK | os.X_OK) else None


def _keep_hooks(keep: bool) -> None:
    from memtap import _agent  # late: a test run that records nothing pays nothing

    _agent.keep_hooks(keep)


def _counts_objects(limits: List[Any]) -> bool:
    return any(hasattr(limit, "counts") for limit in limits)


def _force_failure(outcome: Any, error: BaseException) -> None:
    if hasattr(outcome, "force_exception"):
        outcome.force_exception(error)
    else:  # pluggy before 1.1
        outcome._excinfo = (type(error), error, error.__traceback__)
