/* endpoint.h: how a person names what a command is about: TARGET.
 *
 * Decides: the grammar. Digits are a process, unless a file of that name is there; unix:/PATH a socket in the file system; HOST:PORT
 * and [V6]:PORT an address; anything else the name of a file. Context: [tool].
 */
#ifndef MT_CONTROL_ENDPOINT_H
#define MT_CONTROL_ENDPOINT_H

#include "util/error.h"

#include <sys/types.h>

enum mt_endpoint_kind { MT_ENDPOINT_PROCESS, MT_ENDPOINT_SOCKET, MT_ENDPOINT_HOST, MT_ENDPOINT_FILE };

struct mt_endpoint {
    enum mt_endpoint_kind kind;
    pid_t pid;        /* PROCESS */
    char text[256];   /* as it was written; SOCKET: the path alone */
    char host[200];   /* HOST: without brackets */
    char port[8];
};

/* text NULL: MEMTAP_ENDPOINT. MT_E_INVAL: it is nothing of the kind. */
mt_status mt_endpoint_parse(const char *text, struct mt_endpoint *ret, struct mt_error *err) MT_CHECKED;

#endif
