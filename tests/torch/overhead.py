"""What tracing a training loop costs: pairs of a step with hooks and one without, in one recorded process, in turns.

Usage: overhead.py [PAIRS]      by hand or make test-torch; prints medians, fails never: a busy machine proves nothing.
One pair in twenty has the step in which inner modules have rows, as a loop with the default settings has.
"""

import os
import statistics
import sys
import tempfile
import time

import torch

import memtap
import memtap.torch

WIDTH, BATCH = 512, 512


def main(pairs=100):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    net = torch.nn.Sequential(torch.nn.Linear(WIDTH, WIDTH), torch.nn.ReLU(), torch.nn.Linear(WIDTH, WIDTH), torch.nn.ReLU(),
                              torch.nn.Linear(WIDTH, 16))
    sgd = torch.optim.SGD(net.parameters(), lr=0.01)
    batch, goal = torch.randn(BATCH, WIDTH), torch.randn(BATCH, 16)

    def step():
        started = time.perf_counter()
        loss = torch.nn.functional.mse_loss(net(batch), goal)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        return time.perf_counter() - started

    with tempfile.TemporaryDirectory() as folder, memtap.record(os.path.join(folder, "t.mtap"), mode="sample") as recording:
        for _ in range(5):
            step()
        off, on = [], []
        for pair in range(pairs):
            off.append(step())
            with memtap.torch.enable():
                if pair % 20 != 0:
                    step()
                on.append(step())
        path = recording.path
        rows = len(memtap.open(path).sql("SELECT 1 FROM python.torch_trace"))
    plain, traced = statistics.median(off), statistics.median(on)
    ratios = statistics.median(b / a for a, b in zip(off, on))
    print(f"{pairs} pairs, {rows} rows: median step {plain * 1000:.2f} ms without, {traced * 1000:.2f} ms with: {100 * (traced / plain - 1):+.2f} %; "
          f"median of the pairs' ratios {100 * (ratios - 1):+.2f} %")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
