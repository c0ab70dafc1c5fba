/* range.h: hooks of the functions that map and unmap address ranges, shared by all banks. Context: [hook]; errno is left
 * as the real function leaves it. */
#ifndef MT_HOOK_RANGE_H
#define MT_HOOK_RANGE_H

#include "base/os.h"
#include "heap/unwind.h"
#include "hook/table.h"

/* bytes in whole pages, as the kernel counts them. */
MT_INLINE size_t mt_range_pages(size_t bytes)
{
    size_t mask = mt_os_page_bytes() - 1;
    return (bytes + mask) & ~mask;
}

struct mt_map_call {
    void *addr;
    size_t bytes;
    int protection, flags, fd;
    long offset;
    void *(*real)(void *addr, size_t bytes, int protection, int flags, int fd, long offset);
};

void *mt_range_map(const struct mt_map_call *call, const struct mt_frame_regs *regs);
/* These four are entered by a tail jump from their hooks. */
int mt_range_unmap(void *addr, size_t bytes, const struct mt_originals *real);
void *mt_range_remap(void *old, size_t old_bytes, size_t bytes, int flags, void *addr, const struct mt_originals *real);
int mt_range_brk(void *addr, const struct mt_originals *real);
void *mt_range_sbrk(intptr_t increment, const struct mt_originals *real);

#endif
