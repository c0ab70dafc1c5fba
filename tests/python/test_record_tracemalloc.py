"""memtap.record and memtap.memprof beside tracemalloc, whichever of the two was there first or goes first."""

import pytest
from childprogram import answer

PROGRAM = """
    import tracemalloc

    def moment(name):
        if "start " + name in sys.argv[2:]:
            tracemalloc.start(3)
        if "stop " + name in sys.argv[2:]:
            tracemalloc.stop()

    def hold():
        return [[i] for i in range(1000, 21000)]

    def waste():
        del [bytes(700) for _ in range(5000)][:]

    path = sys.argv[1] + "/a.mtap"
    moment("before")
    old = hold()
    r = memtap.record(path)
    r.start()
    moment("early")
    kept = hold()
    waste()
    del old
    moment("late")
    waste()
    r.stop()
    moment("after")
    again = hold()
    live, double = {}, 0
    with memtap.open(path) as trace:
        dropped = trace.stats()["dropped_events"]
        for event in trace.records():
            if event.kind == "alloc":
                double += event.address in live
                live[event.address] = event.size
            elif event.kind == "free":
                live.pop(event.address, None)
    sizes = list(live.values())
    items = sum(map(sizes.count, (28, 32)))  # small ints of the one or the other constructor
    say(lists=sizes.count(sys.getsizeof([0]) - 8), ints=items, wasted=sizes.count(733),
        double=double, dropped=dropped)
"""
ORDERS = {
    "before": ["start before"],
    "before, stopped inside": ["start before", "stop late"],
    "inside": ["start early", "stop late"],
    "inside, stopped after": ["start early", "stop after"],
    "restarted": ["start before", "stop early", "start late", "stop after"],
}


@pytest.mark.parametrize("order", ORDERS)
def test_every_block_is_counted_once_and_seen_to_end(tmp_path, order):
    found = answer(PROGRAM, tmp_path, *ORDERS[order])
    assert found["double"] == found["dropped"] == found["wasted"] == 0
    assert 19800 < found["lists"] < 20200  # up to 80 come out of Python's own list of free ones
    assert 19800 < found["ints"]
