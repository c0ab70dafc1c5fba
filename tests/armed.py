"""An armed process, and frames to and from its socket, written from docs/formats/control.md and not from memtap's own code."""

import os
import re
import socket
import struct
import subprocess
import time

from conftest import MEMTAP

AGENT = MEMTAP.parent / "libmemtap-agent.so"
MAGIC = 0x3143544D
HEAD = struct.Struct("<IHHII")
HELLO, START, STOP, CONFIG, SNAPSHOT, EVAL = range(1, 7)
OK, UNKNOWN, BAD, DENIED, BUSY, IDLE, RECORDING, FOREIGN, FAILED = range(9)
PATIENCE_S = 120


def until(condition, what):
    """Waits for it, long enough for a machine that does something else meanwhile."""
    end = time.monotonic() + PATIENCE_S
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, what
        time.sleep(0.01)


def sockets_of(pid):
    return re.findall(rf"@(memtap-{pid}-[0-9a-f]{{16}})$", open("/proc/net/unix").read(), re.M)


def frame(kind, *strings, status=0, version=1, magic=MAGIC, length=None):
    payload = b"".join(s.encode() + b"\0" for s in strings)
    return HEAD.pack(magic, version, kind, status, len(payload) if length is None else length) + payload


class Connection:
    def __init__(self, where):
        self.socket = socket.socket(socket.AF_INET if isinstance(where, tuple) else socket.AF_UNIX)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(where if isinstance(where, tuple) else "\0" + where)

    def receive(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                return None
            data += more
        return data

    def reply(self):
        """(status, {name: value}), or None: the connection is closed."""
        head = self.receive(HEAD.size)
        if head is None:
            return None
        magic, version, _, status, length = HEAD.unpack(head)
        assert (magic, version) == (MAGIC, 1)
        payload = self.receive(length)
        return status, dict(item.split("=", 1) for item in payload.decode().split("\0") if item)

    def ask(self, kind, *strings):
        self.socket.sendall(frame(kind, *strings))
        return self.reply()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.socket.close()


class Armed:
    """argv with the agent in front, started, and at its socket."""

    def __init__(self, *argv, listen="1", env=(), wait=True, alone=False, **options):
        environment = {**os.environ, "LD_PRELOAD": str(AGENT), "MEMTAP_LISTEN": listen, **dict(env)}
        if alone:  # its children are not armed
            del environment["LD_PRELOAD"]
            argv = (MEMTAP, "run", "--mode", "off", "--no-follow", *argv)
        options.setdefault("stdin", subprocess.PIPE)
        self.process = subprocess.Popen([str(a) for a in argv], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        self.pid = self.process.pid
        self.name = until(lambda: sockets_of(self.pid), "no socket")[0] if wait else None

    def connect(self):
        return Connection(self.name)

    def threads(self):
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def finish(self, text=b"\n"):
        out, err = self.process.communicate(text, timeout=PATIENCE_S)
        assert self.process.returncode == 0, (self.process.returncode, out, err)
        return out, err

    def __enter__(self):
        return self

    def ready(self):
        """The same, when its first line, `ready`, has come."""
        line = self.process.stdout.readline()
        assert line == b"ready\n", (line, self.process.poll())
        return self

    def __exit__(self, *exception):
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
