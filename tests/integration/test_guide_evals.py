"""The programs of a guide to memory analysis, taken from its text as they stand and handed over by bash, in plain Pythons: without torch, psutil
or anything else installed. With a stand-in for torch where they are about GPUs; with torch in `make test-eval`."""

import os
import re

import pytest
from armed import Armed
from conftest import MEMTAP, TESTS, find_interpreter, run

GUIDE = (TESTS / "guides/memory-analysis.md").read_text()
PATH = os.pathsep.join((str(TESTS.parent / "compat/bin"), str(MEMTAP.parent), os.environ["PATH"]))
PROGRAM = TESTS / "targets/py_evaluated.py"
# Commands that hold an eval between quotes; the loop over processes is one of them.
COMMANDS = [command for block in re.findall(r"^```bash\n(.*?)^```", GUIDE, re.M | re.S)
            for command in re.findall(r'^for pid in.*?^done$|^probing \$ENDPOINT eval "\n.*?\n"', block, re.M | re.S)]
BLOCKS = "1 4 5 6 9 10 11 12 13 14 15 17 18 20 22b".split()
EVALS = dict(zip(BLOCKS, COMMANDS))
NEED_TORCH = ("1", "12", "13", "14", "20")
NUMBER = r"-?\d+\.\d+"
MEMORY = rf"  RSS Memory: (?P<rss>{NUMBER}) MB\n  VMS Memory: (?P<vms>{NUMBER}) MB\n"
EXPECTED = {
    "4": r"(\w+: \d+\n){10}",
    "5": r"Top 10 largest objects:\n( *\d+ bytes: \w+ \(id: \d+\)\n){10}",
    "6": r"Objects with highest reference counts:\n( *\d+ refs: \w+ \(id: \d+\)\n){10}",
    "9": rf"Process Memory Usage:\n{MEMORY}  Total objects: \d+\n  (No uncollectable objects found|Uncollectable objects: \d+)\n",
    "10": rf"Initial memory: {NUMBER} MB\nCurrent memory: {NUMBER} MB\nMemory growth: {NUMBER} MB\n"
          r"(WARNING: Significant memory growth detected|Memory is growing slightly|Memory usage is stable)\n",
    "11": r"Garbage Collection Statistics:\n(Generation \d: \{.*\}\n){3}\n"
          r"Objects before GC: (?P<before>\d+)\nObjects collected: \d+\nObjects after GC: (?P<after>\d+)\nNet reduction: (?P<net>-?\d+)\n",
    "15": rf"Memory Profile:\n{MEMORY}\nTop 10 object types:\n(  \w+: \d+\n){{10}}\nGarbage Collection:\n(  Generation \d: \{{.*\}}\n){{3}}",
    "18": rf"System Memory Analysis:\n{MEMORY}  Memory Percent: {NUMBER}%\n\nLarge objects \(>1MB\):\n(  {NUMBER} MB: \w+\n){{0,10}}\n"
          rf"Memory growth in 0.1s: {NUMBER} MB\n",
    "22b": rf"Memory analysis complete:\n  RSS Memory: {NUMBER} MB\n  Memory Percent: {NUMBER}%\n  Status: (HIGH|MODERATE|NORMAL) MEMORY USAGE\n",
}
EXTRA = {f"extra-{n}": line.split()[-1] for n, line in enumerate(os.environ.get("MEMTAP_EXTRA_PYTHONS", "").splitlines()) if line.strip()}


def bash(command, *pids, endpoint=None, env=()):
    """The guide's text as it stands; `probing` is compat's, which runs the memtap that comes first on the path."""
    if pids:
        command = command.replace("for pid in 1234 5678 9012", "for pid in " + " ".join(map(str, pids)))
    return run(["bash", "-c", command], env={**os.environ, "PATH": PATH, "ENDPOINT": str(endpoint), **dict(env)})


def prepare(program, code):
    made = run([MEMTAP, "eval", program.pid, code])
    assert made.returncode == 0, made.stderr


def numbers(pattern, text):
    return [int(number) for number in re.findall(pattern, text, re.M)]


@pytest.fixture(scope="module", params=["3.8", "3.11", "3.13", *EXTRA])
def plain(request):
    path = EXTRA.get(request.param) or find_interpreter(request.param) or pytest.skip(f"no Python {request.param} on this machine")
    with Armed(path, "-I", "-S", PROGRAM, "quiet").ready() as program:
        yield program
        out, err = program.finish()
        assert out == b"end [0, 0, 0]\nmodule TextIOWrapper True the program's model the program's i False\n"
        assert err == b""


def test_the_guide_has_fifteen():
    assert len(COMMANDS) == 15


@pytest.mark.parametrize("block", [block for block in BLOCKS if block not in (*NEED_TORCH, "17")])
def test_in_a_plain_python(plain, block):
    done = bash(EVALS[block], endpoint=plain.pid)
    text = done.stdout.decode()
    found = re.fullmatch(EXPECTED[block], text)
    assert done.returncode == 0 and found, (text, done.stderr.decode())
    groups = found.groupdict()
    if "rss" in groups:
        assert 0 < float(groups["rss"]) <= float(groups["vms"])
    if "net" in groups:
        assert int(groups["before"]) - int(groups["after"]) == int(groups["net"])
    if block in "456":
        shown = numbers({"4": r": (\d+)$", "5": r"^ *(\d+) bytes", "6": r"^ *(\d+) refs"}[block], text)
        assert len(shown) == 10 and shown == sorted(shown, reverse=True)


@pytest.mark.parametrize("block", NEED_TORCH)
def test_what_is_not_installed_is_named(plain, block):
    done = bash(EVALS[block], endpoint=plain.pid)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"ModuleNotFoundError: No module named 'torch'" in done.stderr


def test_a_loop_over_processes_goes_on_after_a_dead_one(plain, any_python):
    dead = 2 ** 22 + 1  # above the largest number of a process
    with Armed(any_python, "-I", "-S", PROGRAM, "quiet").ready() as other:
        done = bash(EVALS["17"], plain.pid, dead, other.pid)
        groups = re.split(r"^=== Process (\d+) ===\n", done.stdout.decode(), flags=re.M)[1:]
        assert groups[0::2] == [str(plain.pid), str(dead), str(other.pid)]
        for pid, text in ((plain.pid, groups[1]), (other.pid, groups[5])):
            assert re.fullmatch(rf"PID: {pid}\nRSS Memory: {NUMBER} MB\nVMS Memory: {NUMBER} MB\n", text)
        assert groups[3] == ""
        assert done.stderr.count(f"there is no process {dead}".encode()) == 1


# ---- with a stand-in for torch --------------------------------------------------------------------------------------------

GPU = r"GPU \d:\n  Allocated: 1\.00 GB\n  Reserved:  3\.00 GB\n"
WITH_GPUS = {
    "1": rf"({GPU}){{2}}",
    "12": rf"({GPU}  Max Allocated: 1\.00 GB\n  Max Reserved:  3\.00 GB\n\n){{2}}",
    "14": r"CUDA Memory Fragmentation Analysis:\n(GPU \d: 66\.7% fragmented\n  Allocated: 1\.00 GB\n  Reserved:  3\.00 GB\n  Wasted:    2\.00 GB\n){2}",
    "20": rf"Memory usage normal: {NUMBER} MB\nGPU memory normal: 1\.00 GB allocated\n",
}
WITHOUT_GPUS = {"1": "CUDA not available\n", "12": "CUDA not available\n", "14": "", "20": rf"Memory usage normal: {NUMBER} MB\n"}


@pytest.fixture(scope="module", params=["0", "2"])
def with_fake_torch(request, any_python):
    env = {"PYTHONPATH": str(TESTS / "fakes"), "FAKE_GPUS": request.param, "PYTHONDONTWRITEBYTECODE": "1"}
    with Armed(any_python, PROGRAM, "quiet", env=env).ready() as program:
        program.gpus = int(request.param)
        prepare(program, "import torch\ntorch.cuda.numbers.update(allocated=2**30, peak=2**30, reserved=3 * 2**30, reserved_peak=3 * 2**30)")
        yield program


@pytest.mark.parametrize("block", ["1", "12", "14", "20"])
def test_gpus_of_a_stand_in(with_fake_torch, block):
    done = bash(EVALS[block], endpoint=with_fake_torch.pid)
    expected = (WITH_GPUS if with_fake_torch.gpus else WITHOUT_GPUS)[block]
    assert done.returncode == 0 and re.fullmatch(expected, done.stdout.decode()), (done.stdout, done.stderr)


def test_tensors_that_cannot_be_compared(with_fake_torch):
    prepare(with_fake_torch, "import torch\ntensors = [torch.Tensor(512, 512), torch.Tensor(100, 100)]")
    done = bash(EVALS["13"], endpoint=with_fake_torch.pid)
    assert done.stdout.decode().splitlines()[:2] == ["Largest tensors:", "    1.00 MB: torch.Size([512, 512]) torch.float32 on cpu"]
    prepare(with_fake_torch, "tensors.append(torch.Tensor(512, 512, dtype=torch.int32))")
    done = bash(EVALS["13"], endpoint=with_fake_torch.pid)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"TypeError: '<' not supported between instances of 'dtype' and 'dtype'" in done.stderr
    prepare(with_fake_torch, "tensors.clear(); tensor = tensor_info = objects = None")


# ---- with torch -----------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def with_torch():
    path = find_interpreter("debian")
    if path is None or run([path, "-c", "import torch"]).returncode != 0:
        pytest.skip("torch is not installed (Debian's python3-torch)")
    with Armed(path, PROGRAM, "quiet").ready() as program:
        yield program


@pytest.mark.slow
@pytest.mark.parametrize("block", BLOCKS)
def test_with_torch(with_torch, block):
    prepare(with_torch, "import torch\nkept = [torch.ones(1024, 1024), torch.ones(10, 10)]")
    done = bash(EVALS[block], with_torch.pid, endpoint=with_torch.pid)
    text = done.stdout.decode()
    expected = {**EXPECTED, **WITHOUT_GPUS, "13": rf"Largest tensors:\n +4\.00 MB: torch\.Size\(\[1024, 1024\]\) torch\.float32 on cpu\n(.*\n)*",
                "17": rf"=== Process {with_torch.pid} ===\nPID: {with_torch.pid}\nRSS Memory: {NUMBER} MB\nVMS Memory: {NUMBER} MB\n"}[block]
    assert done.returncode == 0 and re.fullmatch(expected, text), (text, done.stderr.decode())


@pytest.mark.slow
def test_tensors_of_torch_that_cannot_be_compared(with_torch):
    prepare(with_torch, "import torch\npair = [torch.ones(64, 64), torch.ones(64, 64, dtype=torch.int32)]")
    done = bash(EVALS["13"], endpoint=with_torch.pid)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"TypeError: '<' not supported between instances of 'torch.dtype' and 'torch.dtype'" in done.stderr
    prepare(with_torch, "pair = tensors = tensor = tensor_info = obj = None")
