/* oracle.h: a naive replay of events: plain arrays, everything scanned, a copy of the world at every peak.
 *
 * Shares no code and no data structure with src/analysis: blocks are a list that is searched from the start, mappings a
 * table with one entry for every 512 bytes of a small address window. Slow and obviously right; the ground truth for
 * random event sequences.
 */
#ifndef MT_TESTS_UNIT_ANALYSIS_ORACLE_H
#define MT_TESTS_UNIT_ANALYSIS_ORACLE_H

#include "analysis/analysis.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ORACLE_CELL = 512, ORACLE_CELLS = 512, ORACLE_SITES = 512, ORACLE_THREADS = 16 };
#define ORACLE_WINDOW 0x700000000000ull /* mappings are made in [ORACLE_WINDOW, + CELLS * CELL) */

struct oracle_sum {
    double bytes, count, bytes_variance, count_variance;
};

struct oracle_site {
    uint32_t stack, stream, allocator, storage;
    struct oracle_sum sum[MT_MEASURE__COUNT];
    double area, moment;
    uint64_t oldest_clock;
};

struct oracle_life {
    uint64_t addr, size, clock, ordinal;
    struct oracle_sum weight;
    size_t site;
    size_t cells; /* mappings: cells left */
    bool alive;
};

struct oracle {
    struct oracle_site sites[ORACLE_SITES];
    size_t site_count;
    struct oracle_life *lives; /* blocks and mappings, in order of birth */
    size_t life_count;
    int owner[ORACLE_CELLS]; /* life + 1 */
    bool closed[ORACLE_CELLS], emptied[ORACLE_CELLS];
    uint64_t ordinals[ORACLE_THREADS];
    double current, peak;
    double most_variance; /* of one life: what sums round by is a part of it */
    uint64_t rise_clock, peak_clock;
    uint64_t start_clock, window_clock;
    uint64_t temporary_max;
    uint64_t unknown_frees, doubles;
    double deallocations;
    bool arenas_counted;
    uint32_t gone, moved[ORACLE_THREADS]; /* storages; moved: by an mremap of that thread */
};

static size_t oracle_site(struct oracle *o, const struct mt_event *e, uint32_t allocator, uint32_t storage)
{
    for (size_t i = 0; i < o->site_count; i++) {
        const struct oracle_site *s = &o->sites[i];
        if (s->stack == e->stack && s->stream == e->stream && s->allocator == allocator && s->storage == storage) {
            return i;
        }
    }
    assert(o->site_count < ORACLE_SITES);
    o->sites[o->site_count] = (struct oracle_site){ .stack = e->stack, .stream = e->stream, .allocator = allocator,
                                                    .storage = storage, .oldest_clock = UINT64_MAX };
    return o->site_count++;
}

static void oracle_add(struct oracle_sum *to, const struct oracle_sum *w, double sign)
{
    to->bytes += sign * w->bytes;
    to->count += sign * w->count;
    to->bytes_variance += sign * w->bytes_variance;
    to->count_variance += sign * w->count_variance;
}

static void oracle_note_peak(struct oracle *o)
{
    if (o->current > o->peak) {
        o->peak = o->current;
        o->peak_clock = o->rise_clock;
        for (size_t i = 0; i < o->site_count; i++) {
            o->sites[i].sum[MT_MEASURE_PEAK] = o->sites[i].sum[MT_MEASURE_LIVE];
        }
    }
}

static struct oracle_sum oracle_weight(uint64_t size, uint64_t rate)
{
    if (rate == 0) {
        return (struct oracle_sum){ .bytes = (double)size, .count = 1 };
    }
    double k = (double)(size > 0 ? size : 1);
    double p = 1 - exp(-k / (double)rate);
    return (struct oracle_sum){ (double)size / p, 1 / p, (double)size * (double)size * (1 - p) / (p * p),
                                (1 - p) / (p * p) };
}

static struct oracle_life *oracle_birth(struct oracle *o, const struct mt_event *e, size_t site, uint64_t rate)
{
    struct oracle_life *life = &o->lives[o->life_count++];
    struct oracle_site *s = &o->sites[site];
    *life = (struct oracle_life){ .addr = e->addr, .size = e->size, .clock = e->clock, .site = site, .alive = true,
                                  .weight = oracle_weight(e->size, rate) };
    o->most_variance = fmax(o->most_variance, life->weight.bytes_variance);
    if (s->storage == MT_STORAGE_HEAP) {
        o->ordinals[e->stream]++;
        o->current += life->weight.bytes;
        o->rise_clock = e->size > 0 ? e->clock : o->rise_clock;
    }
    life->ordinal = o->ordinals[e->stream];
    oracle_add(&s->sum[MT_MEASURE_LIVE], &life->weight, 1);
    oracle_add(&s->sum[MT_MEASURE_TOTAL], &life->weight, 1);
    if (e->clock >= o->window_clock) {
        oracle_add(&s->sum[MT_MEASURE_WINDOW], &life->weight, 1);
    }
    return life;
}

/* Part of a life ends: bytes of it; over: its end. */
static void oracle_shrink(struct oracle *o, struct oracle_life *life, double bytes, bool over, uint64_t clock)
{
    struct oracle_site *s = &o->sites[life->site];
    struct oracle_sum part = { .bytes = bytes };
    if (over) {
        part.count = life->weight.count;
        part.bytes_variance = life->weight.bytes_variance;
        part.count_variance = life->weight.count_variance;
    }
    if (s->storage == MT_STORAGE_HEAP) {
        oracle_note_peak(o);
        o->current -= bytes;
    }
    oracle_add(&s->sum[MT_MEASURE_LIVE], &part, -1);
    if (life->clock >= o->window_clock) {
        oracle_add(&s->sum[MT_MEASURE_WINDOW], &part, -1);
    }
    double from = (double)(life->clock - o->start_clock) * 1e-9, to = (double)(clock - o->start_clock) * 1e-9;
    s->area += bytes * (to - from);
    s->moment += bytes * (to * to - from * from) / 2;
    if (over) {
        life->alive = false;
        if (o->ordinals[s->stream] - life->ordinal <= o->temporary_max) {
            oracle_add(&s->sum[MT_MEASURE_TEMPORARY], &life->weight, 1);
        }
        o->deallocations += s->storage == MT_STORAGE_HEAP ? life->weight.count : 0;
    }
}

static struct oracle_life *oracle_find(struct oracle *o, uint64_t addr)
{
    for (size_t i = 0; i < o->life_count; i++) {
        if (o->lives[i].alive && o->lives[i].cells == 0 && o->lives[i].addr == addr) {
            return &o->lives[i];
        }
    }
    return NULL;
}

/* The block stands for as many blocks as before, all of the new size. */
static void oracle_resize(struct oracle *o, const struct mt_event *e)
{
    struct oracle_life *life = oracle_find(o, e->addr);
    if (life == NULL || life->size == e->size) { /* the same size again is no peak by rounding */
        return;
    }
    struct oracle_site *s = &o->sites[life->site];
    double size = (double)e->size, bytes = size * life->weight.count;
    struct oracle_sum change = { .bytes = bytes - life->weight.bytes,
                                 .bytes_variance = size * size * life->weight.count_variance -
                                                   life->weight.bytes_variance };
    if (change.bytes < 0) {
        oracle_note_peak(o);
    } else if (change.bytes > 0) {
        o->rise_clock = e->clock;
    }
    o->current += change.bytes;
    oracle_add(&s->sum[MT_MEASURE_LIVE], &change, 1);
    if (life->clock >= o->window_clock) {
        oracle_add(&s->sum[MT_MEASURE_WINDOW], &change, 1);
    }
    if (change.bytes > 0) {
        oracle_add(&s->sum[MT_MEASURE_TOTAL], &change, 1);
    }
    /* until now it had the old size: the rest of its life is counted with the new one */
    double from = (double)(life->clock - o->start_clock) * 1e-9, now = (double)(e->clock - o->start_clock) * 1e-9;
    s->area -= change.bytes * (now - from);
    s->moment -= change.bytes * (now * now - from * from) / 2;
    life->size = e->size;
    life->weight.bytes += change.bytes;
    life->weight.bytes_variance += change.bytes_variance;
    o->most_variance = fmax(o->most_variance, life->weight.bytes_variance);
}

static bool oracle_unmap(struct oracle *o, uint64_t addr, uint64_t size, uint64_t clock)
{
    bool any = false;
    for (uint64_t at = addr; at < addr + size; at += ORACLE_CELL) {
        size_t cell = (size_t)((at - ORACLE_WINDOW) / ORACLE_CELL);
        if (o->owner[cell] == 0) {
            continue;
        }
        struct oracle_life *life = &o->lives[o->owner[cell] - 1];
        o->owner[cell] = 0;
        o->closed[cell] = o->emptied[cell] = false;
        life->cells--;
        o->gone = o->sites[life->site].storage;
        oracle_shrink(o, life, ORACLE_CELL, life->cells == 0, clock);
        any = true;
    }
    return any;
}

static uint32_t oracle_storage(const struct oracle *o, const struct mt_event *e)
{
    switch (e->allocator) {
    case MT_MAP_FILE:
        return MT_STORAGE_FILE;
    case MT_MAP_STACK:
        return MT_STORAGE_STACK;
    case MT_MAP_ARENA:
        return o->arenas_counted ? MT_STORAGE_HEAP : MT_STORAGE_ARENA;
    case MT_MAP_ALLOCATOR:
        return MT_STORAGE_ARENA;
    case MT_MAP_RESERVED:
        return MT_STORAGE_RESERVED;
    case MT_MAP_MREMAP:
        return o->moved[e->stream];
    default:
        return MT_STORAGE_HEAP;
    }
}

static void oracle_map(struct oracle *o, const struct mt_event *e)
{
    uint32_t storage = oracle_storage(o, e);
    oracle_unmap(o, e->addr, e->size, e->clock);
    size_t site =
        oracle_site(o, e, e->allocator == MT_MAP_BRK ? MT_ALLOCATOR_SBRK : MT_ALLOCATOR_MMAP, storage);
    struct oracle_life *life = oracle_birth(o, e, site, 0);
    life->cells = (size_t)(e->size / ORACLE_CELL);
    for (size_t i = 0; i < life->cells; i++) {
        o->owner[(e->addr - ORACLE_WINDOW) / ORACLE_CELL + i] = (int)(life - o->lives) + 1;
    }
    o->moved[e->stream] = MT_STORAGE_HEAP;
}

/* Says what the event says of every cell; returns the first one that changes hands because of it, ORACLE_CELLS if none. */
static size_t oracle_mark(struct oracle *o, const struct mt_event *e, bool *changes)
{
    size_t first = ORACLE_CELLS;
    for (uint64_t at = e->addr; at < e->addr + e->size; at += ORACLE_CELL) {
        size_t cell = (size_t)((at - ORACLE_WINDOW) / ORACLE_CELL);
        if (o->owner[cell] == 0) {
            continue;
        }
        uint32_t storage = o->sites[o->lives[o->owner[cell] - 1].site].storage;
        bool opened = e->allocator == MT_MAP_OPENED;
        o->closed[cell] = !opened && (o->closed[cell] || e->allocator == MT_MAP_CLOSED);
        o->emptied[cell] = !opened && (o->emptied[cell] || e->allocator == MT_MAP_EMPTIED);
        changes[cell] = opened ? storage == MT_STORAGE_RESERVED
                               : storage == MT_STORAGE_HEAP && o->closed[cell] && o->emptied[cell];
        first = changes[cell] && first == ORACLE_CELLS ? cell : first;
    }
    return first;
}

static void oracle_access(struct oracle *o, const struct mt_event *e)
{
    bool changes[ORACLE_CELLS] = { false };
    size_t cell = oracle_mark(o, e, changes);
    if (cell == ORACLE_CELLS) {
        return;
    }
    struct mt_event fresh = *e;
    fresh.size = 0;
    for (size_t i = cell; i < ORACLE_CELLS; i++) {
        fresh.size += changes[i] ? ORACLE_CELL : 0;
    }
    uint32_t storage = e->allocator == MT_MAP_OPENED ? MT_STORAGE_HEAP : MT_STORAGE_RESERVED;
    size_t site = oracle_site(o, e, MT_ALLOCATOR_MMAP, storage);
    if (storage == MT_STORAGE_HEAP) {
        o->ordinals[e->stream]++; /* the opening is an allocation before what it takes over ends */
    }
    for (size_t i = cell; i < ORACLE_CELLS; i++) {
        if (changes[i]) {
            struct oracle_life *old = &o->lives[o->owner[i] - 1];
            old->cells--;
            oracle_shrink(o, old, ORACLE_CELL, old->cells == 0, e->clock);
        }
    }
    if (storage == MT_STORAGE_HEAP) {
        o->ordinals[e->stream]--; /* birth counts it */
    }
    struct oracle_life *life = oracle_birth(o, &fresh, site, 0);
    life->cells = (size_t)(fresh.size / ORACLE_CELL);
    for (size_t i = cell; i < ORACLE_CELLS; i++) {
        o->owner[i] = changes[i] ? (int)(life - o->lives) + 1 : o->owner[i];
    }
}

__attribute__((unused)) static void oracle_apply(struct oracle *o, const struct mt_event *e)
{
    struct oracle_life *life;
    switch ((unsigned)e->kind) {
    case MT_EVENT_ALLOC:
        if ((life = oracle_find(o, e->addr)) != NULL) {
            o->doubles++;
            oracle_shrink(o, life, life->weight.bytes, true, e->clock);
        }
        (void)oracle_birth(o, e, oracle_site(o, e, e->allocator, MT_STORAGE_HEAP), e->rate_bytes);
        break;
    case MT_EVENT_FREE:
        if ((life = oracle_find(o, e->addr)) != NULL) {
            oracle_shrink(o, life, life->weight.bytes, true, e->clock);
        } else {
            o->unknown_frees++;
        }
        break;
    case MT_EVENT_MAP:
        if (e->allocator >= MT_MAP_OPENED) {
            oracle_access(o, e);
        } else {
            oracle_map(o, e);
        }
        break;
    case MT_EVENT_RESIZED:
        oracle_resize(o, e);
        break;
    default:
        o->gone = MT_STORAGE_HEAP;
        oracle_unmap(o, e->addr, e->size, e->clock);
        if (e->allocator == MT_MAP_MREMAP) {
            o->moved[e->stream] = o->gone;
        }
        break;
    }
}

/* Closes peaks, ages and integrals at end_clock. */
__attribute__((unused)) static void oracle_finish(struct oracle *o, uint64_t end_clock)
{
    oracle_note_peak(o);
    double end = (double)(end_clock - o->start_clock) * 1e-9;
    for (size_t i = 0; i < o->life_count; i++) {
        struct oracle_life *life = &o->lives[i];
        struct oracle_site *s = &o->sites[life->site];
        if (!life->alive) {
            continue;
        }
        double bytes = life->cells > 0 ? (double)life->cells * ORACLE_CELL : life->weight.bytes;
        double from = (double)(life->clock - o->start_clock) * 1e-9;
        s->area += bytes * (end - from);
        s->moment += bytes * (end * end - from * from) / 2;
        s->oldest_clock = life->clock < s->oldest_clock ? life->clock : s->oldest_clock;
    }
}

__attribute__((unused)) static void oracle_init(struct oracle *o, size_t events)
{
    memset(o, 0, sizeof *o);
    o->lives = calloc(events + 1, sizeof *o->lives);
    o->temporary_max = 1;
}

__attribute__((unused)) static void oracle_fini(struct oracle *o)
{
    free(o->lives);
}

#endif
