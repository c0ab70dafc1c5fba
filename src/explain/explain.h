/* explain.h: what the resident memory of a process is made of, seen from outside.
 *
 * Decides: every resident byte stands in one row, so that rows add up to the RSS. Files and shared memory are what the kernel calls so;
 * anonymous memory is given to the first that claims it: stacks, arenas of glibc, blocks that malloc mapped by themselves, pools of
 * Python, written pages of files and what stands behind them in their objects. What nobody claims is unexplained. Nothing is stopped, and the
 * process does not know of it. Context: [tool].
 */
#ifndef MT_EXPLAIN_EXPLAIN_H
#define MT_EXPLAIN_EXPLAIN_H

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Rows: name in data, and in words. Resident bytes. */
#define MT_EXPLAIN_TABLE(X)                                                                                            \
    X(MALLOC_USED, "malloc_used", "blocks of malloc in use")                                                           \
    X(MALLOC_MAPPED, "malloc_mapped", "large blocks of malloc, each mapped by itself")                                 \
    X(MALLOC_FREE, "malloc_free", "malloc: free blocks between others")                                                \
    X(MALLOC_TOP, "malloc_top", "malloc: unused ends of its arenas")                                                   \
    X(BRK, "brk", "the heap of brk, not split: free or in use")                                                        \
    X(PYTHON_USED, "python_used", "Python objects (pymalloc)")                                                         \
    X(PYTHON_FREE, "python_free", "pymalloc: free blocks and heads of pools")                                          \
    X(PYTHON_EMPTY, "python_empty", "pymalloc: empty pools")                                                           \
    X(RECORDED, "recorded", "recorded blocks: mapped by the program itself, or of another allocator")                  \
    X(OTHER_USED, "other_used", "jemalloc, tcmalloc: blocks in use, by its own account")                               \
    X(OTHER_OWN, "other_own", "jemalloc, tcmalloc: its own structures")                                                \
    X(OTHER_SLACK, "other_slack", "jemalloc, tcmalloc: free blocks, caches, rounding")                                 \
    X(OTHER_FREE, "other_free", "another allocator: free or slack, not split")                                         \
    X(STATIC, "static", "static data: written pages of programs and libraries")                                        \
    X(STACKS, "stacks", "stacks of threads")                                                                           \
    X(FILES, "files", "mapped files and libraries")                                                                    \
    X(SHARED, "shared", "shared memory")                                                                               \
    X(MEMTAP, "memtap", "memtap's own")                                                                                \
    X(UNEXPLAINED, "unexplained", "anonymous memory that none of these claims")

enum mt_explain_part {
#define MT_EXPLAIN_ENUM(name, key, text) MT_EXPLAIN_##name,
    MT_EXPLAIN_TABLE(MT_EXPLAIN_ENUM)
#undef MT_EXPLAIN_ENUM
        MT_EXPLAIN__COUNT
};
const char *mt_explain_key(enum mt_explain_part part);
const char *mt_explain_text(enum mt_explain_part part);

/* What an allocator of the program's own says of itself (docs/formats/control.md, memory). */
struct mt_explain_allocator {
    char name[16];
    uint64_t in_use_bytes, own_bytes, resident_bytes, given_back_bytes;
};

struct mt_explained {
    uint64_t rss_bytes; /* the sum of the rows */
    uint64_t bytes[MT_EXPLAIN__COUNT];
    /* details */
    bool malloc_known;
    const char *malloc_unknown;  /* why not */
    size_t arenas;
    uint64_t system_bytes, in_use_bytes, free_bytes, top_bytes; /* of malloc's arenas, resident or not, as malloc_info counts */
    uint64_t trim_bytes;         /* what malloc_trim(0) would give back */
    uint64_t mapped_blocks;
    uint64_t python_pools;
    uint64_t threads;
    uint64_t stacks_found;
    bool own_allocator_known; /* what it said (mt_explain_allocator) */
    struct mt_explain_allocator own_allocator;
};

/* MT_E_NOENT, MT_E_PERM with a sentence. */
mt_status mt_explain_process(pid_t pid, struct mt_explained *ret, struct mt_error *err) MT_CHECKED;
/* Gives what nobody claimed, and the heap of brk where malloc has none of it, to that allocator: at most what it says is resident. */
void mt_explain_own_allocator(struct mt_explained *explained, const struct mt_explain_allocator *said);
/* What a trace knows of what nobody claimed: memory of the recorder, the heap that is alive, and what allocators keep for blocks
 * (MT_STORAGE_ARENA). Resident or not, so at most what is left. */
struct mt_explain_trace {
    uint64_t own_bytes, heap_bytes, arena_bytes;
};
void mt_explain_recorded(struct mt_explained *explained, const struct mt_explain_trace *trace);

#endif
