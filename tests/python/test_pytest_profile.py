"""memtap.pytest_plugin: what counts as a test's memory, and what is the runner's, a cache's or an import's."""

import importlib.util

import pytest

from memtap._origin import PROGRAM, Origins, stack_rows

pytest_plugins = ["pytester", "pytest_project"]

EMPTY = """
    import pytest, unittest
    @pytest.fixture
    def block():
        return bytearray(1 << 20)
    def test_nothing():
        pass
    def test_with_fixtures(block, tmp_path, monkeypatch, capsys):
        pass
    @pytest.mark.parametrize("text", ["x" * 2000, "y"])
    def test_parameters(text, block):
        pass
    def test_asks_for_a_fixture(request):
        request.getfixturevalue("block")
    class TestMethods:
        def setup_method(self):
            self.block = bytearray(1 << 20)
        def test_method(self, block):
            pass
    class TestCase(unittest.TestCase):
        def setUp(self):
            self.block = bytearray(1 << 20)
        def test_unittest(self):
            pass
"""


def test_an_empty_test_has_an_empty_profile(project):
    result = project(EMPTY, "--memtap")
    result.assert_outcomes(passed=7)
    assert {name: (row["peak_bytes"], row["leaked_bytes"], row["leaks"]) for name, row in result.tests.items()} == dict.fromkeys(
        result.tests, (0, 0, []))
    assert result.tests["test_nothing"]["first_use"] == {}


def test_reports_of_subtests_are_not_the_tests(project):
    result = project("""
        import pytest, unittest
        pytestmark = pytest.mark.limit_leaks("1 KB")
        class TestCase(unittest.TestCase):
            def test_unittest(self):
                for number in range(1000, 2000):
                    with self.subTest(number=number):
                        self.assertEqual(number, number)
        def test_pytest(request):
            if "subtests" not in request.fixturenames and not request.config.pluginmanager.has_plugin("subtests"):
                pytest.skip("this pytest has no subtests")
            subtests = request.getfixturevalue("subtests")
            for number in range(1000, 2000):
                with subtests.test(f"message {number}", number=number):
                    pass
    """, "--memtap")
    assert result.ret == 0, result.text
    assert result.tests["TestCase::test_unittest"]["leaked_bytes"] < 1024


def test_log_records_and_printed_text_are_kept_by_the_runner(project):
    result = project("""
        import logging, pytest
        @pytest.mark.limit_leaks("2 KB")
        def test_it():
            for number in range(300):
                logging.getLogger("here").warning("message %d", number)
            print("line")
    """, "--memtap")
    result.assert_outcomes(passed=1)


def test_a_subtests_own_memory_is_the_tests(project):
    result = project("""
        import unittest
        KEPT = []
        class TestCase(unittest.TestCase):
            def test_it(self):
                for number in range(10):
                    with self.subTest(number=number):
                        KEPT.append(bytearray(100_000))
    """, "--memtap")
    row = result.tests["TestCase::test_it"]
    assert 1_000_000 <= row["leaked_bytes"] < 1_010_000 and row["leaks"][0]["line"] == 7


def test_imports_and_caches_are_first_use_and_no_leak(project):
    (project.path / "heavy.py").write_text("TABLE = bytearray(2_000_000)\n")
    result = project("""
        import pytest, re
        KEPT = []
        @pytest.mark.limit_leaks("64 KB")
        def test_imports():
            import heavy
            re.compile("(a|b)*c" * 50)
        @pytest.mark.limit_leaks("64 KB")
        def test_again():
            import heavy
        @pytest.mark.limit_leaks("64 KB")
        def test_leaks_beside():
            import wave
            KEPT.append(bytearray(100_000))
    """, "--memtap")
    result.assert_outcomes(passed=2, failed=1)
    first_use = result.tests["test_imports"]["first_use"]
    assert first_use["imports"] >= 2_000_000 and first_use["cache of re"] > 1000
    assert result.tests["test_imports"]["leaked_bytes"] < 1024
    assert result.tests["test_again"]["first_use"] == {}
    result.stdout.fnmatch_lines(["  97.7 KiB left behind in * test_leaks_beside", "  filled at first use and not counted: * imports*",
                                 "filled at first use, in no test's leaked bytes: * imports, * cache of re*"])


def test_a_module_that_is_loaded_again_and_again_leaks(project):
    (project.path / "grows.py").write_text("import sys\nsys.kept = getattr(sys, 'kept', []) + [bytearray(200_000)]\n")
    result = project("""
        import importlib, pytest, grows
        @pytest.mark.limit_leaks("64 KB")
        def test_reload():
            for _ in range(3):
                importlib.reload(grows)
    """, "--memtap")
    result.assert_outcomes(failed=1)


def test_first_use_is_not_in_a_baseline(project):
    (project.path / "heavy.py").write_text("TABLE = bytearray(2_000_000)\n")
    source = """
        def test_one():
            import heavy
        def test_two():
            import heavy
    """
    baseline = ["--memtap-baseline", "b.json"]
    project(source, *baseline, "--memtap-update-baseline").assert_outcomes(passed=2)
    project(source, *baseline, "-k", "test_two").assert_outcomes(passed=1, deselected=1)


def test_each_example_of_hypothesis_is_the_test_and_its_search_is_not(project):
    pytest.importorskip("hypothesis")
    result = project("""
        import pytest
        from hypothesis import given, settings, strategies as st
        KEPT = []
        @settings(max_examples=20, database=None, deadline=None)
        @given(st.integers())
        @pytest.mark.limit_leaks("8 KB")
        def test_passes(number):
            str(number)
        @settings(max_examples=20, database=None, deadline=None)
        @given(st.integers())
        @pytest.mark.limit_leaks("64 KB")
        def test_leaks(number):
            KEPT.append(bytearray(10_000))
    """, "--memtap")
    result.assert_outcomes(passed=1, failed=1)
    assert result.tests["test_leaks"]["leaks"][0]["count"] >= 20


def test_the_summary_names_the_projects_line_and_what_it_called(project):
    result = project("""
        import json
        KEPT, TEXT = [], json.dumps(list(range(1000, 20000)))
        def test_it():
            KEPT.append(json.loads(TEXT))
    """, "--memtap", json_file=None)
    result.stdout.fnmatch_lines(["*KiB at test_it.py:4 test_it ← json/decoder.py:*", "    leaked      tests  by place",
                                 "* KiB          1  test_it.py:4 test_it ← json/decoder.py:*"])


def test_sizes_are_drawn_when_verbose(project):
    source = """
        def test_it():
            kept = [bytearray(100_000) for _ in range(3)]
    """
    assert "sizes " not in project(source, "--memtap").text
    result = project(source, "--memtap", "-v")
    result.stdout.fnmatch_lines(["*sizes *█*128.0 KiB"])


def test_items_that_are_no_functions_are_recorded(project):
    project.make.makefile(".txt", test_text=">>> len(bytearray(3_000_000))\n3000000\n")
    result = project("", "--memtap", "--doctest-glob=*.txt")
    result.assert_outcomes(passed=1)
    assert 3_000_000 <= result.tests["test_text.txt"]["peak_bytes"] < 3_200_000


@pytest.mark.parametrize("mark", ["", "@pytest.mark.limit_memory('1 MB')"])
def test_coroutines_of_unittest_are_recorded(project, mark):
    result = project(f"""
        import pytest, unittest
        class TestCase(unittest.IsolatedAsyncioTestCase):
            {mark}
            async def test_it(self):
                block = bytearray(3 << 20)
    """, "--memtap")
    result.assert_outcomes(failed=1) if mark else result.assert_outcomes(passed=1)
    assert 3 << 20 <= result.tests["TestCase::test_it"]["peak_bytes"] < 3 << 20 | 1 << 18


# ---- frames -----------------------------------------------------------------------------------------------------------------


def tree(*frames):
    """A call tree with one stack, outermost frame first, of one block of 10 bytes."""
    nodes = [{"id": 0, "parent": None, "function": "all", "file": None, "line": None, "self_bytes": 0, "self_count": 0}]
    for number, (function, file) in enumerate(frames, 1):
        nodes.append({"id": number, "parent": number - 1, "function": function, "file": file, "line": number, "self_bytes": 0,
                      "self_count": 0})
    nodes[-1].update(self_bytes=10, self_count=1)
    return nodes


PYTEST = ("main", pytest.__file__)
CASE = ("subTest", importlib.util.find_spec("unittest.case").origin)
JSON = ("loads", importlib.util.find_spec("json").origin)
TEST = ("test_it", "/project/test_it.py")
IMPORT = ("_find_and_load", "<frozen importlib._bootstrap>")


@pytest.mark.parametrize("frames, runner, first_use", [
    ([PYTEST, TEST], False, None),
    ([PYTEST, TEST, JSON], False, None),
    ([PYTEST, TEST, PYTEST], True, None),
    ([PYTEST, TEST, PYTEST, JSON], True, None),
    ([PYTEST, TEST, CASE], True, None),
    ([PYTEST, TEST, PYTEST, TEST], False, None),
    ([PYTEST, TEST, IMPORT, ("<module>", "/project/heavy.py")], False, "imports"),
    ([PYTEST, TEST, ("import heavy", "/project/heavy.py")], False, "imports"),
    ([("start_thread", "libc.so.6"), TEST], False, None),
    ([PYTEST, ("malloc", "/lib/libc.so.6")], True, None),
])
def test_a_frame_knows_whose_it_is(frames, runner, first_use):
    [row] = stack_rows(tree(*frames), Origins("/project"))
    assert (row["runner"], row["first_use"], row["bytes"]) == (runner, first_use, 10)


def test_a_project_that_is_the_runner_is_not_the_runner():
    origins = Origins(str(importlib.util.find_spec("pluggy").submodule_search_locations[0]))
    assert origins.inner(PROGRAM, "call", importlib.util.find_spec("pluggy").origin)[0] == PROGRAM
