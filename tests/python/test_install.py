"""The wheel: what is in it, what it asks of a machine, and that it works where it is installed; the build without libraries.

Ground truth: the wheel's own archive, readelf, and programs that know what they allocated.
"""

import base64
import csv
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import textwrap
import zipfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PYENV = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv")) / "versions"
NEW = ROOT / "build/pythons/root/usr/bin/python3.14"  # tools/pythons
VERSIONS = ("debian", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
LIVE_BYTES = 24 << 20
OLDEST_GLIBC = (2, 28)

pytestmark = [pytest.mark.slow, pytest.mark.install]


def interpreter(version):
    if version == "debian":
        found = [path for path in (pathlib.Path("/usr/bin/python3"),) if path.exists()]
    elif version == "3.14":
        found = [path for path in (NEW,) if path.exists()]
    else:
        found = sorted(PYENV.glob(version + ".*/bin/python3"))
    return found[-1] if found else pytest.skip(f"no Python {version} on this machine")


def clean_environment(**more):
    """Of a user who knows nothing of this checkout."""
    gone = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_PRELOAD", "LD_LIBRARY_PATH")
    kept = {key: value for key, value in os.environ.items() if key not in gone and not key.startswith("MEMTAP_")}
    return {**kept, **more}


def run(*argv, check=True, **options):
    options.setdefault("env", clean_environment())
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=600, check=False,
                          stdin=subprocess.DEVNULL, **options)
    assert not check or done.returncode == 0, f"{argv} gave {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    return done


def uv(*argv):
    beside = pathlib.Path(sys.executable).parent / "uv"
    return run(beside if beside.exists() else shutil.which("uv") or pytest.skip("uv is not installed"), "-q", *argv)


def make_environment(folder, python, *packages):
    """A fresh virtual environment with these packages and nothing else; returns its bin folder."""
    uv("venv", "--python", python, folder)
    uv("pip", "install", "--no-index", "--python", folder / "bin/python", *packages)
    return folder / "bin"


@pytest.fixture(scope="session")
def unpacked(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory):
    """bin folder of Debian's Python (else this one) with the wheel."""
    debian = pathlib.Path("/usr/bin/python3")
    return make_environment(tmp_path_factory.mktemp("installed") / "env", debian if debian.exists() else sys.executable, wheel)


# ---- what is in it ------------------------------------------------------------------------------------------------


def test_one_wheel_for_every_version_of_cpython(wheel):
    pattern = r"memtap-\d+\.\d+\.\d+-cp38-abi3-manylinux_2_\d+_x86_64(\.manylinux\w+)*\.whl"
    assert re.fullmatch(pattern, wheel.name)


def test_agent_command_and_extension_are_inside(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
        entry_points = next(archive.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    expected = {"memtap/_memtap.abi3.so", "memtap/_bin/memtap", "memtap/_bin/libmemtap-agent.so", "memtap/py.typed",
                "memtap/__init__.py"}
    assert expected <= names
    assert {path.name for path in (ROOT / "python/memtap").glob("*.py")} <= {name.rpartition("/")[2] for name in names}
    assert modes["memtap/_bin/memtap"] & 0o111 == 0o111
    assert any(re.fullmatch(r"memtap-[^/]+\.dist-info/licenses?/LICENSE", name) for name in names)
    licenses = {name.partition("/licenses/")[2] for name in names}
    assert {"zstd/copyright", "iberty/copyright", "zlib/copyright", "elfutils/COPYING-LGPLV3"} <= licenses
    assert "memtap = memtap._command:main" in entry_points and "memtap = memtap.pytest_plugin" in entry_points
    assert not {name.split("/")[0] for name in names} - {"memtap"} - {n.split("/")[0] for n in names if ".dist-info/" in n}


def test_record_has_the_hash_of_every_file(unpacked):
    record = next(unpacked.glob("*.dist-info/RECORD"))
    for name, digest, _ in csv.reader(io.StringIO(record.read_text())):
        if digest:
            found = base64.urlsafe_b64encode(hashlib.sha256((unpacked / name).read_bytes()).digest()).rstrip(b"=").decode()
            assert digest == "sha256=" + found, name


@pytest.mark.parametrize("name", ["_bin/memtap", "_bin/libmemtap-agent.so", "_memtap.abi3.so"])
def test_asks_for_an_old_glibc_and_nothing_else(unpacked, name):
    path = unpacked / "memtap" / name
    needed = set(re.findall(r"\(NEEDED\).*\[(.*?)\]", run("readelf", "-dW", path).stdout))
    allowed = {"libc.so.6"} if "agent" in name else {
        "libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libgcc_s.so.1", "ld-linux-x86-64.so.2"}
    assert needed <= allowed
    symbols = run("readelf", "--dyn-syms", "-W", path).stdout
    versions = {tuple(map(int, v.split("."))) for v in re.findall(r"@GLIBC_([\d.]+)", symbols)}
    assert versions and max(versions) <= OLDEST_GLIBC


def test_extension_keeps_to_the_limited_api_of_3_8(wheel, tmp_path):
    builder = make_builder(tmp_path / "env", "abi3audit")
    report = json.loads(run(builder / "abi3audit", "--report", "--assume-minimum-abi3", "3.8", wheel).stdout)
    results = {one["name"]: one["result"] for spec in report["specs"].values() for one in spec["wheel"]}
    extension = results["_memtap.abi3.so"]
    assert extension["is_abi3"] and extension["is_abi3_baseline_compatible"] and extension["baseline"] == "3.8", extension


def test_agent_keeps_the_rules_of_agents(unpacked):
    run(ROOT / "tools/check-artefacts", unpacked / "memtap/_bin/libmemtap-agent.so", cwd=ROOT)


# ---- that it works ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_installed_wheel_profiles_its_own_interpreter(wheel, version, tmp_path):
    python = interpreter(version)
    folder = make_environment(tmp_path / "env", python, wheel)
    release = re.search(r"memtap-([\d.]+)-", wheel.name).group(1)
    imported = run(folder / "python", "-c", "import memtap; print(memtap.__version__, memtap.__file__)", cwd=tmp_path).stdout
    assert imported.split()[0] == release and imported.split()[1].startswith(str(tmp_path))
    by_name, by_module = run(folder / "memtap", "--version"), run(folder / "python", "-m", "memtap", "--version", cwd=tmp_path)
    assert by_name.stdout == by_module.stdout and by_name.stdout.splitlines()[0] == f"memtap {release}"

    quiet = {key: value for key, value in clean_environment().items() if "PYTHON" not in key}
    app = tmp_path / "app.py"
    app.write_text(f"import os, sys\nkept = bytearray({LIVE_BYTES})\n"
                   "print(sys.prefix, *[name for name in os.environ if 'OWN_PYTHON' in name])\n")
    by_path = run(folder / "memtap", "run", "-q", "-o", tmp_path / "a.mtap", app, env=quiet)
    # This interpreter, not the first on PATH; and nothing of how it was told is left.
    assert by_path.stdout.strip() == str(tmp_path / "env")
    by_code = run(folder / "memtap", "run", "-q", "-o", tmp_path / "b.mtap", "--", folder / "python", "-c",
                  f"kept = bytearray({LIVE_BYTES})")
    assert by_code.returncode == 0
    for trace in ("a.mtap", "b.mtap"):
        stats = json.loads(run(folder / "memtap", "stats", "-f", "json", tmp_path / trace).stdout)
        assert LIVE_BYTES < stats["peak_bytes"] < LIVE_BYTES + (16 << 20)
    tree = run(folder / "memtap", "tree", tmp_path / "a.mtap").stdout
    assert "<module>  app.py:2" in tree  # the Python line that holds the memory: the interpreter's frames were read


def test_command_gives_back_the_exit_code_and_the_environment(installed, tmp_path):
    done = run(installed / "memtap", "run", "-q", "-o", tmp_path / "x.mtap", "-c", "import sys; sys.exit(41)", check=False)
    assert done.returncode == 41
    wrong = run(installed / "memtap", "summary", tmp_path / "none.mtap", check=False)
    assert wrong.returncode in (1, 3) and "none.mtap" in wrong.stderr


def test_another_python_can_be_named(installed, tmp_path):
    other = tmp_path / "other-python"
    other.write_text(f"#!/bin/sh\necho chosen\nexec {sys.executable} \"$@\"\n")
    other.chmod(0o755)
    done = run(installed / "memtap", "run", "-q", "-o", tmp_path / "x.mtap", "-c", "pass",
               env=clean_environment(MEMTAP_PYTHON=str(other)))
    assert done.stdout == "chosen\n"


def test_missing_program_says_what_to_do(wheel, tmp_path):
    folder = make_environment(tmp_path / "env", sys.executable, wheel)
    program = next((tmp_path / "env").glob("lib/python*/site-packages/memtap/_bin/memtap"))
    program.unlink()
    done = run(folder / "memtap", "--version", check=False)
    assert done.returncode == 127
    assert str(program) in done.stderr and "reinstall" in done.stderr and "Traceback" not in done.stderr


NATIVE = """
#include <cstdlib>
#include <vector>
namespace shelf {
template <typename T> struct Box { std::vector<T> *keep(std::size_t n); };
template <typename T> __attribute__((noinline)) std::vector<T> *Box<T>::keep(std::size_t n)
{
    return new std::vector<T>(n); // LINE
}
}
int main() { shelf::Box<long> box; return box.keep(1 << 20)->size() == 0; }
"""


def test_wheel_brings_lines_names_and_compression(installed, tmp_path):
    if shutil.which("g++") is None:
        pytest.skip("no C++ compiler to make the program with")
    findings = {f["topic"]: f for f in json.loads(run(installed / "memtap", "doctor", "-f", "json", check=False).stdout)}
    assert [findings[topic]["level"] for topic in ("lines", "names", "compression")] == ["ok"] * 3
    source = tmp_path / "shelf.cc"
    source.write_text(NATIVE)
    line = 1 + [text.endswith("// LINE") for text in NATIVE.splitlines()].index(True)
    run("g++", "-g", "-O1", "-o", tmp_path / "shelf", source)
    run(installed / "memtap", "run", "-q", "-o", tmp_path / "x.mtap", tmp_path / "shelf")
    rows = json.loads(run(installed / "memtap", "leaks", "-f", "json", tmp_path / "x.mtap").stdout)
    largest = max(rows, key=lambda row: row["bytes"])
    assert largest["bytes"] == (8 << 20) + 24  # the vector and what is in it: one line
    frames = [(frame["function"], frame["file"], frame["line"]) for frame in largest["stack"]]
    assert ("shelf::Box<long>::keep", str(source), line) in frames
    assert any(function.startswith("std::vector<long") for function, _, _ in frames)  # inlined calls


# ---- the build on a machine with a C compiler ----------------------------------------------------------------------


@pytest.fixture(scope="session")
def sdist(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdist")
    build = make_builder(folder / "env", "build")
    run(build / "python", "-m", "build", "--sdist", "--outdir", folder, ROOT)
    return next(folder.glob("*.tar.gz"))


def make_builder(folder, *packages):
    """An environment with packages of the index."""
    debian = pathlib.Path("/usr/bin/python3")
    uv("venv", "--seed", "--python", debian if debian.exists() else sys.executable, folder)
    uv("pip", "install", "--python", folder / "bin/python", *packages)
    return folder / "bin"


def test_sdist_has_the_sources_and_no_more(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tops = {name.partition("/")[0] for name in names if name}
    assert {"CMakeLists.txt", "pyproject.toml", "cmake", "src", "include", "python", "LICENSE", "README.md"} <= tops
    assert tops <= {"CMakeLists.txt", "pyproject.toml", "cmake", "src", "include", "python", "LICENSE", "README.md",
                    "CHANGELOG.md", "PKG-INFO", "web"}
    files = (path for top in ("src", "include", "python", "cmake") for path in (ROOT / top).rglob("*.[chmp]*"))
    wanted = {str(path.relative_to(ROOT)) for path in files if path.is_file() and "__pycache__" not in path.parts}
    assert len(wanted) > 100 and not wanted - names
    assert [name for name in names if name.startswith("web/")] == ["web/dist/report.html"]


def test_source_build_needs_only_a_c_compiler(sdist, tmp_path):
    """No cmake, ninja, make, pkg-config, c++ or library on the PATH: pip fetches the first two."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("cc", "as", "ld", "ar", "ranlib", "strip"):
        (tools / name).symlink_to(shutil.which(name))
    builder = make_builder(tmp_path / "env", "pip")
    environment = clean_environment(PATH=str(tools), CC="cc", PIP_NO_CACHE_DIR="1", PIP_DISABLE_PIP_VERSION_CHECK="1")
    environment.pop("CXX", None)
    run(builder / "python", "-m", "pip", "install", "-C", "cmake.define.MEMTAP_LIBRARIES=none", sdist, env=environment)

    findings = {f["topic"]: f for f in json.loads(run(builder / "memtap", "doctor", "-f", "json", check=False).stdout)}
    assert findings["lines"]["level"] == "note" and "libdw" in findings["lines"]["text"]
    source = tmp_path / "holder.c"
    source.write_text(textwrap.dedent("""
        #include <stdlib.h>
        __attribute__((noinline)) void *hold_on(size_t n) { return malloc(n); }
        int main(void) { return hold_on(3 << 20) == 0; }
    """))
    run("cc", "-g", "-O1", "-o", tmp_path / "holder", source)
    run(builder / "memtap", "run", "-q", "-o", tmp_path / "x.mtap", tmp_path / "holder")
    rows = json.loads(run(builder / "memtap", "leaks", "-f", "json", tmp_path / "x.mtap").stdout)
    largest = max(rows, key=lambda row: row["bytes"])
    assert largest["bytes"] == 3 << 20
    functions = [frame["function"] for frame in largest["stack"]]
    assert functions[0] == "hold_on" and "main" in functions
    assert not largest["stack"][0]["line"]
