"""A terminal for tests: a program behind a pseudo-terminal, and what its screen shows.

The screen understands what util/terminal.c writes, and nothing else: what it does not know is an error of the test."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

BOUND = 300  # seconds that anything may take on a busy machine
SEQUENCE = re.compile(rb"\x1b(?:\[(\??[0-9;]*)([A-Za-z]))")

# The session's leader, as a shell is: the program has a process group of its own, which the terminal belongs to.
LEADER = """
import os, signal, subprocess, sys, termios, fcntl
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
def take(group):
    os.tcsetpgrp(0, group)
def begin():
    os.setpgrp()
    take(os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
program = subprocess.Popen(sys.argv[2:], preexec_fn=begin)
report = int(sys.argv[1])
os.write(report, b"begun %d\\n" % program.pid)
while True:
    _, status = os.waitpid(program.pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        take(os.getpid())
        os.write(report, b"stopped %d\\n" % os.WSTOPSIG(status))
        sys.stdin.readline()
        take(program.pid)
        os.killpg(program.pid, signal.SIGCONT)
        continue
    os.write(report, b"ended %d\\n" % os.waitstatus_to_exitcode(status))
    break
"""


class Screen:
    """`argv` on a terminal of so many columns and rows."""

    def __init__(self, argv, columns=80, rows=24, **options):
        self.master, slave = pty.openpty()
        self.columns, self.rows = columns, rows
        self.resize(columns, rows)
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        read_end, write_end = os.pipe()
        environment = {k: v for k, v in os.environ.items() if k != "COLUMNS"}
        self.leader = subprocess.Popen([sys.executable, "-c", LEADER, str(write_end), *map(str, argv)], stdin=slave, stdout=slave,
                                       stderr=slave, start_new_session=True, pass_fds=(write_end,), env=environment,
                                       preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), **options)
        os.close(write_end)
        self.reports = os.fdopen(read_end, "rb")
        self.lines = {}
        self.alternate = False
        self.cursor_shown = True
        self.at = (0, 0)
        self.raw = b""
        self.log = b""
        self.pid = int(self.report("begun"))

    # ---- what it shows

    def report(self, word):
        """The next line of the leader; the program's output is read meanwhile, so that it never waits for us."""
        end = time.monotonic() + BOUND
        while True:
            ready, _, _ = select.select([self.reports, self.master], [], [], max(0, end - time.monotonic()))
            assert ready, f"nothing is said of the program in {BOUND} s:\n{self.text()}"
            if self.master in ready:
                self.read()
            if self.reports in ready:
                said, value = self.reports.readline().split()
                assert said == word.encode(), (said, value, self.log[-2000:])
                return value

    def read(self):
        self.feed(os.read(self.master, 65536))

    def feed(self, data):
        self.log += data
        data = self.raw + data
        at = 0
        while at < len(data):
            if data[at] == 0x1B:
                match = SEQUENCE.match(data, at)
                if match is None:
                    break  # not whole yet
                self.obey(match[1], match[2])
                at = match.end()
            elif data[at:at + 1] == b"\r":
                self.at, at = (self.at[0], 0), at + 1
            elif data[at:at + 1] == b"\n":
                self.at, at = (self.at[0] + 1, self.at[1]), at + 1
            else:
                end = at + 1
                while end < len(data) and data[end] not in b"\x1b\r\n":
                    end += 1
                try:
                    text = data[at:end].decode()
                except UnicodeDecodeError:
                    if end < len(data):
                        raise
                    break  # the rest of a character comes later
                self.put(text)
                at = end
        self.raw = data[at:]

    def put(self, text):
        row, column = self.at
        line = self.lines.get(row, "").ljust(column)
        self.lines[row] = line[:column] + text + line[column + len(text):]
        self.at = (row, column + len(text))

    def obey(self, values, letter):
        if letter in b"hl" and values == b"?1049":
            self.alternate = letter == b"h"
        elif letter in b"hl" and values == b"?25":
            self.cursor_shown = letter == b"h"
        elif letter == b"H":
            self.at = (0, 0)
        elif letter == b"K":
            self.lines[self.at[0]] = self.lines.get(self.at[0], "")[:self.at[1]]
        elif letter == b"J":
            if values == b"2":
                self.lines = {}
            else:
                self.lines = {row: text for row, text in self.lines.items() if row <= self.at[0]}
                self.lines[self.at[0]] = self.lines.get(self.at[0], "")[:self.at[1]]
        else:
            assert letter == b"m", (values, letter)

    def text(self):
        return "\n".join(self.lines.get(row, "") for row in range(max(self.lines, default=-1) + 1))

    def wait(self, condition, what):
        """Until condition() is true of what the screen shows; returns what it gave."""
        end = time.monotonic() + BOUND
        while not (found := condition()):
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            assert ready, f"{what} in {BOUND} s:\n{self.text()}"
            self.read()
        return found

    def wait_for(self, pattern, gone=False):
        """Until the screen shows (or shows no more) what matches."""
        def condition():
            match = re.search(pattern, self.text(), re.M)
            return match is None if gone else match
        return self.wait(condition, f"{pattern!r} {'stays' if gone else 'does not come'}")

    # ---- what is done to it

    def type(self, keys):
        os.write(self.master, keys.encode())

    def resize(self, columns, rows):
        self.columns, self.rows = columns, rows
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def signal(self, number):
        os.kill(self.pid, number)

    def ended(self):
        """Its exit code, and that the terminal is as it was."""
        code = int(self.report("ended"))
        self.drain()
        assert self.is_given_back()
        return code

    def drain(self):
        while select.select([self.master], [], [], 0)[0]:
            self.read()

    def is_given_back(self):
        self.drain()
        return not self.alternate and self.cursor_shown and termios.tcgetattr(self.slave) == self.before

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for kill in (lambda: os.kill(self.pid, signal.SIGKILL), self.leader.kill):
            try:
                if self.leader.poll() is None:
                    kill()
            except ProcessLookupError:
                pass
        self.leader.wait()
        self.reports.close()
        os.close(self.master)
        os.close(self.slave)
