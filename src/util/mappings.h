/* mappings.h: what another process has mapped, from /proc/PID/maps, and how much of it is resident, from smaps. Context: [tool]. */
#ifndef MT_UTIL_MAPPINGS_H
#define MT_UTIL_MAPPINGS_H

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mt_mapping {
    uint64_t low, high;
    uint64_t offset; /* in the file */
    uint64_t inode;  /* 0: no file */
    bool readable, writable, executable;
    char *path; /* as the kernel writes it, "" for none; malloc'ed */
    char permissions[5]; /* "rw-p" */
    uint64_t rss_bytes, anonymous_bytes; /* these are 0 unless mt_mappings_read_resident read it */
    uint64_t pss_bytes, private_dirty_bytes, swap_bytes;
};

/* In order of addresses. All zero is empty. */
struct mt_mappings {
    struct mt_mapping *items;
    size_t count;
    size_t capacity;
};

mt_status mt_mappings_read(pid_t pid, struct mt_mappings *ret, struct mt_error *err) MT_CHECKED;
/* The same with what is resident of each: the kernel looks at every page for it. */
mt_status mt_mappings_read_resident(pid_t pid, struct mt_mappings *ret, struct mt_error *err) MT_CHECKED;
void mt_mappings_clear(struct mt_mappings *mappings);
/* The one that holds address, or NULL. */
const struct mt_mapping *mt_mappings_at(const struct mt_mappings *mappings, uint64_t address);

#endif
