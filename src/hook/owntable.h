/* owntable.h: entry points of allocators that programs and libraries carry inside, by name.
 *
 * Decides: which names are entry points, and where their arguments are. Families: malloc and operator new in an
 * executable; jemalloc under its prefixes (je_, _rjem_ of the Rust crate, je_arrow_ of Apache Arrow, and its functions
 * ending in x, which no other allocator has); mimalloc, tcmalloc, rpmalloc, oneTBB's, dlmalloc, snmalloc for Rust.
 * Left out are functions that do no more than call one of these (strdup), those that take no block of their own (usable
 * size) and those with more than four arguments (rpaligned_realloc).
 */
#ifndef MT_HOOK_OWNTABLE_H
#define MT_HOOK_OWNTABLE_H

#include "wire/format.h"

enum mt_own_family {
    MT_OWN_LIBC, /* the names of libc: only where symbol order does not bring the calls to us */
    MT_OWN_CXX,  /* operator new and delete: likewise, and where malloc is there as well */
    MT_OWN_PREFIXED,
};

enum mt_own_shape {
    MT_OWN_ALLOC,   /* void *f(… size …) */
    MT_OWN_STORE,   /* int f(void **, … size …), as posix_memalign */
    MT_OWN_REALLOC, /* void *f(… block … size …) */
    MT_OWN_FREE,    /* void f(… block …) */
};

enum { MT_OWN_ARGUMENTS = 4, MT_OWN_ABSENT = MT_OWN_ARGUMENTS };

struct mt_own_name {
    const char *name;
    uint8_t family, shape;
    uint8_t size_at, count_at, block_at; /* which argument; MT_OWN_ABSENT: none. count_at: the size is of one of so many */
    uint8_t allocator;                   /* enum mt_allocator */
};

#define MT_OWN_ROW(family, shape, name, size_at, count_at, block_at, allocator)                                        \
    { name, MT_OWN_##family, MT_OWN_##shape, size_at, count_at, block_at, MT_ALLOCATOR_##allocator }
#define MT_OWN_A(family, name, allocator, size)                                                                        \
    MT_OWN_ROW(family, ALLOC, name, size, MT_OWN_ABSENT, MT_OWN_ABSENT, allocator)
#define MT_OWN_AC(family, name, allocator, count, size)                                                                \
    MT_OWN_ROW(family, ALLOC, name, size, count, MT_OWN_ABSENT, allocator)
#define MT_OWN_S(family, name)                                                                                         \
    MT_OWN_ROW(family, STORE, name, 2, MT_OWN_ABSENT, MT_OWN_ABSENT, POSIX_MEMALIGN)
#define MT_OWN_R(family, name, block, size) MT_OWN_ROW(family, REALLOC, name, size, MT_OWN_ABSENT, block, REALLOC)
#define MT_OWN_RC(family, name, block, count, size) MT_OWN_ROW(family, REALLOC, name, size, count, block, REALLOC)
#define MT_OWN_F(family, name, block)                                                                                  \
    MT_OWN_ROW(family, FREE, name, MT_OWN_ABSENT, MT_OWN_ABSENT, block, MALLOC)

/* What libc has, with a prefix. */
#define MT_OWN_LIBC_LIKE(family, prefix)                                                                               \
    MT_OWN_A(family, prefix "malloc", MALLOC, 0), MT_OWN_AC(family, prefix "calloc", CALLOC, 0, 1),                    \
        MT_OWN_R(family, prefix "realloc", 0, 1), MT_OWN_RC(family, prefix "reallocarray", 0, 1, 2),                   \
        MT_OWN_F(family, prefix "free", 0), MT_OWN_F(family, prefix "cfree", 0),                                       \
        MT_OWN_S(family, prefix "posix_memalign"), MT_OWN_A(family, prefix "aligned_alloc", ALIGNED_ALLOC, 1),         \
        MT_OWN_A(family, prefix "memalign", MEMALIGN, 1), MT_OWN_A(family, prefix "valloc", VALLOC, 0),                \
        MT_OWN_A(family, prefix "pvalloc", PVALLOC, 0), MT_OWN_F(family, prefix "free_sized", 0),                      \
        MT_OWN_F(family, prefix "free_aligned_sized", 0)

/* jemalloc's own interface: flags hold the alignment. */
#define MT_OWN_JEMALLOC(prefix)                                                                                        \
    MT_OWN_A(PREFIXED, prefix "mallocx", MALLOC, 0), MT_OWN_R(PREFIXED, prefix "rallocx", 0, 1),                       \
        MT_OWN_F(PREFIXED, prefix "dallocx", 0), MT_OWN_F(PREFIXED, prefix "sdallocx", 0)

#define MT_OWN_DELETE(family, name) MT_OWN_F(family, name, 0), MT_OWN_F(family, name "RKSt9nothrow_t", 0)
#define MT_OWN_OPERATORS                                                                                               \
    MT_OWN_A(CXX, "_Znwm", NEW, 0), MT_OWN_A(CXX, "_ZnwmRKSt9nothrow_t", NEW, 0),                                      \
        MT_OWN_A(CXX, "_ZnwmSt11align_val_t", NEW, 0), MT_OWN_A(CXX, "_ZnwmSt11align_val_tRKSt9nothrow_t", NEW, 0),    \
        MT_OWN_A(CXX, "_Znam", NEW_ARRAY, 0), MT_OWN_A(CXX, "_ZnamRKSt9nothrow_t", NEW_ARRAY, 0),                      \
        MT_OWN_A(CXX, "_ZnamSt11align_val_t", NEW_ARRAY, 0),                                                           \
        MT_OWN_A(CXX, "_ZnamSt11align_val_tRKSt9nothrow_t", NEW_ARRAY, 0), MT_OWN_DELETE(CXX, "_ZdlPv"),               \
        MT_OWN_DELETE(CXX, "_ZdaPv"), MT_OWN_F(CXX, "_ZdlPvm", 0), MT_OWN_F(CXX, "_ZdaPvm", 0),                        \
        MT_OWN_DELETE(CXX, "_ZdlPvSt11align_val_t"), MT_OWN_DELETE(CXX, "_ZdaPvSt11align_val_t"),                      \
        MT_OWN_F(CXX, "_ZdlPvmSt11align_val_t", 0), MT_OWN_F(CXX, "_ZdaPvmSt11align_val_t", 0)

#define MT_OWN_MIMALLOC                                                                                                \
    MT_OWN_LIBC_LIKE(PREFIXED, "mi_"), MT_OWN_A(PREFIXED, "mi_zalloc", CALLOC, 0),                                     \
        MT_OWN_A(PREFIXED, "mi_malloc_small", MALLOC, 0), MT_OWN_A(PREFIXED, "mi_zalloc_small", CALLOC, 0),            \
        MT_OWN_AC(PREFIXED, "mi_mallocn", MALLOC, 0, 1), MT_OWN_RC(PREFIXED, "mi_reallocn", 0, 1, 2),                  \
        MT_OWN_R(PREFIXED, "mi_reallocf", 0, 1), MT_OWN_R(PREFIXED, "mi_rezalloc", 0, 1),                              \
        MT_OWN_RC(PREFIXED, "mi_recalloc", 0, 1, 2), MT_OWN_A(PREFIXED, "mi_malloc_aligned", MALLOC, 0),               \
        MT_OWN_A(PREFIXED, "mi_malloc_aligned_at", MALLOC, 0), MT_OWN_A(PREFIXED, "mi_zalloc_aligned", CALLOC, 0),     \
        MT_OWN_A(PREFIXED, "mi_zalloc_aligned_at", CALLOC, 0),                                                         \
        MT_OWN_AC(PREFIXED, "mi_calloc_aligned", CALLOC, 0, 1), MT_OWN_AC(PREFIXED, "mi_calloc_aligned_at", CALLOC, 0, 1), \
        MT_OWN_R(PREFIXED, "mi_realloc_aligned", 0, 1), MT_OWN_R(PREFIXED, "mi_realloc_aligned_at", 0, 1),             \
        MT_OWN_R(PREFIXED, "mi_rezalloc_aligned", 0, 1), MT_OWN_R(PREFIXED, "mi_rezalloc_aligned_at", 0, 1),           \
        MT_OWN_RC(PREFIXED, "mi_recalloc_aligned", 0, 1, 2), MT_OWN_F(PREFIXED, "mi_free_size", 0),                    \
        MT_OWN_F(PREFIXED, "mi_free_size_aligned", 0), MT_OWN_F(PREFIXED, "mi_free_aligned", 0),                       \
        MT_OWN_A(PREFIXED, "mi_new", NEW, 0), MT_OWN_A(PREFIXED, "mi_new_nothrow", NEW, 0),                            \
        MT_OWN_A(PREFIXED, "mi_new_aligned", NEW, 0), MT_OWN_A(PREFIXED, "mi_new_aligned_nothrow", NEW, 0),            \
        MT_OWN_AC(PREFIXED, "mi_new_n", NEW, 0, 1), MT_OWN_R(PREFIXED, "mi_new_realloc", 0, 1),                        \
        MT_OWN_RC(PREFIXED, "mi_new_reallocn", 0, 1, 2), MT_OWN_A(PREFIXED, "mi_heap_malloc", MALLOC, 1),              \
        MT_OWN_A(PREFIXED, "mi_heap_zalloc", CALLOC, 1), MT_OWN_AC(PREFIXED, "mi_heap_calloc", CALLOC, 1, 2),          \
        MT_OWN_AC(PREFIXED, "mi_heap_mallocn", MALLOC, 1, 2), MT_OWN_A(PREFIXED, "mi_heap_malloc_small", MALLOC, 1),   \
        MT_OWN_R(PREFIXED, "mi_heap_realloc", 1, 2), MT_OWN_RC(PREFIXED, "mi_heap_reallocn", 1, 2, 3),                 \
        MT_OWN_A(PREFIXED, "mi_heap_malloc_aligned", MALLOC, 1),                                                       \
        MT_OWN_A(PREFIXED, "mi_heap_malloc_aligned_at", MALLOC, 1),                                                    \
        MT_OWN_A(PREFIXED, "mi_heap_zalloc_aligned", CALLOC, 1), MT_OWN_R(PREFIXED, "mi_heap_realloc_aligned", 1, 2),  \
        MT_OWN_R(PREFIXED, "mi_heap_rezalloc", 1, 2)

#define MT_OWN_TCMALLOC_OPERATORS(allocator, new_name, delete_name)                                                    \
    MT_OWN_A(PREFIXED, new_name, allocator, 0), MT_OWN_A(PREFIXED, new_name "_nothrow", allocator, 0),                 \
        MT_OWN_A(PREFIXED, new_name "_aligned", allocator, 0),                                                         \
        MT_OWN_A(PREFIXED, new_name "_aligned_nothrow", allocator, 0), MT_OWN_F(PREFIXED, delete_name, 0),             \
        MT_OWN_F(PREFIXED, delete_name "_nothrow", 0), MT_OWN_F(PREFIXED, delete_name "_sized", 0),                    \
        MT_OWN_F(PREFIXED, delete_name "_aligned", 0), MT_OWN_F(PREFIXED, delete_name "_sized_aligned", 0),            \
        MT_OWN_F(PREFIXED, delete_name "_aligned_nothrow", 0)
#define MT_OWN_TCMALLOC                                                                                                \
    MT_OWN_LIBC_LIKE(PREFIXED, "tc_"), MT_OWN_A(PREFIXED, "tc_malloc_skip_new_handler", MALLOC, 0),                    \
        MT_OWN_TCMALLOC_OPERATORS(NEW, "tc_new", "tc_delete"),                                                         \
        MT_OWN_TCMALLOC_OPERATORS(NEW_ARRAY, "tc_newarray", "tc_deletearray")

#define MT_OWN_RPMALLOC                                                                                                \
    MT_OWN_A(PREFIXED, "rpmalloc", MALLOC, 0), MT_OWN_A(PREFIXED, "rpzalloc", CALLOC, 0),                              \
        MT_OWN_AC(PREFIXED, "rpcalloc", CALLOC, 0, 1), MT_OWN_R(PREFIXED, "rprealloc", 0, 1),                          \
        MT_OWN_F(PREFIXED, "rpfree", 0),                                                                               \
        MT_OWN_A(PREFIXED, "rpaligned_alloc", ALIGNED_ALLOC, 1), MT_OWN_A(PREFIXED, "rpmemalign", MEMALIGN, 1),        \
        MT_OWN_AC(PREFIXED, "rpaligned_calloc", CALLOC, 1, 2), MT_OWN_S(PREFIXED, "rpposix_memalign")

#define MT_OWN_TBB                                                                                                     \
    MT_OWN_LIBC_LIKE(PREFIXED, "scalable_"), MT_OWN_A(PREFIXED, "scalable_aligned_malloc", ALIGNED_ALLOC, 0),          \
        MT_OWN_R(PREFIXED, "scalable_aligned_realloc", 0, 1), MT_OWN_F(PREFIXED, "scalable_aligned_free", 0)

/* snmalloc-rs: (alignment, size) and (block, alignment, old size, new size). */
#define MT_OWN_SNMALLOC                                                                                                \
    MT_OWN_A(PREFIXED, "sn_rust_alloc", MALLOC, 1), MT_OWN_A(PREFIXED, "sn_rust_alloc_zeroed", CALLOC, 1),             \
        MT_OWN_R(PREFIXED, "sn_rust_realloc", 0, 3), MT_OWN_F(PREFIXED, "sn_rust_dealloc", 0)

#define MT_OWN_NAMES                                                                                                   \
    MT_OWN_LIBC_LIKE(LIBC, ""), MT_OWN_OPERATORS, MT_OWN_JEMALLOC(""), MT_OWN_LIBC_LIKE(PREFIXED, "je_"),              \
        MT_OWN_JEMALLOC("je_"), MT_OWN_LIBC_LIKE(PREFIXED, "_rjem_"), MT_OWN_JEMALLOC("_rjem_"),                       \
        MT_OWN_LIBC_LIKE(PREFIXED, "je_arrow_"), MT_OWN_JEMALLOC("je_arrow_"), MT_OWN_MIMALLOC, MT_OWN_TCMALLOC,       \
        MT_OWN_RPMALLOC, MT_OWN_TBB, MT_OWN_LIBC_LIKE(PREFIXED, "dl"), MT_OWN_SNMALLOC

#endif
