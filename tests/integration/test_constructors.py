"""What a program allocates before main() is recorded like the rest."""

import pytest
from conftest import MEMTAP, memtap_json, run


CHECKED = """
#include <stdlib.h>
#include <unistd.h>
static void *g_kept[1000];
int main(void)
{
    for (int i = 0; i < 1000; i++) {
        g_kept[i] = malloc(200);
    }
    for (int i = 0; i < 1000; i++) {
        free(g_kept[i]);
    }
    return write(1, "done\\n", 5) == 5 ? 42 : 1;
}
"""


@pytest.mark.parametrize("name", ["constructors", "constructors_initfirst"])
def test_what_runs_before_main_is_recorded(record, target, name):
    """initfirst: the library has the one place in front of all constructors, and the agent starts at its first call."""
    recording = record(target(name))
    recording.assert_truth()
    assert recording.trace.counters["broken_stacks"] == 0


def test_a_library_that_is_preloaded_as_well_is_recorded(record, target, monkeypatch):
    monkeypatch.setenv("LD_PRELOAD", target("libconstructed.so"))
    recording = record(target("constructors"))
    recording.assert_truth()


def test_a_thread_sanitizer_begins_before_the_agent(tmp_path):
    """It stands in front of functions of libc that the agent calls. Addresses are not randomised: it wants them low."""
    (tmp_path / "checked.c").write_text(CHECKED)
    program = tmp_path / "checked"
    fixed = ["setarch", "-R"]
    if run(["gcc", "-O1", "-fno-builtin", "-fsanitize=thread", tmp_path / "checked.c", "-o", program]).returncode:
        pytest.skip("gcc cannot link ThreadSanitizer here")
    alone = run([*fixed, program])
    if alone.returncode != 42:
        pytest.skip("ThreadSanitizer does not run here")
    result = run([*fixed, MEMTAP, "run", "-q", "-o", tmp_path / "x.mtap", "--", program])
    assert (result.returncode, result.stdout, result.stderr) == (alone.returncode, alone.stdout, alone.stderr)
    assert memtap_json("stats", tmp_path / "x.mtap")["allocations"] >= 1000
