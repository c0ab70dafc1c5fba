"""Programs made by hypothesis, with a model that knows their profile: live set, peak, counts, page by page.

tests/targets/scripted.c does what a script says; the model below does the same with a dict and a list of pages.
The programs are the same in each run; MEMTAP_EXAMPLES=2000 makes so many new ones.
"""

import os

import hypothesis
import hypothesis.strategies as st
import pytest
import tracereplay

PAGE, SLOTS, WINDOW = 4096, 64, 64
EXAMPLES = os.environ.get("MEMTAP_EXAMPLES")
SIZES = st.one_of(st.integers(1, 600), st.integers(1, 200_000), st.just(1 << 33))
SLOT = st.integers(0, SLOTS - 1)


class Model:
    """The heap of a script. Operations that make no sense (free of an empty slot) are turned into ones that do."""

    def __init__(self):
        self.slots = {}
        self.pages = [True] * WINDOW
        self.script = []
        self.allocations = 1  # the window
        self.bytes = self.current = self.peak = WINDOW * PAGE

    def emit(self, *words):
        self.script.append(" ".join(map(str, words)))
        self.current = sum(self.slots.values()) + PAGE * sum(self.pages)
        self.peak = max(self.peak, self.current)

    def count(self, size):
        self.allocations += 1
        self.bytes += size

    def allocate(self, code, slot, size):
        if slot in self.slots:
            return self.resize(slot, size)
        self.slots[slot] = size
        self.count(size)
        return self.emit(code, slot, size)

    def resize(self, slot, size):
        self.slots[slot] = size
        self.count(size)
        self.emit("r", slot, size)

    def release(self, code, slot):
        if self.slots.pop(slot, None) is not None:
            self.emit(code, slot)

    def map(self, first, count):
        self.pages[first : first + count] = [True] * count
        self.count(count * PAGE)
        self.emit("M", first, count)

    def unmap(self, first, count):
        self.pages[first : first + count] = [False] * count
        self.emit("U", first, count)

    def shrink(self, first, count, less):
        """mremap wants one mapping: make it one first."""
        self.map(first, count)
        self.pages[first + count - less : first + count] = [False] * less
        self.count((count - less) * PAGE)
        self.emit("S", first, count, less)


@st.composite
def page_range(draw, least=1):
    first = draw(st.integers(0, WINDOW - least))
    return first, draw(st.integers(least, WINDOW - first))


OPERATIONS = st.one_of(
    st.tuples(st.just("allocate"), st.sampled_from("mcax"), SLOT, SIZES),
    st.tuples(st.just("resize"), SLOT, SIZES),
    st.tuples(st.just("release"), st.sampled_from("fy"), SLOT),
    st.tuples(st.just("map"), page_range()),
    st.tuples(st.just("unmap"), page_range()),
    st.tuples(st.just("shrink"), page_range(least=2)),
)


def play(operations):
    model = Model()
    for name, *arguments in operations:
        if name == "resize" and arguments[0] not in model.slots:
            continue
        if name in ("map", "unmap"):
            arguments = arguments[0]
        if name == "shrink":
            (first, count), = arguments
            arguments = (first, count, 1 + (first + count) % (count - 1))
        getattr(model, name)(*arguments)
    return model


def of_the_script(trace):
    """Events of the script's own functions, and the frees of their blocks."""
    namer, live, kept = tracereplay.Namer(trace), set(), []
    for event in trace.events:
        if event.kind in ("alloc", "map"):
            if namer.case(event.stack) is None:
                continue
            live.add(event.addr)
        elif event.kind == "free" and event.addr not in live:
            continue
        kept.append(event)
    return kept


@pytest.mark.parametrize("options", [(), ("--aggregate",)])
def test_any_program_is_recorded_as_the_model_says(record, target, tmp_path, options):
    program = target("scripted")

    @hypothesis.settings(max_examples=int(EXAMPLES or 60), derandomize=EXAMPLES is None, deadline=None, print_blob=True,
                         suppress_health_check=list(hypothesis.HealthCheck))
    @hypothesis.given(st.lists(OPERATIONS, max_size=60))
    @hypothesis.example([("map", (1, 1)), ("map", (0, 1))])  # the piece that stood for the window goes, others live
    def holds(operations):
        model = play(operations)
        script = tmp_path / "script"
        script.write_text("\n".join(model.script))
        recording = record(program, script, options=options)
        reported = recording.live_by_case()
        assert reported.get("case_heap", (0, 0)) == (len(model.slots), sum(model.slots.values()))
        pages = sum(reported.get(case, (0, 0))[1] for case in ("case_pages", "case_window"))
        assert pages == PAGE * sum(model.pages)
        if options:
            return
        replay = tracereplay.Replay(of_the_script(recording.trace))
        assert (replay.allocations, replay.allocated_bytes) == (model.allocations, model.bytes)
        assert replay.current == model.current
        assert replay.peak == model.peak

    holds()
