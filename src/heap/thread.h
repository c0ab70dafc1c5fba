/* thread.h: what the engine keeps for each thread.
 *
 * Decides: per-thread state lives in one anonymous mapping found through t_mt.thread (TLS itself stays tiny); blocks of
 * ended threads are reused. A thread's block is touched by that thread only, except the fields marked shared.
 * Internal to heap/. Contexts: [hook] with the guard set unless said otherwise.
 */
#ifndef MT_HEAP_THREAD_H
#define MT_HEAP_THREAD_H

#include "base/lock.h"
#include "base/os.h"
#include "heap/cost.h"
#include "heap/engine.h"
#include "heap/livetab.h"
#include "heap/sampler.h"
#include "heap/state.h"
#include "heap/tracefile.h"
#include "pystack/pystack.h"
#include "wire/encode.h"

enum { MT_THREAD_NAME_BYTES = 120 }; /* of a name, more are cut; the kernel has 15 */
enum { MT_STACK_CACHE_ENTRIES = 4096, MT_STACK_CACHE_SHIFT = 64 - 12 };

struct mt_stack_cache_entry {
    uint64_t key;
    uint32_t stack;
    uint32_t pad;
};

/* Journal of one stream: a slot and the encoder that fills it. */
struct mt_journal {
    struct mt_event_encoder encoder;
    uint8_t *base;  /* first payload byte of the slot; NULL: no slot yet */
    uint8_t *limit; /* a record may start while at <= limit; NULL without a slot, and where the next one has to look first */
    struct mt_slot slot;
    uint32_t stream;
    uint32_t seq;
    uint64_t block_clock; /* clock_first of the running block */
    uint64_t block_rate;  /* rate written into the running block, 0: none yet */
    uint32_t block_label; /* label in force in the running block, 0: none */
    uint64_t dropped;     /* events lost since the last record */
};

struct mt_thread {
    struct mt_journal journal;
    uint64_t clock; /* shared, read by threads that start (racy by design: see docs/concurrency.md C2) */
    uint64_t noted_clock; /* when it last noted that it records (clock_alone.c) */
    uint64_t patience; /* how far the clock may be ahead of the tick before that is looked at (clock.c) */
    uint64_t rate;  /* in force for the current countdown */
    uint32_t rate_generation;
    bool realloc_begun;    /* a realloc was recorded as begun and has not ended (engine_realloc.c) */
    struct mt_sample realloc_sample; /* sample mode: what its block was */
    uint64_t realloc_old;            /* where */
    bool sample_goes_on;             /* the REALLOC_NEW that is being recorded is of that block */
    uint16_t moved_kind;             /* sample mode: what the mapping was that it moves (maplog.h) */
    struct mt_sampler sampler;
    struct mt_unwinder unwinder;
    struct mt_pystack python;
    struct mt_stack_cache_entry *stack_cache; /* direct mapped */
    struct mt_tls *tls;  /* shared: a change of rate pokes left; NULL: a thread whose end we may not see, never touched */
    struct mt_thread *next; /* list of live threads, or of free blocks */
    uint64_t renamed_clock; /* when the thread's name was last written */
    uint64_t beyond;        /* bytes of the countdown that t_mt.left does not hold (threads nobody can poke) */
    uint32_t generation;    /* the trace this journal belongs to */
    uint32_t sampled_in;    /* the trace whose countdown chose the present allocation */
    bool in_sample;         /* the call under way is a sample: its end draws the next step */
    int32_t until_timed;    /* recording sections before one that is timed (cost.h) */
    uint64_t timed_from;    /* the section under way is timed, from this reading of the time stamp counter; else 0 */
    uint32_t timed_works;   /* work.h: as many had ended then */
    uint64_t counted;       /* bytes that the mark of the present sample was found in (countdown.h) */
    uint64_t recording;     /* shared: the frame of the recording section, 0 outside; pairing R1 (restart.c) */
    struct mt_py_thread known; /* to Python's threading */
    bool is_first;     /* the process's main thread */
    bool named_within; /* name is the program's own word, not the kernel's */
    uint8_t name_bytes;
    char name[MT_THREAD_NAME_BYTES];
};

/* Gives the calling thread its block; false when there is no memory (counted once a try). */
bool mt_thread_attach(void) MT_CHECKED;
/* The calling thread allocates after its end was seen (a TSD destructor of another library in the last round): gives it a
 * block for good, as nobody tells of its end again. Such a block is not in the list of threads: its TLS may vanish at any
 * time. Bounded; false: the event is dropped and counted. */
bool mt_thread_revive(void) MT_CHECKED;
/* Moves a block whose journal belongs to an earlier trace to the present one; false between traces. Inside a recording
 * section of the block. */
bool mt_thread_adopt(struct mt_thread *t) MT_CHECKED;
/* The calling thread was interrupted inside a recording section and does not come back to it: what is its own becomes as
 * good as new. In the section. */
void mt_thread_mend(struct mt_thread *t);
/* A block not tied to a thread (the orphan stream). */
struct mt_thread *mt_thread_new_block(void);
void mt_thread_forget_all_but(struct mt_thread *self); /* fork child */
/* A second thread may exist from here on: events are ordered between threads. Idempotent. */
void mt_thread_begin_order(void);
/* Is any block but this one in a recording section? NULL: any at all. Also when nobody can tell. */
bool mt_thread_others_record(const struct mt_thread *self);

/* The thread is about to record in a trace that is held: lets the holder go on and waits for it. True: the trace is the
 * block's. Inside a recording section of the block. Not MT_COLD: gcc then takes what follows every test of it for cold as well, and moves
 * the hot half of a hook out of its line. */
MT_NOINLINE bool mt_hold_wait(struct mt_thread *t);

/* The depth, if the thread is inside mt_engine_enter_own and in no hook; else 0. */
MT_INLINE uint32_t mt_own_depth(void)
{
    return (t_mt.depth & (MT_DEPTH_OWN - 1)) == 0 ? t_mt.depth : 0;
}

/* ---- recording sections --------------------------------------------------------------------------------------- */

/* Between begin and end, the block's journal, the stack tables and the file are those of the present trace (pairing R1).
 * False: there is no trace to record in; mt_section_ends all the same. */
MT_INLINE bool mt_section_begins_as_is(struct mt_thread *t)
{
    t_mt.depth = (uint32_t)(MT_DEPTH_RECORDING | 1);
    mt_store_relaxed(&t->recording, mt_engine_frame());
    mt_fence_compiler();
    if (MT_UNLIKELY(--t->until_timed < 0)) {
        mt_cost_begin(t);
    }
    return MT_LIKELY(t->generation == mt_load_acquire(&g_mt.generation)) || mt_hold_wait(t); /* R2: what a holder did to the journal */
}

/* The same, but a block of an earlier trace joins the present one. */
MT_INLINE bool mt_section_begins(struct mt_thread *t)
{
    return mt_section_begins_as_is(t) || mt_thread_adopt(t);
}

MT_INLINE void mt_section_ends(struct mt_thread *t, uint32_t depth)
{
    if (MT_UNLIKELY(t->timed_from != 0)) {
        mt_cost_end(t);
    }
    mt_store_release(&t->recording, (uint64_t)0);
    t_mt.depth = depth;
}

/* ---- journal.c ----------------------------------------------------------------------------------------------- */

/* Room for one record (MT_EVENT_MAX_BYTES, twice for a dropped mark); flushes a full slot, acquires a first one, and says
 * what the thread's label is now. False: the file cannot grow, the event is dropped and counted. */
bool mt_journal_room_slow(struct mt_thread *t) MT_CHECKED;
void mt_journal_flush(struct mt_thread *t);
void mt_journal_close(struct mt_thread *t);
/* What is in the slot becomes a block, and the next one begins at that clock, which is behind all that was recorded. The thread is
 * outside of its sections. False: it could not be written. */
bool mt_journal_turn(struct mt_thread *t, uint64_t clock) MT_CHECKED;
/* Leaves the slot as it is in the file, up to the last record that was committed; the next record begins another. */
void mt_journal_set_aside(struct mt_thread *t);
/* The end: what still waits to be written is written now, or lost and said. */
void mt_journal_settle(void);

MT_INLINE bool mt_journal_room(struct mt_thread *t)
{
    return MT_LIKELY((uintptr_t)t->journal.encoder.at - 1 < (uintptr_t)t->journal.limit) || mt_journal_room_slow(t);
}

/* Publishes what has been encoded: after this store the record survives the death of the process. */
MT_INLINE void mt_journal_commit(struct mt_thread *t)
{
    struct mt_journal *j = &t->journal;
    mt_store_release(&j->slot.header->seq_committed,
                     ((uint64_t)j->seq << 32) | (uint32_t)(j->encoder.at - j->base));
}

#endif
