"""memtap.memprof under its second name: importing this gives that very module, so its state and its flags are one."""

import sys

from memtap import memprof
from memtap.memprof import *  # noqa: F401,F403  (for readers and type checkers: the line below replaces this module)

sys.modules[__name__] = memprof
