/* past.c: see past.h. */
#include "top/past.h"

#include "util/memory.h"
#include "util/namemap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t WINDOW_NS = 10000000000;

struct site_past {
    struct mt_top_ring ring;
    double marked_bytes, last_bytes;
    uint64_t seen; /* number of the last look that had it */
};

struct mt_top_past {
    struct mt_namemap *keys;
    struct site_past *sites; /* by number of the key */
    size_t capacity;
    uint64_t looks, last_ns, marked_ns;
};

/* ---- rings ------------------------------------------------------------------------------------------------------ */

static void drop_oldest(struct mt_top_ring *ring)
{
    memmove(ring->items, ring->items + 1, (ring->count - 1) * sizeof ring->items[0]);
    ring->count--;
}

/* The last one is always the newest; those before it lie at least a part of the window apart. */
void mt_top_ring_add(struct mt_top_ring *ring, uint64_t time_ns, double value)
{
    const uint64_t apart = WINDOW_NS / (MT_TOP_RING - 4);
    if (ring->count >= 2 && ring->items[ring->count - 1].time_ns - ring->items[ring->count - 2].time_ns < apart) {
        ring->count--;
    } else if (ring->count == MT_TOP_RING) {
        drop_oldest(ring);
    }
    ring->items[ring->count].time_ns = time_ns;
    ring->items[ring->count++].value = value;
    while (ring->count > 2 && time_ns - ring->items[1].time_ns >= WINDOW_NS) {
        drop_oldest(ring);
    }
}

double mt_top_ring_rate(const struct mt_top_ring *ring, double otherwise)
{
    if (ring->count < 2) {
        return otherwise;
    }
    uint64_t ns = ring->items[ring->count - 1].time_ns - ring->items[0].time_ns;
    return ns > 0 ? (ring->items[ring->count - 1].value - ring->items[0].value) / ((double)ns * 1e-9) : otherwise;
}

/* ---- sites ------------------------------------------------------------------------------------------------------ */

struct mt_top_past *mt_top_past_new(void)
{
    struct mt_top_past *past = mt_alloc_zero(1, sizeof *past);
    past->keys = mt_namemap_new();
    return past;
}

void mt_top_past_free(struct mt_top_past *past)
{
    if (past != NULL) {
        mt_namemap_free(past->keys);
        free(past->sites);
        free(past);
    }
}

static struct site_past *past_of(struct mt_top_past *past, const char *key)
{
    bool is_new;
    uint32_t number = mt_namemap_put(past->keys, key, strlen(key), &is_new);
    past->sites = mt_alloc_grow(past->sites, &past->capacity, (size_t)number + 1, sizeof *past->sites);
    if (is_new) {
        past->sites[number] = (struct site_past){ 0 };
    }
    if (is_new && past->looks > 1) { /* it held nothing when there was a look before */
        mt_top_ring_add(&past->sites[number].ring, past->last_ns, 0);
    }
    return &past->sites[number];
}

/* What this look did not find holds nothing. */
static void empty_others(struct mt_top_past *past, uint64_t now_ns)
{
    for (size_t i = 0; i < mt_namemap_count(past->keys); i++) {
        if (past->sites[i].seen != past->looks) {
            mt_top_ring_add(&past->sites[i].ring, now_ns, 0);
            past->sites[i].last_bytes = 0;
        }
    }
}

void mt_top_past_add(struct mt_top_past *past, struct mt_top_look *look, uint64_t now_ns)
{
    past->looks++;
    for (size_t i = 0; i < look->site_count; i++) {
        struct mt_top_site *site = &look->sites[i];
        struct site_past *before = past_of(past, site->key);
        mt_top_ring_add(&before->ring, now_ns, (double)site->bytes);
        before->last_bytes = (double)site->bytes;
        before->seen = past->looks;
        before->marked_bytes = past->looks == 1 ? (double)site->bytes : before->marked_bytes;
        site->rate_bytes_per_s = mt_top_ring_rate(&before->ring, site->rate_bytes_per_s);
        site->since_mark_bytes = past->looks == 1 || past->marked_ns > 0 ? (double)site->bytes - before->marked_bytes : (double)NAN;
    }
    empty_others(past, now_ns);
    past->marked_ns = past->looks == 1 ? now_ns : past->marked_ns;
    past->last_ns = now_ns;
}

void mt_top_past_mark(struct mt_top_past *past, uint64_t now_ns)
{
    for (size_t i = 0; i < mt_namemap_count(past->keys); i++) {
        past->sites[i].marked_bytes = past->sites[i].last_bytes;
    }
    past->marked_ns = now_ns;
}

void mt_top_past_unmark(struct mt_top_past *past)
{
    past->marked_ns = 0;
}

uint64_t mt_top_past_marked_ns(const struct mt_top_past *past)
{
    return past->marked_ns;
}
