/* live_play.h: a trace that is written by chance: events of several streams with clocks that rise, reallocs whose outcome
 * comes later, records that are stamped and not committed yet, blocks that are claimed and not written yet, holes for good,
 * threads that begin. Everything is static: a test includes it.
 */
#ifndef MT_TESTS_UNIT_MODEL_LIVE_PLAY_H
#define MT_TESTS_UNIT_MODEL_LIVE_PLAY_H

#include "live_writer.h"

struct play {
    struct writer w;
    uint64_t random, clock;
    uint32_t streams;
    uint64_t rate_bytes; /* of all events; 0: exact */
    bool in_realloc[SLOTS_MOST];
    bool stamped[SLOTS_MOST]; /* encoded, not committed */
};

static void play_begin(struct play *p, uint32_t streams)
{
    *p = (struct play){ .random = builder_seed(), .clock = BUILDER_START_CLOCK, .streams = streams };
    writer_start(&p->w, streams);
}

static unsigned chance(struct play *p, unsigned of)
{
    return (unsigned)(builder_random(&p->random) % of);
}

static void settle(struct play *p, uint32_t stream)
{
    struct slot *s = &p->w.slots[stream];
    if (p->stamped[stream]) {
        slot_commit_encoded(s);
        p->stamped[stream] = false;
    }
    if (s->claimed != 0) {
        slot_write(&p->w, s, p->clock);
    }
    if (s->used + 2 * MT_EVENT_MAX_BYTES > SLOT_ROOM) {
        slot_flush(&p->w, s, p->clock);
    }
}

static struct mt_event next_event(struct play *p, uint32_t stream)
{
    static const unsigned outcomes[] = { MT_EVENT_REALLOC_NEW, MT_EVENT_REALLOC_FAILED, MT_EVENT_REALLOC_GONE };
    static const unsigned others[] = { MT_EVENT_ALLOC, MT_EVENT_ALLOC, MT_EVENT_FREE, MT_EVENT_RESIZED, MT_EVENT_REALLOC_OLD,
                                       MT_EVENT_DROPPED };
    struct mt_event e = { .clock = p->clock += 1 + chance(p, 9), .size = 1 + chance(p, 5000), .old_bytes = 7 };
    e.kind = (uint8_t)(p->in_realloc[stream] ? outcomes[chance(p, 3)] : others[chance(p, MT_COUNTOF(others))]);
    e.allocator = MT_ALLOCATOR_MALLOC;
    e.addr = 4096 + 16 * (uint64_t)chance(p, 500);
    p->in_realloc[stream] = e.kind == MT_EVENT_REALLOC_OLD;
    if (e.kind == MT_EVENT_ALLOC || e.kind == MT_EVENT_REALLOC_NEW) {
        e.stack = write_stack(&p->w);
    }
    return e;
}

/* commit: at once; else with the next thing that the stream does. */
static void write_event(struct play *p, uint32_t stream, bool commit)
{
    settle(p, stream);
    struct mt_event e = next_event(p, stream);
    struct mt_event_encoder *encoder = &p->w.slots[stream].encoder;
    if (p->rate_bytes != 0) {
        mt_encode_ext(encoder, MT_EXT_RATE, encoder->clock, p->rate_bytes);
    }
    builder_encode(encoder, &e);
    p->stamped[stream] = true;
    if (commit) {
        settle(p, stream);
    }
}

/* The next thing. */
static void play_move(struct play *p)
{
    uint32_t stream = 1 + chance(p, p->streams);
    unsigned what = chance(p, 200);
    if (what == 0 && p->streams + 1 < SLOTS_MOST) {
        slot_open(&p->w, ++p->streams);
    } else if (what == 1) {
        (void)claim(&p->w, 64 * (uint64_t)(1 + chance(p, 4)));
    } else if (what < 6) {
        settle(p, stream);
        slot_claim(&p->w, &p->w.slots[stream]);
    } else {
        write_event(p, stream, what >= 12);
    }
}

#endif
