/* os_own.c: see os_own.h. */
#include "base/os_own.h"

#include "base/atomic.h"
#include "base/os.h"
#include "base/rawcall.h"

#include <sys/syscall.h>

enum { MT_OWN_MAPS = 256, PAGES_AT_ONCE = 1024 };

/* Pairing O1: bytes, then base (release) -> base (acquire), then bytes. A place that changes hands in between gives the bytes
 * of its next owner: a wrong count of a moment. */
static struct {
    uintptr_t base; /* shared; 0: free, 1: being filled */
    size_t bytes;   /* shared */
} g_own[MT_OWN_MAPS];
static uint64_t g_beyond_bytes; /* shared: of mappings that found no place */

void mt_own_mapped(const void *base, size_t bytes)
{
    for (size_t i = 0; i < MT_OWN_MAPS; i++) {
        uintptr_t free_place = 0;
        if (mt_load_relaxed(&g_own[i].base) == 0 && mt_cas_acq_rel(&g_own[i].base, &free_place, (uintptr_t)1)) {
            mt_store_relaxed(&g_own[i].bytes, bytes);
            mt_store_release(&g_own[i].base, (uintptr_t)base);
            return;
        }
    }
    (void)mt_fetch_add_relaxed(&g_beyond_bytes, bytes);
}

void mt_own_unmapped(const void *base, size_t bytes)
{
    for (size_t i = 0; i < MT_OWN_MAPS; i++) {
        uintptr_t mine = (uintptr_t)base;
        if (mt_load_relaxed(&g_own[i].base) == mine && mt_cas_acq_rel(&g_own[i].base, &mine, (uintptr_t)0)) {
            return;
        }
    }
    uint64_t beyond = mt_load_relaxed(&g_beyond_bytes);
    if (beyond >= bytes) { /* a file mapping is not among them; then this is at worst too little */
        (void)mt_fetch_sub_relaxed(&g_beyond_bytes, bytes);
    }
}

static uint64_t resident(uintptr_t base, size_t bytes)
{
    unsigned char pages[PAGES_AT_ONCE];
    size_t page = mt_os_page_bytes(), left = (bytes + page - 1) / page;
    uint64_t count = 0;
    while (left > 0) {
        size_t now = left < PAGES_AT_ONCE ? left : PAGES_AT_ONCE;
        if (mt_raw4(SYS_mincore, (long)base, (long)(now * page), (long)pages, 0) != 0) {
            break; /* gone meanwhile, or not mapped in a fork child */
        }
        for (size_t i = 0; i < now; i++) {
            count += pages[i] & 1;
        }
        base += now * page;
        left -= now;
    }
    return count * page;
}

uint64_t mt_os_own_resident_bytes(void)
{
    uint64_t sum = mt_load_relaxed(&g_beyond_bytes);
    for (size_t i = 0; i < MT_OWN_MAPS; i++) {
        uintptr_t base = mt_load_acquire(&g_own[i].base);
        if (base > 1) {
            sum += resident(base, mt_load_relaxed(&g_own[i].bytes));
        }
    }
    return sum;
}
