/* exitcode.h: the exit codes of memtap's own (docs/guide/cli.md); `run` gives the program's. Context: [tool]. */
#ifndef MT_UTIL_EXITCODE_H
#define MT_UTIL_EXITCODE_H

enum mt_exit_code {
    MT_EXIT_OK = 0,
    MT_EXIT_FAILED = 1,
    MT_EXIT_USAGE = 2,
    MT_EXIT_UNREACHABLE = 3,
    MT_EXIT_TIMEOUT = 4,
    MT_EXIT_NOT_EXECUTABLE = 126,
    MT_EXIT_NOT_FOUND = 127,
    MT_EXIT_SIGNAL_BASE = 128,
};

#endif
