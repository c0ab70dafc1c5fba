"""Baselines of memtap.pytest_plugin: growth fails, updates keep what was not run, broken files stop the run."""

import json

import pytest

pytest_plugins = ["pytester", "pytest_project"]
MIB = 1024 * 1024

GROWING = """
    import os
    def test_grows():
        bytearray(int(os.environ["SIZE_MIB"]) << 20)
    def test_stays():
        bytearray(2 << 20)
"""


@pytest.fixture
def sized(project, monkeypatch):
    def run(mib, *options, source=GROWING):
        monkeypatch.setenv("SIZE_MIB", str(mib))
        return project(source, "--memtap-baseline", "base.json", *options)

    run.path = project.path / "base.json"
    return run


def test_growth_over_the_baseline_fails(sized):
    sized(10, "--memtap-update-baseline").assert_outcomes(passed=2)
    assert set(json.loads(sized.path.read_text())["tests"]) == {"test_it.py::test_grows", "test_it.py::test_stays"}
    sized(10).assert_outcomes(passed=2)
    sized(12, "--memtap-tolerance", "30%").assert_outcomes(passed=2)
    sized(12, "--memtap-tolerance", "3 MB").assert_outcomes(passed=2)
    result = sized(12)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["memtap: peak is 12.? MiB, the baseline has 10.? MiB and 11.? MiB would be allowed",
                                 "baseline: 2 tests compared, 0 not in it"])


def test_an_update_keeps_other_tests_and_takes_no_failures(sized):
    sized(10, "--memtap-update-baseline")
    before = json.loads(sized.path.read_text())["tests"]
    sized(20, "--memtap-update-baseline", "-k", "test_grows")
    after = json.loads(sized.path.read_text())["tests"]
    assert after["test_it.py::test_stays"] == before["test_it.py::test_stays"]
    assert after["test_it.py::test_grows"]["peak_bytes"] >= 20 * MIB
    failing = GROWING.replace("def test_grows():", "def test_grows():\n        assert False")
    sized(30, "--memtap-update-baseline", source=failing)
    assert json.loads(sized.path.read_text())["tests"]["test_it.py::test_grows"] == after["test_it.py::test_grows"]


def test_new_tests_have_nothing_to_compare_with(sized):
    sized.path.write_text('{"format": 1, "python": "3.11", "tests": {}}')
    result = sized(10)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["baseline: 0 tests compared, 2 not in it"])


@pytest.mark.parametrize("content, message", [
    (None, "no baseline *base.json: write it with --memtap-update-baseline"),
    ("nonsense", "cannot read the baseline *"),
    ('{"format": 9, "python": "3.11", "tests": {}}', "*format 9 is not 1*"),
    ("[]", "cannot read the baseline *"),
])
def test_a_baseline_that_cannot_be_read_stops_the_run(sized, content, message):
    if content is not None:
        sized.path.write_text(content)
    result = sized(10)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}"])


def test_wrong_options_stop_the_run(project):
    for options, message in ((["--memtap-update-baseline"], "*needs --memtap-baseline FILE"),
                             (["--memtap", "--memtap-tolerance", "much"], "*--memtap-tolerance: not a size: 'much'*")):
        result = project("def test_it(): pass", *options, json_file=None)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([f"ERROR: {message}"])
