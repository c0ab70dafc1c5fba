"""Labels: a program says whose memory it allocates, and the trace has it, thread by thread and process by process."""

import collections

import pytest
import tracereplay
from conftest import run

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
    assert not any(trace.label_under[number] for trace in recording.traces for number in trace.labels)
