"""memray's test_tracking.py: which allocations and frees are seen, by which name."""

import mmap
import signal

import pytest
from childprogram import answer, run
from programs import ALLOCATORS, PAGE, PRELUDE, all_names, frees_of, memray, names, of_size, recorded

import memtap

SIZE = 123 * 8


@memray("test_tracking.py::test_no_allocations_while_tracking", "different", "the few objects of entering and leaving the block are seen")
def test_an_empty_block_has_nothing_of_the_programs(tmp_path, blocks):
    with recorded(tmp_path, blocks, "with memtap.record(PATH): pass") as trace:
        seen = [event for event in trace.records() if event.kind == "alloc"]
        assert all(names(trace, event)[0].startswith("Recording.") and event.size < 100 for event in seen)
        assert not [event for event in trace.records() if event.kind == "map"]


@memray("test_tracking.py::test_simple_allocation_tracking")
@pytest.mark.parametrize("how", ALLOCATORS)
def test_each_allocator_is_seen_once_by_its_name(tmp_path, blocks, how):
    with recorded(tmp_path, blocks, f"with memtap.record(PATH): blocks.put(blocks.get({how!r}, {SIZE}))") as trace:
        (event,) = of_size(trace, SIZE)
        assert event.allocator == how
        assert len(frees_of(trace, event)) == 1


@memray("test_tracking.py::test_simple_cpp_allocation_tracking", "same", "counted once, by the malloc that it calls; the stack names the operator")
@pytest.mark.parametrize("how", ["operator new", "operator new[]"])
def test_operators_of_cpp_are_seen_once(tmp_path, blocks, how):
    code = f"with memtap.record(PATH): blocks.put(blocks.get({how!r}, {SIZE}), {how.replace('new', 'delete')!r})"
    with recorded(tmp_path, blocks, code) as trace:
        (event,) = of_size(trace, SIZE)
        assert event.allocator == "malloc" and "operator new" in all_names(trace, event)
        assert len(frees_of(trace, event)) == 1


@memray("test_tracking.py::test_intercepting_free_sized")
@memray("test_tracking.py::test_intercepting_free_aligned_sized")
@pytest.mark.parametrize("how, free", [("valloc", "free_sized"), ("aligned_alloc", "free_aligned_sized")])
def test_frees_that_tell_the_size(tmp_path, blocks, how, free):
    found = answer(PRELUDE + f"""
block = blocks.get({how!r}, {SIZE})
say(known=blocks.put(block, {free!r}, {SIZE}))
""", tmp_path, blocks)
    if not found["known"]:
        pytest.skip(f"this C library has no {free}")
    code = f"with memtap.record(PATH): blocks.put(blocks.get({how!r}, {SIZE}), {free!r}, {SIZE})"
    with recorded(tmp_path, blocks, code) as trace:
        (event,) = of_size(trace, SIZE)
        assert len(frees_of(trace, event)) == 1


@memray("test_tracking.py::test_simple_pymalloc_allocation_tracking", "different",
        "a block is counted once, where it is served: what pymalloc hands to malloc, and the raw domain, are malloc's")
@pytest.mark.parametrize("domain", ["raw", "mem", "object"])
@pytest.mark.parametrize("how", ["malloc", "calloc", "realloc"])
@pytest.mark.parametrize("size", [SIZE, 488])
def test_python_domains_are_seen_once(tmp_path, blocks, domain, how, size):
    code = f"with memtap.record(PATH, python_allocators=True): blocks.pyput({domain!r}, blocks.py({domain!r}, {how!r}, {size}))"
    with recorded(tmp_path, blocks, code) as trace:
        (event,) = of_size(trace, size)
        assert len(frees_of(trace, event)) == 1
        assert event.allocator.startswith("pymem") == (domain != "raw" and size <= 512), event


@memray("test_tracking.py::test_pymalloc_allocation_tracking_deactivated")
@pytest.mark.parametrize("domain", ["mem", "object"])
@pytest.mark.parametrize("how", ["malloc", "calloc", "realloc"])
def test_python_domains_are_not_seen_unless_asked_for(tmp_path, blocks, domain, how):
    code = f"with memtap.record(PATH, python_allocators=False): blocks.pyput({domain!r}, blocks.py({domain!r}, {how!r}, 488))"
    with recorded(tmp_path, blocks, code) as trace:
        assert of_size(trace, 488) == []
        assert not [event for event in trace.records() if event.allocator.startswith("pymem")]


@memray("test_tracking.py::test_mmap_tracking", "different", "a mapping has the whole pages that the kernel gives it")
def test_a_mapping_is_seen_with_its_end(tmp_path, blocks):
    code = f"""
        import mmap
        with memtap.record(PATH):
            with mmap.mmap(-1, length=2048, access=mmap.ACCESS_WRITE) as mapped:
                mapped[0:100] = b"a" * 100
        """
    with recorded(tmp_path, blocks, code) as trace:
        (mapped,) = [event for event in trace.records() if event.kind == "map" and event.size == mmap.PAGESIZE]
        (gone,) = [event for event in trace.records() if event.kind == "unmap" and event.address == mapped.address]
        assert gone.size == mmap.PAGESIZE


@memray("test_tracking.py::test_pthread_tracking")
def test_a_thread_that_python_did_not_start_is_seen(tmp_path, blocks):
    code = f"""
        def work():
            blocks.put(blocks.get("valloc", {SIZE}))
        with memtap.record(PATH):
            blocks.in_thread(work)
        """
    with recorded(tmp_path, blocks, code) as trace:
        (event,) = of_size(trace, SIZE)
        assert event.allocator == "valloc" and len(frees_of(trace, event)) == 1


@memray("test_tracking.py::test_tracking_with_SIGKILL", "better", "nothing before the kill is lost, not even what was not flushed")
def test_a_kill_loses_nothing(tmp_path, blocks):
    run(PRELUDE + """
import os, signal
with memtap.record(PATH):
    for n in range(100):
        blocks.get("valloc", 1016)
    os.kill(os.getpid(), signal.SIGKILL)
""", tmp_path, blocks, status=-signal.SIGKILL)
    with memtap.open(tmp_path / "x.mtap") as trace:
        assert len(of_size(trace, 1016)) == 100


@memray("test_tracking.py::test_no_allocations")
def test_a_program_that_leaves_at_once_has_a_readable_file(tmp_path, blocks):
    run(PRELUDE + "import os\nwith memtap.record(PATH):\n    os._exit(0)\n", tmp_path, blocks)
    with memtap.open(tmp_path / "x.mtap") as trace:
        assert not [event for event in trace.records() if event.size > 4096]
        assert trace.stats()["dropped_events"] == 0


@memray("test_tracking.py::test_unsupported_operations_on_aggregated_capture")
@pytest.mark.parametrize("question", ["list(trace.records())", "trace.table(selection='temporary')", "trace.table(at='1ms')"])
def test_what_an_aggregate_trace_cannot_know_is_refused(tmp_path, blocks, question):
    code = "with memtap.record(PATH, mode='aggregate'): blocks.put(blocks.get('valloc', 1024))"
    with recorded(tmp_path, blocks, code) as trace:
        assert trace.stats()["allocations"] >= 1
        with pytest.raises(ValueError, match="aggregate"):
            eval(question, {"trace": trace, "list": list})


@memray("test_tracking.py::TestHeader::test_get_header")
@memray("test_tracking.py::TestHeader::test_get_header_after_snapshot")
@pytest.mark.parametrize("look_first", [False, True])
def test_facts_of_a_recording(tmp_path, blocks, look_first):
    found = answer(PRELUDE + """
sys.argv = ["a", "b c"]
before = time.time()
with memtap.record(PATH):
    for _ in range(100):
        blocks.get("valloc", 1024)
say(before=before, after=time.time(), pid=os.getpid())
""", tmp_path, blocks)
    with memtap.open(tmp_path / "x.mtap") as trace:
        if look_first:
            trace.peak()
        info, stats = trace.info, trace.stats()
        start = info["start_realtime_ns"] / 1e9
        assert found["before"] - 1 <= start <= start + info["duration_ns"] / 1e9 <= found["after"] + 1
        assert info["pid"] == found["pid"] and info["mode"] == "exact"
        assert sum(1 for event in trace.records() if event.kind == "alloc") == stats["allocations"]
        assert len(of_size(trace, 1024)) == 100
        assert 100 * 1024 <= stats["peak_bytes"] < 100 * 1024 + 20_000  # the addresses are Python numbers, and objects


@memray("test_tracking.py::test_pymalloc_with_python_stack_traces")
def test_objects_have_python_stacks(tmp_path, blocks):
    code = """
        def innermost(): return blocks.py("object", "malloc", 488)
        def middle(): return innermost()
        def outermost(): return middle()
        with memtap.record(PATH, python_allocators=True):
            outermost()
        """
    with recorded(tmp_path, blocks, code) as trace:
        (event,) = of_size(trace, 488)
        python = [frame.function for frame in trace.stack(event.stack_id) if frame.is_python]
        assert python == ["innermost", "middle", "outermost", "<module>"]


@memray("test_tracking.py::test_module_stats_only_counts_allocations")
@pytest.mark.parametrize("how", ALLOCATORS)
def test_rows_by_module_add_up_to_the_whole(tmp_path, blocks, how):
    with recorded(tmp_path, blocks, f"with memtap.record(PATH): blocks.get({how!r}, 1234)") as trace:
        stats, rows = trace.stats(), trace.table(selection="leaks", by="module")
        assert sum(row["bytes"] for row in rows) == stats["leaked_bytes"] >= 1234
        assert sum(row["count"] for row in rows) == stats["leaked_allocations"]


def test_page_is_this_machine(blocks):
    assert mmap.PAGESIZE == PAGE
