"""Labels: a program says whose memory it allocates, and the trace has it, thread by thread and process by process."""

import collections

import pytest
import tracereplay
from conftest import MEMTAP, run

TASKS = {"mail.send": 1000, "report.build": 90000, "thumbs.make": 5000}
WANTED = collections.Counter({name: 30 * size for name, size in TASKS.items()})  # three children, thirty tasks
WANTED.update({f"pool-{i}": 2000 * (1 + i) for i in range(4)}, parent=3 * 300)
WANTED[None] = 7000


def by_label(traces):
    """{label: bytes} of what the cases of labels.c allocated, by the independent reader."""
    found = collections.Counter()
    for trace in traces:
        namer = tracereplay.Namer(trace)
        for event in trace.events:
            if event.kind == "alloc" and namer.case(event.stack) == "case_task":
                found[trace.labels.get(event.label, (0, None))[1]] += event.size
    return found


def test_a_program_that_labels_runs_without_an_agent(target):
    assert run([target("labels"), 2, 2]).returncode == 0


@pytest.mark.parametrize("options", [[], ["--no-pack"]])
def test_each_event_has_the_label_of_its_thread(record, target, options):
    recording = record(target("labels"), options=options)
    assert len(recording.traces) == 4
    assert by_label(recording.traces) == WANTED
    rows = recording.report("leaks", "--by", "label")
    assert {row["label"]: row["bytes"] for row in rows} == WANTED
    assert rows[0]["label"] == "report.build" and rows[0]["function"] is None
    assert recording.report("leaks", "--by", "task")[0] | {"task": None} == recording.report("leaks", "--by", "task")[0]
    assert not any(trace.label_under[number] for trace in recording.traces for number in trace.labels)


def test_every_view_goes_by_label(record, target):
    recording = record(target("labels"))
    total = sum(WANTED.values())
    table = recording.report("table", "--leaks", "--by", "label")
    assert {row["label"]: row["bytes"] for row in table} == WANTED
    tree = recording.report("tree", "--leaks", "--by", "label")
    assert {node["label"]: node["bytes"] for node in tree if node["depth"] == 1} == WANTED
    assert all("label" not in node for node in tree if node["depth"] != 1)
    assert tree[0]["bytes"] == total
    under = {node["id"]: node["label"] for node in tree if node["depth"] == 1}
    line = next(node for node in tree if node["function"] == "main" and under.get(node["parent"]) == "mail.send")
    assert line["bytes"] == WANTED["mail.send"]
    shown = run([MEMTAP, "table", "--leaks", "--by", "label", recording.path]).stdout.decode()
    assert [row.split()[-1] for row in shown.splitlines()[3:5]] == ["report.build", "thumbs.make"]
    assert "(no label)" in shown


def test_stats_sum_up_labels(record, target):
    recording = record(target("labels"))
    items = recording.stats["by_label"]
    assert {item["label"]: item["bytes"] for item in items} == {k: v for k, v in WANTED.items() if k is not None}
    assert items[0]["label"] == "report.build" and items[0]["leaked_bytes"] == WANTED["report.build"]
    assert [item["peak_bytes"] for item in items] == sorted((item["peak_bytes"] for item in items), reverse=True)
    assert recording.stats["by_task"] == []


def test_samples_know_their_label(record, target):
    recording = record(target("labels"), mode="sample", options=["--rate", "1K"])
    first = recording.report("leaks", "--by", "label")[0]
    assert first["label"] == "report.build"  # 90,000 bytes at a rate of 1 KiB: each is a sample
    assert first["count"] == 30


def test_an_aggregate_trace_says_that_it_knows_no_labels(record, target):
    recording = record(target("labels"), options=["--aggregate"])
    assert recording.stats["by_label"] is None
    for command in ("table", "leaks", "tree"):
        refused = run([MEMTAP, command, "--by", "label", recording.path])
        assert refused.returncode != 0 and b"--by label" in refused.stderr
