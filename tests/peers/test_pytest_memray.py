"""pytest-memray's tests/: runs of pytest on small projects with memtap's plugin."""

import pytest
from programs import peer

from memtap._measure import parse_size

pytest_plugins = ["pytester", "pytest_project"]
KIB = 1024
PRELUDE = """
    import pytest, threading
    KEPT = []
    def make(size):
        return bytearray(size)
    def in_thread(work):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
"""


def plugin(test, verdict="same", why=""):
    return peer("pytest-memray", test if ".py" in test else f"test_pytest_memray.py::{test}", verdict, why)


@pytest.fixture
def run(project):
    """run(tests, *options): of a module that begins with PRELUDE."""

    def on(tests, *options, **more):
        return project(PRELUDE + tests, *options, **more)

    on.project = project
    return on


@plugin("test_help_message")
def test_options_are_in_the_help(run):
    result = run("", "--help", json_file=None)
    result.stdout.fnmatch_lines(["*--memtap *", "*--memtap-native *", "*--memtap-stacks*", "*--memtap-hide-summary*"])


@plugin("test_memray_is_called_when_activated")
@plugin("test_memray_is_not_called_when_not_activated")
@plugin("test_memray_report")
@plugin("test_memray_report_is_not_shown_if_deactivated")
def test_a_report_when_asked_for(run):
    tests = """
    def test_small(): make(1024)
    def test_large(): make(4096)
    """
    result = run(tests, "--memtap")
    result.stdout.fnmatch_lines(["*memory of each test*", "*4.? KiB * test_it.py::test_large", "*1.? KiB * test_it.py::test_small"])
    assert run(tests, json_file=None).text.count("memory of each test") == 0
    assert run(tests, "--memtap", "--memtap-hide-summary").text.count("memory of each test") == 0


@plugin("test_limit_memory_marker")
@plugin("test_limit_memory_marker_does_work_if_memray_not_passed")
@plugin("test_limit_memory_marker_without_cacheprovider")
@pytest.mark.parametrize("size, passes", [(KIB, True), (2 * KIB, False), (4 * KIB, False)])
def test_limit_memory(run, size, passes):
    result = run(f"""
    @pytest.mark.limit_memory("2KB")
    def test_it(): make({size})
    """, json_file=None)
    result.assert_outcomes(**{"passed" if passes else "failed": 1})


@plugin("test_memray_with_junit_xml_error_msg", "different", "the failure is the test's, with its sentence; there is no status letter of its own")
@plugin("test_memray_with_junit_xml")
def test_junit_files_have_the_sentence(run):
    run("""
    @pytest.mark.limit_memory("1KB")
    def test_it(): make(4096)
    """, "--junit-xml", "out.xml")
    text = (run.project.path / "out.xml").read_text()
    assert 'failures="1"' in text and "limit_memory allows 1.0 KiB" in text


@plugin("test_memray_report_limit_number_stacks", "better", "frames of the runner are not among them")
@pytest.mark.parametrize("stacks", [1, 5, 100])
def test_as_many_frames_as_asked_for(run, stacks):
    result = run("""
    def deeper(n): return make(8192) if n == 0 else deeper(n - 1)
    @pytest.mark.limit_memory("1KB")
    def test_it(): deeper(8)
    """, "--memtap-stacks", str(stacks))
    assert result.text.count("called from") == min(stacks, 11) - 1


@plugin("test_limit_memory_allocation_list_visibility", "different", "also with -q: a failure without its place helps nobody")
@plugin("test_limit_memory_allocation_list_truncation", "different", "five stacks, what is below 1 % in one line; all with -vv")
@pytest.mark.parametrize("options, listed", [(["-q"], {5}), ([], {5}), (["-v"], {5}), (["-vv"], {15, 16})])
def test_the_largest_stacks_are_listed(run, options, listed):
    lines = "\n".join(f"        KEPT.append(make({2000 + number}))" for number in range(15))
    result = run(f"""
    @pytest.mark.limit_memory("1KB")
    def test_it():
{lines}
    """, *options)
    message = result.text.partition("short test summary")[0]
    assert message.count(" at the peak in ") in listed  # the list KEPT is the 16th
    assert ("more call stack" in message) == (listed == {5})


@plugin("test_memray_report_native", "better", "also in the failure of limit_memory")
@pytest.mark.parametrize("native", [False, True])
def test_native_frames(run, native):
    result = run("""
    @pytest.mark.limit_memory("1KB")
    def test_it(): make(8192)
    """, *(["--memtap-native"] if native else []))
    assert ("      through " in result.text) == native


@plugin("test_memray_report_python_allocators", "different", "Python's objects always count: they are what most tests keep")
def test_python_objects_count(run):
    result = run("""
    @pytest.mark.limit_memory("10KB")
    def test_it(): return [object() for _ in range(1000)] and None
    """)
    result.assert_outcomes(failed=1)


@plugin("test_memray_report_limit")
@plugin("test_memray_report_limit_without_limit")
@pytest.mark.parametrize("rows, seen", [("1", 1), ("0", 2)])
def test_tests_in_the_report(run, rows, seen):
    result = run("""
    def test_one(): make(1024)
    def test_two(): make(4096)
    """, "--memtap", "--memtap-most-allocations", rows, json_file=None)
    assert sum("test_it.py::test_" in line for line in result.outlines) == seen


@plugin("test_failing_tests_are_not_reported", "different", "a failed test is in the table: why it failed may be its memory")
@plugin("test_plugin_calls_tests_only_once")
def test_failed_tests_and_single_calls(run):
    result = run("""
    def test_once():
        KEPT.append(1)
        assert len(KEPT) == 1
    def test_fails(): 1 / 0
    """, "--memtap")
    result.assert_outcomes(passed=1, failed=1)
    assert set(result.tests) == {"test_once", "test_fails"}


@plugin("test_bin_path")
@plugin("test_bin_path_with_long_test_id")
@plugin("test_bin_path_with_long_test_id_and_long_prefix", "different", "there is no prefix: a folder a run")
@plugin("test_bin_path_prefix", "different", "there is no prefix: a folder a run")
def test_traces_are_kept(run):
    tests = """
    @pytest.mark.parametrize("text", ["a" * 300, "b"])
    def test_it(text): make(1)
    """
    for _ in range(2):  # the second replaces what the first left
        run(tests, "--memtap", "--memtap-dir", "kept").assert_outcomes(passed=2)
        assert len(list((run.project.path / "kept").iterdir())) == 2


@plugin("test_plugin_works_with_the_flaky_plugin")
def test_a_test_that_is_run_again_is_recorded_again(run):
    run.project.make.makeconftest("""
        import pytest
        from _pytest.runner import runtestprotocol
        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_protocol(item, nextitem):
            for _ in range(2):
                item._initrequest()
                reports = runtestprotocol(item, nextitem=nextitem, log=False)
            for report in reports:
                item.ihook.pytest_runtest_logreport(report=report)
            return True
    """)
    result = run("""
    def test_it():
        KEPT.append(make(1000 * (len(KEPT) + 1)))
    """, "--memtap")
    assert 2000 <= result.tests["test_it"]["leaked_bytes"] < 2600


@plugin("test_memray_report_with_pytest_xdist")
@plugin("test_limit_memory_marker_with_pytest_xdist")
def test_under_xdist(run):
    pytest.importorskip("xdist")
    result = run("""
    @pytest.mark.parametrize("text", ["x" * 1024])
    def test_long(text): make(1024)
    @pytest.mark.limit_memory("1KB")
    def test_limit(): make(4096)
    """, "--memtap", "-p", "xdist", "-n", "2")
    result.assert_outcomes(passed=1, failed=1)
    assert len(result.tests) == 2 and 1024 <= min(row["peak_bytes"] for row in result.tests.values()) < 1300


@plugin("test_memray_does_not_raise_warnings")
def test_no_warnings(run):
    result = run("""
    @pytest.mark.limit_memory("1MB")
    def test_it(): make(1)
    """, "--memtap", "-W", "error")
    result.assert_outcomes(passed=1, warnings=0)


@plugin("test_leak_marker", "better", "the runner, imports and caches are not among the leaks")
@plugin("test_leak_marker_does_work_if_memray_not_passed")
@pytest.mark.parametrize("size, passes", [(0, True), (KIB, True), (8 * KIB, False)])
def test_limit_leaks(run, size, passes):
    result = run(f"""
    @pytest.mark.limit_leaks("5KB")
    def test_it():
        make(1 << 20)
        KEPT.append(make({size}))
    """, json_file=None)
    result.assert_outcomes(**{"passed" if passes else "failed": 1})


@plugin("test_leak_marker_in_a_thread")
@plugin("test_leaks_in_current_thread")
@plugin("test_limit_memory_in_current_thread", "better", "the thread's own peak, not its share of the peak of all")
@pytest.mark.parametrize("only, passes", [("False", False), ("True", True)])
@pytest.mark.parametrize("mark", ["limit_leaks", "limit_memory"])
def test_threads(run, mark, only, passes):
    result = run(f"""
    @pytest.mark.{mark}("5KB", current_thread_only={only})
    def test_it(): in_thread(lambda: KEPT.append(make(10240)))
    """, json_file=None)
    result.assert_outcomes(**{"passed" if passes else "failed": 1})


@plugin("test_leak_marker_filtering_function")
def test_a_filter_leaves_stacks_out(run):
    result = run("""
    def cache(): KEPT.append(make(10240))
    def ignored(stack): return all(frame.function != "cache" and frame.filename and frame.lineno for frame in stack.frames)
    @pytest.mark.limit_leaks("5KB", filter_fn=ignored)
    def test_cache(): cache()
    @pytest.mark.limit_leaks("5KB", filter_fn=ignored)
    def test_other(): KEPT.append(make(10240))
    """, json_file=None)
    result.assert_outcomes(passed=1, failed=1)


@plugin("test_multiple_markers_are_not_supported", "better", "marks of different kinds all act")
@plugin("test_multiple_markers_are_not_supported_with_global_marker", "better", "of one kind the closest acts")
def test_several_marks(run):
    result = run("""
    pytestmark = pytest.mark.limit_memory("1KB")
    @pytest.mark.limit_memory("1MB")
    @pytest.mark.limit_leaks("1KB")
    def test_leak(): KEPT.append(make(10240))
    @pytest.mark.limit_memory("1MB")
    @pytest.mark.limit_leaks("1KB")
    def test_none(): make(10240)
    """, json_file=None)
    result.assert_outcomes(passed=1, failed=1)
    assert "limit_leaks allows" in result.text and "limit_memory allows" not in result.text


@plugin("test_fail_on_increase", "different", "growth within the tolerance, and of 64 KiB, is none")
@plugin("test_fail_on_increase_unset")
@pytest.mark.parametrize("asked", [False, True])
def test_growth_between_runs(run, asked):
    options = ["-p", "cacheprovider", *(["--memtap-fail-on-increase"] if asked else [])]
    run('    @pytest.mark.limit_memory("1MB")\n    def test_it(): make(100 * 1024)', *options).assert_outcomes(passed=1)
    result = run('    @pytest.mark.limit_memory("1MB")\n    def test_it(): make(200 * 1024)', *options)
    result.assert_outcomes(**{"failed" if asked else "passed": 1})


@plugin("test_running_async_tests_with_anyio")
def test_coroutines(run):
    run.project.make.makeconftest("""
        import asyncio, inspect, pytest
        @pytest.hookimpl(tryfirst=True)
        def pytest_pyfunc_call(pyfuncitem):
            if inspect.iscoroutinefunction(pyfuncitem.obj):
                asyncio.run(pyfuncitem.obj())
                return True
    """)
    result = run("""
    @pytest.mark.limit_leaks("5KB")
    async def test_it(): KEPT.append(make(10240))
    """, json_file=None)
    result.assert_outcomes(failed=1)


@plugin("test_object_tracking.py::TestObjectTracking::test_objects_are_tracked_and_reported", "better", "on every Python, by type and place")
@plugin("test_object_tracking.py::TestObjectTracking::test_complex_object_types")
@plugin("test_object_tracking.py::TestObjectTracking::test_large_number_of_leaks")
@plugin("test_object_tracking.py::TestObjectTracking::test_no_frames_leak")
@plugin("test_object_tracking.py::TestObjectTracking::test_ignoring_some_leaked_objects")
@plugin("test_object_tracking.py::TestObjectTracking::test_ignoring_all_leaked_objects")
def test_leaked_objects(run):
    result = run("""
    class Node: pass
    class Slotted:
        __slots__ = ("one",)
    @pytest.mark.limit_leaked_objects
    def test_many(): KEPT.extend(Node() for _ in range(1000))
    @pytest.mark.limit_leaked_objects
    def test_types(): KEPT.append({"a": [Slotted()], "b": {Node()}})
    @pytest.mark.limit_leaked_objects(filter_fn=lambda one: not isinstance(one, Node))
    def test_some(): KEPT.append(Node())
    @pytest.mark.limit_leaked_objects(filter_fn=lambda one: False)
    def test_all(): KEPT.append([Node(), Slotted()])
    @pytest.mark.limit_leaked_objects
    def test_nothing_left():
        kept = [Node() for _ in range(10)]
        with pytest.raises(ZeroDivisionError):
            1 / 0
    """, json_file=None)
    result.assert_outcomes(passed=3, failed=2)
    result.stdout.fnmatch_lines(["memtap: 1000 test_it.Node objects left behind*", "  1000 made at *test_it.py:*"])
    for kind in ("test_it.Slotted", "test_it.Node", "list", "dict", "set"):
        assert f"memtap: 1 {kind} object left behind" in result.text


@plugin("test_utils.py::test_parse_memory_string", "different", "a size is written with a point, and KB is KiB")
@plugin("test_utils.py::test_parse_incorrect_memory_string")
@plugin("test_utils.py::test_write_enabled_dir (4 tests)")
@plugin("test_utils.py::test_histogram (2 tests)")
def test_sizes_folders_and_histograms(run):
    assert [parse_size(text) for text in ("1KB", "1.5 kb", "2MiB", "3 gb")] == [1024, 1536, 2 << 20, 3 << 30]
    for text in ("5 parsecs", "", "KB"):
        with pytest.raises(ValueError):
            parse_size(text)
    assert run("def test_it(): pass", "--memtap-dir", "/proc/no").ret == pytest.ExitCode.USAGE_ERROR
    result = run("    def test_it(): KEPT.extend(make(0) for _ in range(3))", "--memtap", "-v")
    assert "sizes " in result.text
