/* ask.h: what a recorded process asks of its tool, over a socket: a trace, or the journal beside it, that it cannot make or open
 * itself; and what it tells it: a program it starts that will not be recorded.
 *
 * Decides: the messages. The process connects to an abstract SOCK_SEQPACKET socket whose name is in its environment
 * (config.def: helper, NAME.TOKEN with the token in hex), sends one request and gets one reply, which carries a descriptor
 * when its status is MT_OK. The name of such a socket can be seen by everybody, the environment by the process's own user:
 * a request without the token is not answered. What is told has no reply. Both sides are of one build and one machine: plain structs.
 */
#ifndef MT_WIRE_ASK_H
#define MT_WIRE_ASK_H

#include "base/executable.h"
#include "base/os.h"
#include "wire/config.h"

#define MT_ASK_MAGIC 0x4B53414Du /* "MASK" */
enum { MT_ASK_PATH_BYTES = MT_CONFIG_PATH_BYTES + 64 };

enum mt_ask_kind {
    MT_ASK_NEW = 1,     /* make the trace of this process at path */
    MT_ASK_AGAIN = 2,   /* open it, or the journal of this number, once more: the file has this device and inode */
    MT_ASK_TOLD = 3,    /* struct mt_ask_told: the sender is about to execute what cannot be recorded */
    MT_ASK_JOURNAL = 4, /* make the journal of this number for the trace of this device and inode */
    MT_ASK_TICK = 5,    /* the clock page */
};

/* Why it cannot: an enum mt_program_kind, or one of these. */
enum mt_ask_why {
    MT_ASK_WHY_NO_AGENT = MT_PROGRAM__COUNT, /* the agent's file cannot be opened there (chroot, another user) */
    MT_ASK_WHY_NO_ROOM,                      /* the environment has no room for the settings */
    MT_ASK_WHY_FILTER,                       /* a seccomp filter may kill for what the agent does */
    MT_ASK_WHY_UNKNOWN_FILTER,               /* there is one that memtap does not know; the tool's finding, nobody tells it */
    MT_ASK_WHY__COUNT
};
enum { MT_ASK_COMMAND_BYTES = 256 };

struct mt_ask_told {
    uint32_t magic;
    uint32_t kind;
    uint64_t token;
    uint32_t why;
    char command[MT_ASK_COMMAND_BYTES]; /* file and arguments, separated by spaces, NUL-terminated */
};

struct mt_ask_request {
    uint32_t magic;
    uint32_t kind;
    uint64_t token;
    uint64_t device;
    uint64_t inode;
    uint64_t journal; /* 0: the trace itself */
    char path[MT_ASK_PATH_BYTES];
};

struct mt_ask_reply {
    uint32_t magic;
    uint32_t status; /* mt_status */
};

#endif
