/* measure.h: how large a block is for the allocator it came from, so that a realloc's growth is known.
 *
 * Decides: by what. malloc_usable_size of the object that defines the realloc, and of no other; where that is glibc, the word
 * in front of the block says the same and costs a load: it is believed once it has agreed with malloc_usable_size for
 * AGREEMENTS blocks of the program in a row, and never where valgrind may have put another allocator in glibc's place.
 * Where nothing can be asked, a realloc counts as a new block.
 * The measure itself differs from what was asked for by the slack of one size class; only differences are used.
 */
#ifndef MT_HOOK_MEASURE_H
#define MT_HOOK_MEASURE_H

#include "base/atomic.h"
#include "heap/engine.h"
#include "hook/table.h"

/* Pairing H5: usable before kind (release); a reader that sees a kind sees the function. */
enum mt_measure_kind { MT_MEASURE_NONE, MT_MEASURE_CALL, MT_MEASURE_WORD };

/* Of one bank. Writers: mt_measure_by, and the blocks that are compared. */
struct mt_measure {
    size_t (*usable)(void *block);
    uint64_t no_words_to; /* blocks up to this address, NULL at least, are not measured by the word in front of them */
    uint32_t kind;
    uint32_t agreements; /* relaxed: a lost one costs one more */
    bool may_be_word;
};
extern struct mt_measure mt_g_measures[MT_BANKS] MT_HIDDEN;

/* usable: malloc_usable_size of the object that defines the bank's realloc, NULL: it has none. glibc: that is glibc, and nobody
 * may have replaced its malloc. Context: [agent] start, loader hooks, one at a time. */
void mt_measure_by(unsigned bank, size_t (*usable)(void *block), bool glibc);

/* The word in front of a block of glibc's: a size that is a multiple of 16, and flags in the lowest 3 bits. */
MT_INLINE uint64_t mt_measure_word(const void *block)
{
    return ((const uint64_t *)block)[-1];
}

/* By how much the sizes in two words differ; below 0: the block shrank. */
MT_INLINE int64_t mt_measure_difference(uint64_t before, uint64_t after)
{
    return (int64_t)(after - before + 8) & -16;
}

/* block is not NULL, and its word is all that must be asked. */
MT_INLINE bool mt_measure_is_word(const struct mt_measure *measure, const void *block)
{
    return MT_LIKELY((uint64_t)(uintptr_t)block > mt_load_relaxed(&measure->no_words_to));
}

/* A realloc under way, [hook]. */
struct mt_measured {
    uint64_t before; /* measure of the block that goes in */
    uint32_t kind;
};

/* Around the real realloc, on any path. old is not NULL. */
struct mt_measured mt_measure_begin(const struct mt_originals *real, void *old);
/* How much larger ptr is than what went in, 0: it is not; its size where nothing can be asked. ptr is not NULL. */
uint64_t mt_measure_end(const struct mt_originals *real, struct mt_measured measured, void *ptr, size_t size);

MT_INLINE enum mt_realloc_way mt_measure_way(const struct mt_originals *real)
{
    return mt_load_relaxed(&real->measure->kind) == MT_MEASURE_NONE ? MT_REALLOC_RENEWS : MT_REALLOC_GROWS;
}

#endif
