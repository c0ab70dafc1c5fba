/* glibc.c: see glibc.h. */
#include "explain/glibc.h"

#include "util/memory.h"

#include <string.h>

enum { BINS = 127, FAST_BINS = 10, ARENAS_MAX = 4096, TRIES = 8, EMPTY_LEAST = 4, CHUNK_LEAST = 32, STATE_MAX = 0x900 };
static const uint64_t HEAP_MAX = UINT64_C(64) << 20; /* arenas but the main one lie in heaps aligned to this */
static const uint64_t CHUNKS_MAX = UINT64_C(1) << 24;
static const uint64_t SIZE_MASK = ~(uint64_t)7;
static const uint64_t NOT_CONTIGUOUS = 2;

/* struct malloc_state: offsets of what is read. */
struct layout {
    size_t fast, top, bins, next, system, bytes;
};
static const struct layout g_layouts[] = {
    { 0x10, 0x60, 0x70, 0x870, 0x888, 0x898 }, /* from 2.26 or 2.27 on */
    { 0x08, 0x58, 0x68, 0x868, 0x880, 0x890 }, /* before */
};

/* One try. */
struct reading {
    const struct mt_remote *remote;
    const struct mt_mappings *mappings;
    const struct layout *layout;
    struct mt_glibc *out;
    uint64_t chunks;
};

/* As it lies in memory. */
struct chunk {
    uint64_t before_bytes, size, forward, backward;
};

/* ---- spans ------------------------------------------------------------------------------------------------------ */

void mt_spans_add(struct mt_spans *spans, uint64_t low, uint64_t high)
{
    spans->items = mt_alloc_grow(spans->items, &spans->capacity, spans->count + 1, sizeof *spans->items);
    spans->items[spans->count++] = (struct mt_span){ low, high };
}

const struct mt_span *mt_spans_at(const struct mt_spans *spans, uint64_t address)
{
    for (size_t i = 0; i < spans->count; i++) {
        if (address >= spans->items[i].low && address < spans->items[i].high) {
            return &spans->items[i];
        }
    }
    return NULL;
}

void mt_spans_clear(struct mt_spans *spans)
{
    free(spans->items);
    *spans = (struct mt_spans){ 0 };
}

void mt_glibc_fini(struct mt_glibc *glibc)
{
    mt_spans_clear(&glibc->memory);
    mt_spans_clear(&glibc->free);
    mt_spans_clear(&glibc->tops);
}

/* ---- an arena --------------------------------------------------------------------------------------------------- */

static uint64_t word_at(const uint8_t *state, size_t offset)
{
    uint64_t word;
    memcpy(&word, state + offset, sizeof word);
    return word;
}

/* A bin is a chunk whose links lie in the table: its address. */
static uint64_t bin_address(const struct layout *layout, uint64_t arena, size_t bin)
{
    return arena + layout->bins + 16 * bin - 16;
}

/* All bins have links, and some are empty: even a heap with free blocks of every size has none among the largest. */
static bool is_arena(const struct layout *layout, const uint8_t *state, uint64_t arena)
{
    unsigned empty = 0;
    for (size_t bin = 0; bin < BINS; bin++) {
        uint64_t self = bin_address(layout, arena, bin);
        uint64_t forward = word_at(state, layout->bins + 16 * bin), backward = word_at(state, layout->bins + 16 * bin + 8);
        if ((forward == self) != (backward == self) || forward == 0 || backward == 0 || (forward | backward) % 8 != 0) {
            return false;
        }
        empty += forward == self;
    }
    return empty >= EMPTY_LEAST && word_at(state, layout->top) != 0 && word_at(state, layout->next) % 8 == 0;
}

/* What is writable of libc is looked through for its arena. 0: there is none. */
static uint64_t find_main(struct reading *r, const struct mt_object *libc)
{
    for (size_t i = 0; i < r->mappings->count; i++) {
        const struct mt_mapping *m = &r->mappings->items[i];
        size_t bytes = (size_t)(m->high - m->low);
        if (!m->writable || m->low < libc->low || m->low >= libc->high || bytes > (1u << 20)) {
            continue;
        }
        uint8_t *data = mt_alloc_zero(bytes + STATE_MAX, 1);
        bytes = mt_remote_read_some(r->remote, m->low, data, bytes);
        uint64_t found = 0;
        for (size_t at = 0; found == 0 && at + STATE_MAX <= bytes + STATE_MAX && at < bytes; at += 8) {
            for (size_t l = 0; found == 0 && l < MT_COUNTOF(g_layouts); l++) {
                if (at + g_layouts[l].bytes <= bytes && is_arena(&g_layouts[l], data + at, m->low + at)) {
                    r->layout = &g_layouts[l];
                    found = m->low + at;
                }
            }
        }
        free(data);
        if (found != 0) {
            return found;
        }
    }
    return 0;
}

/* ---- free blocks ------------------------------------------------------------------------------------------------ */

/* Can a chunk of that size be there? */
static bool is_chunk(const struct reading *r, uint64_t address, uint64_t size)
{
    const struct mt_span *span = mt_spans_at(&r->out->memory, address);
    return address % 16 == 0 && size >= CHUNK_LEAST && size % 16 == 0 && span != NULL && size <= span->high - address;
}

static bool take_chunk(struct reading *r, uint64_t address, struct chunk *ret, uint64_t *bytes)
{
    if (++r->chunks > CHUNKS_MAX || !mt_remote_read(r->remote, address, ret, sizeof *ret) || !is_chunk(r, address, ret->size & SIZE_MASK)) {
        return false;
    }
    *bytes += ret->size & SIZE_MASK;
    mt_spans_add(&r->out->free, address, address + (ret->size & SIZE_MASK));
    return true;
}

static bool read_bin(struct reading *r, uint64_t bin, uint64_t first)
{
    uint64_t before = bin;
    for (uint64_t at = first; at != bin;) {
        struct chunk chunk;
        if (!take_chunk(r, at, &chunk, &r->out->free_bytes) || chunk.backward != before) {
            return false;
        }
        before = at;
        at = chunk.forward;
    }
    return true;
}

/* Since 2.32 a link is kept mixed with where it lies. */
static bool read_fast_bin(struct reading *r, uint64_t first)
{
    for (uint64_t at = first; at != 0;) {
        struct chunk chunk;
        if (!take_chunk(r, at, &chunk, &r->out->fast_bytes)) {
            return false;
        }
        uint64_t mixed = chunk.forward ^ (at + 16) >> 12;
        at = mixed == 0 || is_chunk(r, mixed, CHUNK_LEAST) ? mixed : chunk.forward;
    }
    return true;
}

/* ---- the memory of an arena --------------------------------------------------------------------------------------- */

struct heap_head {
    uint64_t arena, before, bytes;
};

/* The heaps of an arena, from that of its top back to the one that it lies in. */
static bool take_heaps(struct reading *r, uint64_t arena, uint64_t top)
{
    uint64_t heap = top & ~(HEAP_MAX - 1);
    for (unsigned i = 0; heap != 0 && i < 65536; i++) {
        struct heap_head head;
        if (heap % HEAP_MAX != 0 || !mt_remote_read(r->remote, heap, &head, sizeof head) || head.arena != arena || head.bytes > HEAP_MAX ||
            head.bytes < 4096) {
            return false;
        }
        mt_spans_add(&r->out->memory, heap, heap + head.bytes);
        heap = head.before;
    }
    return heap == 0;
}

/* The main arena's memory ends with its top, and lies in one piece unless it had to be mapped. */
static bool take_main(struct reading *r, const uint8_t *state, uint64_t top, uint64_t top_bytes)
{
    uint64_t system = word_at(state, r->layout->system), end = top + top_bytes;
    uint32_t flags;
    memcpy(&flags, state + 4, sizeof flags);
    const struct mt_mapping *mapping = mt_mappings_at(r->mappings, top);
    if ((flags & NOT_CONTIGUOUS) != 0 || mapping == NULL || system > end || end - system < mapping->low) {
        return false;
    }
    mt_spans_add(&r->out->memory, end - system, end);
    return true;
}

static bool read_arena(struct reading *r, uint64_t arena, bool is_main, uint64_t *ret_next)
{
    uint8_t state[STATE_MAX];
    struct chunk top_chunk;
    if (!mt_remote_read(r->remote, arena, state, r->layout->bytes) || !is_arena(r->layout, state, arena)) {
        return false;
    }
    uint64_t top = word_at(state, r->layout->top);
    *ret_next = word_at(state, r->layout->next);
    if (top == bin_address(r->layout, arena, 0)) { /* nothing was ever allocated from it */
        return true;
    }
    if (!mt_remote_read(r->remote, top, &top_chunk, 16)) {
        return false;
    }
    uint64_t top_bytes = top_chunk.size & SIZE_MASK;
    if (!(is_main ? take_main(r, state, top, top_bytes) : take_heaps(r, arena, top)) || !is_chunk(r, top, top_bytes)) {
        return false;
    }
    bool whole = true;
    for (size_t bin = 0; whole && bin < BINS; bin++) {
        whole = read_bin(r, bin_address(r->layout, arena, bin), word_at(state, r->layout->bins + 16 * bin));
    }
    for (size_t bin = 0; whole && bin < FAST_BINS; bin++) {
        whole = read_fast_bin(r, word_at(state, r->layout->fast + 8 * bin));
    }
    r->out->top_bytes += top_bytes;
    mt_spans_add(&r->out->tops, top, top + top_bytes);
    r->out->system_bytes += word_at(state, r->layout->system);
    r->out->arenas++;
    return whole;
}

static bool read_all(struct reading *r, uint64_t main_arena)
{
    uint64_t at = main_arena;
    for (unsigned i = 0; i < ARENAS_MAX; i++) {
        uint64_t next = 0;
        if (!read_arena(r, at, at == main_arena, &next)) {
            return false;
        }
        if (next == main_arena) {
            const struct mt_glibc *g = r->out;
            return g->fast_bytes + g->free_bytes + g->top_bytes <= g->system_bytes;
        }
        at = next;
    }
    return false;
}

void mt_glibc_read(const struct mt_remote *remote, const struct mt_mappings *mappings, const struct mt_objects *objects, struct mt_glibc *ret)
{
    struct reading r = { .remote = remote, .mappings = mappings, .out = ret };
    const struct mt_object *libc = mt_objects_named(objects, "libc.so.6");
    uint64_t main_arena = libc != NULL ? find_main(&r, libc) : 0;
    *ret = (struct mt_glibc){ 0 };
    for (unsigned tries = 0; main_arena != 0 && tries < TRIES; tries++) {
        mt_glibc_fini(ret);
        *ret = (struct mt_glibc){ 0 };
        r.chunks = 0;
        if (read_all(&r, main_arena)) {
            return;
        }
    }
    mt_glibc_fini(ret);
    *ret = (struct mt_glibc){ .unknown = libc == NULL      ? "it has no glibc"
                                         : main_arena == 0 ? "its glibc has no arena, or one of another layout"
                                                           : "its arenas changed while they were read, or are of another layout" };
}
