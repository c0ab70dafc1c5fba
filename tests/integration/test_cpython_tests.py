"""A small part of CPython's own tests, with and without memtap; all of it is `make cpython-suite`."""

import os
import sys

import pytest
from conftest import MEMTAP, TESTS, run


@pytest.mark.parametrize("test", ["test_list", "test_json"])
def test_cpythons_own_tests_have_the_same_outcome(any_python, test):
    result = run([sys.executable, TESTS / "stress/cpython_suite.py", "--python", any_python, test],
                 env={**os.environ, "MEMTAP_BIN": str(MEMTAP)}, timeout=600)
    assert result.returncode == 0, result.stdout.decode()[-4000:]
    assert b"all the same" in result.stdout and b" exit 0 and 0," in result.stdout
