#!/usr/bin/env python3
"""CPython's own tests under `memtap run` and without it, on every interpreter found; the outcomes must be equal.

    tests/stress/cpython_suite.py [--quick] [--python PATH]… [--mode exact|sample] [TEST…]

Each test file runs once alone and once under memtap (exact mode, native stacks, Python allocators). Compared: exit
status, number of tests run, failures, errors, skipped; unexpected differences are listed and make the exit status 1. A
difference is looked at again (three more runs each), since some of CPython's tests depend on time: a test that also
changes its outcome without memtap is reported as unsteady, not as a difference. --quick: test_list and test_json only.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
MEMTAP = pathlib.Path(os.environ.get("MEMTAP_BIN", ROOT / "build/bin/memtap"))
PYENV = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv")) / "versions"
TESTS = ["test_list", "test_dict", "test_json", "test_re", "test_threading", "test_multiprocessing_fork", "test_gc",
         "test_ctypes"]
QUICK = ["test_list", "test_json"]
TIMEOUT_S = 1800


def interpreters():
    versions = sorted(PYENV.glob("3.*/bin/python3"), key=lambda p: [int(n) for n in re.findall(r"\d+", p.parts[-3])])
    return [path for path in versions if int(re.match(r"3\.(\d+)", path.parts[-3]).group(1)) >= 8]


# Some installed Pythons (3.11.7, 3.12.1) lack this package, though they have all that is in it.
FORK_TESTS = """import unittest
from test import _test_multiprocessing
_test_multiprocessing.install_tests_in_module_dict(globals(), "fork")
if __name__ == "__main__":
    unittest.main()
"""


def exists(python, module):
    code = f"import importlib.util as u, sys; sys.exit(u.find_spec('{module}') is None)"
    return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0


def test_commands(python, tests):
    """[(test, arguments of the interpreter)]; what is not there is named."""
    for test in tests:
        if exists(python, f"test.{test}"):
            yield test, ["-m", "test", "-v", test]
        elif test == "test_multiprocessing_fork" and exists(python, "test._test_multiprocessing"):
            yield test, ["-m", "unittest", "-v", "fork_tests"]
        else:
            print(f"  {python}: no {test}", flush=True)


def outcome(python, arguments, mode, folder):
    """(exit status, what unittest counted) of one run; mode None: without memtap."""
    command = [str(python), *arguments]
    (pathlib.Path(folder) / "fork_tests.py").write_text(FORK_TESTS)
    if mode is not None:
        trace = pathlib.Path(folder) / "suite.mtap"
        command = [str(MEMTAP), "run", "-q", "-f", "-o", str(trace), "--mode", mode, "--", *command]
    try:
        result = subprocess.run(command, capture_output=True, check=False, timeout=TIMEOUT_S, cwd=folder,
                                stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return "timeout", (), ""
    text = (result.stdout + result.stderr).decode("utf-8", "replace")
    lines = re.findall(r"^(\w+ \([\w.]+\)).*\.\.\. (ok|FAIL|ERROR|skipped)", text, re.M)
    counted = re.findall(r"^Ran (\d+) tests?", text, re.M)
    bad = sorted(name for name, verdict in lines if verdict in ("FAIL", "ERROR"))
    return result.returncode, (tuple(counted), tuple(bad)), text


def clean(folder):
    for path in pathlib.Path(folder).glob("*.mtap"):
        path.unlink()
    for left in pathlib.Path(folder).glob("*.mtap.d"):
        shutil.rmtree(left)


def compare(python, arguments, mode, folder):
    alone = outcome(python, arguments, None, folder)
    under = outcome(python, arguments, mode, folder)
    clean(folder)
    if alone[:2] == under[:2]:
        return "same", alone, under
    seen_alone, seen_under = {alone[:2]}, {under[:2]}
    for _ in range(3):
        seen_alone.add(outcome(python, arguments, None, folder)[:2])
        seen_under.add(outcome(python, arguments, mode, folder)[:2])
        clean(folder)
    return ("unsteady" if seen_alone & seen_under else "DIFFERENT"), alone, under


def report(python, test, verdict, alone, under):
    count = "+".join(under[1][0]) if under[1] else "no"
    print(f"  {verdict:10} {python.parts[-3]:8} {test:28} exit {alone[0]} and {under[0]}, {count} tests", flush=True)
    if verdict != "same":
        print(f"    alone: {alone[1]}\n    under: {under[1]}")
    if verdict == "DIFFERENT":
        print("\n".join("    | " + line for line in under[2].splitlines()[-40:]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tests", nargs="*", metavar="TEST")
    parser.add_argument("--quick", action="store_true", help="test_list and test_json only")
    parser.add_argument("--python", action="append", type=pathlib.Path, help="interpreter (default: pyenv's from 3.8)")
    parser.add_argument("--mode", default="exact", choices=["exact", "sample"])
    options = parser.parse_args()
    tests = options.tests or (QUICK if options.quick else TESTS)
    different = 0
    for python in options.python or interpreters():
        for test, arguments in test_commands(python, tests):
            with tempfile.TemporaryDirectory() as folder:
                verdict, alone, under = compare(python, arguments, options.mode, folder)
            report(python, test, verdict, alone, under)
            different += verdict == "DIFFERENT"
    print("all the same" if not different else f"{different} differ")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
