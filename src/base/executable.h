/* executable.h: what a file that is about to be executed is, by its bytes and rights.
 *
 * Decides: whether the agent can be preloaded into it. A hostile file can do no more than fail a bounds check, a FIFO keeps
 * nobody waiting. One file is looked at: whoever asks follows the interpreter of a script himself. Context: any,
 * async-signal safe; a vfork child too: no memory is written but the caller's.
 */
#ifndef MT_BASE_EXECUTABLE_H
#define MT_BASE_EXECUTABLE_H

#include <stdbool.h>

enum mt_program_kind {
    MT_PROGRAM_DYNAMIC, /* a dynamic glibc ELF of our own word size: can be preloaded */
    MT_PROGRAM_STATIC,
    MT_PROGRAM_SETID, /* it gets other rights than its caller's (set-user-ID, set-group-ID, file capabilities, or the caller's
                         real and effective ones differ): the loader ignores LD_PRELOAD */
    MT_PROGRAM_OTHER_ARCH,
    MT_PROGRAM_MUSL,
    MT_PROGRAM_NOT_ELF,
    MT_PROGRAM_UNREADABLE,
    MT_PROGRAM__COUNT
};

enum { MT_SCRIPT_DEPTH_MAX = 4 }; /* interpreters that are scripts themselves, as the kernel follows them */

struct mt_executable {
    enum mt_program_kind kind;
    char interpreter[256]; /* NOT_ELF with a "#!" line: what it names; else empty */
    char argument[256];    /* and the first word behind it */
};

/* folder: what path is relative to, a descriptor or AT_FDCWD. */
void mt_executable_look(int folder, const char *path, struct mt_executable *ret);

#endif
