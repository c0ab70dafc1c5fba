/* allocator.h: what the program's own allocator says of itself. Internal to agent/. Context: the thread of listen.c.
 *
 * Decides: whom to ask: jemalloc (mallctl) and tcmalloc (MallocExtension), found by name among the loaded objects. They take locks of
 * their own for it, as a call of the program's would.
 */
#ifndef MT_AGENT_ALLOCATOR_H
#define MT_AGENT_ALLOCATOR_H

#include <stdbool.h>
#include <stdint.h>

struct mt_allocator_statistics {
    const char *name;
    uint64_t in_use_bytes;     /* of blocks that the program has */
    uint64_t own_bytes;        /* the allocator's own structures, resident */
    uint64_t resident_bytes;   /* of all it has, by its own account */
    uint64_t given_back_bytes; /* address space that it keeps, and whose pages it has given back */
};

/* False: there is neither, or it keeps no statistics. */
bool mt_allocator_ask(struct mt_allocator_statistics *ret);

#endif
