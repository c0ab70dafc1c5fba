"""The tests of the Python package: which package and which interpreter they run, and the wheel for those about installing.

The package is the one on PYTHONPATH (build/python of a checkout; `make test-python` sets it), never an installed one by
accident. Child interpreters of a test inherit PYTHONPATH and so get the same package.
"""

import fcntl
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def pytest_configure(config):
    config.addinivalue_line("markers", "install: about the wheel; not tied to the interpreter that runs the test")


def pytest_report_header(config):
    import memtap

    return f"memtap {memtap.__version__} from {os.path.dirname(memtap.__file__)}, {sys.implementation.name} {sys.version.split()[0]}"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel under test: MEMTAP_WHEEL, else built from this checkout, once for all workers."""
    given = os.environ.get("MEMTAP_WHEEL")
    if given:
        return pathlib.Path(given).resolve(strict=True)
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "dist"
    folder.mkdir(exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not list(folder.glob("*.whl")):
            environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
            built = subprocess.run([ROOT / "tools/wheel", folder], cwd=ROOT, env=environment, capture_output=True, text=True,
                                   check=False)
            assert built.returncode == 0, built.stderr[-6000:]
    return next(folder.glob("*.whl"))
