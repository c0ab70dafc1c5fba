/* liveset.c: memory of the live table: zero pages, huge where the kernel agrees (a 10-million-entry table has 150,000
 * small pages; TLB misses would double the cost of a look-up). Context: [tool]. */
#include "analysis/liveset.h"

#include "util/memory.h"

#include <stdint.h>
#include <sys/mman.h>

enum { FIRST_BITS = 12, HUGE_BYTES = 2 * 1024 * 1024 }; /* smaller ones are filled before they grow: no page is left out */

static void unmap(void *base, size_t bytes)
{
    (void)munmap(base, bytes);
}

static void make(struct mt_liveset *t, unsigned bits)
{
    size_t bytes = sizeof(struct mt_live) << bits;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (bytes < HUGE_BYTES ? MAP_POPULATE : 0);
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (base == MAP_FAILED) {
        mt_memory_out(bytes);
    }
    mt_memory_hold(base, bytes, unmap);
    if (bytes >= HUGE_BYTES) {
        (void)madvise(base, bytes, MADV_HUGEPAGE);
    }
    *t = (struct mt_liveset){ .entries = base, .mask = ((size_t)1 << bits) - 1, .shift = 64 - bits };
}

void mt_liveset_init(struct mt_liveset *t)
{
    make(t, FIRST_BITS);
}

void mt_liveset_fini(struct mt_liveset *t)
{
    if (t->entries != NULL) {
        mt_memory_release(t->entries);
        unmap(t->entries, (t->mask + 1) * sizeof *t->entries);
    }
    *t = (struct mt_liveset){ 0 };
}

void mt_liveset_grow(struct mt_liveset *t)
{
    struct mt_liveset old = *t;
    make(t, 64 - old.shift + 1);
    for (size_t i = 0; i <= old.mask; i++) {
        if (old.entries[i].addr != 0) {
            *mt_liveset_place(t, old.entries[i].addr) = old.entries[i];
        }
    }
    mt_liveset_fini(&old);
}
