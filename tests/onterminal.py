"""What a command writes to a terminal of so many columns."""

import fcntl
import os
import struct
import subprocess
import termios


def columns_of(text):
    return max(len(line) for line in text.splitlines())


def on_a_terminal(columns, *arguments):
    """What a terminal of so many columns is shown."""
    read, write = os.openpty()
    fcntl.ioctl(write, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k != "COLUMNS"} | {"NO_COLOR": "1", "TERM": "xterm"}
    child = subprocess.Popen([str(a) for a in arguments], stdout=write, stderr=subprocess.DEVNULL, env=environment)
    os.close(write)
    data = b""
    while True:
        try:
            part = os.read(read, 65536)
        except OSError:  # all ends of the terminal are closed
            break
        if not part:
            break
        data += part
    os.close(read)
    assert child.wait() == 0
    return data.decode().replace("\r\n", "\n")
