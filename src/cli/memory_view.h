/* memory_view.h: what RSS is made of, for people and as JSON. Internal to cli/. Context: [tool].
 *
 * Decides: the rows of a process that runs (explain/explain.h) and those of a recording (export/footprint.h) are shown alike, largest first.
 */
#ifndef MT_CLI_MEMORY_VIEW_H
#define MT_CLI_MEMORY_VIEW_H

#include "explain/explain.h"
#include "util/out.h"

struct mt_memory_part {
    const char *key, *text;
    uint64_t bytes;
    bool resident; /* false: beside the RSS, not in it */
};

/* A line of the program that holds memory. */
struct mt_memory_site {
    char *text; /* not clean */
    uint64_t bytes, count;
    double ci95; /* of bytes; 0: exact */
};

enum { MT_MEMORY_PARTS_MAX = 32, MT_MEMORY_SITES_MAX = 5 };
struct mt_memory_view {
    uint64_t pid;
    char *program; /* not clean; NULL: not known */
    const char *trace; /* NULL: it is not recorded */
    bool live; /* of now; else of the moment of the largest RSS in the recording */
    uint64_t rss_bytes;
    struct mt_memory_part parts[MT_MEMORY_PARTS_MAX];
    size_t part_count;
    const struct mt_explained *details; /* NULL: of a recording */
    uint64_t heap_bytes; /* recorded: alive now, or at the peak */
    double heap_ci95;
    struct mt_memory_site sites[MT_MEMORY_SITES_MAX];
    size_t site_count;
};

void mt_memory_add(struct mt_memory_view *view, struct mt_memory_part part);
void mt_memory_write(struct mt_out *out, const struct mt_memory_view *view);
void mt_memory_write_json(struct mt_out *out, const struct mt_memory_view *view);
void mt_memory_fini(struct mt_memory_view *view);

#endif
