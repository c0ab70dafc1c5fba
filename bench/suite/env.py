"""Where everything lies, and what the machine has: paths, the tool under test, built workloads, generated inputs."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
REPO = BENCH.parent
WORK = Path(os.environ.get("MEMTAP_BENCH_DIR", REPO / "build" / "bench"))
BIN = WORK / "bin"
INPUTS = WORK / "inputs"
SCRATCH = WORK / "scratch"
RESULTS = BENCH / "results"
LIB = Path("/usr/lib/x86_64-linux-gnu")

MICRO = ("pairs", "deep", "mt", "pc", "large", "realloc", "live", "heap", "inside", "execs")
CFLAGS = ["-std=gnu17", "-D_GNU_SOURCE", "-O2", "-g", "-fomit-frame-pointer", "-Wall", "-Wextra"]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


class Missing(Exception):
    """Something a bench needs is not here; the message names it and the remedy."""


def anonymous(text):
    """Text of a program without the places of this machine: what lies in the checkout is named from there."""
    return text.replace(f"{REPO}/", "").replace(f"{Path.home()}/", "~/")


def memtap():
    """The memtap under test: $MEMTAP or the checkout's build."""
    path = Path(os.environ.get("MEMTAP", REPO / "build" / "bin" / "memtap"))
    if not os.access(path, os.X_OK):
        raise Missing(f"memtap: {path} is not built (make, or set MEMTAP)")
    return str(path)


def command(name, package):
    """Path of an installed command."""
    path = shutil.which(name)
    if path is None:
        raise Missing(f"{name}: not installed (apt-get install {package})")
    return path


def library(name, package):
    """Path of an installed shared library."""
    path = LIB / name
    if not path.exists():
        raise Missing(f"{name}: not installed (apt-get install {package})")
    return str(path)


def venv_python(version):
    """The interpreter with memray, scalene and numpy that bench/setup.sh made."""
    path = WORK / f"venv-{version}" / "bin" / "python3"
    if not path.exists():
        raise Missing(f"Python {version} with memray: {path} is not there (bench/setup.sh)")
    return str(path)


def _stale(target, *sources):
    return not target.exists() or any(target.stat().st_mtime < source.stat().st_mtime for source in sources)


def build():
    """Compiles the launcher and the micro workloads that changed."""
    BIN.mkdir(parents=True, exist_ok=True)
    SCRATCH.mkdir(parents=True, exist_ok=True)
    INPUTS.mkdir(parents=True, exist_ok=True)
    header = BENCH / "micro" / "micro.h"
    jobs = [(BENCH / "launch.c", BIN / "launch")]
    jobs += [(BENCH / "micro" / f"{name}.c", BIN / name) for name in MICRO]
    for source, target in jobs:
        if _stale(target, source, header):
            subprocess.run(["cc", *CFLAGS, str(source), "-o", str(target), "-pthread"], check=True)


def generated(kind, size):
    """Path of a generated input (`c` or `sql`) of the given size."""
    script = BENCH / "programs" / "generate.py"
    path = INPUTS / f"{kind}-{size}.{kind}"
    if _stale(path, script):
        subprocess.run([sys.executable, str(script), kind, str(path), str(size)], check=True)
    return path


def cc1():
    """gcc's compiler proper, so that tools that do not follow children see the same work."""
    command("gcc", "gcc")
    found = subprocess.run(["gcc", "-print-prog-name=cc1"], capture_output=True, text=True, check=True).stdout.strip()
    if not os.path.isabs(found):
        raise Missing("cc1: gcc does not name its compiler (apt-get install gcc)")
    return found


def _first_line(*argv):
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return "not here"
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0] if lines else "?"


def _cpu_model():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as info:
        for line in info:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def describe():
    """Facts for the results file: the machine and the versions compared."""
    facts = {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()),
        "load_at_start": os.getloadavg()[0],
        "heaptrack": _first_line("heaptrack", "--version"),
        "valgrind": _first_line("valgrind", "--version"),
        "redis": _first_line("redis-server", "--version"),
        "gcc": _first_line("gcc", "--version"),
        "commit": _first_line("git", "-C", str(REPO), "rev-parse", "--short", "HEAD"),
    }
    try:
        facts["memtap"] = _first_line(memtap(), "--version")
    except Missing as reason:
        facts["memtap"] = str(reason)
    for version in PYTHONS:
        try:
            facts[f"python{version}"] = _first_line(venv_python(version), "-c", PYTHON_FACTS)
        except Missing as reason:
            facts[f"python{version}"] = str(reason)
    return facts


PYTHON_FACTS = (
    "import platform; from importlib.metadata import distributions;"
    "found = {d.metadata['Name']: d.version for d in distributions()};"
    "print(platform.python_version(), *(f'{n} {found[n]}' for n in ('memray', 'scalene', 'numpy') if n in found))"
)
