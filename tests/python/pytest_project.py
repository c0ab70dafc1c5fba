"""Runs of pytest on a small project with the plugin; a fixture for the tests of memtap.pytest_plugin."""

import json
import os
import sys

import pytest


@pytest.fixture
def project(pytester, monkeypatch):
    """project(source, *options): runs pytest on it with the plugin; the result has .tests, {name: row of the JSON}."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    for name in ("PYTEST_ADDOPTS", "CI", "BUILD_NUMBER"):  # under the last two pytest prints every failure twice, in full
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(source, *options, json_file="memory.json"):
        pytester.makepyfile(test_it=source)
        arguments = ["-p", "memtap.pytest_plugin", "-p", "no:cacheprovider", *options]
        if json_file:
            arguments += ["--memtap-json", json_file]
        result = pytester.runpytest_subprocess(*arguments, timeout=300)
        path = pytester.path / (json_file or "none")
        rows = json.loads(path.read_text())["tests"] if path.exists() else []
        result.tests = {row["nodeid"].split("::", 1)[1]: row for row in rows}
        result.text = result.stdout.str()
        return result

    run.path = pytester.path
    run.make = pytester
    return run
