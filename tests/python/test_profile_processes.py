"""memtap.open on a run of several processes: events, samples and arrays are those of all, by time, each with its process."""

import os
import pathlib

import pytest
from leakyprogram import record, run_memtap  # puts the folder of the next one on the path
import tracefile
import tracereplay

import memtap

FAMILY = """
    import os
    kept = bytearray(100_001)
    for size in (200_003, 300_007):
        child = os.fork()
        if child == 0:
            kept = bytearray(size)
            os._exit(0)
        os.waitpid(child, 0)
    more = bytearray(400_009)
    os._exit(0)
    """
SIZES = (100_001, 200_003, 300_007, 400_009)


def nested(size):
    """Is it one of the program's own? A bytearray has a byte more than it says."""
    return size - 1 in SIZES


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    return record(tmp_path_factory.mktemp("family"), FAMILY)[0]


@pytest.fixture(scope="module")
def oracle(family):
    return tracefile.load_run(family)


def test_records_are_those_of_all_processes_by_time(family, oracle):
    with memtap.open(family) as trace:
        records = list(trace.records())
        assert [process.pid for process in trace.processes] == [part.pid for part in oracle]
        assert [r.timestamp_ns for r in records] == sorted(r.timestamp_ns for r in records)
        for number, part in enumerate(oracle):
            own = [r for r in records if r.trace == number]
            assert own == list(trace.records(trace=number)) and {r.pid for r in own} == {part.pid}
            assert [(r.timestamp_ns, r.kind, r.address) for r in own] == [(e.clock, e.kind, e.addr) for e in part.events]
        assert len(records) == sum(len(part.events) for part in oracle)
        assert list(trace.records(10, 5000)) == records[10:5000]
        sizes = [r.size - 1 for r in records if r.kind == "alloc" and nested(r.size)]
        assert sizes == sorted(SIZES)  # one after another, whoever made them
        one = next(r for r in records if r.size - 1 == 300_007)
        assert [frame.function for frame in trace.stack(one.stack_id, native=False, trace=one.trace)] == ["<module>"]


def test_a_snapshot_is_of_all_processes(family, oracle):
    with memtap.open(family) as trace:
        snapshot = trace.snapshot(freed_limit=50)
        wanted = sorted((part.pid, address, event.size) for part in oracle
                        for address, event in tracereplay.Replay(part.events).live.items())
        assert sorted((s.pid, s.address, s.size) for s in snapshot.live) == wanted
        assert [s.timestamp_ns for s in snapshot.live] == sorted(s.timestamp_ns for s in snapshot.live)
        assert {s.size - 1 for s in snapshot.live if nested(s.size)} == set(SIZES)
        assert len(snapshot.freed) == 50 and snapshot.totals["live_samples"] == len(snapshot.live)
        parts = [trace.snapshot(trace=number) for number in range(len(oracle))]
        assert sum(len(part.live) for part in parts) == len(snapshot.live)
        assert snapshot.totals["live_size_bytes"] == sum(part.totals["live_size_bytes"] for part in parts)
        for sample in snapshot.live:
            number = next(n for n, part in enumerate(oracle) if part.pid == sample.pid)
            alone = next(s for s in parts[number].live if s.address == sample.address)
            assert alone.stack_id == 0 or \
                [f.function for f in snapshot.stacks[sample.stack_id]] == [f.function for f in parts[number].stacks[alone.stack_id]]


def test_arrays_have_a_column_of_processes(family, oracle):
    pytest.importorskip("numpy")
    with memtap.open(family) as trace:
        array, records = trace.to_numpy(), list(trace.records())
        assert sorted(zip(array["pid"].tolist(), array["timestamp_ns"].tolist(), array["address"].tolist())) == \
            sorted((r.pid, r.timestamp_ns, r.address) for r in records)
        assert array["timestamp_ns"].tolist() == [r.timestamp_ns for r in records]
        live = trace.to_numpy("live")
        assert live["pid"].tolist() == [s.pid for s in trace.snapshot(resolve=False).live]
        assert len(trace.to_numpy(trace=1)) == len(oracle[1].events)


def test_what_a_killed_memtap_left_in_the_folder_is_covered(family, oracle, tmp_path):
    """FILE and FILE.d, as they are during a run."""
    path, others = tmp_path / "t.mtap", tmp_path / "t.mtap.d"
    data = pathlib.Path(family).read_bytes()
    first = len(data) - sum((len(part.data) + 127) // 64 * 64 for part in oracle[1:])
    others.mkdir()
    for part in oracle[1:]:
        (others / f"{part.pid}.mtap").write_bytes(part.data)
    path.write_bytes(data[:first])
    with memtap.open(path) as trace:
        assert {process.pid for process in trace.processes} == {part.pid for part in oracle}
        assert {os.path.dirname(process.path) for process in trace.processes} == {str(tmp_path), str(others)}
        assert sum(1 for _ in trace.records()) == sum(len(part.events) for part in oracle)
        assert {s.size - 1 for s in trace.snapshot(resolve=False).live if nested(s.size)} == set(SIZES)
    run_memtap("stats", path)
