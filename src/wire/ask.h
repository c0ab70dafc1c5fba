/* ask.h: what a recorded process asks of its tool, over a socket: a trace it cannot make or open itself.
 *
 * Decides: the two messages. The process connects to an abstract SOCK_SEQPACKET socket whose name is in its environment
 * (config.def: helper, NAME.TOKEN with the token in hex), sends one request and gets one reply, which carries a descriptor
 * when its status is MT_OK. The name of such a socket can be seen by everybody, the environment by the process's own user:
 * a request without the token is not answered. Both sides are of one build and one machine: plain structs.
 */
#ifndef MT_WIRE_ASK_H
#define MT_WIRE_ASK_H

#include "base/os.h"
#include "wire/config.h"

#define MT_ASK_MAGIC 0x4B53414Du /* "MASK" */
enum { MT_ASK_PATH_BYTES = MT_CONFIG_PATH_BYTES + 64 };

enum mt_ask_kind {
    MT_ASK_NEW = 1,   /* make the trace of this process at path */
    MT_ASK_AGAIN = 2, /* open it once more: it has this device and inode */
};

struct mt_ask_request {
    uint32_t magic;
    uint32_t kind;
    uint64_t token;
    uint64_t device;
    uint64_t inode;
    char path[MT_ASK_PATH_BYTES];
};

struct mt_ask_reply {
    uint32_t magic;
    uint32_t status; /* mt_status */
};

#endif
