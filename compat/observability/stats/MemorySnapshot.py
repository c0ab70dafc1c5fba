"""memtap.memsnap under another name: importing this gives that very module."""

import sys

from memtap import memsnap
from memtap.memsnap import *  # noqa: F401,F403  (for readers and type checkers: the line below replaces this module)

sys.modules[__name__] = memsnap
