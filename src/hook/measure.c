/* measure.c: see measure.h. */
#include "hook/measure.h"

enum { AGREEMENTS = 16, UNIT = 16, FLAGS = 7, MMAPPED = 2, WORD_OVERHEAD = 8, MMAPPED_OVERHEAD = 16 };

#define UNMEASURED { .no_words_to = UINT64_MAX }
struct mt_measure mt_g_measures[MT_BANKS] = { UNMEASURED, UNMEASURED, UNMEASURED };
static_assert(MT_BANKS == 3, "each bank begins unmeasured");

static void set_kind(struct mt_measure *measure, uint32_t kind)
{
    mt_store_relaxed(&measure->no_words_to, kind == MT_MEASURE_WORD ? 0 : UINT64_MAX);
    mt_store_release(&measure->kind, kind);
}

void mt_measure_by(unsigned bank, size_t (*usable)(void *block), bool glibc)
{
    struct mt_measure *measure = &mt_g_measures[bank];
    if (measure->usable == usable) {
        return;
    }
    set_kind(measure, MT_MEASURE_NONE);
    mt_store_relaxed(&measure->usable, usable);
    mt_store_relaxed(&measure->agreements, 0u);
    mt_store_relaxed(&measure->may_be_word, glibc);
    set_kind(measure, usable != NULL ? MT_MEASURE_CALL : MT_MEASURE_NONE);
}

/* Does the word in front of the block say what its allocator says? Once it has done so often enough, it is all that is asked. */
static void compare_with_word(struct mt_measure *measure, const void *block, uint64_t usable)
{
    if (!mt_load_relaxed(&measure->may_be_word)) {
        return;
    }
    uint64_t word = mt_measure_word(block);
    uint64_t overhead = (word & MMAPPED) != 0 ? MMAPPED_OVERHEAD : WORD_OVERHEAD;
    if ((word & ~(uint64_t)FLAGS) != usable + overhead || word % UNIT > FLAGS) {
        mt_store_relaxed(&measure->may_be_word, false);
        return;
    }
    uint32_t agreements = mt_load_relaxed(&measure->agreements) + 1;
    mt_store_relaxed(&measure->agreements, agreements);
    if (agreements >= AGREEMENTS) {
        set_kind(measure, MT_MEASURE_WORD);
    }
}

static uint64_t size_of(struct mt_measure *measure, uint32_t kind, void *block)
{
    if (kind != MT_MEASURE_CALL) {
        return kind == MT_MEASURE_WORD ? mt_measure_word(block) & ~(uint64_t)FLAGS : 0;
    }
    uint64_t usable = mt_load_relaxed(&measure->usable)(block);
    compare_with_word(measure, block, usable);
    return usable;
}

struct mt_measured mt_measure_begin(const struct mt_originals *real, void *old)
{
    uint32_t kind = mt_load_acquire(&real->measure->kind);
    return (struct mt_measured){ .before = size_of(real->measure, kind, old), .kind = kind };
}

uint64_t mt_measure_end(const struct mt_originals *real, struct mt_measured measured, void *ptr, size_t size)
{
    if (measured.kind == MT_MEASURE_NONE) {
        return size;
    }
    uint64_t after = size_of(real->measure, measured.kind, ptr);
    return after > measured.before ? after - measured.before : 0;
}
