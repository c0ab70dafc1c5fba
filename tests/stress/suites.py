#!/usr/bin/env python3
"""The tests of attrs, jinja2, click, more-itertools and networkx with `pytest --memtap` and without: the same must come out.

    tests/stress/suites.py [--python PATH] [--venv FOLDER] [--package-path FOLDER] [attrs] [jinja2] [click] …

Each project is installed from the package index into an environment of its own, and its tests come from its source
distribution. They run four times, plain and with --memtap, in one process and under xdist. Compared are the outcomes of all
tests by name; a test that differs is run three more times each way by itself, and only excused when it changes without memtap
too. What a test costs more is said in processor time, because wall time is the machine's; the summary of the run is printed,
to be read.
"""

import argparse
import os
import pathlib
import resource
import subprocess
import sys
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
SUITES = {  # distribution: what its tests need beside pytest, and the arguments of pytest in its source folder
    "attrs": (["hypothesis", "cloudpickle"], ["tests", "--ignore=tests/test_mypy.yml"]),
    "jinja2": (["trio"], ["tests"]),
    "click": ([], ["tests"]),
    "more-itertools": ([], ["tests"]),
    "networkx": ([], ["--pyargs", "networkx.classes", "networkx.algorithms.shortest_paths", "networkx.generators"]),
}
AGAIN = 3
TIMEOUT_S = 1800


def prepare(arguments, name):
    """The interpreter that has the project, and the folder of its tests."""
    needs, _ = SUITES[name]
    folder = arguments.venv / name
    python = folder / "bin/python"
    if not (folder / ".ready").exists():
        subprocess.run([arguments.python, "-m", "venv", folder], check=True)
        pip = [python, "-m", "pip", "-q"]
        subprocess.run([*pip, "install", name, "pytest", "pytest-xdist", *needs], check=True)
        subprocess.run([*pip, "download", "--no-deps", "--no-binary", name, "-d", folder / "source", name], check=True)
        subprocess.run(["tar", "-xf", next((folder / "source").glob("*.tar.gz")), "-C", folder / "source"], check=True)
        (folder / ".ready").touch()
    return python, next(path for path in (folder / "source").iterdir() if path.is_dir())


def run(arguments, name, options, only=()):
    """(outcomes by name, processor seconds, output) of one run of a suite."""
    python, folder = prepare(arguments, name)
    report = arguments.venv / name / "report.xml"
    report.unlink(missing_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(arguments.package_path), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "1"}
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "memtap.pytest_plugin", f"--junit-xml={report}",
               *options, *(only or SUITES[name][1])]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if not report.exists():
        raise SystemExit(f"{name}: pytest wrote no report\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    outcomes = {}
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        kinds = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        outcomes.setdefault(f"{case.get('classname')}::{case.get('name')}", []).append(kinds[0] if kinds else "passed")
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return outcomes, seconds, done.stdout


def differences(one, other):
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def is_unsteady(arguments, suite, test):
    """Does a test have several outcomes without memtap?"""
    seen = {str(run(arguments, suite, ["-k", test.rpartition("::")[2].partition("[")[0]])[0].get(test)) for _ in range(AGAIN)}
    return len(seen) > 1


def check(arguments, name):
    """Runs a suite all ways and says what came out; True when nothing differs."""
    good = True
    plain, plain_s, _ = run(arguments, name, [])
    for options in (["--memtap"], ["-n", "2", "--memtap"]):
        base, base_s = (plain, plain_s) if len(options) == 1 else run(arguments, name, options[:2])[:2]
        found, seconds, output = run(arguments, name, options)
        wrong = [test for test in differences(base, found) if not is_unsteady(arguments, name, test)]
        count = sum(map(len, found.values()))
        print(f"{name} {' '.join(options)}: {count} tests, {len(wrong)} differ; {base_s:.1f} s of processor time without, "
              f"{seconds:.1f} s with: {1000 * (seconds - base_s) / max(1, count):.2f} ms a test", flush=True)
        for test in wrong[:20]:
            print(f"    {test}: {base.get(test)} without, {found.get(test)} with")
        good = good and not wrong and count > 0
        if options == ["--memtap"]:
            print(output[output.find("memtap: memory of each test"):].strip(), flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--venv", type=pathlib.Path, default=ROOT / "build/suites")
    parser.add_argument("--package-path", type=pathlib.Path, default=ROOT / "build/python")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(SUITES))
    arguments = parser.parse_args()
    if not set(arguments.suites) <= set(SUITES):
        parser.error(f"SUITE is one of {', '.join(SUITES)}")
    arguments.venv = arguments.venv.resolve()
    arguments.package_path = arguments.package_path.resolve()
    return not all([check(arguments, name) for name in arguments.suites or SUITES])


if __name__ == "__main__":
    sys.exit(main())
