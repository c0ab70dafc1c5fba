"""memtap.pytest_plugin: runs of pytest on small projects whose memory is known by construction."""

import importlib.util
import json
import os

import pytest

from memtap import _measure
pytest_plugins = ["pytester", "pytest_project"]
MIB = 1024 * 1024
NOISE = 256 * 1024  # what a test's call allocates beside its own blocks

EXAMPLES = """
    import pytest
    KEPT = []

    def make(size):
        return bytearray(size)

    def test_peak():
        block = make(8 << 20)
        del block

    def test_leak():
        KEPT.append(make(3 << 20))

    def test_nothing():
        pass
"""


def test_each_test_has_its_peak_and_its_leaks(project):
    result = project(EXAMPLES, "--memtap")
    result.assert_outcomes(passed=3)
    tests = result.tests
    assert 8 * MIB <= tests["test_peak"]["peak_bytes"] < 8 * MIB + NOISE
    assert tests["test_peak"]["leaked_bytes"] < NOISE
    assert 3 * MIB <= tests["test_leak"]["leaked_bytes"] < 3 * MIB + NOISE
    assert tests["test_nothing"]["peak_bytes"] < NOISE
    top = tests["test_peak"]["table"][0]
    assert (top["function"], os.path.basename(top["file"]), top["line"]) == ("make", "test_it.py", 5)
    assert tests["test_leak"]["leaks"][0]["line"] == 5 and tests["test_leak"]["leaks"][0]["bytes"] >= 3 * MIB


def test_bounded_traces_have_the_same_numbers(project):
    source = EXAMPLES + """
    def test_many():
        for number in range(200_000):
            str(number)
    """
    exact = project(source, "--memtap", "--memtap-dir", "exact").tests
    bounded = project(source, "--memtap-aggregate", "--memtap-dir", "bounded").tests
    for name, row in exact.items():
        assert bounded[name]["allocations"] == pytest.approx(row["allocations"], rel=0.01, abs=100)
        assert bounded[name]["peak_bytes"] == pytest.approx(row["peak_bytes"], abs=NOISE)
        assert bounded[name]["leaked_bytes"] == pytest.approx(row["leaked_bytes"], abs=NOISE)
    sizes = [sum(path.stat().st_size for path in (project.path / name).glob("*test_many*")) for name in ("exact", "bounded")]
    assert sizes[1] < sizes[0] / 2


def test_native_stacks_have_native_frames(project):
    if importlib.util.find_spec("numpy") is None:
        pytest.skip("no numpy")
    result = project("""
        import numpy
        KEPT = []
        def test_it():
            KEPT.append(numpy.ones(1 << 18))
    """, "--memtap-native")
    top = result.tests["test_it"]["leaks"][0]
    assert 2 * MIB <= top["bytes"] < 2 * MIB + NOISE and top["file"].endswith("test_it.py")
    assert "numpy" in top["by"]["file"]


def test_the_summary_shows_the_largest_first(project):
    result = project(EXAMPLES, "--memtap", "--memtap-rows", "2", json_file=None)
    result.stdout.fnmatch_lines([
        "*memtap: memory of each test*",
        "* peak * leaked * blocks  test",
        "* 8.? MiB * test_it.py::test_peak",
        "* 8.? MiB at *test_it.py:5 make",
        "* 3.? MiB * 3.? MiB * test_it.py::test_leak",
        "and 1 tests with smaller peaks*",
    ])
    assert "test_nothing" not in result.text.split("memory of each test")[1]


def test_without_the_option_nothing_is_recorded_and_marks_are_known(project):
    result = project("""
        import pytest
        @pytest.mark.limit_memory("1 KB")
        @pytest.mark.limit_leaks("1 KB")
        @pytest.mark.limit_leaked_objects
        @pytest.mark.no_memtap
        def test_large():
            assert len(bytearray(4 << 20))
        def test_any():
            pass
    """, "--strict-markers", json_file=None)
    result.assert_outcomes(passed=2)
    assert "memtap" not in result.text.replace("memtap.pytest_plugin", "")


def test_limit_memory(project):
    result = project("""
        import pytest
        @pytest.mark.limit_memory("4 MB")
        def test_above():
            bytearray(5 << 20)
        @pytest.mark.limit_memory("4 MB")
        def test_below():
            bytearray(3 << 20)
    """, "--memtap")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines([
        "memtap: the peak is 5.? MiB, limit_memory allows 4.0 MiB",
        "  5.0 MiB at the peak in * blocks: *test_it.py:4 test_above",
    ])
    assert result.tests["test_above"]["outcome"] == "failed" and result.tests["test_above"]["problems"]
    assert "pytest_plugin.py" not in result.text.split("short test summary")[0].split("memory of each test")[0]


def test_limit_leaks_is_per_stack_and_ignores_cyclic_garbage(project):
    result = project("""
        import pytest
        KEPT = []
        class Node:
            def __init__(self):
                self.itself, self.block = self, bytearray(1 << 20)
        @pytest.mark.limit_leaks("64 KB")
        def test_leaks():
            KEPT.append(bytearray(200_000))
        @pytest.mark.limit_leaks("256 KB")
        def test_two_stacks_below():
            KEPT.append(bytearray(200_000))
            KEPT.append(bytearray(200_000))
        @pytest.mark.limit_leaks("64 KB")
        def test_cycles():
            for _ in range(5):
                Node()
    """, "--memtap")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["memtap: 195.* KiB left behind by 1 call stack, limit_leaks allows 64.0 KiB each",
                                 "  195.* KiB left behind in * blocks: *test_it.py:8 test_leaks"])
    assert "called from" not in result.text  # by pytest, which goes without saying


def test_garbage_is_collected_whether_young_or_old(project):
    result = project("""
        import gc
        class Node:
            def __init__(self):
                self.itself, self.block = self, bytearray(1 << 20)
        def test_young():
            gc.disable()
            Node()
        def test_old():
            node = Node()
            for _ in range(3):
                gc.collect()
            del node
    """, "--memtap")
    assert [result.tests[name]["leaked_bytes"] < NOISE for name in ("test_young", "test_old")] == [True, True]


def test_the_message_names_the_callers_inside_the_test(project):
    result = project("""
        import pytest
        KEPT = []
        def inner():
            KEPT.append(bytearray(1 << 20))
        def outer():
            inner()
        @pytest.mark.limit_leaks("64 KB")
        def test_it():
            outer()
    """, "--memtap")
    result.stdout.fnmatch_lines(["  1.0 MiB left behind in * blocks: *test_it.py:4 inner",
                                 "      called from *test_it.py:6 outer",
                                 "      called from *test_it.py:9 test_it"])
    assert result.text.count("called from") == 2


def test_limit_leaks_with_a_filter(project):
    result = project("""
        import pytest
        CACHE, KEPT = [], []
        def fill_cache():
            CACHE.append(bytearray(1 << 20))
        def not_the_cache(stack):
            return all(frame.function != "fill_cache" for frame in stack.frames)
        @pytest.mark.limit_leaks("64 KB", filter_fn=not_the_cache)
        def test_cache():
            fill_cache()
        @pytest.mark.limit_leaks("64 KB", filter_fn=not_the_cache)
        def test_other():
            fill_cache()
            KEPT.append(bytearray(1 << 20))
    """, "--memtap")
    result.assert_outcomes(passed=1, failed=1)
    assert result.tests["test_other"]["outcome"] == "failed"


def test_warmups_fill_caches_first(project):
    result = project("""
        import functools, pytest
        @functools.lru_cache(maxsize=None)
        def table(name):
            return bytearray(1 << 20)
        @pytest.mark.limit_leaks("64 KB", warmups=1)
        def test_warm():
            table("warm")
        @pytest.mark.limit_leaks("64 KB")
        def test_cold():
            table("cold")
    """, "--memtap")
    result.assert_outcomes(passed=1, failed=1)
    assert result.tests["test_cold"]["outcome"] == "failed"


def test_a_failing_test_fails_for_its_own_reason(project):
    result = project("""
        import pytest
        @pytest.mark.limit_memory("1 KB")
        def test_wrong():
            bytearray(1 << 20)
            assert 1 == 2
        @pytest.mark.limit_memory("1 KB")
        def test_skips():
            bytearray(1 << 20)
            pytest.skip("not today")
        @pytest.mark.xfail(strict=True)
        @pytest.mark.limit_memory("1 KB")
        def test_expected():
            bytearray(1 << 20)
    """, "--memtap")
    result.assert_outcomes(failed=1, skipped=1, xfailed=1)
    result.stdout.fnmatch_lines(["E*assert 1 == 2"])
    assert result.tests["test_wrong"]["peak_bytes"] > MIB


def test_the_closest_mark_counts(project):
    result = project("""
        import pytest
        pytestmark = pytest.mark.limit_memory("1 KB")
        class TestIt:
            @pytest.mark.limit_memory("4 MB")
            def test_own(self):
                bytearray(1 << 20)
            def test_modules(self):
                bytearray(1 << 20)
    """, "--memtap")
    result.assert_outcomes(passed=1, failed=1)
    assert result.tests["TestIt::test_own"]["outcome"] == "passed"


@pytest.mark.parametrize("mark, message", [
    ('limit_memory("24 parsecs")', "limit_memory: not a size: '24 parsecs'"),
    ("limit_memory()", "limit_memory: *missing*"),
    ("limit_leaks(True)", "limit_leaks: a size is a string"),
    ('limit_leaks("1 KB", colour="red")', "limit_leaks: *colour*"),
])
def test_a_wrong_mark_stops_the_run(project, mark, message):
    result = project(f"import pytest\n@pytest.mark.{mark}\ndef test_it(): pass", "--memtap", json_file=None)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: test_it.py::test_it: {message}*"])


def test_unittest_classes_and_parameters(project):
    result = project("""
        import pytest, unittest
        class TestCase(unittest.TestCase):
            @pytest.mark.limit_memory("1 MB")
            def test_method(self):
                bytearray(2 << 20)
        @pytest.mark.parametrize("size", [1, 2])
        def test_sizes(size):
            bytearray(size << 20)
    """, "--memtap")
    result.assert_outcomes(passed=2, failed=1)
    assert [round(result.tests[f"test_sizes[{n}]"]["peak_bytes"] / MIB) for n in (1, 2)] == [1, 2]


def test_fixtures_are_not_the_test(project):
    result = project("""
        import pytest
        @pytest.fixture
        def data():
            yield bytearray(6 << 20)
        def test_it(data):
            assert len(data)
    """, "--memtap")
    assert result.tests["test_it"]["peak_bytes"] < NOISE


def test_no_memtap_leaves_a_test_alone(project):
    result = project("""
        import pytest
        @pytest.mark.no_memtap
        def test_it():
            pass
    """, "--memtap")
    result.assert_outcomes(passed=1)
    assert result.tests == {}


def test_the_ini_file_switches_it_on(project):
    project.make.makeini("[pytest]\nmemtap = true\nmemtap_rows = 1\n")
    result = project(EXAMPLES, json_file=None)
    result.stdout.fnmatch_lines(["*test_it.py::test_peak", "and 2 tests with smaller peaks*"])


def test_junit_properties(project):
    project(EXAMPLES, "--memtap", "--junitxml", "out.xml", "-o", "junit_family=xunit1")
    assert 'name="memtap_peak_bytes" value="8' in (project.path / "out.xml").read_text()


def test_traces_are_kept_on_request_and_nowhere_else(project):
    temporary = project.path / "tmp"
    temporary.mkdir()
    os.environ["TMPDIR"], before = str(temporary), os.environ.get("TMPDIR")
    try:
        project(EXAMPLES, "--memtap")
        assert list(temporary.glob("memtap-pytest-*")) == []
    finally:
        del os.environ["TMPDIR"]
        if before is not None:
            os.environ["TMPDIR"] = before
    project(EXAMPLES, "--memtap-dir", "traces")
    names = sorted(path.name for path in (project.path / "traces").iterdir())
    assert [name.rsplit("-", 1)[0] for name in names] == [
        "test_it.py-test_leak", "test_it.py-test_nothing", "test_it.py-test_peak"]


# ---- when something is in the way ------------------------------------------------------------------------------------

BROKEN = """
    import contextlib, memtap
    @contextlib.contextmanager
    def refuse(*arguments, **options):
        raise RuntimeError("a recording is under way")
        yield
    memtap.record = refuse
"""


def test_a_test_that_cannot_be_recorded_runs_all_the_same(project):
    project.make.makeconftest(BROKEN)
    result = project(EXAMPLES, "--memtap")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["not recorded: test_it.py::test_peak: RuntimeError: a recording is under way"])


def test_a_limit_that_cannot_be_checked_is_not_kept(project):
    project.make.makeconftest(BROKEN)
    result = project("import pytest\n@pytest.mark.limit_memory('1 GB')\ndef test_it(): pass", "--memtap")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["memtap: the limits could not be checked: RuntimeError: a recording is under way"])


BLINDED = """
import memtap._measure
read = memtap._measure.Recording.read
memtap._measure.Recording.read = lambda self: read(self)._replace(unseen="a tool took memtap's hooks out")
"""


def test_limits_are_not_checked_on_half_a_recording(project):
    project.make.makeconftest(BLINDED)
    result = project("import pytest\n@pytest.mark.limit_memory('1 GB')\ndef test_it(): pass\ndef test_free(): pass", "--memtap")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["memtap: the limits could not be checked: a tool took memtap's hooks out"])


def test_a_json_file_that_cannot_be_written_is_an_error(project):
    result = project(EXAMPLES, json_file="/proc/nowhere/memory.json")
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stdout.fnmatch_lines(["memtap: *nowhere*"])


# ---- beside others ---------------------------------------------------------------------------------------------------


def test_xdist_workers_report_to_the_controller(project):
    pytest.importorskip("xdist")
    source = EXAMPLES + """
    @pytest.mark.limit_memory("1 MB")
    def test_limit():
        bytearray(2 << 20)
    """
    result = project(source, "--memtap", "-p", "xdist", "-n", "2", "--memtap-baseline", "b.json", "--memtap-update-baseline")
    result.assert_outcomes(passed=3, failed=1)
    assert set(result.tests) == {"test_peak", "test_leak", "test_nothing", "test_limit"}
    assert 8 * MIB <= result.tests["test_peak"]["peak_bytes"] < 8 * MIB + NOISE
    result.stdout.fnmatch_lines(["*the peak is 2.? MiB, limit_memory allows 1.0 MiB*", "*8.? MiB *test_it.py::test_peak",
                                 "baseline *b.json: 3 tests written"])
    assert len(json.loads((project.path / "b.json").read_text())["tests"]) == 3


def test_coroutine_tests_of_another_plugin_are_measured(project):
    project.make.makeconftest("""
        import asyncio, inspect, pytest
        @pytest.hookimpl(tryfirst=True)
        def pytest_pyfunc_call(pyfuncitem):
            if inspect.iscoroutinefunction(pyfuncitem.obj):
                asyncio.run(pyfuncitem.obj())
                return True
    """)
    result = project("""
        import asyncio
        async def test_it():
            block = bytearray(5 << 20)
            await asyncio.sleep(0)
    """, "--memtap")
    result.assert_outcomes(passed=1)
    assert 5 * MIB <= result.tests["test_it"]["peak_bytes"] < 6 * MIB


def test_threads_of_a_test_count(project):
    result = project("""
        import threading
        def test_it():
            thread = threading.Thread(target=bytearray, args=(5 << 20,))
            thread.start()
            thread.join()
    """, "--memtap")
    assert 5 * MIB <= result.tests["test_it"]["peak_bytes"] < 6 * MIB


# ---- sizes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text, size", [
    ("0", 0), ("100", 100), (100, 100), ("1 KB", 1024), ("1kib", 1024), ("512K", 512 * 1024), ("24 MB", 24 * MIB),
    ("1.5 GiB", 1536 * MIB), (" 2 TB ", 2 * MIB * MIB), ("7 B", 7), ("0.1 KB", 102),
])
def test_sizes_are_read(text, size):
    assert _measure.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MB", "-1", "1 XB", "1 MB extra", "1e3", "1,5 MB"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError):
        _measure.parse_size(text)


@pytest.mark.parametrize("size, text", [
    (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536 * 1024, "1.5 MiB"), (3 << 40, "3.0 TiB"),
    (5000 << 40, "5000.0 TiB"),
])
def test_sizes_are_written(size, text):
    assert _measure.format_size(size) == text
