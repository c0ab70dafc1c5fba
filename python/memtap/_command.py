"""The `memtap` command of an installed package: hands over to the program in memtap/_bin.

The program is native code; this process becomes it (exec), so signals, exit codes and the terminal are its own.
"""

from __future__ import annotations

import os
import sys
from typing import List, NoReturn, Optional

_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_bin")


def program_path() -> str:
    """Absolute path of the packaged command-line program."""
    return os.path.join(_FOLDER, "memtap")


def agent_path() -> str:
    """Absolute path of the packaged agent, the library that is loaded into profiled processes."""
    return os.path.join(_FOLDER, "libmemtap-agent.so")


def main(arguments: Optional[List[str]] = None) -> NoReturn:
    """Becomes the command with these arguments (default: sys.argv[1:]).

    `memtap run app.py` then profiles under the interpreter this package is installed for, not under whichever python3 is
    first on PATH, unless MEMTAP_PYTHON names one already. Exit code 127 with a message when the program cannot be started.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    if sys.executable:
        os.environ["MEMTAP_OWN_PYTHON"] = sys.executable
    try:
        os.execv(program_path(), ["memtap", *words])
    except OSError as error:
        sys.stderr.write(f"memtap: cannot start {program_path()}: {error.strerror}; reinstall the package\n")
    raise SystemExit(127)
