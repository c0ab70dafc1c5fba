"""memtap.torch: which rows a training loop leaves, in which step and order, and that torch is as it was afterwards.

The programs run with a stand-in for torch (tests/fakes/torch), or, where MEMTAP_TEST_TORCH is set (make test-torch), with the real one.
"""

import os
import pathlib
import subprocess
import sys

import pytest
from childprogram import answer, environment, run

FAKES = pathlib.Path(__file__).resolve().parents[1] / "fakes"
REAL = bool(os.environ.get("MEMTAP_TEST_TORCH"))
needs_fake = pytest.mark.skipif(REAL, reason="needs the stand-in for torch.cuda")

PROGRAM = """
if not {real}:
    sys.path.insert(0, {fakes!r})
import memtap.torch
ROWS = "SELECT step, local_step, micro_step, seq, module, stage, allocated, max_allocated, cached, duration, allocated_delta, " \\
    "source, time_offset, rank, world_size, role, micro_batches FROM python.torch_trace ORDER BY timestamp, step, seq"

def rows(path):
    with memtap.open(path) as trace:
        found = trace.sql(ROWS)
        return [dict(zip(found.columns, row)) for row in found]

def short(path):
    return [[row["step"], row["seq"], row["module"], row["stage"]] for row in rows(path)]

def network():
    import torch
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1 = torch.nn.Linear(64, 64)
            self.fc2 = torch.nn.Linear(64, 64)
            self.fc3 = torch.nn.Linear(64, 8)
        def forward(self, x):
            return self.fc3(self.fc2(self.fc1(x)))
    return Net()

def turn(net, *optimizers):
    import torch
    loss = net(torch.randn(32, 64)).sum()
    loss.backward()
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()

path = sys.argv[1] + "/t.mtap"
"""


def found(code, tmp_path, *arguments, **options):
    return answer(PROGRAM.format(real=REAL, fakes=str(FAKES)) + code, tmp_path, *arguments, **options)


OUTER = [["Net", "pre forward"], ["Net", "post forward"], ["SGD", "pre step"], ["SGD", "post step"]]
INNER = [[f"Net.fc{n}", stage] for n in (1, 2, 3) for stage in ("pre forward", "post forward")]


def test_a4_10_sixty_steps_of_three_layers(tmp_path):
    rows = found("""
import torch
memtap.torch.enable(rate=0.1)
net = network()
sgd = torch.optim.SGD(net.parameters(), lr=0.1)
with memtap.record(path, mode="exact"):
    for _ in range(60):
        turn(net, sgd)
say(rows=rows(path))
""", tmp_path)["rows"]
    assert {row["step"] for row in rows} == set(range(60)) and all(row["step"] == row["local_step"] for row in rows)
    assert [row["step"] for row in rows] == sorted(row["step"] for row in rows)
    for step in range(60):
        of_step = [row for row in rows if row["step"] == step]
        names = [[row["module"], row["stage"]] for row in of_step]
        seqs = [row["seq"] for row in of_step]
        if step % 10 == 0:
            assert names == [OUTER[0], *INNER, *OUTER[1:]] and seqs == list(range(10))
        else:
            assert names == OUTER and seqs == [0, 7, 8, 9]
        offsets = [row["time_offset"] for row in of_step]
        assert offsets[0] == 0 and offsets == sorted(offsets)
    for row in rows:
        assert (row["duration"] > 0) == row["stage"].startswith("post")
        assert row["allocated"] > 0 and row["max_allocated"] >= row["allocated"] and row["source"] in ("cpu_alloc", "rss")
        assert [row["rank"], row["world_size"], row["role"], row["micro_batches"]] == [-1, -1, "", 1]
        assert row["micro_step"] == row["step"]


def test_enabled_before_the_import_by_the_command_and_the_environment(tmp_path):
    program = tmp_path / "train.py"
    program.write_text("import os, sys\nimport memtap\n" + PROGRAM.format(real=REAL, fakes=str(FAKES)) + """
import torch
assert sys.meta_path[0].__class__.__name__ != "_TorchComes"
assert type(torch.__spec__.loader) is type(torch.__loader__) and "memtap" not in type(torch.__loader__).__module__
net = network()
sgd = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(4):
    turn(net, sgd)
print(sys.argv[1:], __name__)
""", encoding="utf-8")
    path = tmp_path / "run.mtap"
    done = subprocess.run([sys.executable, "-m", "memtap", "run", "--mode", "sample", "-o", path, "--", sys.executable, "-m", "memtap.torch",
                           program, "a", "-b"], env=environment(MEMTAP_TORCH="0.5,micro_batches=2", RANK="3", WORLD_SIZE="8", ROLE_NAME="trainer"),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['a', '-b'] __main__\n"
    rows = found("say(rows=rows(sys.argv[2]))", tmp_path, path)["rows"]
    assert [(row["step"], row["micro_step"]) for row in rows if row["stage"] == "pre step"] == [(0, 0), (0, 1), (1, 2), (1, 3)]
    assert {(row["rank"], row["world_size"], row["role"], row["micro_batches"]) for row in rows} == {(3, 8, "trainer", 2)}
    assert {row["step"] for row in rows if row["module"] == "Net.fc1"} == {0}
    assert [row["seq"] for row in rows if row["step"] == 0] == list(range(20))


def test_looking_for_torch_is_no_import_of_it(tmp_path):
    told = found("""
import importlib.util
tracing = memtap.torch.enable(rate=1)
finders = list(sys.meta_path)
early = importlib.util.find_spec("torch")
same = [finders == sys.meta_path, early is not None, "torch" in sys.modules, tracing.active]
import torch
say(same=same, active=tracing.active, left=[type(finder).__name__ for finder in sys.meta_path])
""", tmp_path)
    assert told["same"] == [True, True, False, False]
    assert told["active"] and "_TorchComes" not in told["left"]


def test_the_hooks_are_taken_back(tmp_path):
    told = found("""
import torch
from torch.nn.modules import module
from torch.optim import optimizer
def state():
    hooks = [getattr(m, name) for m in (module, optimizer) for name in dir(m) if name.startswith("_global_") and name.endswith("hooks")]
    return [len(h) for h in hooks] + [torch.optim.SGD.step is step, vars(torch.optim.Optimizer).get("_hook_for_profile") is look]
step, look = torch.optim.SGD.step, vars(torch.optim.Optimizer).get("_hook_for_profile")
before = state()
net = network()
sgd = torch.optim.SGD(net.parameters(), lr=0.1)
step = torch.optim.SGD.step
before = state()
keys = sorted(vars(net)), sorted(vars(sgd))
tracing = memtap.torch.enable()
during, again = state(), memtap.torch.enable(rate=1)
active = [tracing.active, again.active]
with memtap.record(path, mode="exact"):
    turn(net, sgd)
    memtap.torch.disable()
    memtap.torch.disable()
    turn(net, sgd)
    with memtap.torch.enable(rate=0):
        turn(net, sgd)
    turn(net, sgd)
say(before=before, during=during, after=state(), active=active, same=keys == (sorted(vars(net)), sorted(vars(sgd))), rows=short(path))
""", tmp_path)
    assert told["before"] == told["after"] and told["during"] != told["before"] and told["same"] and told["active"] == [False, True]
    first, second = told["rows"][:10], told["rows"][10:]
    assert [row[2:] for row in first] == [OUTER[0], *INNER, *OUTER[1:]] and [row[2:] for row in second] == OUTER
    assert [row[0] for row in told["rows"]] == [0] * 14


def test_gradients_that_are_gathered_are_one_step(tmp_path):
    rows = found("""
import torch
memtap.torch.enable(rate=0)
net = network()
sgd = torch.optim.SGD(net.parameters(), lr=0.1)
with memtap.record(path, mode="exact"):
    for i in range(6):
        turn(net, *([sgd] if i % 3 == 2 else []))
    turn(net)
say(rows=short(path))
""", tmp_path)["rows"]
    for step in (0, 1):
        assert [row[2:] for row in rows if row[0] == step] == OUTER[:2] * 3 + OUTER[2:]
        assert [row[1] for row in rows if row[0] == step] == [0, 7, 8, 15, 16, 23, 24, 25]
    assert [row[2:] for row in rows if row[0] == 2] == OUTER[:2]


def test_a_loop_without_an_optimizer_says_its_steps(tmp_path):
    rows = found("""
import torch
memtap.step()  # not enabled: nothing
memtap.torch.enable(rate=0)
net, sgd = network(), None
with memtap.record(path, mode="exact"):
    for _ in range(3):
        turn(net)
        turn(net)
        memtap.step()
    turn(net, torch.optim.SGD(net.parameters(), lr=0.1))
    turn(net)
say(rows=short(path))
""", tmp_path)["rows"]
    assert [[row[0], row[3]] for row in rows] == [[step, stage] for step in range(3) for stage in ["pre forward", "post forward"] * 2] + [
        [3, stage] for stage in ("pre forward", "post forward", "pre step", "post step", "pre forward", "post forward")]


def test_several_optimizers_of_one_round_are_one_step(tmp_path):
    told = found("""
import torch
memtap.torch.enable(rate=0)
def optimizer(net):
    return torch.optim.Adam(net.parameters(), lr=0.1)
one, two = network(), network()
first, second = optimizer(one), optimizer(two)
with memtap.record(path, mode="exact"):
    for _ in range(3):
        turn(one, first, second)         # both after one forward
with memtap.record(path + "2", mode="exact"):
    for _ in range(3):
        turn(one, first)                 # each after its own
        turn(two, second)
say(both=short(path), each=short(path + "2"))
""", tmp_path)
    names = ["Net", "Net", "Adam", "Adam", "Adam_1", "Adam_1"]
    assert [row[2] for row in told["both"]] == names * 3
    assert [row[0] for row in told["both"]] == [0] * 6 + [1] * 6 + [2] * 6
    assert [row[2] for row in told["each"]] == ["Net", "Net", "Adam", "Adam", "Net_1", "Net_1", "Adam_1", "Adam_1"] * 3
    assert [row[0] for row in told["each"] if row[2] == "Adam"] == [3, 3, 4, 4, 5, 5]


def test_what_an_exception_leaves_is_not_taken_for_running(tmp_path):
    rows = found("""
import torch
memtap.torch.enable(rate=1)
class Fails(torch.nn.Module):
    def forward(self, x):
        if fails:
            raise ValueError("a bad batch")
        return x
class Holds(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Sequential(Fails())
    def forward(self, x):
        return self.inner(x)
net, errors = Holds(), []
sgd = torch.optim.SGD(network().parameters(), lr=0.1)
with memtap.record(path, mode="exact"):
    for fails in (False, True, True, False):
        try:
            net(torch.randn(2, 2))
        except ValueError as error:
            errors.append(str(error))
    sgd.step()
say(rows=short(path), errors=errors)
""", tmp_path)
    assert rows["errors"] == ["a bad batch"] * 2
    names = ["Holds", "Holds.inner", "Holds.inner.0"]
    entered = [[name, "pre forward"] for name in names]
    whole = entered + [[name, "post forward"] for name in reversed(names)]
    assert [row[2:] for row in rows["rows"]] == whole + entered + entered + whole + OUTER[2:]
    assert {row[0] for row in rows["rows"]} == {0}


def test_names_of_modules_that_come_and_go(tmp_path):
    rows = found("""
import torch
memtap.torch.enable(rate=1)
class Grows(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.unseen = [torch.nn.Linear(4, 4)]
    def forward(self, x):
        if not hasattr(self, "late"):
            self.late = torch.nn.Linear(4, 4)
        return self.unseen[0](self.late(x))
class Calls(torch.nn.Module):       # itself, twice
    def forward(self, x, depth=2):
        return self(x, depth - 1) if depth else x
with memtap.record(path, mode="exact"):
    Grows()(torch.randn(2, 4))
    for _ in range(3):
        torch.nn.Sequential(torch.nn.Linear(4, 4))(torch.randn(2, 4))
    Calls()(torch.randn(2, 4))
say(rows=[row[2:] for row in short(path)])
""", tmp_path)["rows"]
    both = ["pre forward", "post forward"]
    assert rows[:6] == [["Grows", both[0]], ["Grows.late", both[0]], ["Grows.late", both[1]], ["Grows.Linear", both[0]],
                        ["Grows.Linear", both[1]], ["Grows", both[1]]]
    assert rows[6:18] == [["Sequential", both[0]], ["Sequential.0", both[0]], ["Sequential.0", both[1]], ["Sequential", both[1]]] * 3
    assert rows[18:] == [["Calls", both[0]]] * 3 + [["Calls", both[1]]] * 3


def test_threads_have_their_own_modules(tmp_path):
    rows = found("""
import torch
memtap.torch.enable(rate=1)
nets = [network() for _ in range(3)]
inside = threading.Barrier(3)
class Waits(torch.nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net
    def forward(self, x):
        inside.wait(300)
        x = self.net(x)
        inside.wait(300)
        return x
def work(net):
    net(torch.randn(2, 64))
with memtap.record(path, mode="exact"):
    threads = [threading.Thread(target=work, args=(Waits(net),)) for net in nets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
say(rows=short(path))
""", tmp_path)["rows"]
    assert sorted(row[1] for row in rows) == list(range(30))
    roots = {row[2].split(".")[0] for row in rows}
    assert roots == {"Waits", "Waits_1", "Waits_2"}
    for root in roots:
        own = [row[2:] for row in rows if row[2].split(".")[0] == root]
        net = [[root + ".net", "pre forward"]] + [[f"{root}.net.fc{n}", stage] for n in (1, 2, 3) for stage in ("pre forward", "post forward")] + [
            [root + ".net", "post forward"]]
        assert own == [[root, "pre forward"], *net, [root, "post forward"]]


@needs_fake
def test_memory_of_a_device(tmp_path):
    rows = found("""
import torch
memtap.torch.enable(rate=1)
class Takes(torch.nn.Module):
    def forward(self, x):
        torch.cuda.take(5 << 20)
        torch.cuda.take(-(2 << 20))
        return x
net = Takes()
with memtap.record(path, mode="exact"):
    net(None)
    asked = len(torch.cuda.asked)
    torch.cuda.init()
    memtap.step()
    net(None)
    net(None)
say(rows=rows(path), asked=asked)
""", tmp_path)
    assert rows["asked"] == 0
    first, second = rows["rows"][:2], rows["rows"][2:]
    assert {row["source"] for row in first} == {"rss"} and {row["source"] for row in second} == {"cuda"}
    assert [row["allocated"] for row in second] == [3, 6, 6, 9] and [row["max_allocated"] for row in second] == [5, 8, 8, 11]
    assert [row["allocated_delta"] for row in second] == [0, 3, 0, 3]
    assert [round(row["cached"] * 1048576) - 1000 for row in second] == [5 << 20, 8 << 20, 8 << 20, 11 << 20]


@needs_fake
def test_a_device_that_fails_and_an_interruption(tmp_path):
    told = found("""
import torch
memtap.torch.enable(rate=1)
torch.cuda.init()
def fails():
    raise failure
torch.cuda.memory_stats_as_nested_dict = fails
net, caught = network(), []
with memtap.record(path, mode="exact"):
    failure = RuntimeError("no device")
    net(torch.randn(2, 64))
    memtap.step()
    failure = KeyboardInterrupt()
    try:
        net(torch.randn(2, 64))
    except KeyboardInterrupt:
        caught.append("interrupted")
say(rows=rows(path), caught=caught)
""", tmp_path)
    assert told["caught"] == ["interrupted"]
    assert {row["source"] for row in told["rows"]} == {"rss"} and [row["step"] for row in told["rows"]] == [0] * 8


def test_settings_that_are_none_are_refused(tmp_path):
    told = found("""
def refused(*arguments, **options):
    return raised(memtap.torch.enable, *arguments, **options)
errors = [refused(rate=2), refused(rate="x"), refused(micro_batches=0)]
for text in ("often", "on,every=3", "on,micro_batches=x"):
    os.environ["MEMTAP_TORCH"] = text
    errors.append(refused())
say(errors=errors, finders=[type(finder).__name__ for finder in sys.meta_path], torch="torch" in sys.modules)
""", tmp_path)
    assert [error[0] for error in told["errors"]] == ["ValueError"] * 6
    assert "from 0 to 1, not 2" in told["errors"][0][1] and "1 or more, not 0" in told["errors"][2][1]
    assert "from 0 to 1, not 'often'" in told["errors"][3][1] and "'every=3' is not known" in told["errors"][4][1]
    assert "_TorchComes" not in told["finders"] and not told["torch"]


def test_the_command_says_what_it_is(tmp_path):
    def memtap_torch(*words, status=0, **more):
        done = subprocess.run([sys.executable, "-m", "memtap.torch", *words], env=environment(**more), cwd=tmp_path, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, universal_newlines=True, timeout=300)
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    assert memtap_torch("--help").startswith("usage: python3 -m memtap.torch PROGRAM.py")
    assert memtap_torch(status=2).startswith("usage:")
    assert "not known" in memtap_torch("x.py", status=1, MEMTAP_TORCH="on,x=1")
    (tmp_path / "job.py").write_text("import sys\nprint(__name__, sys.argv[1:], sys.path[0])\n", encoding="utf-8")
    assert memtap_torch("-m", "job", "1") == f"__main__ ['1'] {tmp_path}\n"
    assert memtap_torch("job.py", "2", MEMTAP_TORCH="off") == f"__main__ ['2'] {tmp_path}\n"


def test_nothing_is_recorded_and_nothing_costs(tmp_path):
    out, _ = run(PROGRAM.format(real=REAL, fakes=str(FAKES)) + """
import torch
memtap.torch.enable(rate=1)
net = network()
sgd = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(5):
    turn(net, sgd)
with memtap.record(path, mode="exact"):
    turn(net, sgd)
pid = os.fork()
if pid == 0:
    turn(net, sgd)
    os._exit(0)
_, status = os.waitpid(pid, 0)
say(rows=[row[0] for row in short(path)], status=status)
""", tmp_path)
    assert '"status": 0' in out and '"rows": [5, 5, 5, 5, 5, 5, 5, 5, 5, 5]' in out
