/* pages.c: see pages.h. */
#include "explain/pages.h"

#include "util/memory.h"

#include <string.h>
#include <unistd.h>

enum { BATCH = 4096 };
static const uint64_t PRESENT = UINT64_C(1) << 63;

bool mt_pages_read(int pagemap_fd, uint64_t low, uint64_t high, struct mt_pages *ret)
{
    static uint64_t entries[BATCH];
    uint64_t first = low / MT_PAGE_BYTES;
    size_t count = (size_t)((high + MT_PAGE_BYTES - 1) / MT_PAGE_BYTES - first);
    uint8_t *is_here = mt_alloc_zero(count, 1);
    for (size_t at = 0; at < count;) {
        size_t wanted = count - at < BATCH ? count - at : BATCH;
        ssize_t bytes = pread(pagemap_fd, entries, wanted * sizeof entries[0], (off_t)((first + at) * sizeof entries[0]));
        size_t got = bytes > 0 ? (size_t)bytes / sizeof entries[0] : 0;
        for (size_t i = 0; i < got; i++) {
            is_here[at + i] = (entries[i] & PRESENT) != 0;
        }
        at += got;
        if (got == 0) {
            free(is_here);
            return false;
        }
    }
    *ret = (struct mt_pages){ first * MT_PAGE_BYTES, count, is_here };
    return true;
}

void mt_pages_fini(struct mt_pages *pages)
{
    free(pages->is_here);
    *pages = (struct mt_pages){ 0 };
}

uint64_t mt_pages_resident(const struct mt_pages *pages, uint64_t low, uint64_t high)
{
    uint64_t end = pages->low + pages->count * MT_PAGE_BYTES, bytes = 0;
    low = low > pages->low ? low : pages->low;
    high = high < end ? high : end;
    for (uint64_t at = low; at < high;) {
        uint64_t next = (at / MT_PAGE_BYTES + 1) * MT_PAGE_BYTES;
        next = next < high ? next : high;
        bytes += pages->is_here[(at - pages->low) / MT_PAGE_BYTES] != 0 ? next - at : 0;
        at = next;
    }
    return bytes;
}

uint64_t mt_pages_whole(const struct mt_pages *pages, uint64_t low, uint64_t high)
{
    uint64_t first = (low + MT_PAGE_BYTES - 1) / MT_PAGE_BYTES * MT_PAGE_BYTES, last = high / MT_PAGE_BYTES * MT_PAGE_BYTES;
    return first < last ? mt_pages_resident(pages, first, last) : 0;
}
