/* ownscan.h: finds the entry points of allocators inside one loaded object.
 *
 * Decides: which objects may hold one (they map memory themselves, or define malloc), and which of their functions count.
 * Names come from the dynamic symbols, and from the symbol table of the object's file where it was not stripped. The names
 * of libc count in the executable, where calls bind before they could reach us, and in a library that keeps them to
 * itself; a library that exports malloc is reached by symbol order and left alone altogether.
 * Never looked into: libc, Python (its allocators have hooks of their own), programs of ThreadSanitizer and its like.
 * Context: [agent] start, loader hooks; takes part in a walk of the loader's list.
 */
#ifndef MT_HOOK_OWNSCAN_H
#define MT_HOOK_OWNSCAN_H

#include "hook/elf.h"
#include "hook/owntable.h"

enum { MT_OWN_NAMES_MAX = 320, MT_OWN_INSIDES = 5 };

struct mt_own_entry_point {
    const struct mt_own_name *name;
    uint64_t address, bytes;
};

struct mt_own_scan {
    struct mt_own_entry_point found[MT_OWN_NAMES_MAX]; /* one an address */
    size_t count;
    struct {
        uint64_t low, high; /* equal: none */
    } insides[MT_OWN_INSIDES]; /* code of the allocators behind the entry points, by which their mappings are known */
    bool nameless;
    bool unsure; /* a name stands for several functions, or for one that is chosen when it is called */
};

/* Fills ret; count 0: the object has no allocator that we know by name. It may still have one:
 * `nameless` is an object without names that holds a message of jemalloc, mimalloc or tcmalloc, and one that is never looked
 * into but has an allocator. */
void mt_own_scan(const struct dl_phdr_info *info, bool executable, struct mt_own_scan *ret);

#endif
