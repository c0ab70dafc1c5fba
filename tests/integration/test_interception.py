"""The hook layer alone: real programs under an agent that keeps books instead of a trace (tests/fakes).

What must hold whatever the program: same output and exit code; no block counted twice, none freed unseen; the guard never
left set. Three ways of interception: symbols in front of libc's (preload), slots alone (an agent that came late), and
preload while only about every 4 KiB is sampled.
"""

import json
import os
import re
import shutil

import pytest
from conftest import TARGETS, run

AGENT = TARGETS / "fakes/libfake-agent.so"
LATE = TARGETS / "fakes/liblate.so"
WAYS = {
    "preload": {"LD_PRELOAD": str(AGENT)},
    "slots": {"LD_PRELOAD": str(LATE), "LATE": str(AGENT), "FAKE_GOT": "1"},
    "sampling": {"LD_PRELOAD": str(AGENT), "FAKE_RATE": "4096"},
}
ALLOCATORS = ("malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "memalign", "valloc", "pvalloc",
              "operator new", "operator new[]", "pymem mem", "pymem object")  # fmt: skip


@pytest.fixture
def hooked(tmp_path):
    """hooked(program, way) -> (finished process, books of the process that ended last)."""

    def start(program, way, **variables):
        report = tmp_path / "books.json"
        report.unlink(missing_ok=True)
        environment = {**os.environ, **WAYS[way], "FAKE_REPORT": str(report), **variables}
        result = run(program, env=environment)
        return result, json.loads(report.read_text()) if report.exists() else None

    return start


def assert_same(alone, hooked_run):
    assert (hooked_run.returncode, hooked_run.stdout, hooked_run.stderr) == (
        alone.returncode, alone.stdout, alone.stderr)  # fmt: skip


def assert_sound(books, way):
    assert books["unbalanced"] == 0 and books["bad_caller"] == 0
    if way != "sampling":
        assert books["counted_twice"] == 0


PROGRAMS = {
    "ls": ["ls", "-la", "/usr/lib"],
    "sort": ["sh", "-c", "seq 50000 | sort -R --random-source=/etc/passwd | sort -n | md5sum"],
    "perl": ["perl", "-e", 'my %h; $h{$_} = $_ x 3 for 1 .. 20000; print scalar(keys %h), "\n"; system("echo hi")'],
    "bash": ["bash", "-c", "for i in $(seq 500); do x=$x$i; done; echo ${#x}; (echo sub); ls / | wc -l; exit 7"],
    "redis": ["redis-server", "--version"],
    "sqlite": ["sqlite3", ":memory:", "create table t(a); insert into t values(1),(2); select sum(a) from t"],
    "gcc": ["sh", "-c", "echo 'int main(void) { return 5; }' | gcc -O2 -x c - -o /dev/null && echo compiled"],
    "killed": ["sh", "-c", "kill -9 $$"],
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_behaves_as_alone(hooked, name, way):
    program = PROGRAMS[name]
    if shutil.which(program[0]) is None:
        pytest.skip(f"no {program[0]} on this machine")
    result, books = hooked(program, way)
    assert_same(run(program), result)
    if books is not None:
        assert_sound(books, way)


@pytest.mark.parametrize("way", ["preload", "slots"])
@pytest.mark.parametrize("name", ["linked", "linked_jemalloc", "linked_tcmalloc", "linked_tcmalloc_minimal", "linked_bump"])
def test_every_allocator_is_counted_once(hooked, target, name, way):
    """operator new is counted where its malloc cannot be seen, and not where it can."""
    result, books = hooked([target(name)], way)
    truth = json.loads(result.stdout)
    assert_sound(books, way)
    assert sum(books[name][0] for name in ALLOCATORS) == sum(row["allocations"] for row in truth.values())
    assert sum(books[name][1] for name in ALLOCATORS) == sum(row["bytes"] for row in truth.values())
    assert books["live"] == sum(row["live"] for row in truth.values())
    assert books["unknown_frees"] == 0


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", ["reopen", "deepbind", "runpath", "symbols", "missing", "namespace"])
def test_the_loader_behaves_as_alone(hooked, target, case, way):
    program = [target("dlopen"), case]
    result, books = hooked(program, way)
    assert_same(run(program), result)
    assert_sound(books, way)


def test_slots_of_a_library_found_by_runpath_are_patched_at_the_next_safe_point(hooked, target):
    _, books = hooked([target("dlopen"), "runpath"], "slots")
    assert books["malloc"][0] >= 1


@pytest.mark.parametrize("way", ["preload", "slots"])
def test_threads_are_seen_to_start_and_end(hooked, target, way):
    _, books = hooked([target("threads")], way)
    assert books["thread_starts"] == books["thread_exits"] == 100
    assert books["malloc"][0] == 10000


THROWING = """
#include <cstdio>
#include <new>
#include <string>
#include <vector>
static int handled;
static void handler() { if (++handled == 2) std::set_new_handler(nullptr); }
static void thrower() { throw 42; }
int main()
{
    volatile std::size_t huge = std::size_t(1) << 60;
    int caught = 0;
    for (int i = 0; i < 100; i++) {
        try { char *p = new char[huge]; std::printf("%p", (void *)p); } catch (const std::bad_alloc &) { caught++; }
    }
    std::set_new_handler(handler);
    try { (void)operator new(huge); } catch (const std::bad_alloc &) { caught++; }
    std::set_new_handler(thrower);
    try { (void)operator new(huge); } catch (int value) { caught += value; }
    std::set_new_handler(nullptr);
    void *none = new (std::nothrow) char[huge];
    std::vector<std::string> v(1000, std::string(100, 'x'));
    std::printf("%d %d %d %zu\\n", caught, handled, none != nullptr, v.size());
}
"""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("library", [None, "jemalloc", "tcmalloc"])
def test_an_exception_through_operator_new_leaves_no_guard(hooked, tmp_path, library, way):
    (tmp_path / "throwing.cpp").write_text(THROWING)
    program = tmp_path / "throwing"
    link = ["-Wl,--no-as-needed", f"-l{library}"] if library else []
    built = run(["g++", "-O1", "-fno-builtin", tmp_path / "throwing.cpp", "-o", program, *link])
    if library and built.returncode:
        pytest.skip(f"no lib{library} to link with")
    assert built.returncode == 0, built.stderr
    result, books = hooked([program], way)
    assert (result.returncode, result.stdout) == (0, b"143 2 0 1000\n")
    assert_sound(books, way)
    if way != "sampling":  # everything after the exceptions is still counted
        assert sum(books[name][0] for name in ALLOCATORS) >= 1002


WORK = """
import decimal, json, sqlite3, sys, threading
d = {i: [str(i)] * (i % 40) for i in range(2000)}
text = json.dumps(d); again = json.loads(text)
grown = bytearray()
for i in range(1000): grown += b"x" * i
shrunk = list(range(20000))
while len(shrunk) > 3: del shrunk[len(shrunk) // 2:]
threads = [threading.Thread(target=lambda: [object() for _ in range(1000)]) for _ in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
sizes = [bytes(n) for n in range(0, 2000, 7)]
db = sqlite3.connect(":memory:"); db.execute("create table t(a)")
db.executemany("insert into t values(?)", [(i,) for i in range(1000)])
print(len(text), len(grown), shrunk, db.execute("select sum(a) from t").fetchone(), decimal.Decimal(2).sqrt())
"""


@pytest.mark.parametrize("allocator", [None, "malloc", "pymalloc", "debug", "malloc_debug", "dev"])
def test_python_is_counted_once_whatever_allocates(hooked, python, allocator):
    program = [python, "-W", "ignore", *(["-X", "dev"] if allocator == "dev" else []), "-c", WORK]
    variables = {"PYTHONMALLOC": allocator} if allocator not in (None, "dev") else {}
    alone = run(program, env={**os.environ, **variables})
    for way in WAYS:
        result, books = hooked(program, way, **variables)
        assert_same(alone, result)
        assert books["unbalanced"] == 0 and books["bad_caller"] == 0
        objects = books["pymem object"][0]
        assert (objects == 0) == (allocator in ("malloc", "malloc_debug"))
        if way == "preload":
            # Where Python sets its allocator anew at start, one object is made before we are back. pymalloc's own arena
            # table (<= 3.9) begins inside a guarded call and is seen to end.
            slack = 0 if allocator in (None, "malloc", "malloc_debug") else 1
            assert books["unknown_frees"] <= 1 and books["counted_twice"] <= slack
            assert objects == 0 or objects > 30000


def test_python_totals_do_not_depend_on_who_serves_them(hooked, python):
    """The same run with pymalloc and with malloc makes the same number of allocations."""
    totals = []
    for allocator in ("pymalloc", "malloc"):
        _, books = hooked([python, "-c", WORK], "preload", PYTHONMALLOC=allocator, PYTHONHASHSEED="0")
        totals.append(sum(books[name][0] for name in ALLOCATORS))
    assert abs(totals[0] - totals[1]) <= 100  # of 100,000 and more; threads race for a few each


TRACEMALLOC = """
import tracemalloc
for depth in (1, 5):
    tracemalloc.start(depth)
    kept = [[str(i)] for i in range(20000)]
    assert tracemalloc.get_traced_memory()[0] > 1000000
    tracemalloc.stop()
    more = [str(i) for i in range(50000)]  # several arenas: the wrappers are back
print(len(kept), len(more))
"""


def test_tracemalloc_works_on_top(hooked, python):
    result, books = hooked([python, "-c", TRACEMALLOC], "preload")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"20000 50000\n", b"")
    assert books["unbalanced"] == 0 and books["pymem object"][0] > 100000


LATE_IMPORT = """
import ctypes, sys
before = [str(i) for i in range(20000)]
ctypes.CDLL(sys.argv[1])
exec(sys.argv[2])
del before
import lzma, ssl
"""


def test_an_agent_imported_into_running_python_counts_once(hooked, python, tmp_path):
    """On Debian's non-PIE Python this needs the slots of the executable itself, behind its exported PLT stubs."""
    report = tmp_path / "late.json"
    environment = {**os.environ, "FAKE_GOT": "1", "FAKE_REPORT": str(report)}
    result = run([python, "-c", LATE_IMPORT, AGENT, WORK], env=environment)
    assert (result.returncode, result.stdout) == (0, run([python, "-c", WORK]).stdout)
    books = json.loads(report.read_text())
    assert books["counted_twice"] == 0 and books["unbalanced"] == 0 and books["bad_caller"] == 0
    assert books["pymem object"][0] > 20000 and books["malloc"][0] > 100
    assert books["unbanked"] == 0


PAIRS = """
#include <stdlib.h>
int main(int argc, char **argv)
{
    for (long i = argc > 1 ? atol(argv[1]) : 0; i > 0; i--) {
        void *volatile p = malloc(32);
        free(p);
    }
}
"""


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="no valgrind to count instructions with")
def test_an_unrecorded_pair_costs_thirteen_instructions(tmp_path):
    (tmp_path / "pairs.c").write_text(PAIRS)
    program = tmp_path / "pairs"
    assert run(["gcc", "-O1", "-fno-builtin", tmp_path / "pairs.c", "-o", program]).returncode == 0

    def instructions(count, **variables):
        result = run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, count],
                     env={**os.environ, **variables})  # fmt: skip
        return int(re.search(rb"Collected : (\d+)", result.stderr).group(1))

    def per_pair(**variables):
        return (instructions(20000, **variables) - instructions(10000, **variables)) / 10000

    added = per_pair(LD_PRELOAD=str(AGENT), FAKE_OFF="1") - per_pair()
    assert added <= 13
