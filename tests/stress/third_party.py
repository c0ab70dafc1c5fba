#!/usr/bin/env python3
"""Tests of numpy, pandas and scikit-learn with `memtap.memprof` sampling every 64 KiB, and without: the same must come out.

    tests/stress/third_party.py [--python PATH] [--venv FOLDER] [--package-path FOLDER] [--rate KB] [numpy] [pandas] [sklearn]

The libraries are installed from the package index into an environment of their own (newest versions the interpreter can
have; they are printed) and each one's chosen test files run twice in processes of their own. This file is the pytest plugin
of both runs: it writes down the outcome of every test, and in one of them starts the profiler before the library is
imported, takes a snapshot every 500 tests, and at the end says what the profiler saw. Compared are the outcomes of all
tests by name, not their numbers alone; a test that differs is run three more times each way by itself, and is only
excused as unsteady when it changes without memtap too. The profiler must have been running to the end, have taken samples
in proportion to the rate, lost no frees, and have resolved stacks that lie in the library's own files.
"""

import argparse
import collections
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PYENV = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv")) / "versions"
REQUIREMENTS = ["numpy", "pandas", "scikit-learn", "pytest", "hypothesis"]
SUITES = {
    "numpy": ["numpy._core.tests.test_multiarray"],
    "pandas": ["pandas.tests.frame.methods.test_" + name for name in
               ("sort_values", "fillna", "replace", "reindex", "astype", "describe", "quantile", "to_csv")],
    "sklearn": ["sklearn.linear_model.tests.test_base", "sklearn.tree.tests.test_tree"],
}
SNAPSHOT_EVERY = 500  # tests
LEAST_SAMPLES = 200  # of a whole suite; each allocates hundreds of MiB
TIMEOUT_S = 1800
AGAIN = 3


# ---- the plugin, inside the processes that run tests ---------------------------------------------------------------------


class Plugin:
    """Outcomes of all tests, and the profiler's life, in the file MEMTAP_TP_RESULT."""

    def __init__(self, result, rate_kb):
        self._result = result
        self._rate_kb = rate_kb
        self._outcomes = collections.defaultdict(list)
        self._snapshots = 0
        self._snapshots_cpu_s = 0.0
        self._memprof = None

    def start(self):
        if self._rate_kb:
            import memtap.memprof as memprof

            memprof.start(self._rate_kb)
            self._memprof = memprof

    def pytest_runtest_logreport(self, report):
        outcome = report.outcome if not hasattr(report, "wasxfail") else f"x{report.outcome}"
        if report.when == "call" or report.outcome != "passed":
            self._outcomes[report.nodeid].append(f"{report.when} {outcome}")
        if report.when == "teardown" and self._memprof and len(self._outcomes) % SNAPSHOT_EVERY == 0:
            self._snapshot(include_freed=False).top_allocators(3)

    def _snapshot(self, include_freed):
        began_s = time.process_time()
        snapshot = self._memprof.get_snapshot(include_freed=include_freed)
        self._snapshots += 1
        self._snapshots_cpu_s += time.process_time() - began_s
        return snapshot

    def pytest_collectreport(self, report):
        if report.failed:
            self._outcomes[report.nodeid].append("collection failed")

    def pytest_sessionfinish(self):
        content = {"outcomes": self._outcomes, "profiler": self._seen() if self._memprof else None}
        pathlib.Path(self._result).write_text(json.dumps(content))

    def _seen(self):
        stats = self._memprof.get_stats()
        snapshot = self._snapshot(include_freed=True)
        self._memprof.stop()  # RuntimeError: it has not run to the end
        stacks = [sample.stack for sample in [*snapshot.samples, *snapshot.freed_samples]]
        return {
            "total_samples": stats.total_samples,
            "live_samples": stats.live_samples,
            "estimated_heap_bytes": stats.estimated_heap_bytes,
            "collisions": stats.collisions,
            "snapshots": self._snapshots,
            "snapshots_cpu_s": self._snapshots_cpu_s,
            "confidence": snapshot.frame_pointer_health.confidence,
            "files": sorted({frame.file for stack in stacks for frame in stack if frame.file}),
            "samples_with_python": sum(any(frame.is_python for frame in stack) for stack in stacks) / max(len(stacks), 1),
        }


def pytest_configure(config):
    plugin = Plugin(os.environ["MEMTAP_TP_RESULT"], int(os.environ["MEMTAP_TP_RATE_KB"]))
    config.pluginmanager.register(plugin, "memtap-third-party")
    plugin.start()


# ---- the driver ------------------------------------------------------------------------------------------------------------


def default_python():
    """The newest of the interpreters that have all three libraries as binaries."""
    for version in ("3.12", "3.11", "3.13"):
        found = sorted(PYENV.glob(version + ".*/bin/python3"))
        if found:
            return found[-1]
    return pathlib.Path(sys.executable)


def environment_of(python, folder):
    """The interpreter of an environment with the libraries; made when it is not there."""
    executable = folder / "bin/python"
    if not (folder / ".ready").exists():
        subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", *REQUIREMENTS], check=True)
        (folder / ".ready").touch()
    return executable


def libraries_of(python):
    """The folder the libraries lie in: names of tests are paths below it."""
    return str(next(pathlib.Path(python).parents[1].glob("lib/python*/site-packages")))


def cpu_s():
    """Processor time of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run(python, package_path, tests, rate_kb):
    """One run of pytest: {"outcomes", "profiler", "cpu_s", "exit", "output"}; tests are modules or names of tests."""
    with tempfile.TemporaryDirectory(prefix="memtap-third-party-") as folder:
        result = pathlib.Path(folder) / "result.json"
        environment = {**os.environ, "MEMTAP_TP_RESULT": str(result), "MEMTAP_TP_RATE_KB": str(rate_kb),
                       "PYTHONPATH": os.pathsep.join([str(package_path), str(pathlib.Path(__file__).parent)]),
                       "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
        command = [python, "-m", "pytest", "-q", "-p", "third_party", "-p", "no:cacheprovider", "-p", "no:xdist",
                   "--hypothesis-seed=0", "--rootdir", libraries_of(python), "--pyargs", *tests]
        began_s = cpu_s()
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S,
                              stdin=subprocess.DEVNULL, check=False)
        found = json.loads(result.read_text()) if result.exists() else {"outcomes": {}, "profiler": None}
        return {**found, "cpu_s": cpu_s() - began_s, "exit": done.returncode, "output": done.stdout + done.stderr}


def different_tests(alone, under):
    names = sorted({*alone["outcomes"], *under["outcomes"]})
    return [name for name in names if alone["outcomes"].get(name) != under["outcomes"].get(name)]


def is_unsteady(python, package_path, module, test, rate_kb):
    """Does this test alone, run a few more times each way, give outcomes that overlap?"""
    selection = [module, "-k", test.rpartition("::")[2].partition("[")[0]]
    alone, under = ([run(python, package_path, selection, rate)["outcomes"].get(test) for _ in range(AGAIN)]
                    for rate in (0, rate_kb))
    return any(outcome in alone for outcome in under)


def profiler_problems(library, seen):
    """What is wrong with the profiler's own account of a run; empty: nothing."""
    if seen is None:
        return ["the profiler said nothing: the run died, or it had stopped"]
    checks = [
        (seen["total_samples"] >= LEAST_SAMPLES, f"{seen['total_samples']} samples are fewer than {LEAST_SAMPLES}"),
        (seen["estimated_heap_bytes"] > 0, "nothing is said to be alive"),
        (seen["collisions"] == 0, f"{seen['collisions']} frees of samples were missed"),
        (seen["samples_with_python"] > 0.9, f"only {seen['samples_with_python']:.0%} of the stacks have Python frames"),
        (any(f"/{library}/" in file for file in seen["files"]), f"no stack comes from {library}'s files"),
        (seen["confidence"] == "high", f"confidence in native stacks is {seen['confidence']}"),
    ]
    return [text for good, text in checks if not good]


def counted(outcomes):
    """"passed 12, skipped 3": each test counts once, by the worst that happened to it."""
    order = ["collection failed", "setup failed", "call failed", "teardown failed", "call xpassed", "call xskipped",
             "setup xskipped", "setup skipped", "call skipped", "call passed"]
    worst = (min(found, key=lambda word: order.index(word) if word in order else -1) for found in outcomes.values())
    return ", ".join(f"{count} {word.replace('call ', '')}" for word, count in sorted(collections.Counter(worst).items()))


def compare(library, python, package_path, rate_kb):
    """Both runs of one library; True when memtap changed nothing and saw what it should."""
    modules = SUITES[library]
    alone = run(python, package_path, modules, 0)
    under = run(python, package_path, modules, rate_kb)
    seen = under["profiler"]
    differing = different_tests(alone, under)
    unsteady = [name for name in differing[:10]
                if any(is_unsteady(python, package_path, module, name, rate_kb) for module in modules
                       if module.replace(".", "/") in name)]
    problems = [f"DIFFERENT {name}: {alone['outcomes'].get(name)} and {under['outcomes'].get(name)}"
                for name in differing if name not in unsteady]
    problems += profiler_problems(library, seen)
    if alone["exit"] != under["exit"] and not unsteady:
        problems.append(f"pytest's exit status is {alone['exit']} and {under['exit']}")
    if not alone["outcomes"]:
        problems.append("no test ran")
    for label, result in (("without", alone), ("with", under)):
        print(f"{library:8} {label:8} {result['cpu_s']:6.0f} s CPU   {counted(result['outcomes'])}", flush=True)
    if seen:
        print(f"{'':8} {seen['total_samples']} samples, {seen['live_samples']} alive "
              f"({seen['estimated_heap_bytes'] / 2**20:.0f} MiB), {seen['samples_with_python']:.1%} with Python frames, "
              f"native {seen['confidence']}; {seen['snapshots']} snapshots took {seen['snapshots_cpu_s']:.1f} s CPU")
    for name in unsteady:
        print(f"{'':8} unsteady: {name}")
    for problem in problems:
        print(f"{'':8} {problem}")
    if problems:
        print("\n".join("    | " + line for line in under["output"].splitlines()[-40:]))
    return not problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("libraries", nargs="*", metavar="LIBRARY", help="numpy, pandas, sklearn (all)")
    parser.add_argument("--python", type=pathlib.Path, default=default_python(), help="interpreter (pyenv's 3.12)")
    parser.add_argument("--venv", type=pathlib.Path, default=ROOT / "build/third-party", help="where the libraries are or go")
    parser.add_argument("--package-path", type=pathlib.Path, default=ROOT / "build/python",
                        help="folder with the memtap package")
    parser.add_argument("--rate", type=int, default=64, metavar="KB", help="sampling_rate_kb (64)")
    options = parser.parse_args()
    unknown = set(options.libraries) - set(SUITES)
    if unknown:
        parser.error(f"no tests are chosen for {', '.join(sorted(unknown))}")
    python = environment_of(options.python, options.venv.resolve())
    versions = "; print(sys.version.split()[0], *(f'{n} {importlib.metadata.version(n)}' for n in sys.argv[1:]))"
    subprocess.run([python, "-c", "import importlib.metadata, sys" + versions, *REQUIREMENTS], check=True)
    libraries = options.libraries or SUITES
    results = [compare(library, python, options.package_path.resolve(), options.rate) for library in libraries]
    print("all the same" if all(results) else "memtap made a difference")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
