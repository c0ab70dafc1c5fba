"""The real pytest-memray in the same run of pytest: one of the two acts on the marks that both know, and says so once.

PYTEST_MEMRAY_PYTHON names an interpreter that has it (`make test-peers` makes one); it stays out of the environment that runs these
tests, where it would act on them.
"""

import os
import pathlib
import subprocess

import pytest

PYTHON = os.environ.get("PYTEST_MEMRAY_PYTHON")
PACKAGE = pathlib.Path(__file__).resolve().parents[2] / "build/python"
YIELDS = "memtap: --memray was given, so the limit_* marks are pytest-memray's; memtap's yield"
TESTS = '''
import pytest
KEPT = []
@pytest.mark.limit_memory("1 MB")
def test_much(): KEPT.append(bytearray(4_000_000))
@pytest.mark.limit_memory("8 MB")
def test_little(): KEPT.append(bytearray(1_000_000))
@pytest.mark.limit_leaks("1 KB")
def test_leak(): KEPT.append(bytearray(300_000))
'''
MEMTAP = ("memtap: the peak is 3.8 MiB, limit_memory allows 1.0 MiB", "left behind by 1 call stack, limit_leaks allows 1.0 KiB each")
MEMRAY = ("Test was limited to 1.0MiB but allocated 3.8MiB", "Test was allowed to leak 1.0KiB per location")


@pytest.mark.skipif(PYTHON is None, reason="PYTEST_MEMRAY_PYTHON names no interpreter with pytest-memray")
@pytest.mark.parametrize("options, act, rest, yields", [
    ([], MEMTAP, MEMRAY, 0), (["--memtap"], MEMTAP, MEMRAY, 0), (["--memray"], MEMRAY, MEMTAP, 1),
    (["--memray", "--memtap"], MEMRAY, MEMTAP, 1), (["--no-memtap"], MEMRAY, MEMTAP, 0)])
def test_one_of_the_two_acts(tmp_path, options, act, rest, yields):
    (tmp_path / "test_it.py").write_text(TESTS)
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "120"}
    done = subprocess.run([PYTHON, "-m", "pytest", "-p", "no:cacheprovider", "-p", "memtap.pytest_plugin", *options], cwd=tmp_path,
                          env=environment, stdout=subprocess.PIPE, universal_newlines=True, check=False)
    assert done.returncode == 1 and "2 failed, 1 passed" in done.stdout, done.stdout
    assert all(words in done.stdout for words in act) and not any(words in done.stdout for words in rest)
    assert done.stdout.count(YIELDS) == yields
