/* pages.h: which pages of another process are resident, from /proc/PID/pagemap. Context: [tool].
 *
 * Decides: a part of a page counts as that part, so that what lies beside each other adds up. Whether a page is there may be read by whoever
 * may trace the process; where it lies needs more, and is not asked.
 */
#ifndef MT_EXPLAIN_PAGES_H
#define MT_EXPLAIN_PAGES_H

#include "explain/glibc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { MT_PAGE_BYTES = 4096 };

/* Pages that are resident, read once, as runs in order of addresses: what is only reserved, terabytes at times, takes no memory. All zero is none. */
struct mt_pages {
    struct mt_spans runs;
};

/* Adds those of [low, high), which lies behind what was added before. False: they may not be looked at. To mt_pages_fini also then. */
bool mt_pages_add(int pagemap_fd, uint64_t low, uint64_t high, struct mt_pages *pages) MT_CHECKED;
void mt_pages_fini(struct mt_pages *pages);
/* The first resident address from `at` on; UINT64_MAX: there is none. */
uint64_t mt_pages_next(const struct mt_pages *pages, uint64_t at);
/* Resident bytes of [low, high). */
uint64_t mt_pages_resident(const struct mt_pages *pages, uint64_t low, uint64_t high);
/* The same of whole pages in it: what could be given back to the system. */
uint64_t mt_pages_whole(const struct mt_pages *pages, uint64_t low, uint64_t high);

#endif
