"""memray's test_tracking.py: the peak, what is left, what was temporary; with every event and in aggregate mode."""

import pytest
from programs import ALLOCATORS, MODES, PAGE, all_names, memray, program_of, recorded

SIZE = 123 * 8


def bytes_of(rows):
    """Bytes and blocks of the rows whose blocks this folder's extension made."""
    return sorted((row["bytes"], row["count"]) for row in rows)


def peak_rows(trace, native=True):
    return bytes_of(row for row in trace.table(selection="peak", by="type", native=native) if row["allocator"] in ("valloc", "posix_memalign"))


@pytest.fixture(params=MODES)
def mode(request):
    return request.param


@memray("test_tracking.py::TestHighWatermark::test_no_allocations_while_tracking", "different",
        "the few objects of entering and leaving the block are seen")
def test_nothing_has_no_peak_of_its_own(tmp_path, blocks, mode):
    with recorded(tmp_path, blocks, f"with memtap.record(PATH, mode={mode!r}): pass") as trace:
        assert trace.stats()["peak_bytes"] < 1000
        assert [row for row in trace.table(by="type") if not row["allocator"].startswith("pymem")] == []


@memray("test_tracking.py::TestHighWatermark::test_simple_allocation_tracking")
@pytest.mark.parametrize("how", ALLOCATORS)
def test_one_block_is_the_peak(tmp_path, blocks, mode, how):
    with recorded(tmp_path, blocks, f"with memtap.record(PATH, mode={mode!r}): blocks.put(blocks.get({how!r}, 1 << 20))") as trace:
        (row,) = [row for row in trace.table(by="type") if row["allocator"] == how]
        assert (row["bytes"], row["count"]) == (1 << 20, 1)


STEPS = {
    "multiple_high_watermark": ("a=1024 -a b=1024 -b", [(1024, 1)]),
    "freed_before_high_watermark_do_not_appear": ("a=1024 -a b=2048 -b", [(2048, 1)]),
    "freed_after_high_watermark_do_not_appear": ("b=2048 -b a=1024 -a", [(2048, 1)]),
    "allocations_aggregation_on_same_line": ("a=1024 b=1024 -a -b", [(2048, 2)]),
    "allocations_aggregation_on_different_lines": ("a=1024 b=2048 -a -b", [(3072, 2)]),
    "non_freed_allocations_are_accounted_for": ("a=1024 b=2048", [(3072, 2)]),
    "final_allocation_is_peak": ("a=1024 -a b=2048", [(2048, 1)]),
    "allocations_after_high_watermark_is_freed_do_not_appear": ("a=2048 -a b=1024", [(2048, 1)]),
    "spiky_generally_increasing_to_final_peak":
        ("a=10 b=9 -b c=8 d=7 -d e=6 f=5 -f g=4 h=3 -h i=2 j=1 -j -i -g -e -c -a", [(31, 6)]),
}
UNIT = 64  # so that Python's own small objects do not decide when the peak is


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.peer("memray", "test_tracking.py::TestHighWatermark (8 tests of steps)", "same", "")
def test_the_peak_of_steps(tmp_path, blocks, mode, name):
    steps, wanted = STEPS[name]
    unit = UNIT if "=10 " not in steps else UNIT * 1024
    code = program_of(steps, unit) + f"warm(program)\nwith memtap.record(PATH, mode={mode!r}): program()\n"
    with recorded(tmp_path, blocks, code) as trace:
        assert peak_rows(trace) == [(size * unit, count) for size, count in wanted]


@memray("test_tracking.py::TestHighWatermark::test_aggregation_same_python_stack_and_same_native_stack")
@memray("test_tracking.py::TestHighWatermark::test_aggregation_same_python_stack_but_different_native_stack")
def test_native_places_are_told_apart_and_the_same_one_is_one(tmp_path, blocks, mode):
    code = f"""
        with memtap.record(PATH, mode={mode!r}, native=True):
            held = [blocks.two_places(1 << 20) for _ in range(2)]
        """
    with recorded(tmp_path, blocks, code) as trace:
        stacks = [row for row in trace.leaks(native=True, stacks=True) if row["bytes"] >= 1 << 20]
        assert len(stacks) == 2 and {row["bytes"] for row in stacks} == {2 << 20}


MAPS = {
    "partial_munmap": ("m=2 -m:0:1 p=10", 11),
    "partial_munmap_gap": ("m=4 -m:0:1 -m:3:1 p=10", 12),
    "munmap_multiple_mmaps": ("m=8 -m:0:8 a=4@m:0 b=4@m:4 -m:0:8 p=10", 10),
    "munmap_multiple_mmaps_multiple_munmaps": ("m=8 -m:0:8 a=2@m:0 b=2@m:2 c=2@m:4 d=2@m:6 -m:0:4 -m:4:4 p=10", 10),
    "partial_munmap_multiple_split_in_middle": ("m=5 -m:1:1 -m:3:1 p=10", 13),
    "partial_munmap_split_in_middle": ("m=8 -m:4:1 p=10", 17),
}


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.peer("memray", "test_tracking.py::TestHighWatermark (6 tests of munmap)", "same", "")
def test_the_peak_of_mappings(tmp_path, blocks, mode, name):
    steps, pages = MAPS[name]
    code = f"""
        def program():
            at = {{}}
            for step in {steps!r}.split():
                if step[0] == "-":
                    name, first, count = step[1:].split(":")
                    blocks.unmap(at[name] + int(first) * {PAGE}, int(count) * {PAGE})
                else:
                    name, rest = step.split("=")
                    count, _, where = rest.partition("@")
                    base, _, first = where.partition(":")
                    address = at[base] + int(first) * {PAGE} if where else 0
                    at[name] = blocks.map(int(count) * {PAGE}, address)
        with memtap.record(PATH, mode={mode!r}, python_allocators=False):
            program()
        """
    with recorded(tmp_path, blocks, code) as trace:
        peak = sum(row["bytes"] for row in trace.table(by="type") if row["allocator"] == "mmap")
        assert peak == pages * PAGE


LEFT = {
    "leaks_allocations_are_detected": ("a=1024", [(1024, 1)]),
    "allocations_that_are_freed_do_not_appear_as_leaks": ("a=1024 -a b=1024 -b c=1024 -c", []),
    "leak_that_happens_in_the_middle_is_detected": ("a=1024 -a b=1024 c=2048 -b d=1024 -d", [(2048, 1)]),
    "leaks_that_happen_in_different_lines": ("a=1024 b=2048", [(3072, 2)]),
    "leaks_that_happen_in_the_same_function_are_aggregated": (" ".join(f"x{n}=1024" for n in range(10)), [(10240, 10)]),
}


@pytest.mark.parametrize("name", LEFT)
@pytest.mark.peer("memray", "test_tracking.py::TestLeaks (5 tests of steps)", "same", "")
def test_what_is_left(tmp_path, blocks, mode, name):
    steps, wanted = LEFT[name]
    code = program_of(steps) + f"with memtap.record(PATH, mode={mode!r}): program()\n"
    with recorded(tmp_path, blocks, code) as trace:
        assert bytes_of(row for row in trace.table(selection="leaks", by="type") if row["allocator"] == "valloc") == wanted


@memray("test_tracking.py::TestLeaks::test_unmatched_deallocations_are_not_reported")
def test_a_free_of_an_older_block_is_no_leak(tmp_path, blocks, mode):
    code = f"""
        block = blocks.get("valloc", {SIZE})
        with memtap.record(PATH, mode={mode!r}):
            blocks.put(block)
        """
    with recorded(tmp_path, blocks, code) as trace:
        assert [row for row in trace.table(selection="leaks", by="type") if row["allocator"] == "valloc"] == []
        assert trace.stats()["leaked_bytes"] < SIZE


THREADS = """
        def work(started, both):
            blocks.{first}
            blocks.{first}
            started.set()
            both.wait()
        flags, both = [threading.Event() for _ in range(2)], threading.Event()
        with memtap.record(PATH, mode={mode!r}):
            threads = [threading.Thread(target=work, args=(flag, both)) for flag in flags]
            for thread in threads:
                thread.start()
            for flag in flags:
                flag.wait()
            both.set()
            for thread in threads:
                thread.join()
        """


@memray("test_tracking.py::TestLeaks::test_thread_allocations_multiple_threads")
def test_threads_are_told_apart(tmp_path, blocks):
    code = THREADS.format(first="get('posix_memalign', 2048)", mode="exact")
    with recorded(tmp_path, blocks, code) as trace:
        by_thread = {}
        for event in trace.records():
            if event.allocator == "posix_memalign" and event.size == 2048:
                by_thread[event.thread] = by_thread.get(event.thread, 0) + event.size
        assert list(by_thread.values()) == [4096, 4096]
        for thread in by_thread:
            (row,) = [row for row in trace.table(selection="leaks", by="type", thread=thread) if row["allocator"] == "posix_memalign"]
            assert (row["bytes"], row["count"]) == (4096, 2)


SHORT = {
    "temporary_allocations_are_detected": ("a=1024 -a", 1, (1024, 1)),
    "temporary_allocations_with_two_allocators_are_detected": ("a=1024 -a b=1024 -b", 1, (2048, 2)),
    "temporary_allocations_that_happen_in_different_lines": ("a=1024 -a b=2048 -b", 1, (3072, 2)),
    "temporary_allocations_that_happen_in_the_same_function_are_aggregated":
        (" ".join(f"x{n}=1024 -x{n}" for n in range(10)), 1, (10240, 10)),
    "unmatched_allocations_are_not_reported": ("a=1024", 1, None),
}


@pytest.mark.parametrize("name", SHORT)
@pytest.mark.peer("memray", "test_tracking.py::TestTemporaryAllocations (5 tests of steps)", "same", "")
def test_what_was_temporary(tmp_path, blocks, name):
    steps, limit, wanted = SHORT[name]
    code = program_of(steps) + "with memtap.record(PATH, python_allocators=False): program()\n"
    with recorded(tmp_path, blocks, code) as trace:
        rows = [(row["bytes"], row["count"]) for row in trace.table(temporary=limit, by="type") if row["allocator"] == "valloc"]
        assert rows == ([wanted] if wanted else [])


@memray("test_tracking.py::TestTemporaryAllocations::test_temporary_allocations_outside_buffer_are_not_detected", "different",
        "N is how many further allocations may come before the free; memray's buffer of N holds N + 1")
@pytest.mark.parametrize("buffer", [1, 2, 5, 10])
def test_temporary_is_counted_in_further_allocations(tmp_path, blocks, buffer):
    """buffer + 1 blocks, freed in reverse: the last was freed after 0 further allocations, the first after `buffer`."""
    code = f"""
        with memtap.record(PATH, python_allocators=False):
            held = [blocks.get("valloc", 1024) for _ in range({buffer + 1})]
            for block in reversed(held):
                blocks.put(block)
        """
    with recorded(tmp_path, blocks, code) as trace:
        for limit in range(1, buffer + 2):
            (row,) = [row for row in trace.table(temporary=limit, by="type") if row["allocator"] == "valloc"]
            assert row["count"] == min(limit + 1, buffer + 1)


@memray("test_tracking.py::TestTemporaryAllocations::test_thread_allocations_multiple_threads")
@memray("test_tracking.py::TestTemporaryAllocations::test_intertwined_temporary_allocations_in_threads")
def test_temporary_is_counted_in_allocations_of_the_same_thread(tmp_path, blocks):
    """The first thread's block outlives one of the second's, and is temporary all the same."""
    code = """
        first_has, second_done = threading.Lock(), threading.Lock()
        first_has.acquire(); second_done.acquire()
        def first():
            block = blocks.get("posix_memalign", 1234)
            first_has.release(); second_done.acquire()
            blocks.put(block)
        def second():
            first_has.acquire()
            blocks.put(blocks.get("posix_memalign", 1234))
            second_done.release()
        with memtap.record(PATH, python_allocators=False):
            threads = [threading.Thread(target=work) for work in (first, second)]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
        """
    with recorded(tmp_path, blocks, code) as trace:
        (row,) = [row for row in trace.table(temporary=1, by="type") if row["allocator"] == "posix_memalign"]
        assert (row["bytes"], row["count"]) == (2468, 2)


@memray("test_tracking.py::TestMemorySnapshots::test_temporary_allocations_when_filling_vector_without_preallocating", "better",
        "the stack names the operator")
def test_a_growing_vector_is_temporary(tmp_path, blocks):
    code = f"""
        with memtap.record(PATH, python_allocators=False):
            blocks.vector({2 << 10})
        """
    with recorded(tmp_path, blocks, code) as trace:
        grown = [event for event in trace.records() if event.kind == "alloc" and "operator new" in all_names(trace, event)[0]]
        assert [event.size for event in grown] == [4 << n for n in range(10)]
        row = max((row for row in trace.table(temporary=1, by="function", native=True, all_frames=True)
                   if row["function"] == "operator new"),
                  key=lambda row: row["bytes"])
        assert (row["bytes"], row["count"]) == (sum(event.size for event in grown), 10)
