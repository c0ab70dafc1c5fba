/* unwind_oracle.h: compares a capture of the calling stack with libunwind's.
 *
 * libunwind is an independent implementation (its own CFI reader, no cache shared with ours), stepped frame by frame.
 * Each check also captures with an unwinder that forgets its previous stack: with and without the memo must agree in
 * every field.
 */
#ifndef MT_TESTS_UNWIND_ORACLE_H
#define MT_TESTS_UNWIND_ORACLE_H

#define UNW_LOCAL_ONLY
#include "base/hash.h"
#include "base/os.h"
#include "heap/modules.h"
#include "heap/unwind.h"
#include "heap/unwind_hash.h"
#include "heap/unwind_state.h"

#include <libunwind.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libunwind's own locks and caches are not ours to judge. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:libunwind\ncalled_from_lib:libunwind\n";
}

struct oracle {
    bool rows_vanish; /* another thread empties the row cache: both walks find the same frames, by other rows */
    struct mt_unwinder memo;
    struct mt_unwinder fresh;
    uint64_t captures;
    uint64_t frames;
    uint64_t wrong;
    enum mt_unwind_result result; /* of the last capture */
    enum mt_unwind_result wanted;
    uint64_t pcs[24576]; /* of libunwind, innermost first */
};

static inline void oracle_init(struct oracle *o)
{
    void *memory;
    memset(o, 0, sizeof *o);
    if (mt_os_map_anonymous(mt_unwinder_memory_bytes(), &memory) == MT_OK) {
        mt_unwinder_init(&o->memo, memory);
    }
    if (mt_os_map_anonymous(mt_unwinder_memory_bytes(), &memory) == MT_OK) {
        mt_unwinder_init(&o->fresh, memory);
    }
    o->wanted = MT_UNWIND_COMPLETE;
}

static inline void oracle_fini(struct oracle *o)
{
    mt_os_unmap(o->memo.state, mt_unwinder_memory_bytes());
    mt_os_unmap(o->fresh.state, mt_unwinder_memory_bytes());
}

static inline void oracle_complain(struct oracle *o, const char *what, uint32_t idx)
{
    o->wrong++;
    if (o->wrong > 3) {
        return;
    }
    fprintf(stderr, "capture %llu: %s at frame %u of %u (result %d)\n", (unsigned long long)o->captures, what, idx,
            o->memo.count, (int)o->result);
    for (uint32_t i = 0; i < o->memo.count && i < 40; i++) {
        const struct mt_native_frame *frame = &o->memo.frames[i];
        fprintf(stderr, "  %2u pc %llx cfa %llx bp %llx, libunwind %llx\n", i, (unsigned long long)frame->pc,
                (unsigned long long)frame->cfa, (unsigned long long)frame->bp, (unsigned long long)o->pcs[i]);
    }
}

static inline uint32_t oracle_steps(struct oracle *o, unw_context_t *context)
{
    unw_cursor_t cursor;
    uint32_t count = 0;
    unw_init_local(&cursor, context);
    while (unw_step(&cursor) > 0 && count < sizeof o->pcs / sizeof o->pcs[0]) { /* the first step leaves the checker */
        unw_word_t pc = 0;
        unw_get_reg(&cursor, UNW_REG_IP, &pc);
        if (pc == 0) {
            break; /* libunwind shows the end as a frame in some versions */
        }
        o->pcs[count++] = pc;
    }
    return count;
}

static inline bool oracle_is_same(const struct mt_native_frame *a, const struct mt_native_frame *b)
{
    bool same_bp = (a->row & MT_FRAME_NEEDS_BP) == 0 || a->bp == b->bp;
    return a->pc == b->pc && a->cfa == b->cfa && a->row == b->row && same_bp;
}

static inline void oracle_compare(struct oracle *o, uint32_t count)
{
    const struct mt_unwinder *u = &o->memo;
    uint32_t same = 0;
    while (same < count && same < u->count && u->frames[same].pc == o->pcs[same]) {
        same++;
    }
    if (same != count || u->count != count) {
        oracle_complain(o, "other pc than libunwind", same);
        return;
    }
    if (o->result != o->wanted) {
        oracle_complain(o, "unexpected result", 0);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        bool same_place = u->frames[i].pc == o->fresh.frames[i].pc && u->frames[i].cfa == o->fresh.frames[i].cfa;
        if (!(o->rows_vanish ? same_place : oracle_is_same(&u->frames[i], &o->fresh.frames[i]))) {
            oracle_complain(o, "memo and fresh walk differ", i);
            return;
        }
    }
    if (u->count != o->fresh.count || u->hash != o->fresh.hash) {
        oracle_complain(o, "memo and fresh walk differ in hash", 0);
    }
}

/* To be called from the stack to be checked; context: struct oracle. */
static MT_NOINLINE void oracle_check(void *context)
{
    struct oracle *o = context;
    MT_CAPTURE_CALLER(regs);
    unw_context_t here;
    o->result = mt_unwind_capture(&o->memo, &regs);
    mt_unwind_state_of(&o->fresh)->usable = 0;
    (void)mt_unwind_capture(&o->fresh, &regs);
    unw_getcontext(&here);
    o->captures++;
    o->frames += o->memo.count;
    oracle_compare(o, oracle_steps(o, &here));
}

/* xorshift64*: enough for choosing paths. */
static inline uint64_t oracle_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545F4914F6CDD1Du;
}

static inline uint64_t oracle_seed(void)
{
    const char *text = getenv("MT_TEST_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : mt_os_random() | 1;
    fprintf(stderr, "seed: MT_TEST_SEED=0x%llx\n", (unsigned long long)seed);
    return seed;
}

#endif
