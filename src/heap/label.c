/* label.c: see label.h. */
#include "heap/label.h"

#include "base/hash.h"
#include "heap/meta.h"

#include <string.h>

enum {
    KINDS = 4,
    CHUNK_BYTES = 64 * 1024, /* labels of threads are mapped so many at once */
    CHUNKS_MAX = 128,        /* threads beyond what they hold are not labelled */
    SETS = 8192,             /* of the table of numbers */
    WAYS = 8,
    TRIES = 3, /* to number labels while signal handlers change them */
};

struct text {
    uint64_t hash;
    uint32_t bytes; /* 0: none of this kind */
    char text[MT_LABEL_MAX_BYTES];
};

struct mt_labels {
    struct mt_labels *next; /* in the pool */
    uint32_t version;       /* odd: they are being changed */
    uint32_t number, numbered_version, numbered_in; /* what number stands for, and the trace it is of */
    struct text of[KINDS];  /* by kind - 1 */
};

/* From the outside to the inside: the innermost label of an event is the one it carries. */
static const enum mt_label_kind NESTED[KINDS] = { MT_LABEL_THREAD, MT_LABEL_TASK, MT_LABEL_REQUEST, MT_LABEL_USER };

struct numbered {
    uint64_t key; /* hash(number of the label around it, kind, text); 0: free */
    uint32_t number;
    uint32_t pad;
};

static struct {
    struct mt_spinlock lock; /* guards pool, chunks */
    struct mt_labels *pool;
    uint32_t chunks;
    struct numbered *numbers; /* SETS * WAYS; under the metadata lock, as what follows */
    uint32_t count;
    uint32_t oldest; /* which way of a full set gives place next */
} g_label = { .lock = MT_SPINLOCK_INIT(MT_RANK_LABEL) };

/* ---- labels of threads ---------------------------------------------------------------------------------------------- */

static void map_chunk_locked(void)
{
    void *base = NULL;
    if (g_label.chunks == CHUNKS_MAX || mt_os_map_anonymous(CHUNK_BYTES, &base) != MT_OK) {
        return;
    }
    g_label.chunks++;
    struct mt_labels *labels = base;
    for (size_t i = 0; i < CHUNK_BYTES / sizeof *labels; i++) {
        labels[i].next = g_label.pool;
        g_label.pool = &labels[i];
    }
}

struct mt_labels *mt_labels_take(void)
{
    struct mt_labels *l = NULL;
    if (mt_spinlock_is_any_held() || !mt_spinlock_lock(&g_label.lock)) { /* a handler would wait for whom it interrupted */
        return NULL;
    }
    if (g_label.pool == NULL) {
        map_chunk_locked();
    }
    l = g_label.pool;
    g_label.pool = l != NULL ? l->next : NULL;
    mt_spinlock_unlock(&g_label.lock);
    if (l != NULL) {
        memset(l, 0, sizeof *l);
    }
    return l;
}

void mt_labels_give_back(struct mt_labels *l)
{
    if (!mt_spinlock_is_any_held() && mt_spinlock_lock(&g_label.lock)) { /* else it is lost, and bounded */
        l->next = g_label.pool;
        g_label.pool = l;
        mt_spinlock_unlock(&g_label.lock);
    }
}

bool mt_labels_have_text(const struct mt_labels *l)
{
    bool any = false;
    for (size_t i = 0; i < KINDS; i++) {
        any = any || l->of[i].bytes != 0;
    }
    return any;
}

/* As much of a text as is kept: no half of a UTF-8 character. */
static uint32_t kept_bytes(const char *text, size_t bytes)
{
    if (bytes <= MT_LABEL_MAX_BYTES) {
        return (uint32_t)bytes;
    }
    uint32_t kept = MT_LABEL_MAX_BYTES;
    while (kept > 0 && ((uint8_t)text[kept] & 0xC0) == 0x80) {
        kept--;
    }
    return kept;
}

void mt_labels_set(struct mt_labels *l, enum mt_label_kind kind, const char *text, size_t all_bytes)
{
    struct text *to = &l->of[kind - 1];
    uint32_t bytes = kept_bytes(text, all_bytes);
    (void)mt_fetch_add_relaxed(&l->version, 1u); /* whole: a handler may do the same in between */
    mt_fence_compiler();
    to->bytes = bytes;
    to->hash = bytes != 0 ? mt_hash_bytes(text, bytes) : 0;
    if (bytes != 0) {
        memcpy(to->text, text, bytes);
    }
    mt_fence_compiler();
    (void)mt_fetch_add_relaxed(&l->version, 1u);
}

bool mt_labels_are(const struct mt_labels *l, enum mt_label_kind kind, const char *text, size_t bytes)
{
    const struct text *now = &l->of[kind - 1];
    uint32_t kept = kept_bytes(text, bytes);
    return now->bytes == kept && (kept == 0 || memcmp(now->text, text, kept) == 0);
}

void mt_label_after_fork(void)
{
    if (mt_load_relaxed(&g_label.lock.held) != 0) {
        g_label.pool = NULL; /* another thread was changing it */
    }
    mt_spinlock_reset(&g_label.lock);
}

/* ---- numbers -------------------------------------------------------------------------------------------------------- */

void mt_label_clear_numbers(void)
{
    if (g_label.numbers != NULL && g_label.count != 0) {
        memset(g_label.numbers, 0, (size_t)SETS * WAYS * sizeof *g_label.numbers);
    }
    g_label.count = 0;
    g_label.oldest = 0;
}

static bool table_is_there_locked(void)
{
    void *base = NULL;
    if (g_label.numbers == NULL && mt_os_map_anonymous((size_t)SETS * WAYS * sizeof *g_label.numbers, &base) == MT_OK) {
        g_label.numbers = base;
    }
    return g_label.numbers != NULL;
}

/* The entry of a key, or the one that gives place to it. */
static struct numbered *entry_locked(uint64_t key)
{
    struct numbered *set = &g_label.numbers[key % SETS * WAYS];
    for (uint32_t i = 0; i < WAYS; i++) {
        if (set[i].key == key || set[i].key == 0) {
            return &set[i];
        }
    }
    return &set[g_label.oldest++ % WAYS];
}

/* The number of a label inside another (0: in none), written at first sight; 0 when it is lost. */
static uint32_t number_locked(uint32_t under, enum mt_label_kind kind, const struct text *text)
{
    uint64_t key = mt_hash_step(mt_hash_pair(under, (uint64_t)kind), text->hash) | 1;
    struct numbered *entry = entry_locked(key);
    if (entry->key == key) {
        return entry->number;
    }
    struct mt_meta_builder *record = mt_meta_new_locked();
    const struct mt_record_label put = { .number = g_label.count + 1,
                                         .kind = (uint32_t)kind,
                                         .text = { text->text, text->bytes },
                                         .nested = under != 0,
                                         .under = under };
    mt_record_put_label(record, &put);
    if (!mt_meta_append_locked(MT_META_LABEL, record)) {
        mt_engine_count(MT_COUNTER_DROPPED_NO_SPACE, 1);
        return 0;
    }
    *entry = (struct numbered){ .key = key, .number = ++g_label.count };
    return entry->number;
}

/* The number of all of a thread's labels together. False: not now. */
static bool all_numbered_locked(const struct mt_labels *l, uint32_t version, uint32_t *ret)
{
    uint32_t number = 0;
    for (size_t i = 0; i < KINDS; i++) {
        struct text copy = l->of[NESTED[i] - 1];
        mt_fence_compiler();
        if (mt_load_relaxed(&l->version) != version) { /* a signal handler has changed them */
            return false;
        }
        if (copy.bytes != 0) {
            number = number_locked(number, NESTED[i], &copy);
        }
    }
    *ret = number;
    return true;
}

/* generation: of the trace. */
static bool find_number(struct mt_labels *l, uint32_t generation, uint32_t *ret)
{
    uint32_t version = mt_load_relaxed(&l->version);
    if (l->numbered_version == version && l->numbered_in == generation) {
        *ret = l->number;
        return true;
    }
    if ((version & 1) != 0 || !mt_meta_lock()) {
        return false;
    }
    bool found = false;
    for (int i = 0; i < TRIES && !found && table_is_there_locked(); i++) {
        version = mt_load_relaxed(&l->version);
        found = all_numbered_locked(l, version, ret);
    }
    mt_meta_unlock();
    if (found) {
        l->number = *ret;
        l->numbered_in = generation;
        l->numbered_version = version;
    }
    return found;
}

/* What cannot be told now is no label rather than the one before; the next event asks again. */
void mt_label_note(struct mt_thread *t, struct mt_labels *l)
{
    struct mt_journal *j = &t->journal;
    uint32_t number = 0;
    if (l != NULL && !find_number(l, t->generation, &number)) {
        j->limit = NULL;
        number = 0;
    }
    if (number != j->block_label) {
        j->block_label = number;
        mt_encode_ext(&j->encoder, MT_EXT_LABEL, j->encoder.clock, number);
    }
}
