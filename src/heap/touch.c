/* touch.c: see touch.h. One lock, never held while a clock is stamped (a stamp may be the tick that looks). */
#include "heap/touch.h"

#include "heap/clock.h"
#include "heap/rangelog.h"

#include <string.h>

enum {
    WATCHES_MAX = 128,
    CHUNK_PAGES = 4096,
    LOOK_CHUNKS = 512,
    TICK_FACTOR = 100, /* a tick's look stays away for so many times what it took */
    WHOLE_FACTOR = 10,
    WORD_BITS = 64,
};
#define BYTES_MAX ((uint64_t)1 << 40)

struct watch {
    uint64_t low, high;
    uint64_t origin;      /* of the first bit: low when it was new */
    uint64_t *known;      /* a bit a page: it is recorded as touched */
    uint64_t known_bytes;
    uint32_t stack;
};

static struct {
    struct mt_spinlock lock;
    struct watch watches[WATCHES_MAX];
    uint32_t count;       /* shared: read without the lock to see that there are none */
    uint64_t next_tick;   /* ns: the time of the next look of a tick */
    uint64_t next_whole;  /* ns: of the next look at more than the part that goes away */
    uint64_t ticked_page; /* the page of all watches, counted on, at which the next tick goes on */
    unsigned char resident[CHUNK_PAGES];
} g_touch = { .lock = MT_SPINLOCK_INIT(MT_RANK_TOUCH) };

/* ---- pages ------------------------------------------------------------------------------------------------------------ */

/* Pages are counted from the origin. */
static uint64_t page_of(const struct watch *w, uint64_t addr)
{
    return (addr - w->origin) / mt_os_page_bytes();
}

static uint64_t address_of(const struct watch *w, uint64_t page)
{
    return w->origin + page * mt_os_page_bytes();
}

static bool is_known(const struct watch *w, uint64_t page)
{
    return (w->known[page / WORD_BITS] >> page % WORD_BITS & 1) != 0;
}

static void set_known(struct watch *w, uint64_t page, uint64_t end, bool known)
{
    while (page < end) {
        uint64_t *word = &w->known[page / WORD_BITS];
        if (page % WORD_BITS == 0 && end - page >= WORD_BITS) {
            *word = known ? UINT64_MAX : 0;
            page += WORD_BITS;
            continue;
        }
        uint64_t bit = (uint64_t)1 << page % WORD_BITS;
        *word = known ? *word | bit : *word & ~bit;
        page++;
    }
}

static uint64_t first_unknown(const struct watch *w, uint64_t page, uint64_t end)
{
    while (page < end && is_known(w, page)) {
        bool whole_word = page % WORD_BITS == 0 && w->known[page / WORD_BITS] == UINT64_MAX;
        page += whole_word ? WORD_BITS : 1;
    }
    return page < end ? page : end;
}

/* ---- looking ---------------------------------------------------------------------------------------------------------- */

/* Where records go: all of one look have the same clock. */
struct log {
    struct mt_thread *thread;
    uint64_t clock;
};

static void record_run(struct watch *w, uint64_t page, uint64_t end, const struct log *log)
{
    uint64_t low = address_of(w, page);
    set_known(w, page, end, true);
    mt_rangelog_map(log->thread, log->clock, low, address_of(w, end) - low, MT_MAP_OPENED, w->stack);
}

/* At most CHUNK_PAGES. */
static void look_at_chunk(struct watch *w, uint64_t page, uint64_t end, const struct log *log)
{
    uint64_t low = address_of(w, page);
    mt_status status = mt_os_resident((void *)(uintptr_t)low, address_of(w, end) - low, g_touch.resident);
    if (status == MT_E_NOENT) {
        return; /* somebody unmapped a part without our seeing it */
    }
    if (status != MT_OK) { /* the call is not allowed: what cannot be known is held */
        memset(g_touch.resident, 1, end - page);
    }
    uint64_t from = page;
    for (uint64_t at = page; at <= end; at++) {
        bool is_new = at < end && (g_touch.resident[at - page] & 1) != 0 && !is_known(w, at);
        if (!is_new) {
            if (from < at) {
                record_run(w, from, at, log);
            }
            from = at + 1;
        }
    }
}

/* Looks at pages [page, end) in at most `chunks` chunks; returns where it stopped. */
static uint64_t look_locked(struct watch *w, uint64_t page, uint64_t end, uint64_t *chunks, const struct log *log)
{
    while ((page = first_unknown(w, page, end)) < end && *chunks > 0) {
        uint64_t stop = page + CHUNK_PAGES < end ? page + CHUNK_PAGES : end;
        look_at_chunk(w, page, stop, log);
        page = stop;
        --*chunks;
    }
    return page;
}

/* The next watch from *at on that meets [low, high), NULL: none. */
static struct watch *next_meeting(uint32_t *at, uint64_t low, uint64_t high)
{
    while (*at < g_touch.count) {
        struct watch *w = &g_touch.watches[(*at)++];
        if (w->low < high && w->high > low) {
            return w;
        }
    }
    return NULL;
}

/* The pages of w in [low, high). */
static uint64_t first_page(const struct watch *w, uint64_t low)
{
    return page_of(w, low > w->low ? low : w->low);
}

static uint64_t end_page(const struct watch *w, uint64_t high)
{
    return page_of(w, high < w->high ? high : w->high);
}

/* What is about to go away is the most that was held of it, so the rest is looked at too: as often as that costs little. */
static void look_before_locked(uint64_t low, uint64_t high, const struct log *log)
{
    uint64_t begun = mt_os_monotonic_ns();
    uint64_t chunks = UINT64_MAX;
    uint32_t at = 0;
    bool whole = begun >= g_touch.next_whole;
    for (struct watch *w; (w = next_meeting(&at, low, high)) != NULL;) {
        if (whole) {
            uint64_t rest = LOOK_CHUNKS;
            (void)look_locked(w, page_of(w, w->low), page_of(w, w->high), &rest, log);
        }
        (void)look_locked(w, first_page(w, low), end_page(w, high), &chunks, log);
    }
    if (whole) {
        uint64_t ended = mt_os_monotonic_ns();
        g_touch.next_whole = ended + WHOLE_FACTOR * (ended - begun);
    }
}

void mt_touch_look(struct mt_thread *t, uint64_t low, uint64_t bytes)
{
    if (!mt_touch_watches(low, bytes)) {
        return;
    }
    struct log log = { t, mt_clock_stamp(t) };
    mt_clock_close_unit(t); /* it may have been the tick that looks, into another stream: then nothing is left for this one */
    if (!mt_spinlock_lock(&g_touch.lock)) {
        return;
    }
    look_before_locked(low, low + bytes, &log);
    mt_spinlock_unlock(&g_touch.lock);
}

/* ---- watches ---------------------------------------------------------------------------------------------------------- */

static bool add_locked(const struct watch *w)
{
    if (g_touch.count == WATCHES_MAX) {
        return false;
    }
    g_touch.watches[g_touch.count] = *w;
    mt_store_release(&g_touch.count, g_touch.count + 1);
    return true;
}

/* A watch of [low, high) that knows nothing. */
static bool make_watch(uint64_t low, uint64_t high, uint32_t stack, struct watch *ret)
{
    struct watch w = { .low = low, .high = high, .origin = low, .stack = stack };
    void *known = NULL;
    w.known_bytes = (page_of(&w, high) + WORD_BITS - 1) / WORD_BITS * sizeof *w.known;
    if (mt_os_map_anonymous(w.known_bytes, &known) != MT_OK) {
        return false;
    }
    w.known = known;
    *ret = w;
    return true;
}

static bool add_or_drop_locked(const struct watch *w)
{
    bool added = add_locked(w);
    if (!added) {
        mt_os_unmap(w->known, w->known_bytes);
    }
    return added;
}

bool mt_touch_watch(uint64_t low, uint64_t bytes, uint32_t stack)
{
    struct watch w;
    if (bytes > BYTES_MAX || !mt_spinlock_lock(&g_touch.lock)) {
        return false;
    }
    bool added = make_watch(low, low + bytes, stack, &w) && add_or_drop_locked(&w);
    mt_spinlock_unlock(&g_touch.lock);
    return added;
}

bool mt_touch_watches(uint64_t low, uint64_t bytes)
{
    if (MT_LIKELY(mt_load_acquire(&g_touch.count) == 0) || !mt_spinlock_lock(&g_touch.lock)) {
        return false;
    }
    uint32_t at = 0;
    bool watched = next_meeting(&at, low, low + bytes) != NULL;
    mt_spinlock_unlock(&g_touch.lock);
    return watched;
}

uint32_t mt_touch_stack(uint64_t addr)
{
    uint32_t at = 0;
    uint32_t stack = 0;
    if (mt_spinlock_lock(&g_touch.lock)) {
        const struct watch *w = next_meeting(&at, addr, addr + 1);
        stack = w != NULL ? w->stack : 0;
        mt_spinlock_unlock(&g_touch.lock);
    }
    return stack;
}

static void remove_locked(struct watch *w)
{
    mt_os_unmap(w->known, w->known_bytes);
    *w = g_touch.watches[g_touch.count - 1];
    mt_store_release(&g_touch.count, g_touch.count - 1);
}

/* What lies behind a hole is a watch of its own; without room it is watched no longer. */
static void split_locked(const struct watch *w, uint64_t from)
{
    struct watch behind;
    if (!make_watch(from, w->high, w->stack, &behind)) {
        return;
    }
    for (uint64_t page = 0; page < page_of(&behind, behind.high); page++) {
        if (is_known(w, page_of(w, from) + page)) {
            set_known(&behind, page, page + 1, true);
        }
    }
    (void)add_or_drop_locked(&behind);
}

/* Takes [low, high) out of a watch that it meets; the watch may be empty then. */
static void cut_locked(struct watch *w, uint64_t low, uint64_t high)
{
    if (low <= w->low) {
        w->low = high < w->high ? high : w->high;
        return;
    }
    if (high < w->high) {
        split_locked(w, high);
    }
    w->high = low;
}

void mt_touch_forget(uint64_t low, uint64_t bytes)
{
    uint32_t at = 0;
    if (mt_load_acquire(&g_touch.count) == 0 || !mt_spinlock_lock(&g_touch.lock)) {
        return;
    }
    for (struct watch *w; (w = next_meeting(&at, low, low + bytes)) != NULL;) {
        cut_locked(w, low, low + bytes);
        if (w->low >= w->high) {
            remove_locked(w);
            at--; /* another one is there now */
        }
    }
    mt_spinlock_unlock(&g_touch.lock);
}

void mt_touch_emptied(struct mt_thread *t, uint64_t low, uint64_t bytes)
{
    if (!mt_touch_watches(low, bytes)) {
        return;
    }
    uint64_t clock = mt_clock_stamp(t);
    uint32_t at = 0;
    if (!mt_spinlock_lock(&g_touch.lock)) {
        return;
    }
    for (struct watch *w; (w = next_meeting(&at, low, low + bytes)) != NULL;) {
        uint64_t page = first_page(w, low);
        uint64_t end = end_page(w, low + bytes);
        set_known(w, page, end, false);
        uint64_t from = address_of(w, page);
        mt_rangelog_map(t, clock, from, address_of(w, end) - from, MT_MAP_RESERVED, w->stack);
    }
    mt_spinlock_unlock(&g_touch.lock);
}

/* ---- ticks and the end -------------------------------------------------------------------------------------------------- */

/* All watches as one row of pages, from where the last tick stopped. */
static void look_on_locked(uint64_t chunks, const struct log *log)
{
    uint64_t before = 0;
    for (uint32_t i = 0; i < g_touch.count; i++) {
        struct watch *w = &g_touch.watches[i];
        uint64_t pages = page_of(w, w->high) - page_of(w, w->low);
        uint64_t from = g_touch.ticked_page > before ? g_touch.ticked_page - before : 0;
        if (from < pages) {
            uint64_t stopped = look_locked(w, page_of(w, w->low) + from, page_of(w, w->high), &chunks, log);
            if (stopped < page_of(w, w->high)) {
                g_touch.ticked_page = before + stopped - page_of(w, w->low);
                return;
            }
        }
        before += pages;
    }
    g_touch.ticked_page = 0;
}

static void look_in_section(struct mt_thread *t, uint64_t clock, uint64_t chunks)
{
    uint64_t last = mt_load_relaxed(&t->clock);
    struct log log = { t, clock > last ? clock : last };
    mt_store_relaxed(&t->clock, log.clock);
    look_on_locked(chunks, &log);
}

/* A new stream begins with this look: at a tick that came while it was made, it would be behind what the thread that
 * looks records next. */
static struct mt_thread *new_orphan(uint64_t clock)
{
    struct mt_thread *t = mt_thread_new_block();
    if (t != NULL) {
        mt_store_relaxed(&t->clock, clock);
    }
    return t;
}

/* In the stream of threads past their end: the thread that ticks is in the middle of a record of its own, perhaps one of
 * that stream, and then the lock is its own. */
static void look_in_orphan_locked(uint64_t clock, uint64_t chunks)
{
    uint32_t depth = t_mt.depth;
    if (!mt_spinlock_try(&g_mt.orphan_lock)) {
        return;
    }
    if (g_mt.orphan == NULL) {
        g_mt.orphan = new_orphan(clock);
    }
    if (g_mt.orphan != NULL) {
        if (mt_section_begins(g_mt.orphan)) {
            look_in_section(g_mt.orphan, clock, chunks);
        }
        mt_section_ends(g_mt.orphan, depth);
    }
    mt_spinlock_unlock(&g_mt.orphan_lock);
}

static void look_at_all(uint64_t clock, uint64_t chunks)
{
    if (!mt_spinlock_try(&g_touch.lock)) {
        return; /* somebody is at it */
    }
    if (mt_mode() == MT_MODE_AGGREGATE) {
        look_on_locked(chunks, &(struct log){ NULL, clock }); /* no stream has records */
    } else {
        look_in_orphan_locked(clock, chunks);
    }
    mt_spinlock_unlock(&g_touch.lock);
}

void mt_touch_ticked(uint64_t clock)
{
    if (MT_LIKELY(mt_load_acquire(&g_touch.count) == 0)) {
        return;
    }
    uint64_t begun = mt_os_monotonic_ns();
    if (begun < mt_load_relaxed(&g_touch.next_tick)) {
        return;
    }
    look_at_all(clock, LOOK_CHUNKS);
    uint64_t ended = mt_os_monotonic_ns();
    mt_store_relaxed(&g_touch.next_tick, ended + TICK_FACTOR * (ended - begun));
}

/* The clock of the thread that ends it may be ahead of the time. */
void mt_touch_ends(void)
{
    if (mt_load_acquire(&g_touch.count) == 0 || mt_is_unnoticed_child()) {
        return;
    }
    uint64_t now = mt_clock_now();
    uint64_t own = t_mt.thread != NULL ? mt_load_relaxed(&t_mt.thread->clock) : 0;
    g_touch.ticked_page = 0;
    look_at_all(now > own ? now : own, UINT64_MAX);
}

void mt_touch_after_fork(void)
{
    mt_spinlock_reset(&g_touch.lock);
    g_touch.count = 0;
}
