"""Programs that a test runs in an interpreter of their own: a process that profiles itself must not be pytest's.

A program has `m` (memtap.memprof) and a few usual modules, and hands its findings to say(), which writes them as one line of
JSON; answer() returns them.
"""

import importlib.util
import json
import os
import subprocess
import sys
import textwrap

import pytest

PRELUDE = """\
import gc, json, os, sys, tempfile, threading, time
import memtap, memtap.memprof as m

def say(**found):
    print(json.dumps(found), flush=True)

def raised(function, *arguments, **options):
    try:
        function(*arguments, **options)
    except BaseException as error:
        return [type(error).__name__, str(error)]
    return None

def sizes(snapshot, low, high=None):
    return [sample for sample in snapshot.samples if low <= sample.size <= (high or low + 4096)]
"""
PRELUDE_LINES = PRELUDE.count("\n")

needs_numpy = pytest.mark.skipif(importlib.util.find_spec("numpy") is None, reason="numpy is not in this interpreter")


def environment(**more):
    """What a child inherits: this package, whatever pytest's own path was, and a plain C locale's worth of rest."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONIOENCODING": "utf-8", **more}


def start(code, *arguments, before=(), options=(), env=None, **popen):
    """The running child: a Popen with text pipes. before: words in front of the interpreter, as of `memtap run`."""
    argv = [*map(str, before), sys.executable, *options, "-c", PRELUDE + textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", errors="replace",
                            env=environment(**(env or {})), **popen)


def run(code, *arguments, timeout=400, status=0, **options):
    """(stdout, stderr) of a child that has to end with `status`."""
    child = start(code, *arguments, **options)
    try:
        out, err = child.communicate(timeout=timeout)
    except BaseException:
        child.kill()
        child.wait()
        raise
    assert child.returncode == status, f"status {child.returncode}\n{out[-2000:]}\n{err[-4000:]}"
    return out, err


def answers(code, *arguments, **options):
    """Everything the child said."""
    out, _ = run(code, *arguments, **options)
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def answer(code, *arguments, **options):
    """What the child said last."""
    return answers(code, *arguments, **options)[-1]
