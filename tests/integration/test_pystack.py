"""The Python stack walker and the line tables against the interpreters themselves.

The walker is built into a small library (tests/targets/pywalk) that each interpreter loads by ctypes; the program under
test compares what the library read with sys._getframe(), frame by frame. Interpreters: those of conftest.py, and any
commands in MEMTAP_EXTRA_PYTHONS, one a line (tools/debian-pythons prints such lines for Debian's newer versions).
"""

import os
import pathlib
import random
import shlex
import subprocess

import pytest

import conftest

SOURCES = conftest.ROOT / "src"
PROGRAMS = conftest.PYTHON_TARGETS / "pywalk"
FLAGS = ["-std=gnu17", "-D_GNU_SOURCE", "-O2", "-g", "-fno-omit-frame-pointer", "-Wall", "-Wextra", "-Werror",
         f"-I{SOURCES}"]  # fmt: skip
EXTRA = [line for line in os.environ.get("MEMTAP_EXTRA_PYTHONS", "").splitlines() if line.strip()]
SCENARIOS = ["nested", "recursion", "generators", "coroutines", "callbacks", "constructors", "threads", "tracing",
             "signals", "unicode", "reused_code", "subinterpreters", "truncated", "fork",
             "thread_names"]  # fmt: skip
STORMS = ["everything", "finalization", "threads", "subinterpreters", "fork", "reused_code"]


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """built(name, libraries…): a shared library, or a program for names that end in _check."""
    folder = tmp_path_factory.mktemp("pywalk")

    def build(name, *libraries):
        out = folder / name
        if not out.exists():
            kind = [] if name.endswith("_check") else ["-shared", "-fPIC"]
            sources = [PROGRAMS / f"{name}.c", SOURCES / "symbol/pyline.c"]
            if not name.endswith("_check"):
                sources += sorted([*SOURCES.glob("pystack/*.c"), *SOURCES.glob("base/*.c")])
            subprocess.run([os.environ.get("CC", "cc"), *FLAGS, *kind, "-o", out, *sources, *libraries], check=True)
        return out

    return build


@pytest.fixture(params=[*conftest.VERSIONS, "debian", *EXTRA])
def interpreter(request):
    """Command line of an interpreter, as a list."""
    if request.param in EXTRA:
        return shlex.split(request.param)
    path = conftest.find_interpreter(request.param)
    if path is None:
        pytest.skip(f"no Python {request.param} on this machine")
    return [str(path)]


def run_scenario(interpreter, library, *arguments, **options):
    """Runs it; what a destructor, a thread or a C callback raised is on stderr only, so that must be empty."""
    result = conftest.run([*interpreter, PROGRAMS / "scenarios.py", library, *arguments], **options)
    assert result.returncode == 0, result.stderr.decode()[-4000:]
    assert result.stderr == b""
    return result.stdout.decode()


def checks_of(output):
    return int(output.split("ok ")[-1].split()[0])


def is_free_threaded(interpreter):
    code = "import sysconfig; print(sysconfig.get_config_var('Py_GIL_DISABLED') or 0)"
    return conftest.run([*interpreter, "-c", code]).stdout.strip() == b"1"


@pytest.fixture
def walk(interpreter, built):
    return lambda *arguments: run_scenario(interpreter, built("pywalk", "-lunwind"), *arguments)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_frames_are_those_of_the_interpreter(walk, scenario):
    assert checks_of(walk(scenario)) >= 2


@pytest.mark.slow
def test_random_call_paths_reuse_the_right_part(walk):
    seed = random.randrange(1 << 30)
    print("seed", seed)
    assert checks_of(walk("random_paths", str(seed))) >= 20000


def test_entry_frames_lie_in_the_c_frames_of_their_loops(walk, interpreter):
    """Strict where the evaluation function is not split by profile-guided optimisation."""
    strict = "strict" if ".pyenv" in interpreter[0] else "relaxed"
    assert checks_of(walk("anchors", strict)) > 500


def test_captures_during_shutdown(walk, interpreter):
    """Free-threaded builds do not run every finalizer while daemon threads are left."""
    assert "late 1" in walk("finalization") or is_free_threaded(interpreter)


def test_greenlets(interpreter, walk):
    if conftest.run([*interpreter, "-c", "import greenlet"]).returncode != 0:
        pytest.skip("no greenlet module for this interpreter")
    assert checks_of(walk("greenlets")) > 20


@pytest.mark.slow
@pytest.mark.parametrize("scenario", STORMS)
def test_captures_in_every_allocation(interpreter, built, scenario, tmp_path):
    """From before Py_Initialize to after Py_Finalize; free-threaded builds have no PYTHONMALLOC=malloc."""
    report = tmp_path / "report"
    environment = {**os.environ, "LD_PRELOAD": str(built("storm")), "PYWALK_STORM": str(report)}
    if not is_free_threaded(interpreter):
        environment["PYTHONMALLOC"] = "malloc"
    run_scenario(interpreter, built("pywalk", "-lunwind"), scenario, env=environment)
    for line in report.read_text().splitlines():
        counts = {key: int(value) for key, value in (item.split("=") for item in line.split())}
        assert counts["walks"] > 1000 and counts["frames"] > counts["walks"]
        assert (counts["bad"], counts["undescribed"], counts["different"]) == (0, 0, 0)


def headers_of(interpreter):
    """Include folder with CPython's internal headers, or None."""
    code = "import sysconfig; print(sysconfig.get_paths()['include'])"
    include = pathlib.Path(conftest.run([*interpreter, "-c", code]).stdout.decode().strip())
    return include if (include / "internal/pycore_pystate.h").exists() else None


def test_offsets_are_those_of_the_headers(interpreter, walk):
    include = headers_of(interpreter)
    if include is None:
        pytest.skip("no headers for this interpreter")
    printed = conftest.run([conftest.ROOT / "tools/py_offsets.sh", include, "-isystem", include.parent])
    assert printed.returncode == 0, printed.stderr.decode()
    expected = dict(line.split() for line in printed.stdout.decode().splitlines()[1:] if "(" not in line)
    used = dict(line.split() for line in walk("offsets").splitlines() if "." in line or "shift" in line)
    assert len(expected) > 15
    assert {name: used.get(name) for name in expected} == expected


def test_lines_are_those_of_the_interpreter(interpreter, built, tmp_path):
    """Standard library and generated functions: every code unit of every code object."""
    seed, rows = random.randrange(1 << 30), tmp_path / "rows"
    print("seed", seed)
    dump = conftest.run([*interpreter, PROGRAMS / "lines.py", rows, seed, 40])
    assert dump.returncode == 0, dump.stderr.decode()
    check = conftest.run([built("pyline_check"), rows])
    assert check.returncode == 0, check.stdout.decode()
    codes, lookups = (int(word) for word in check.stdout.decode().split() if word.isdigit())
    assert codes > 500 and lookups > 20000
