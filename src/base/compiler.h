/* compiler.h: what the compiler is told about functions, branches and symbols. */
#ifndef MT_BASE_COMPILER_H
#define MT_BASE_COMPILER_H

#define MT_CHECKED __attribute__((warn_unused_result))
#define MT_NORETURN __attribute__((noreturn))
#define MT_INLINE static inline __attribute__((always_inline))
#define MT_NOINLINE __attribute__((noinline))
/* Reads memory that is not its own, up to the gaps between a function's variables. */
#define MT_READS_ANYTHING __attribute__((no_sanitize("address")))
#define MT_COLD __attribute__((noinline, cold))
#define MT_HIDDEN __attribute__((visibility("hidden")))
#define MT_EXPORT __attribute__((visibility("default")))
#define MT_LIKELY(x) __builtin_expect(!!(x), 1)
#define MT_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define MT_COUNTOF(a) (sizeof(a) / sizeof((a)[0]))

#endif
