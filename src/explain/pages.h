/* pages.h: which pages of another process are resident, from /proc/PID/pagemap. Context: [tool].
 *
 * Decides: a part of a page counts as that part, so that what lies beside each other adds up. Whether a page is there may be read by whoever
 * may trace the process; where it lies needs more, and is not asked.
 */
#ifndef MT_EXPLAIN_PAGES_H
#define MT_EXPLAIN_PAGES_H

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { MT_PAGE_BYTES = 4096 };

/* Pages of one range, read once. */
struct mt_pages {
    uint64_t low;    /* of the first page */
    size_t count;
    uint8_t *is_here; /* a byte a page */
};

/* False: they may not be looked at. ret to mt_pages_fini. */
bool mt_pages_read(int pagemap_fd, uint64_t low, uint64_t high, struct mt_pages *ret) MT_CHECKED;
void mt_pages_fini(struct mt_pages *pages);
/* Resident bytes of [low, high), as far as it lies in the range. */
uint64_t mt_pages_resident(const struct mt_pages *pages, uint64_t low, uint64_t high);
/* The same of whole pages in it: what could be given back to the system. */
uint64_t mt_pages_whole(const struct mt_pages *pages, uint64_t low, uint64_t high);

#endif
