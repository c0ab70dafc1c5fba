/* list_rows.h: processes that memtap knows of: those that are armed, and those that are only recorded. Internal to cli/.
 *
 * Decides: an armed process says itself what is the case; of the others the trace among their descriptors does. Context: [tool].
 */
#ifndef MT_CLI_LIST_ROWS_H
#define MT_CLI_LIST_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mt_list_row {
    pid_t pid;
    bool armed;
    uint64_t rate_bytes;    /* 0: every allocation, or nothing is recorded */
    uint64_t began_unix_ns; /* 0: nothing is recorded */
    uint64_t rss_bytes, dropped_events, port;
    uint64_t heap_bytes;    /* alive of what is recorded, if it was asked for and the trace is small; UINT64_MAX: not known */
    char *mode;             /* malloc'ed, as all texts; "" for none */
    char *command, *trace, *begun_by, *listen, *version;
};

struct mt_list_rows {
    struct mt_list_row *items; /* in order of pids */
    size_t count, capacity;
};

/* with_heap: traces are read for it. */
void mt_list_rows_read(bool with_heap, struct mt_list_rows *ret);
void mt_list_rows_clear(struct mt_list_rows *rows);

#endif
