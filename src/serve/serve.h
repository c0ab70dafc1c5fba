/* serve.h: HTTP over recordings: what `memtap serve` is.
 *
 * Decides: a process of its own answers for all targets; in a target there is no HTTP, and nothing here touches one: its trace is read.
 * One thread takes requests and gives answers (libmicrohttpd's), so that a slow client costs a descriptor; whatever reads a trace
 * is done by a few workers (workers.h) while the connection waits. docs/decisions/0068. Context: [tool].
 */
#ifndef MT_SERVE_SERVE_H
#define MT_SERVE_SERVE_H

#include "util/error.h"
#include "util/strlist.h"

#include <stdbool.h>

enum { MT_SERVE_PORT = 7070 };

struct mt_serve_options {
    struct mt_strlist targets; /* as given: files, folders, process ids */
    struct mt_strlist listen;  /* HOST:PORT, [V6]:PORT, unix:/PATH; none: 127.0.0.1 and MT_SERVE_PORT, or any free port */
    const char *token;         /* NULL: none */
    bool open;                 /* in a browser */
};

/* Serves until the process ends. Returns what stopped it from beginning: MT_E_INVAL: the options cannot be. */
mt_status mt_serve(const struct mt_serve_options *options, struct mt_error *err) MT_CHECKED;

#endif
