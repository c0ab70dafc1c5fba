/* rangelog.h: records of address ranges, in the form of the mode. Inside a recording section of the block; the clock is the
 * caller's stamp. A record that finds no room is counted as dropped. Internal to heap/. */
#ifndef MT_HEAP_RANGELOG_H
#define MT_HEAP_RANGELOG_H

#include "heap/thread.h"

void mt_rangelog_map(struct mt_thread *t, uint64_t clock, uint64_t addr, uint64_t bytes, enum mt_map_kind kind,
                     uint32_t stack);
void mt_rangelog_unmap(struct mt_thread *t, uint64_t clock, uint64_t addr, uint64_t bytes, enum mt_map_kind kind);

#endif
