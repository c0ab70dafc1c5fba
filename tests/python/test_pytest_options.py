"""memtap.pytest_plugin: when a test is recorded, which marks act, what options show, and what is refused."""

import pytest

pytest_plugins = ["pytester", "pytest_project"]

LIMITED = """
    import pytest
    KEPT = []
    @pytest.mark.limit_memory("1 MB")
    def test_memory():
        bytearray(2 << 20)
    @pytest.mark.limit_leaks("1 KB")
    def test_leaks():
        KEPT.append(bytearray(2 << 20))
    class Node:
        pass
    @pytest.mark.limit_leaked_objects
    def test_objects():
        KEPT.append(Node())
    def test_any():
        bytearray(2 << 20)
"""


def test_a_mark_acts_without_an_option(project):
    result = project(LIMITED, json_file=None)
    result.assert_outcomes(failed=3, passed=1)
    result.stdout.fnmatch_lines(["memtap: the peak is 2.? MiB, limit_memory allows 1.0 MiB",
                                 "memtap: 2.? MiB left behind by * limit_leaks allows 1.0 KiB each",
                                 "memtap: 1 test_it.Node object left behind, limit_leaked_objects allows 0"])
    assert "memory of each test" not in result.text


def test_no_memtap_switches_all_of_it_off(project):
    result = project(LIMITED, "--memtap", "--no-memtap", json_file=None)
    result.assert_outcomes(passed=4)
    assert "memory of each test" not in result.text and "recording" not in result.text


def test_a_run_without_marks_has_no_recorder(project):
    result = project("""
        def test_it(request):
            names = [name for name, _ in request.config.pluginmanager.list_name_plugin()]
            assert "memtap-summary" in names and "memtap-recorder" not in names
            import sys
            assert "memtap._memtap" not in sys.modules
    """, json_file=None)
    result.assert_outcomes(passed=1)


def test_marks_of_different_kinds_all_act(project):
    result = project("""
        import pytest
        KEPT = []
        @pytest.mark.limit_leaks("1 MB")
        class TestIt:
            @pytest.mark.limit_memory("1 MB")
            @pytest.mark.limit_leaked_objects
            def test_it(self):
                KEPT.append([bytearray(2 << 20)])
    """, json_file=None)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["memtap: the peak is *", "memtap: 2.? MiB left behind *", "memtap: 1 bytearray object left behind*",
                                 "memtap: 1 list object left behind*"])


def test_leaked_objects_are_counted_by_type(project):
    result = project("""
        import pytest
        KEPT = []
        class Node:
            def __init__(self):
                self.name = str(len(KEPT) + 1000)
        class Other:
            pass
        def keep(kind, count):
            KEPT.extend(kind() for _ in range(count))
        @pytest.mark.limit_leaked_objects({Node: 3})
        def test_type():
            keep(Node, 3), keep(Other, 9)
        @pytest.mark.limit_leaked_objects({"Node": 3, "test_it.Other": 9})
        def test_names():
            keep(Node, 4), keep(Other, 9)
        @pytest.mark.limit_leaked_objects(5)
        def test_each():
            keep(Node, 5), keep(Other, 5)
        @pytest.mark.limit_leaked_objects(filter_fn=lambda one: isinstance(one, Node))
        def test_filter():
            keep(Node, 1), keep(Other, 5)
        @pytest.mark.limit_leaked_objects
        def test_cycles():
            node = Node()
            node.itself = node
    """)
    result.assert_outcomes(passed=3, failed=2)
    result.stdout.fnmatch_lines(["memtap: 4 test_it.Node objects left behind, limit_leaked_objects allows 3",
                                 "  4 made at *test_it.py:9 *<genexpr>",
                                 "memtap: 1 test_it.Node object left behind, limit_leaked_objects allows 0"])


def test_one_thread_alone_can_be_limited(project):
    result = project("""
        import pytest, threading
        KEPT = []
        def in_thread(work):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        @pytest.mark.limit_memory("2 MB", current_thread_only=True)
        def test_others_peak():
            in_thread(lambda: bytearray(5 << 20))
            bytearray(1 << 20)
        @pytest.mark.limit_memory("2 MB", current_thread_only=True)
        def test_own_peak():
            in_thread(lambda: bytearray(9 << 20))
            bytearray(3 << 20)
        @pytest.mark.limit_leaks("1 MB", current_thread_only=True)
        def test_others_leak():
            in_thread(lambda: KEPT.append(bytearray(5 << 20)))
        @pytest.mark.limit_leaks("1 MB", current_thread_only=True)
        def test_own_leak():
            KEPT.append(bytearray(3 << 20))
    """, json_file=None)
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["memtap: the peak of the test's thread is 3.? MiB, limit_memory allows 2.0 MiB",
                                 "  3.0 MiB at the peak in * test_own_peak"])


def test_stacks_are_as_long_as_asked_for(project):
    source = """
        import pytest
        KEPT = []
        def one(): KEPT.append(bytearray(1 << 20))
        def two(): one()
        def three(): two()
        @pytest.mark.limit_leaks("64 KB")
        def test_it(): three()
    """
    assert project(source).text.count("called from") == 3
    assert project(source, "--memtap-stacks", "2").text.count("called from") == 1
    project.make.makeini("[pytest]\nmemtap_stacks = 1\n")
    assert project(source).text.count("called from") == 0


def test_a_line_of_the_project_is_named_however_deep_the_library_is(project):
    source = """
        import json, pytest
        KEPT = []
        @pytest.mark.limit_leaks("64 KB")
        def test_it():
            KEPT.append(json.dumps(["x" * 100_000], indent=1))
    """
    shown = project(source, "--memtap-stacks", "1")
    shown.assert_outcomes(failed=1)
    shown.stdout.fnmatch_lines(["  * left behind in *json/encoder.py:*", "      on behalf of *test_it.py:5 test_it"])
    assert "on behalf of" not in project(source, "--memtap-stacks", "9").text


@pytest.mark.parametrize("by_ini", [False, True])
def test_native_frames_are_shown_in_failures(project, by_ini):
    source = """
        import pytest
        KEPT = []
        @pytest.mark.limit_leaks("64 KB")
        def test_it():
            KEPT.append(bytearray(1 << 20))
    """
    assert "through" not in project(source).text
    if by_ini:
        project.make.makeini("[pytest]\nmemtap_native = true\n")
    result = project(source, *([] if by_ini else ["--memtap-native"]))
    result.stdout.fnmatch_lines(["  1.0 MiB left behind in * block*: *test_it.py:5 test_it", "      through *"])


@pytest.mark.parametrize("options, ini", [(["--memtap-hide-summary"], ""), ([], "memtap_hide_summary = true")])
def test_the_summary_can_be_hidden(project, options, ini):
    project.make.makeini(f"[pytest]\n{ini}\n")
    result = project("def test_it(): pass", "--memtap", *options)
    assert "memory of each test" not in result.text and set(result.tests) == {"test_it"}


@pytest.mark.parametrize("options, ini", [
    (["--memtap-most-allocations", "1"], ""), (["--memtap-rows", "1"], ""), ([], "memtap_most_allocations = 1"), ([], "memtap_rows = 1")])
def test_the_number_of_rows_has_two_names(project, options, ini):
    project.make.makeini(f"[pytest]\n{ini}\n")
    source = "def test_one(): bytearray(1 << 20)\ndef test_two(): bytearray(2 << 20)"
    result = project(source, "--memtap", *options, json_file=None)
    result.stdout.fnmatch_lines(["*test_it.py::test_two", "and 1 tests with smaller peaks*"])


@pytest.mark.parametrize("options, message", [
    (["--memtap-tolerance", "abc"], "--memtap-tolerance: not a size: 'abc', nor a share (write '10%', *"),
    (["--memtap-rows", "ten"], "--memtap-rows: 'ten' is not a number of tests, 0 for all"),
    (["--memtap-rows=-1"], "--memtap-rows: '-1' is not a number of tests, 0 for all"),
    (["--memtap-stacks", "0"], "--memtap-stacks: '0' is not a number of frames, at least 1"),
    (["-o", "memtap_stacks=x"], "--memtap-stacks: 'x' is not a number of frames, at least 1"),
    (["-o", "memtap_tolerance=5 parsecs"], "--memtap-tolerance: not a size: '5 parsecs'*"),
    (["--memtap-dir", "/proc/nowhere"], "--memtap-dir: *nowhere; give a folder that can be written"),
    (["--memtap-json", "/"], "--memtap-json: / is a folder, give a file"),
    (["--memtap-fail-on-increase"], "--memtap-fail-on-increase needs pytest's cache*"),
])
def test_a_value_that_cannot_be_meant_is_refused(project, options, message):
    result = project("def test_it(): pass", *options, json_file=None)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}"])


@pytest.mark.parametrize("mark, message", [
    ("limit_memory('1 MB', current_thread_only=1)", "limit_memory: current_thread_only is True or False, not 1"),
    ("limit_leaks('1 MB', warmups=-1)", "limit_leaks: warmups is a number of runs*"),
    ("limit_leaks('1 MB', filter_fn='name')", "limit_leaks: filter_fn is a function or None, not 'name'"),
    ("limit_leaked_objects('Node')", "limit_leaked_objects: a count of objects is a number*"),
    ("limit_leaked_objects({1: 2})", "limit_leaked_objects: the keys of a count by type are types or their names, not 1"),
])
def test_a_mark_that_cannot_be_meant_stops_the_run(project, mark, message):
    result = project(f"import pytest\n@pytest.mark.{mark}\ndef test_it(): pass", json_file=None)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: test_it.py::test_it: {message}"])


def test_growth_since_the_last_run_that_passed_fails(project, monkeypatch):
    source = """
        import os, pytest
        def test_it():
            bytearray(int(os.environ["SIZE_MIB"]) << 20)
            assert "FAIL" not in os.environ
    """

    def run(mib, *options):
        monkeypatch.setenv("SIZE_MIB", str(mib))
        return project(source, "-p", "cacheprovider", "--memtap-fail-on-increase", *options)

    run(2).assert_outcomes(passed=1)
    result = run(3)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["memtap: peak is 3.? MiB, the last run that passed had 2.? MiB and 2.? MiB would be allowed"])
    run(3).assert_outcomes(failed=1)
    run(3, "--memtap-tolerance", "60%").assert_outcomes(passed=1)
    run(3).assert_outcomes(passed=1)
    monkeypatch.setenv("FAIL", "1")
    run(1).assert_outcomes(failed=1)
    monkeypatch.delenv("FAIL")
    run(3).assert_outcomes(passed=1)


LOSING = """
import memtap._measure
read = memtap._measure.Recording.read
memtap._measure.Recording.read = lambda self: read(self)._replace(dropped_events={lost})
"""


@pytest.mark.parametrize("lost, reason", [(3, "3 events were lost"), (None, "the recording ended early")])
def test_a_limit_on_a_recording_with_losses_is_not_kept(project, lost, reason):
    project.make.makeconftest(LOSING.format(lost=lost))
    result = project("""
        import pytest
        @pytest.mark.limit_memory("1 GB")
        def test_below(): pass
        @pytest.mark.limit_memory("1 MB")
        def test_above(): bytearray(2 << 20)
        def test_free(): pass
    """, "--memtap", json_file=None)
    result.assert_outcomes(failed=2, passed=1)
    result.stdout.fnmatch_lines([f"memtap: the limits could not be checked: {reason}", "memtap: the peak is 2.? MiB*"])


def test_a_function_that_somebody_else_calls_is_not_taken_for_measured(project):
    project.make.makeconftest("""
        import pytest
        @pytest.hookimpl(tryfirst=True)
        def pytest_pyfunc_call(pyfuncitem):
            getattr(pyfuncitem.module, pyfuncitem.name)()
            return True
    """)
    result = project("import pytest\n@pytest.mark.limit_memory('1 GB')\ndef test_it(): pass", json_file=None)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["memtap: the limits could not be checked: the function of this test was not called by *"])


# ---- beside pytest-memray ----------------------------------------------------------------------------------------------------

PEER = '''
    """Stands for pytest-memray: the same marks, its own manager, options and cleanup."""
    import pytest

    class Manager:
        @pytest.hookimpl(hookwrapper=True)
        def pytest_pyfunc_call(self, pyfuncitem):
            if pyfuncitem.get_closest_marker("limit_memory"):
                print("the peer acts")
            yield
        @pytest.hookimpl(hookwrapper=True)
        def pytest_unconfigure(self, config):
            yield
            print("the peer cleans up")

    def pytest_addoption(parser):
        parser.addoption("--memray", action="store_true", default=False)
        parser.addini("memray", "", type="bool")

    def pytest_configure(config):
        config.addinivalue_line("markers", "limit_memory(size): the peer's")
        config.pluginmanager.register(Manager(), "memray_manager")
'''
MARKED = """
    import pytest
    @pytest.mark.limit_memory("1 MB")
    def test_it():
        bytearray(2 << 20)
"""
YIELDS = "so the limit_* marks are pytest-memray's; memtap's yield"


@pytest.fixture
def beside(project):
    """Runs the marked test beside the peer; its options."""
    project.make.makeconftest(PEER)
    return lambda *options: project(MARKED, "-s", *options, json_file=None)


def test_beside_a_peer_that_was_not_asked_memtap_acts_alone(beside):
    result = beside()
    result.assert_outcomes(failed=1)
    assert "the peer acts" not in result.text and result.text.count("the peer cleans up") == 1
    assert YIELDS not in result.text


@pytest.mark.parametrize("options, given", [
    (["--memray"], "--memray"), (["-o", "memray=true"], "memray = true"), (["--memray", "--memtap"], "--memray")])
def test_beside_a_peer_that_was_asked_the_marks_yield_and_it_is_said_once(beside, options, given):
    result = beside(*options)
    result.assert_outcomes(passed=1)
    assert result.text.count("the peer acts") == 1 and result.text.count("the peer cleans up") == 1
    assert result.text.count(f"memtap: {given} was given, {YIELDS}") == 1


def test_no_memtap_leaves_the_peer_alone(beside):
    result = beside("--no-memtap")
    result.assert_outcomes(passed=1)
    assert result.text.count("the peer acts") == 1 and YIELDS not in result.text


def test_marks_act_in_xdists_workers(project):
    pytest.importorskip("xdist")
    result = project(LIMITED, "-p", "xdist", "-n", "2", json_file=None)
    result.assert_outcomes(failed=3, passed=1)
    assert "memory of each test" not in result.text


def test_hooks_are_gone_after_the_run(project):
    project.make.makeconftest("""
        import pytest
        @pytest.hookimpl(trylast=True)
        def pytest_unconfigure(config):
            from memtap import _agent
            print("HOOKS KEPT" if _agent._keeps_hooks else "HOOKS GONE", _agent.state()["mode"])
    """)
    result = project("def test_it(): pass", "--memtap", "-s")
    assert "HOOKS GONE off" in result.text, result.text
