"""What the tests of memtap.open share: two programs whose leaks are known, and their recordings, made once.

A plugin (pytest_plugins) for its fixtures, and a module for the rest: so it is imported before pytest would rewrite its
assertion (PYTEST_DONT_REWRITE). Recordings are made by the command of the package under test.
"""

import os
import pathlib
import subprocess
import sys
import textwrap

import pytest

import memtap

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import tracefile  # noqa: E402

PACKAGE = pathlib.Path(memtap.__file__).absolute().parent  # not resolved: a build tree links to the sources
MEMTAP = pathlib.Path(os.environ.get("MEMTAP_BIN", PACKAGE / "_bin/memtap"))

LEAKY = """
import os, threading
kept = []

def leak(size):
    kept.append(bytearray(size))

def churn(count):
    for i in range(count):
        bytearray(3000 + i % 7)

def worker():
    for i in range(50):
        leak(20_000 + i)

def main():
    threads = [threading.Thread(target=worker) for i in range(3)]
    for thread in threads:
        thread.start()
    churn(2000)
    for thread in threads:
        thread.join()
    for i in range(100):
        leak(50_000 + i)

main()
os._exit(0)
"""

SAMPLED = """
import os
kept = [bytearray(4096) for _ in range(4000)]
for i in range(8000):
    bytearray(4096)
kept += [bytearray(1 << 20) for _ in range(40)]
os._exit(0)
"""


def run_memtap(*arguments, check=True, **options):
    result = subprocess.run([str(MEMTAP), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, timeout=300, check=False, **options)
    assert not check or result.returncode == 0, result.stderr.decode()
    return result


def record(folder, program, *options, name="t.mtap", python=sys.executable, check=True):
    script = folder / "program.py"
    script.write_text(textwrap.dedent(program))
    path = folder / name
    result = run_memtap("run", "-q", "-f", *options, "-o", path, "--", python, script, check=check,
                        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)})
    return path, result


@pytest.fixture(scope="session")
def leaky(tmp_path_factory):
    path, _ = record(tmp_path_factory.mktemp("leaky"), LEAKY)
    return path


@pytest.fixture(scope="session")
def sampled(tmp_path_factory):
    path, _ = record(tmp_path_factory.mktemp("sampled"), SAMPLED, "--mode", "sample", "--rate", "64K")
    return path


@pytest.fixture(scope="session")
def oracle(leaky):
    return tracefile.load(leaky)


@pytest.fixture
def trace(leaky):
    with memtap.open(leaky) as opened:
        yield opened
