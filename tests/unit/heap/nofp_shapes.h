/* nofp_shapes.h: call paths through functions of every shape compilers make, compiled without frame pointers. */
#ifndef MT_TESTS_NOFP_SHAPES_H
#define MT_TESTS_NOFP_SHAPES_H

#include <stdint.h>

enum nofp_shape {
    NOFP_PLAIN,   /* a small frame */
    NOFP_BUSY,    /* all callee-saved registers in use, rbp as a general register */
    NOFP_ALLOCA,  /* CFA from rbp */
    NOFP_ALIGNED, /* realigned stack with a dynamic part (DW_CFA_def_cfa_expression) */
    NOFP_LARGE,   /* a frame of some pages */
    NOFP_ARGS,    /* arguments on the stack */
    NOFP_SORT,    /* through libc's qsort */
    NOFP_HUGE,    /* 700 KB: no row of 32 bits can say it */
    NOFP__COUNT
};

struct nofp_plan {
    const uint8_t *path;  /* shapes, outermost first */
    uint32_t depth;       /* entries in path */
    uint32_t every;       /* leaf is also called at each depth divisible by this; 0: only at the end */
    void (*leaf)(void *context);
    void *context;
};

/* Calls through plan->path; the value only keeps the compiler from dropping the frames. */
uint64_t nofp_run(const struct nofp_plan *plan);
/* Plain recursion of that many frames, then leaf(context). */
uint64_t nofp_recurse(uint32_t frames, void (*leaf)(void *), void *context);
/* The same frames, but the one with `other` of them below is called from another place. */
uint64_t nofp_recurse_but(uint32_t frames, uint32_t other, void (*leaf)(void *), void *context);

#endif
