/* pages.c: see pages.h. */
#include "explain/pages.h"

#include <unistd.h>

enum { BATCH = 4096 };
static const uint64_t PRESENT = UINT64_C(1) << 63;

/* A page behind the last run makes that longer. */
static void add_page(struct mt_spans *runs, uint64_t at)
{
    if (runs->count > 0 && runs->items[runs->count - 1].high == at) {
        runs->items[runs->count - 1].high = at + MT_PAGE_BYTES;
    } else {
        mt_spans_add(runs, at, at + MT_PAGE_BYTES);
    }
}

bool mt_pages_add(int pagemap_fd, uint64_t low, uint64_t high, struct mt_pages *pages)
{
    static uint64_t entries[BATCH];
    uint64_t end = high / MT_PAGE_BYTES + (high % MT_PAGE_BYTES != 0);
    for (uint64_t at = low / MT_PAGE_BYTES; at < end;) {
        size_t wanted = end - at < BATCH ? (size_t)(end - at) : BATCH;
        ssize_t bytes = pread(pagemap_fd, entries, wanted * sizeof entries[0], (off_t)(at * sizeof entries[0]));
        size_t got = bytes > 0 ? (size_t)bytes / sizeof entries[0] : 0;
        if (got == 0) {
            return false;
        }
        for (size_t i = 0; i < got; i++) {
            if ((entries[i] & PRESENT) != 0) {
                add_page(&pages->runs, (at + i) * MT_PAGE_BYTES);
            }
        }
        at += got;
    }
    return true;
}

void mt_pages_fini(struct mt_pages *pages)
{
    mt_spans_clear(&pages->runs);
}

/* The first run that ends behind `at`. */
static size_t run_of(const struct mt_pages *pages, uint64_t at)
{
    size_t low = 0, high = pages->runs.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (pages->runs.items[middle].high <= at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

uint64_t mt_pages_next(const struct mt_pages *pages, uint64_t at)
{
    size_t i = run_of(pages, at);
    if (i == pages->runs.count) {
        return UINT64_MAX;
    }
    return pages->runs.items[i].low > at ? pages->runs.items[i].low : at;
}

uint64_t mt_pages_resident(const struct mt_pages *pages, uint64_t low, uint64_t high)
{
    uint64_t bytes = 0;
    for (size_t i = run_of(pages, low); i < pages->runs.count && pages->runs.items[i].low < high; i++) {
        const struct mt_span *run = &pages->runs.items[i];
        bytes += (run->high < high ? run->high : high) - (run->low > low ? run->low : low);
    }
    return bytes;
}

uint64_t mt_pages_whole(const struct mt_pages *pages, uint64_t low, uint64_t high)
{
    uint64_t first = (low + MT_PAGE_BYTES - 1) / MT_PAGE_BYTES * MT_PAGE_BYTES, last = high / MT_PAGE_BYTES * MT_PAGE_BYTES;
    return first < last ? mt_pages_resident(pages, first, last) : 0;
}
