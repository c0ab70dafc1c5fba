"""Runs one command and says what it cost: CPU of the process tree, wall time, peak memory, and what it printed."""

import json
import os
import subprocess

from . import env

LIMIT_S = 240


class Failed(Exception):
    """A configuration did not do its work; the message holds the end of what it printed."""


def _tail(path, bytes_wanted=400):
    with open(path, "rb") as stream:
        stream.seek(0, os.SEEK_END)
        stream.seek(max(0, stream.tell() - bytes_wanted))
        return stream.read().decode(errors="replace").strip().replace("\n", " | ")


def _bench_lines(path):
    """The `BENCH {json}` lines of an output, merged."""
    merged = {}
    with open(path, encoding="utf-8", errors="replace") as stream:
        for line in stream:
            if line.startswith("BENCH {"):
                merged.update(json.loads(line[6:]))
    return merged


def run(argv, extra_env=None, stdin=None, limit_s=LIMIT_S, expect_bench=True):
    """Runs argv to its end. Returns a dict: cpu_s, wall_s, maxrss_kib and whatever the BENCH lines held.

    Raises Failed when it exits non-zero, times out, or does not print the BENCH line that was expected.
    """
    out, err, result = (env.SCRATCH / name for name in ("stdout", "stderr", "launch.json"))
    variables = [f"{name}={value}" for name, value in (extra_env or {}).items()]
    launch = [str(env.BIN / "launch"), str(result), str(limit_s), *variables, *map(str, argv)]
    with open(out, "wb") as out_stream, open(err, "wb") as err_stream, open(stdin or os.devnull, "rb") as in_stream:
        launched = subprocess.run(launch, stdin=in_stream, stdout=out_stream, stderr=err_stream,
                                  cwd=env.SCRATCH, check=False)
    if launched.returncode != 0:
        raise Failed(f"could not start {argv[0]}: {_tail(err)}")
    with open(result, encoding="ascii") as stream:
        facts = json.load(stream)
    if facts["timed_out"]:
        raise Failed(f"still running after {limit_s} s")
    if facts["exit"] != 0:
        raise Failed(f"exit {facts['exit']} signal {facts['signal']}: {_tail(err)}")
    printed = _bench_lines(out)
    if expect_bench and not printed:
        raise Failed(f"no result line: {_tail(err)}")
    return {"cpu_s": facts["user_s"] + facts["sys_s"], **facts, **printed}


def size_of(paths):
    """Bytes of all the files (a capture may be several)."""
    return sum(path.stat().st_size for path in paths)


def clear(pattern):
    """Removes captures of earlier runs from the scratch folder."""
    for path in env.SCRATCH.glob(pattern):
        path.unlink()
