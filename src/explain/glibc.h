/* glibc.h: the arenas of glibc's malloc in another process, read from its memory.
 *
 * Decides: nothing is taken on trust and nothing is stopped. An arena is known by its structure: the empty ones of its 127 bins point to
 * themselves. What is read is checked as glibc checks it (sizes, alignment, back pointers, lengths), because the process goes on meanwhile;
 * a reading that contradicts itself is tried again, and after some tries nothing is said. Layout: glibc 2.23 to 2.42, malloc/malloc.c, 64 bits.
 * Blocks that threads keep in their caches (tcache) are in use for the arena, as they are for malloc_info. Context: [tool].
 */
#ifndef MT_EXPLAIN_GLIBC_H
#define MT_EXPLAIN_GLIBC_H

#include "attach/object.h"

/* A stretch of address space. */
struct mt_span {
    uint64_t low, high;
};
struct mt_spans {
    struct mt_span *items;
    size_t count, capacity;
};
void mt_spans_add(struct mt_spans *spans, uint64_t low, uint64_t high);
/* The one that holds address, or NULL. */
const struct mt_span *mt_spans_at(const struct mt_spans *spans, uint64_t address);
void mt_spans_clear(struct mt_spans *spans);

struct mt_glibc {
    size_t arenas;
    uint64_t system_bytes; /* that the arenas have of the system */
    uint64_t fast_bytes;   /* free, in fast bins; not in `free` */
    uint64_t free_bytes;   /* free, in the other bins */
    uint64_t top_bytes;    /* never used, or merged with it */
    struct mt_spans memory; /* of the arenas */
    struct mt_spans free;   /* blocks of fast and other bins */
    struct mt_spans tops;
    const char *unknown;    /* why nothing is known; NULL: it is */
};

void mt_glibc_read(const struct mt_remote *remote, const struct mt_mappings *mappings, const struct mt_objects *objects, struct mt_glibc *ret);
void mt_glibc_fini(struct mt_glibc *glibc);

#endif
