"""The fork children of a recording from inside: where each writes, and how they come into the one file at its end.

Decides: a child writes FILE.d/PID.mtap, as under `memtap run`, so that every command which is given FILE takes it along, also when
nobody is left to end the recording. At the end `memtap pack` puts what has ended into FILE; that is a process of its own, which
cannot bring this one down and is not started where no child was recorded. While a child lives, all stay in FILE.d.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import Iterator, List

from memtap._command import program_path

_TRACE = re.compile(r"(\d+)(?:\.\d+)?\.mtap")
_JOURNAL = re.compile(r"\.\d+(?:\.\d+)?\.mtap\.[0-9a-f]{16}\.journal")


def _folder(path: str) -> str:
    return path + ".d"


def _traces(path: str) -> List[str]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return [name for name in os.listdir(_folder(path)) if _TRACE.fullmatch(name)]
    return []


def refuse_leftovers(path: str) -> None:
    """FileExistsError where FILE.d holds the processes of an earlier recording."""
    if _traces(path):
        raise FileExistsError(f"{_folder(path)}: holds the processes of an earlier recording; put them into it with "
                              f"`memtap pack {path}`, or choose another name")


def remove_leftovers(path: str) -> None:
    """They go, as the file they belong to was replaced."""
    with contextlib.suppress(OSError):
        for name in os.listdir(_folder(path)):
            if _TRACE.fullmatch(name) or _JOURNAL.fullmatch(name):
                os.unlink(os.path.join(_folder(path), name))


def child_paths(path: str) -> Iterator[str]:
    """Where this fork child may write, the first that is free; the folder is made."""
    os.makedirs(_folder(path), exist_ok=True)
    yield os.path.join(_folder(path), f"{os.getpid()}.mtap")
    for number in range(1, 1000):
        yield os.path.join(_folder(path), f"{os.getpid()}.{number}.mtap")


def gather(path: str) -> str:
    """Puts the children into the file. What could not be, as a sentence; empty: all is in it."""
    if not _traces(path):
        return ""
    import subprocess  # late: most recordings have no children

    said = ""
    with contextlib.suppress(OSError):
        done = subprocess.run([program_path(), "pack", "-q", path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, check=False)
        said = done.stderr.decode("utf-8", "replace").strip()
    left = _traces(path)  # where SIGCHLD is ignored nobody knows how it ended
    if not left:
        return ""
    who = "1 child process of this recording stays" if len(left) == 1 else f"{len(left)} child processes of this recording stay"
    return f"{who} in {_folder(path)}, which goes with {path}: {said or 'memtap pack did not run'}"
