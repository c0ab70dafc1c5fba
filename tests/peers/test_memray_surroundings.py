"""memray's test_threads.py, test_processes.py, test_extensions.py and test_greenlet.py: threads, forks, odd extensions."""

import importlib.util
import shutil

import pytest
from childprogram import answer, run
from programs import PRELUDE, all_names, frees_of, memray, names, of_size, recorded

import memtap


@memray("test_threads.py::test_thread_allocations_after_tracker_is_deactivated")
def test_nothing_is_recorded_after_the_end(tmp_path, blocks):
    code = """
        there, over = threading.Event(), threading.Event()
        def body():
            blocks.put(blocks.get("valloc", 1016))
            there.set(); over.wait()
            blocks.put(blocks.get("valloc", 1016))
        thread = threading.Thread(target=body)
        with memtap.record(PATH):
            thread.start(); there.wait()
        over.set(); thread.join()
        """
    with recorded(tmp_path, blocks, code) as trace:
        (event,) = of_size(trace, 1016)
        assert len(frees_of(trace, event)) == 1


@memray("test_threads.py::test_thread_name", "different", "the last name that was seen, at the latest when the thread ends, stands for all of the thread")
def test_threads_have_the_names_of_the_system(tmp_path, blocks):
    code = """
        import ctypes
        libc = ctypes.CDLL(None)
        def body():
            libc.prctl(15, b"my name", 0, 0, 0)  # PR_SET_NAME
            for _ in range(3):
                blocks.get("valloc", 1016)
        with memtap.record(PATH):
            blocks.in_thread(body)
        """
    with recorded(tmp_path, blocks, code) as trace:
        event = of_size(trace, 1016)[0]
        rows = trace.table(selection="leaks", by="thread", thread=event.thread)
        assert len(rows) == 1 and rows[0]["bytes"] >= 3 * 1016
        assert "my name" in rows[0]["thread"]


POOL = """
import multiprocessing
def work(count):
    for _ in range(count):
        blocks.put(blocks.get("valloc", 1234))
    return count
if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    counts = [1, 10, 100, 1000, 2000]
    with memtap.record(PATH):
        with context.Pool(3) as pool:
            done = sum(pool.map(work, counts))
        blocks.put(blocks.get("valloc", 1234))
    say(done=done, files=len(os.listdir(sys.argv[1])))
"""


@memray("test_processes.py::test_allocations_with_multiprocessing")
@memray("test_processes.py::test_stack_cleanup_after_fork")
def test_forked_children_are_not_in_a_recording_from_inside(tmp_path, blocks):
    found = answer(PRELUDE + POOL, tmp_path, blocks)
    assert found == {"done": 3111, "files": 1}
    with memtap.open(tmp_path / "x.mtap") as trace:
        (event,) = of_size(trace, 1234)
        assert len(frees_of(trace, event)) == 1


@memray("test_processes.py::test_allocations_with_multiprocessing_following_fork", "better",
        "every allocation and every free of every child, also of those that the pool kills; by `memtap run`")
@memray("test_processes.py::test_pymalloc_allocations_after_fork")
def test_forked_children_are_in_the_recording_of_run(tmp_path, blocks, memtap_command):
    """The whole run: what the children did is in its traces, wherever those lie."""
    folder = tmp_path / "run"
    folder.mkdir()
    answer(PRELUDE + POOL.replace("with memtap.record(PATH):", "if True:"), tmp_path, blocks,
           before=(memtap_command, "run", "-q", "-o", folder / "x.mtap", "--"))
    with memtap.open(folder) as trace:
        seen = [event for i in range(trace.info["traces"]) for event in trace.records(trace=i)]
        allocated = [event for event in seen if event.kind == "alloc" and event.size == 1234 and event.allocator == "valloc"]
        assert len(allocated) == 3111 + 1
        assert trace.stats()["dropped_events"] == 0
        assert not [row for row in trace.table(selection="leaks", by="type") if row["allocator"] == "valloc"]


@pytest.fixture(scope="session")
def memtap_command():
    found = shutil.which("memtap", path=str(memtap.__path__[0]) + "/_bin")
    assert found, "the package has no command beside it"
    return found


@memray("test_extensions.py::test_multithreaded_extension")
@memray("test_native_tracking.py::test_multithreaded_extension_with_native_tracking")
@pytest.mark.parametrize("native", [False, True])
def test_an_extension_with_threads_of_its_own(tmp_path, blocks, native):
    code = f"with memtap.record(PATH, native={native}): blocks.storm(100, 100, 1016)"
    with recorded(tmp_path, blocks, code) as trace:
        found = of_size(trace, 1016)
        assert len(found) == 100 * 100
        assert not [row for row in trace.table(selection="leaks", by="type") if row["allocator"] == "valloc"]
        if native:
            assert all("allocate" in all_names(trace, event)[0] for event in found[:50])


@memray("test_extensions.py::test_misbehaving_extension")
@memray("test_extensions.py::test_extension_that_uses_pygilstate_ensure")
@pytest.mark.parametrize("call", ["in_thread", "ensure"])
def test_an_extension_that_calls_back(tmp_path, blocks, call):
    code = f"""
        def work(): blocks.put(blocks.get("valloc", 1016))
        def foo(): blocks.{call}(work)
        with memtap.record(PATH):
            foo()
            blocks.put(blocks.get("valloc", 2040))
        """
    with recorded(tmp_path, blocks, code) as trace:
        (inside,), (after,) = of_size(trace, 1016), of_size(trace, 2040)
        assert names(trace, inside) == (["work"] if call == "in_thread" else ["work", "foo", "<module>"])
        assert names(trace, after) == ["<module>"]
        assert len(frees_of(trace, inside)) == 1


@memray("test_extensions.py::test_native_dlopen")
def test_an_extension_that_is_opened_again(tmp_path, blocks):
    code = """
        import ctypes
        with memtap.record(PATH):
            ctypes.CDLL(blocks.__file__)
            blocks.put(blocks.get("valloc", 1016))
        """
    with recorded(tmp_path, blocks, code) as trace:
        (event,) = of_size(trace, 1016)
        assert len(frees_of(trace, event)) == 1


@memray("test_extensions.py::test_dlopen_with_rpath")
def test_a_library_loaded_while_recording_is_seen(tmp_path, blocks):
    found = answer(PRELUDE.replace("import blocks\n", "") + """
with memtap.record(PATH):
    import blocks
    blocks.put(blocks.get("valloc", 1016))
say(done=True)
""", tmp_path, blocks)
    assert found["done"]
    with memtap.open(tmp_path / "x.mtap") as trace:
        assert len(of_size(trace, 1016)) == 1


@memray("test_extensions.py::test_valloc_at_thread_exit")
@memray("test_extensions.py::test_valloc_at_thread_exit_in_subprocess")
@pytest.mark.parametrize("before", [False, True])
def test_allocations_at_the_end_of_a_thread(tmp_path, blocks, before):
    code = f"""
        if {before}:
            blocks.end_of_thread(1016)
        with memtap.record(PATH, native=True):
            blocks.end_of_thread(1016)
        """
    with recorded(tmp_path, blocks, code) as trace:
        (event,) = of_size(trace, 1016)
        assert len(frees_of(trace, event)) == 1


@memray("test_extensions.py::test_hard_exit", "better", "and the file holds what came before")
def test_an_exit_inside_the_block(tmp_path, blocks):
    run(PRELUDE + 'with memtap.record(PATH):\n    blocks.get("valloc", 1016)\n    blocks.hard_exit(0)\n', tmp_path, blocks)
    with memtap.open(tmp_path / "x.mtap") as trace:
        assert len(of_size(trace, 1016)) == 1


GREENLETS = """
def apple(): banana()
def banana():
    blocks.get("valloc", 10 << 10); animal.switch(); blocks.get("valloc", 30 << 10)
def ant():
    blocks.get("valloc", 20 << 10); fruit.switch(); blocks.get("valloc", 40 << 10)
    bat(); blocks.get("valloc", 60 << 10)
def bat(): blocks.get("valloc", 50 << 10)
def test():
    fruit.switch(); animal.switch(); blocks.get("valloc", 70 << 10)
{before}
with memtap.record(PATH, native=True):
    {inside}
    fruit, animal = greenlet.greenlet(apple), greenlet.greenlet(ant)
    test()
"""


@memray("test_greenlet.py::test_integration_with_greenlet")
@memray("test_greenlet.py::test_importing_greenlet_after_tracking_starts", "different",
        "stacks are each greenlet's; an event names the thread, greenlets share it")
@pytest.mark.parametrize("late", [False, True])
def test_greenlets_have_their_own_stacks(tmp_path, blocks, late):
    if importlib.util.find_spec("greenlet") is None:
        pytest.skip("greenlet is not in this interpreter")
    code = GREENLETS.format(before="" if late else "import greenlet", inside="import greenlet" if late else "pass")
    with recorded(tmp_path, blocks, code) as trace:
        stacks = {event.size >> 10: names(trace, event) for event in trace.records() if event.allocator == "valloc"}
    assert stacks == {10: ["banana", "apple"], 20: ["ant"], 30: ["banana", "apple"], 40: ["ant"], 50: ["bat", "ant"],
                      60: ["ant"], 70: ["test", "<module>"]}
