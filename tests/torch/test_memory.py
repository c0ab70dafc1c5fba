"""Memory of a loop of the real torch on the CPU, to the byte; and what torch does that a stand-in does not (make test-torch)."""

import json
import pathlib
import re
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")
ROOT = pathlib.Path(__file__).resolve().parents[2]
GUIDE = ROOT / "tests/guides/memory-analysis.md"
MIB = 1 << 20

PRELUDE = """
import json, os, sys
import torch
torch.manual_seed(0)
torch.set_num_threads(1)
class Net(torch.nn.Module):
    def __init__(self, width=256):
        super().__init__()
        self.fc1 = torch.nn.Linear(width, width)
        self.fc2 = torch.nn.Linear(width, width)
        self.fc3 = torch.nn.Linear(width, 8)
    def forward(self, x):
        return self.fc3(torch.relu(self.fc2(torch.relu(self.fc1(x)))))
"""


def record(tmp_path, code, *options):
    """What a program under `memtap run` printed as JSON in its last line, and its recording."""
    program, path = tmp_path / "train.py", tmp_path / f"t{len(list(tmp_path.iterdir()))}.mtap"
    program.write_text(PRELUDE + code, encoding="utf-8")
    done = subprocess.run([sys.executable, "-m", "memtap", "run", "-o", path, *options, "--", sys.executable, "-m", "memtap.torch", program],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, timeout=600)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    return json.loads(lines[-1]) if lines else None, path


def ask(path, query):
    done = subprocess.run([sys.executable, "-m", "memtap", "query", "-f", "json", path, query], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("mode", ["exact", "sample"])
def test_allocated_is_the_storage_of_the_tensors(tmp_path, mode):
    told, path = record(tmp_path, """
net = Net()
x = torch.randn(32, 256)
weights = sum(p.numel() * 4 for p in net.parameters())
with torch.no_grad():
    for _ in range(3):
        y = net(x)
del y
kept = [torch.zeros(1000, dtype=torch.float64), torch.zeros(3, dtype=torch.int8)]
with torch.no_grad():
    net(x)
print(json.dumps({"weights": weights}))
""", "--mode", mode)
    rows = ask(path, "SELECT * FROM python.torch_trace")
    assert {row["source"] for row in rows} == {"cpu_alloc"} and len(rows) == 32
    base, out, hidden = told["weights"] + 32 * 256 * 4, 32 * 8 * 4, 32 * 256 * 4
    first, last = [round(row["allocated"] * MIB) for row in rows[:8]], [round(row["allocated"] * MIB) for row in rows[-8:]]
    assert first == [base, base, base + hidden, base + hidden, base + 2 * hidden, base + hidden, base + hidden + out, base + out]
    assert last[0] == base + 8003 and last[1] == last[0]
    deltas = {(row["module"], row["stage"]): round(row["allocated_delta"] * MIB) for row in rows[:8] if row["stage"] == "post forward"}
    assert deltas == {("Net.fc1", "post forward"): hidden, ("Net.fc2", "post forward"): hidden, ("Net.fc3", "post forward"): out,
                      ("Net", "post forward"): out}
    assert max(row["max_allocated"] for row in rows) * MIB >= base + 2 * hidden


def test_a4_10_kept_activations_grow_and_are_flagged(tmp_path):
    _, path = record(tmp_path, """
net, kept = Net(64), []
sgd = torch.optim.SGD(net.parameters(), lr=0.01)
for _ in range(45):
    out = net(torch.randn(256, 64))
    out.sum().backward()
    sgd.step()
    sgd.zero_grad()
    kept.append(out)
""", "--mode", "sample")
    growth = ask(path, """SELECT step, allocated - LAG(allocated) OVER (PARTITION BY stage ORDER BY step, seq) AS growth, source
                          FROM python.torch_trace WHERE module IN ('Net', 'SGD')""")
    known = [row["growth"] for row in growth if row["growth"] is not None and row["step"] > 1]
    assert len(known) == 43 * 4 and min(known) > 0 and {row["source"] for row in growth} == {"cpu_alloc"}
    query = next(found for found in re.findall(r'query "\n(.*?)\n"', GUIDE.read_text(encoding="utf-8"), re.S) if "POTENTIAL_MEMORY_LEAK" in found)
    flagged = ask(path, query)
    assert len(flagged) >= 3 and {row["alert_type"] for row in flagged} == {"POTENTIAL_MEMORY_LEAK"}


def test_results_are_those_of_an_untraced_run(tmp_path):
    code = """
import hashlib
net = Net(32)
adam = torch.optim.Adam(net.parameters(), lr=0.01)
schedule = torch.optim.lr_scheduler.StepLR(adam, step_size=5)
scripted, traced = torch.jit.script(Net(32)), torch.jit.trace(Net(32), torch.ones(4, 32))
closing = torch.optim.LBFGS(scripted.parameters(), lr=0.1, max_iter=3)
seen = []
def closure():
    closing.zero_grad()
    loss = scripted(torch.ones(8, 32)).pow(2).sum()
    loss.backward()
    return loss
for step in range(12):
    loss = torch.nn.MSELoss()(net(torch.randn(8, 32)), torch.zeros(8, 8))
    adam.zero_grad()
    loss.backward()
    adam.step()
    schedule.step()
    seen.append(repr([loss.item(), closing.step(closure).item(), traced(torch.ones(4, 32)).sum().item(), schedule.get_last_lr()]))
weights = b"".join(p.detach().numpy().tobytes() for p in net.parameters())
print(json.dumps([seen, hashlib.sha256(weights).hexdigest(), sorted(vars(net)), sorted(vars(adam)), torch.jit.freeze(scripted.eval()).code]))
"""
    told, path = record(tmp_path, code, "--mode", "sample")
    plain = subprocess.run([sys.executable, tmp_path / "train.py"], stdout=subprocess.PIPE, universal_newlines=True, timeout=600, check=True)
    assert told == json.loads(plain.stdout.splitlines()[-1])
    steps = ask(path, "SELECT module, count(*) AS n FROM python.torch_trace WHERE stage = 'post step' GROUP BY module")
    assert {row["module"]: row["n"] for row in steps} == {"Adam": 12, "LBFGS": 12}
    losses = ask(path, "SELECT module, count(*) AS n FROM python.torch_trace WHERE module LIKE 'MSELoss%' GROUP BY module")
    assert losses == [{"module": "MSELoss", "n": 24}]


def test_another_thread_counts_what_it_gives_out(tmp_path):
    _, path = record(tmp_path, """
import threading
net, kept = Net(64), []
def fill():
    for _ in range(64):
        kept.append(torch.zeros(1 << 16))
threads = [threading.Thread(target=fill) for _ in range(4)]
with torch.no_grad():
    net(torch.zeros(1, 64))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    net(torch.zeros(1, 64))
    kept.clear()
    net(torch.zeros(1, 64))
""", "--mode", "sample")
    rows = ask(path, "SELECT allocated, source FROM python.torch_trace WHERE module = 'Net' AND stage = 'pre forward' ORDER BY seq")
    assert {row["source"] for row in rows} == {"cpu_alloc"}
    assert [round((row["allocated"] - rows[0]["allocated"]) * MIB) for row in rows] == [0, 256 << 18, 0]


def test_an_allocation_that_fails_raises_what_torch_raises(tmp_path):
    told, path = record(tmp_path, """
net, told = Net(64), []
for _ in range(2):
    try:
        torch.empty(1 << 55, dtype=torch.uint8)
    except RuntimeError as error:
        told.append("memory" in str(error))
    net(torch.zeros(1, 64))
print(json.dumps(told))
""", "--mode", "sample")
    assert told == [True, True]
    assert {row["source"] for row in ask(path, "SELECT source FROM python.torch_trace")} == {"cpu_alloc"}
