"""Files of our own in the temporary folder, and those that earlier processes could not remove.

Decides: a process that ends by `_exit` or SIGKILL leaves its file there, to be read after a crash, until memtap next begins
one. A file is swept when it is surely ours and surely nobody's: its name says process and pid namespace (containers share
folders, and a number means another process there), the process is gone, it belongs to this user, has one name, and begins as
a trace of that process does. Its journal (docs/formats/trace.md 1.4), which a killed process leaves beside it, goes with it, also
where a recording replaces such a trace.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import struct
import tempfile

_NAME = re.compile(r"memtap-(?P<purpose>[a-z]+)-(?P<pid>\d+)-(?P<namespace>\d+)-[0-9a-f]{8}\.mtap")
_HEADER = struct.Struct("=8sHHIQQ")  # magic, major, minor, header bytes, flags, pid: docs/formats/trace.md
_TRACE = b"\x89MTAP\r\n\x1a"
_JOURNAL = b"\x89MTJL\r\n\x1a"
_JOURNAL_NUMBER = struct.Struct("=Q")  # in the header of a trace
_JOURNAL_NUMBER_AT, _JOURNAL_NAME_MAX = 424, 200


def _folder() -> str:
    return os.path.realpath(tempfile.gettempdir())


def _namespace() -> int:
    """Where pids mean what they mean here; 0 where /proc does not say, and then nothing is swept."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def private_path(purpose: str) -> str:
    """A new file name of our own; readable after a crash."""
    return os.path.join(_folder(), f"memtap-{purpose}-{os.getpid()}-{_namespace()}-{os.urandom(4).hex()}.mtap")


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # somebody else's
        return False
    return False


def _is_of(path: str, pid: int, wanted: bytes) -> bool:
    """Is it an unshared file of this user that begins as one that this process wrote?"""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        info = os.fstat(file)
        if not stat.S_ISREG(info.st_mode) or info.st_uid != os.geteuid() or info.st_nlink != 1:
            return False
        head = os.read(file, _HEADER.size)
    finally:
        os.close(file)
    if len(head) < _HEADER.size:
        return False
    magic, _, _, _, _, writer = _HEADER.unpack(head)
    return bool(magic == wanted and writer == pid)


def _journals_of(name: str) -> list[str]:
    wanted = re.compile(rf"\.{re.escape(name)}\.[0-9a-f]{{16}}\.journal")
    return [os.path.join(_folder(), other) for other in os.listdir(_folder()) if wanted.fullmatch(other)]


def sweep(purpose: str) -> None:
    """Removes the files of this purpose that dead processes left. Never raises for what is in the folder."""
    here = _namespace()
    with contextlib.suppress(OSError), os.scandir(_folder()) as entries:
        for entry in entries:
            match = _NAME.fullmatch(entry.name)
            if match is None or match["purpose"] != purpose or not here or int(match["namespace"]) != here:
                continue
            pid = int(match["pid"])
            with contextlib.suppress(OSError, OverflowError):
                if pid > 0 and _is_gone(pid) and _is_of(entry.path, pid, _TRACE):
                    for journal in _journals_of(entry.name):
                        if _is_of(journal, pid, _JOURNAL):
                            os.unlink(journal)
                    os.unlink(entry.path)


def _remove_journal(path: str) -> None:
    """That of the trace at path, which its header names; nothing else that lies there."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        head = os.read(file, _JOURNAL_NUMBER_AT + _JOURNAL_NUMBER.size)
    finally:
        os.close(file)
    if len(head) < _JOURNAL_NUMBER_AT + _JOURNAL_NUMBER.size or head[:8] != _TRACE:
        return
    (number,) = _JOURNAL_NUMBER.unpack_from(head, _JOURNAL_NUMBER_AT)
    folder, name = os.path.split(os.fsencode(path))
    journal = os.fsdecode(os.path.join(folder, b".%s.%016x.journal" % (name[:_JOURNAL_NAME_MAX], number)))
    pid = _HEADER.unpack_from(head)[-1]
    if number != 0 and 0 < pid < 1 << 31 and _is_gone(pid) and _is_of(journal, pid, _JOURNAL):
        os.unlink(journal)


def replace(path: str) -> None:
    """Removes what is at path, and the journal of a trace whose process is gone and did not end it. OSError: it cannot be removed."""
    with contextlib.suppress(OSError):
        _remove_journal(path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
