"""The configurations: how a piece of work is started plainly, under memtap, and under what a user would pick instead.

A Work is what is measured (a native command, or a Python script with its interpreter). A Config turns it into a command
line and environment. Configs say what they need by raising env.Missing, and the harness names it.
"""

import re
from dataclasses import dataclass, field
from typing import Callable

from . import env


@dataclass
class Work:
    """One program run: `argv` natively; for Python scripts also the interpreter, so that `-m memray` can be put before."""

    argv: list
    python: str = ""
    env: dict = field(default_factory=dict)
    stdin: str = ""

    def full_argv(self):
        """The command line without any profiler."""
        return [self.python, *self.argv] if self.python else self.argv


@dataclass
class Config:
    """A way to run a Work. `wrap(work, out)` returns (argv, env); `out` is the path stem of its capture."""

    name: str
    wrap: Callable
    scale: float = 1.0  # of the operations of a micro workload, for peers that would take minutes
    captures: bool = False  # leaves a file; none means that it did not profile, which must not pass as a result


def out_stem(name):
    """Where a configuration writes its capture."""
    return env.SCRATCH / ("capture-" + re.sub(r"[^a-zA-Z0-9]+", "-", name).strip("-"))


def _plain(work, _out):
    return work.full_argv(), {}


def plain(name="plain"):
    """Nothing but glibc. Run twice a round (`plain`, `plain again`): their ratio is the noise."""
    return Config(name, _plain)


def memtap(name, *options):
    """memtap run with the given options."""

    def wrap(work, out):
        argv = [env.memtap(), "run", "-q", "-f", "-o", f"{out}.mtap", *options, "--", *work.full_argv()]
        return argv, {"MEMTAP_ALLOW_VALGRIND": "1"}

    return Config(name, wrap, captures=True)


def memtap_sample(name="memtap sample"):
    """Sample mode as it comes: 512 KiB, native stacks, Python allocators."""
    return memtap(name, "--mode", "sample", "--rate", "512K")


def memtap_exact(name="memtap exact", native=True, python=False, pack=True):
    """Exact mode with exactly the information that a peer's mode holds."""
    return memtap(name, "--mode", "exact", "--native" if native else "--no-native",
                  "--python-allocators" if python else "--no-python-allocators", *([] if pack else ["--no-pack"]))


def preload(name, soname, package, extra=None, scale=1.0):
    """An allocator or profiler that is put before libc. `{out}` in a variable becomes the capture stem."""

    def wrap(work, out):
        variables = {key: value.format(out=out) for key, value in (extra or {}).items()}
        return work.full_argv(), {"LD_PRELOAD": env.library(soname, package), **variables}

    return Config(name, wrap, scale, captures="HEAPPROFILE" in (extra or {}))


def tcmalloc():
    """gperftools' allocator without profiling: the base of its profiled rows."""
    return preload("tcmalloc", "libtcmalloc.so.4", "libgoogle-perftools4")


def tcmalloc_sample():
    """gperftools' heap sampler at the same rate."""
    return preload("tcmalloc 512K", "libtcmalloc.so.4", "libgoogle-perftools4", {"TCMALLOC_SAMPLE_PARAMETER": "524288"})


def tcmalloc_exact(scale):
    """gperftools' exact heap profiler (HEAPPROFILE)."""
    return preload("HEAPPROFILE", "libtcmalloc.so.4", "libgoogle-perftools4",
                   {"HEAPPROFILE": "{out}", "HEAP_PROFILE_ALLOCATION_INTERVAL": "0",
                    "HEAP_PROFILE_INUSE_INTERVAL": "0"}, scale)


def jemalloc():
    """jemalloc without profiling: the base of its profiled rows."""
    return preload("jemalloc", "libjemalloc.so.2", "libjemalloc2")


def jemalloc_sample():
    """jemalloc's profiler at 2^19 = 512 KiB."""
    return preload("jemalloc 512K", "libjemalloc.so.2", "libjemalloc2", {"MALLOC_CONF": "prof:true,lg_prof_sample:19"})


def jemalloc_exact(scale):
    """jemalloc's profiler for every allocation."""
    return preload("jemalloc every", "libjemalloc.so.2", "libjemalloc2",
                   {"MALLOC_CONF": "prof:true,lg_prof_sample:0"}, scale)


def heaptrack_raw(scale=1.0):
    """heaptrack's library writing its raw text to a file: only what happens in the target, its best case."""

    def wrap(work, out):
        env.command("heaptrack", "heaptrack")
        library = "/usr/lib/heaptrack/libheaptrack_preload.so"
        return work.full_argv(), {"LD_PRELOAD": library, "DUMP_HEAPTRACK_OUTPUT": f"{out}.raw"}

    return Config("heaptrack (in process)", wrap, scale, captures=True)


def heaptrack():
    """heaptrack as a user starts it: library, interpreter and compressor."""

    def wrap(work, out):
        return [env.command("heaptrack", "heaptrack"), "-o", str(out), *work.full_argv()], {}

    return Config("heaptrack", wrap, captures=True)


def memray(name, *options):
    """memray run of a Python script with the given options."""

    def wrap(work, out):
        return [work.python, "-m", "memray", "run", "-q", "-f", "-o", f"{out}.bin", *options, *work.argv], {}

    return Config(name, wrap, captures=True)


def scalene():
    """scalene with CPU and memory profiling, its default."""

    def wrap(work, out):
        script, *arguments = work.argv
        tail = ["---", *arguments] if arguments else []
        return [work.python, "-m", "scalene", "run", "-o", f"{out}.json", script, *tail], {}

    return Config("scalene", wrap, captures=True)


# memray's four modes and the memtap options that record the same: (suffix, memray options, native, python allocators).
MEMRAY_MODES = (
    ("default", [], False, False),
    ("native", ["--native"], True, False),
    ("pymalloc", ["--trace-python-allocators"], False, True),
    ("both", ["--native", "--trace-python-allocators"], True, True),
)


def memray_pairs():
    """Configs of both tools for the four modes, memray's and memtap's side by side."""
    configs = []
    for mode, options, native, python in MEMRAY_MODES:
        configs.append(memray(f"memray {mode}", *options))
        configs.append(memtap_exact(f"memtap {mode}", native, python))
    return configs
