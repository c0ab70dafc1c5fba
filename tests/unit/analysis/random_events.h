/* random_events.h: events of all kinds at random, in order of the clock. Everything is static: a test includes it. */
#ifndef MT_TESTS_UNIT_ANALYSIS_RANDOM_EVENTS_H
#define MT_TESTS_UNIT_ANALYSIS_RANDOM_EVENTS_H

#include "analysis/oracle.h"
#include "model/builder.h"

enum { STREAMS = 4, STACKS = 6, ADDRESSES = 40 };

/* Anything goes: frees of unknown addresses, allocations over living ones, maps over maps, holes, moves. */
static void random_events(struct builder *b, uint64_t *seed, size_t count, bool sampled)
{
    uint64_t clock = 10;
    uint64_t rate = 4096;
    for (size_t i = 0; i < count; i++) {
        uint64_t r = builder_random(seed);
        uint32_t stream = 1 + (uint32_t)(r % STREAMS);
        clock += 1 + (r >> 8) % 1000;
        uint64_t addr = 0x10000 + 16 * ((r >> 20) % ADDRESSES);
        uint64_t cell = (r >> 20) % 60;
        uint64_t cells = 1 + (r >> 28) % 12;
        uint32_t stack = (uint32_t)(r >> 40) % (STACKS + 2); /* one number past the end: unknown */
        switch ((r >> 50) % 13) {
        case 0:
        case 1:
        case 2:
        case 3:
            builder_alloc(b, stream, clock, addr, (r >> 16) % 5 == 0 ? 0 : builder_random(seed) % 20000, stack);
            b->events[b->event_count - 1].allocator = (uint8_t)(1 + (r >> 60) % 2);
            b->events[b->event_count - 1].rate_bytes = sampled ? rate : 0;
            break;
        case 4:
        case 5:
        case 6:
        case 7:
            builder_free(b, stream, clock, addr);
            b->events[b->event_count - 1].rate_bytes = sampled ? rate : 0;
            break;
        case 8:
        case 9:
            builder_map(b, stream, clock, (unsigned)((r >> 12) % (MT_MAP_EMPTIED + 1)), ORACLE_WINDOW + cell * ORACLE_CELL,
                        cells * ORACLE_CELL, stack);
            b->events[b->event_count - 1].rate_bytes = sampled ? rate : 0;
            break;
        case 10:
            builder_unmap(b, stream, clock, 0, ORACLE_WINDOW + cell * ORACLE_CELL, cells * ORACLE_CELL);
            b->events[b->event_count - 1].rate_bytes = sampled ? rate : 0;
            break;
        case 11:
            builder_resized(b, stream, clock, addr, 1, builder_random(seed) % 20000);
            break;
        default: /* mremap */
            builder_unmap(b, stream, clock, MT_MAP_MREMAP, ORACLE_WINDOW + cell * ORACLE_CELL, cells * ORACLE_CELL);
            builder_map(b, stream, ++clock, MT_MAP_MREMAP, ORACLE_WINDOW + (cell + 40) * ORACLE_CELL,
                        (cells + 2) * ORACLE_CELL, stack);
            b->events[b->event_count - 1].rate_bytes = sampled ? rate : 0;
            b->events[b->event_count - 2].rate_bytes = sampled ? rate : 0;
            break;
        }
        if (sampled && r % 200 == 0) {
            rate = 1024 << (r >> 33) % 6;
        }
    }
}

#endif
