"""memtap.label and memtap.label_tasks: memory belongs to the job that asked for it, whatever it awaits and wherever it runs."""

import sys

import pytest
from childprogram import answer

import memtap

MIB = 1 << 20
MODES = ["exact", "sample"]
RUN = [sys.executable, "-m", "memtap", "run"]
# rows of leaks by label and by task, {name: bytes}, and whose is most
REPORT = """
def report(path):
    found = {}
    with memtap.open(path) as trace:
        for by in ("label", "task"):
            rows = trace.leaks(by=by)
            found[by] = [[row[by], row["bytes"]] for row in rows]
    return found
"""


@pytest.mark.parametrize("mode", MODES)
def test_one_of_a_thousand_tasks_holds_28_mib(tmp_path, mode):
    found = answer(REPORT + """
import asyncio
hold = {}

async def work(i):
    await asyncio.sleep(0)
    with memtap.label(f"job-{i}"):
        await asyncio.sleep(0)
        hold[i] = bytearray(28 << 20 if i == 617 else 5000 + i)
        await asyncio.sleep(0)
    hold[i, "after"] = bytearray(2000)

async def main():
    tasks = [asyncio.ensure_future(work(i)) for i in range(1000)]
    for i, task in enumerate(tasks):
        task.set_name(f"task-{i}")
    await asyncio.gather(*tasks)

memtap.label_tasks()
path = sys.argv[1] + "/a.mtap"
with memtap.record(path, mode=sys.argv[2], rate=4096):
    asyncio.run(main())
say(**report(path))
""", tmp_path, mode)
    label, task = dict(found["label"]), dict(found["task"])
    assert found["label"][0][0] == "job-617" and 28 * MIB <= label["job-617"] < 28.1 * MIB
    assert found["task"][0][0] == "task-617" and 28 * MIB <= task["task-617"] < 28.1 * MIB
    if mode == "exact":
        for i in (0, 3, 616, 999):
            assert 5000 + i <= label[f"job-{i}"] < 8000 + i  # the buffer and small objects
            assert label[f"job-{i}"] + 2000 < task[f"task-{i}"]
        assert {f"job-{i}" for i in range(1000)} <= set(label)


@pytest.mark.parametrize("mode", MODES)
def test_a_pool_of_threads(tmp_path, mode):
    """Each job has its label in whichever thread it runs; by task the memory is the threads'."""
    found = answer(REPORT + """
from concurrent.futures import ThreadPoolExecutor
hold = {}

@memtap.label("largest")
def largest():
    hold["largest"] = bytearray(6_000_000)

def convert(n):
    with memtap.label(f"convert-{n}"):
        hold[n] = bytearray(500_000 + 1000 * n)

memtap.label_tasks()
path = sys.argv[1] + "/a.mtap"
with memtap.record(path, mode=sys.argv[2], rate=4096):
    with ThreadPoolExecutor(4, thread_name_prefix="conv") as pool:
        list(pool.map(convert, range(8)))
    with ThreadPoolExecutor(1, thread_name_prefix="big") as pool:
        pool.submit(largest).result()
say(**report(path))
""", tmp_path, mode)
    label, task = dict(found["label"]), dict(found["task"])
    assert found["label"][0][0] == "largest" and found["task"][0][0] == "big_0"
    for n in range(8):
        assert 500_000 + 1000 * n <= label[f"convert-{n}"] < 560_000 + 1000 * n
    assert sum(size for name, size in task.items() if name and name.startswith("conv_")) >= 8 * 500_000


@pytest.mark.parametrize("mode", MODES)
def test_a_worker_that_forks_children_which_label_each_task_by_name(tmp_path, mode):
    """As Celery's prefork pool does it; under `memtap run`, all processes in one file."""
    path = tmp_path / "w.mtap"
    answer("""
import multiprocessing
TASKS = {"mail.send": 3000, "report.build": 4_000_000, "thumbs.make": 40_000}

def worker(number):
    hold = []
    for i in range(9):
        name = sorted(TASKS)[i % 3]
        with memtap.label(name):
            hold.append(bytearray(TASKS[name]))
    os._exit(0)

context = multiprocessing.get_context("fork")
workers = [context.Process(target=worker, args=(n,)) for n in range(3)]
for w in workers:
    w.start()
for w in workers:
    w.join()
say()
""", before=[*RUN, "-q", "-o", path, "--mode", mode, "--rate", "16K", "--"])
    with memtap.open(path) as trace:
        rows = trace.leaks(by="label")
    size = {row["label"]: row["bytes"] for row in rows}
    assert rows[0]["label"] == "report.build"
    assert 3 * 3 * 4_000_000 <= size["report.build"] < 1.01 * 3 * 3 * 4_000_000
    if mode == "exact":
        assert 9 * 40_000 <= size["thumbs.make"] < 9 * 41_000 and 9 * 3000 <= size["mail.send"] < 9 * 3500


def test_labels_nest_follow_their_coroutine_and_end_with_it(tmp_path):
    """Sizes that nothing else has say under which label each block was allocated."""
    found = answer(REPORT + """
import asyncio, contextvars
hold = []
def take(size):
    hold.append(bytearray(size))

@memtap.label("decorated")
async def decorated():
    await asyncio.sleep(0)
    take(101_000)

async def inner():
    await asyncio.sleep(0)
    take(102_000)

async def main():
    with memtap.label("outer"):
        await inner()
        with memtap.label("inner"):
            take(103_000)
            other = asyncio.ensure_future(inner())        # a task inherits what its maker has
            await asyncio.sleep(0)
            await other
        take(104_000)
        await decorated()
        take(105_000)
        loop = asyncio.get_running_loop()
        loop.call_soon(take, 106_000)
        await asyncio.sleep(0)
    await asyncio.gather(decorated(), inner())
    take(107_000)

same = memtap.label("same")
path = sys.argv[1] + "/a.mtap"
with memtap.record(path):
    asyncio.run(main())
    with same:
        with same:
            take(108_000)
        take(109_000)
    take(110_000)
    try:
        with memtap.label("raises"):
            raise KeyError
    except KeyError:
        take(111_000)
    context = contextvars.copy_context()
    with same:
        context.run(take, 112_000)                        # made before the label
    a, b = memtap.label("a"), memtap.label("b")
    a.__enter__(); b.__enter__(); a.__exit__(); take(113_000); b.__exit__(); take(114_000)
say(**report(path))
""", tmp_path)
    labels = dict(found["label"])
    assert {name: size // 100_000 for name, size in labels.items() if size >= 100_000} == {
        "decorated": 2, "outer": 4, "inner": 2, "same": 2, "b": 1, None: labels[None] // 100_000}
    assert labels[None] >= 107_000 + 110_000 + 111_000 + 112_000 + 114_000 + 102_000
    assert labels["decorated"] >= 2 * 101_000
    assert labels["outer"] >= 102_000 + 104_000 + 105_000 + 106_000
    assert labels["inner"] >= 103_000 + 102_000
    assert labels["same"] >= 108_000 + 109_000
    assert labels["b"] >= 113_000


def test_a_label_reaches_to_thread_and_the_callbacks_of_other_contexts(tmp_path):
    found = answer(REPORT + """
import asyncio, contextvars, functools
hold = []
def take(size):
    hold.append(bytearray(size))

async def in_thread(function, *arguments):                # asyncio.to_thread, which 3.8 has not
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(None, functools.partial(context.run, function, *arguments))

async def main():
    with memtap.label("with a thread"):
        await in_thread(take, 5_000_000)
    await in_thread(take, 7_000_000)

path = sys.argv[1] + "/a.mtap"
with memtap.record(path):
    asyncio.run(main())
say(**report(path))
""", tmp_path)
    label = dict(found["label"])
    assert 5_000_000 <= label["with a thread"] < 6_000_000  # some of it is asyncio's, which makes the pool then
    assert 7_000_000 <= label[None] < 8_000_000


def test_a_label_may_be_there_before_the_recording_and_after_it(tmp_path):
    found = answer(REPORT + """
with memtap.label("long"):
    for name in ("a", "b"):
        path = f"{sys.argv[1]}/{name}.mtap"
        with memtap.record(path):
            keep = bytearray(200_000)
    inside = report(path)
with memtap.record(sys.argv[1] + "/c.mtap"):
    keep = bytearray(200_000)
say(inside=inside, after=report(sys.argv[1] + "/c.mtap"))
""", tmp_path)
    assert found["inside"]["label"][0][0] == "long"
    assert [name for name, _ in found["after"]["label"]] == [None]


def test_samples_of_memprof_and_of_a_trace_know_label_and_task(tmp_path):
    found = answer("""
memtap.label_tasks()
m.start(sampling_rate_kb=1)
with memtap.label("job"):
    held = bytearray(700_000)
    gone = bytearray(800_000)
plain = bytearray(900_000)
del gone
snapshot = m.get_snapshot(include_freed=True)
[held_sample] = sizes(snapshot, 700_000)
[plain_sample] = sizes(snapshot, 900_000)
[gone_sample] = [sample for sample in snapshot.freed_samples if 800_000 <= sample.size < 804_096]
m.shutdown()
with memtap.record(sys.argv[1] + "/a.mtap"):
    with memtap.label("recorded"):
        held = bytearray(600_000)
with memtap.open(sys.argv[1] + "/a.mtap") as trace:
    live = [[sample.label, sample.task] for sample in trace.snapshot().live if 600_000 <= sample.size < 604_096]
say(held=[held_sample.label, held_sample.task], plain=[plain_sample.label, plain_sample.task],
    gone=[gone_sample.label, gone_sample.task], live=live)
""", tmp_path)
    assert found["held"] == found["gone"] == ["job", "MainThread"] and found["plain"] == [None, "MainThread"]
    assert found["live"] == [["recorded", "MainThread"]]


@pytest.mark.parametrize("text, error", [(7, TypeError), (None, TypeError), (b"x", TypeError), ("", ValueError)])
def test_what_is_no_label_is_refused(text, error):
    with pytest.raises(error):
        memtap.label(text)


def test_a_generator_is_refused_as_it_runs_in_pieces():
    def numbers():
        yield 1

    with pytest.raises(TypeError, match="with memtap.label"):
        memtap.label("x")(numbers)


def test_a_program_s_results_and_errors_come_through_the_contexts_that_are_followed():
    found = answer("""
import asyncio, contextvars
memtap.label_tasks()
v = contextvars.ContextVar("v")
c = contextvars.copy_context()
def both(a, *, b):
    v.set(a)
    return a, b
result = c.run(both, 1, b=2)
errors = [raised(c.run), raised(c.run, 7), raised(c.run, both, 1), raised(lambda: c.run(c.run, print))]
plain = contextvars.Context()
errors.append(raised(plain.run, lambda: 1 // 0))
async def fails():
    await asyncio.sleep(0)
    raise LookupError("seen")
say(result=result, kept=c[v], errors=errors, task=raised(asyncio.run, fails()))
""")
    assert found["result"] == [1, 2] and found["kept"] == 1
    kinds = [error and error[0] for error in found["errors"]]
    assert kinds == ["TypeError", "TypeError", "TypeError", "RuntimeError", "ZeroDivisionError"]
    assert found["task"] == ["LookupError", "seen"]
