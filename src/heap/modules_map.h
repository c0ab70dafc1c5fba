/* modules_map.h: the sorted table of modules behind modules.h. Private to modules_*.c and the unwinder.
 *
 * Decides: how readers that never lock live with writers. There are two tables; `version & 1` says which is current. A
 * writer (module lock held) copies the current table with its change into the other one and then publishes version + 1.
 * A reader takes the version, searches, and takes its result only if the version is still the same: the table it
 * searched can only have been rewritten by the writer after next, which published in between (pairing M1).
 *
 *      version 6: readers -> table 0      writer fills table 1, stores version 7: readers -> table 1, table 0 is spare
 *
 * Because the current table is never written, a fork in the middle of a change leaves the child a whole one.
 * Tables grow by doubling and old ones are kept, so their sum is bounded. Records of modules that went away are reused
 * only after MT_MODULE_QUARANTINE others have gone, far longer than a reader holds one.
 */
#ifndef MT_HEAP_MODULES_MAP_H
#define MT_HEAP_MODULES_MAP_H

#include "heap/modules.h"

enum { MT_MODULE_QUARANTINE = 256 };

struct mt_module_record {
    struct mt_module module; /* first: readers are given its address */
    /* The loader's identity of the object; 0: the loader does not find it by address. Written under the lock, read
     * anywhere, relaxed: it only changes between two right values. */
    uint64_t link_map;
    uint64_t seen;           /* number of the last refresh (or discovery) that saw it; lock holder only */
    struct mt_module_record *next; /* free and quarantined records */
};

/* mt_modules_epoch() without a call: read at every capture. Writers: module lock held, release. */
extern uint32_t mt_g_modules_epoch MT_HIDDEN;

/* Record holding address, or NULL. Any context. */
struct mt_module_record *mt_modulemap_at(uint64_t address);
/* True when a module covers a part of [low, high). Any context. */
bool mt_modulemap_overlaps(uint64_t low, uint64_t high);

/* The rest: module lock held. */
struct mt_module_record *mt_modulemap_take_record_locked(void); /* contents undefined; NULL: out of memory */
void mt_modulemap_give_record_locked(struct mt_module_record *record); /* never published: reusable at once */
mt_status mt_modulemap_insert_locked(struct mt_module_record *record) MT_CHECKED;
void mt_modulemap_remove_locked(struct mt_module_record *record); /* goes into quarantine */
uint32_t mt_modulemap_count_locked(void);
struct mt_module_record *mt_modulemap_nth_locked(uint32_t idx); /* by address */
/* A record that overlaps [low, high), or NULL. */
struct mt_module_record *mt_modulemap_overlapping_locked(uint64_t low, uint64_t high);

#endif
