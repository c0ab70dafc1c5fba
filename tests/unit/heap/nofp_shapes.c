/* nofp_shapes.c: see nofp_shapes.h. Built with -O2 -fomit-frame-pointer and without sibling calls. */
#include "nofp_shapes.h"

#include <alloca.h>
#include <stdlib.h>

#define NOINLINE __attribute__((noinline, noclone))

static uint64_t go_on(const struct nofp_plan *plan, uint32_t at, uint64_t x);

static NOINLINE uint64_t plain(const struct nofp_plan *plan, uint32_t at, uint64_t x)
{
    return go_on(plan, at, x * 3 + 1) ^ x;
}

static NOINLINE uint64_t busy(const struct nofp_plan *plan, uint32_t at, uint64_t x)
{
    uint64_t a = x * 5 + 1, b = x ^ 77, c = x * x, d = x >> 3, e = x << 5, f = ~x, g = x * 1234567;
    uint64_t r = go_on(plan, at, a + b);
    return r ^ (a * b + c * d - e * f) ^ g;
}

static NOINLINE uint64_t dynamic(const struct nofp_plan *plan, uint32_t at, uint64_t x)
{
    volatile uint8_t *block = alloca(16 + (x & 255));
    block[0] = (uint8_t)x;
    return go_on(plan, at, x + block[0]) + block[0];
}

static NOINLINE uint64_t aligned(const struct nofp_plan *plan, uint32_t at, uint64_t x, uint64_t y1, uint64_t y2,
                                 uint64_t y3, uint64_t y4, uint64_t y5)
{
    _Alignas(64) volatile uint8_t buffer[192];
    volatile uint8_t *block = alloca(16 + (x & 127));
    buffer[x & 127] = (uint8_t)(y4 + y5);
    block[1] = (uint8_t)x;
    return go_on(plan, at, x + y1 + y2 + y3) + buffer[x & 127] + block[1] + y5;
}

static NOINLINE uint64_t large(const struct nofp_plan *plan, uint32_t at, uint64_t x)
{
    volatile uint8_t buffer[9000];
    buffer[x % 9000] = 1;
    return go_on(plan, at, x + 9) + buffer[x % 9000];
}

static NOINLINE uint64_t huge(const struct nofp_plan *plan, uint32_t at, uint64_t x)
{
    volatile uint8_t buffer[700000];
    buffer[x % 700000] = 1;
    return go_on(plan, at, x + 9) + buffer[x % 700000];
}

static NOINLINE uint64_t stacked(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f,
                                 const struct nofp_plan *plan, uint32_t at, uint64_t x)
{
    return go_on(plan, at, a + b * c + x) + d * e + f;
}

static __thread struct {
    const struct nofp_plan *plan;
    uint32_t at;
    uint64_t x;
    uint64_t result;
} t_sort;

static int compare(const void *left, const void *right)
{
    const struct nofp_plan *plan = t_sort.plan;
    if (plan != NULL) {
        t_sort.plan = NULL;
        t_sort.result = go_on(plan, t_sort.at, t_sort.x);
    }
    return *(const int *)left - *(const int *)right;
}

static NOINLINE uint64_t sorted(const struct nofp_plan *plan, uint32_t at, uint64_t x)
{
    int values[5] = { 5, 1, (int)(x & 7), 3, 2 };
    t_sort.plan = plan;
    t_sort.at = at;
    t_sort.x = x;
    qsort(values, 5, sizeof values[0], compare);
    return t_sort.result + (uint64_t)values[0];
}

static NOINLINE uint64_t go_on(const struct nofp_plan *plan, uint32_t at, uint64_t x)
{
    if (at == plan->depth || (plan->every != 0 && at % plan->every == 0)) {
        plan->leaf(plan->context);
    }
    if (at == plan->depth) {
        return x;
    }
    switch ((enum nofp_shape)plan->path[at]) {
    case NOFP_BUSY:
        return busy(plan, at + 1, x) + 1;
    case NOFP_ALLOCA:
        return dynamic(plan, at + 1, x) + 2;
    case NOFP_ALIGNED:
        return aligned(plan, at + 1, x, x, x + 1, x + 2, x + 3, x + 4) + 3;
    case NOFP_LARGE:
        return large(plan, at + 1, x) + 4;
    case NOFP_ARGS:
        return stacked(x, x, x, x, x, x, plan, at + 1, x) + 5;
    case NOFP_SORT:
        return sorted(plan, at + 1, x) + 6;
    case NOFP_HUGE:
        return huge(plan, at + 1, x) + 7;
    case NOFP_PLAIN:
    case NOFP__COUNT:
    default:
        return plain(plan, at + 1, x) + 8;
    }
}

uint64_t nofp_run(const struct nofp_plan *plan)
{
    return go_on(plan, 0, (uint64_t)plan->depth + 7) + 1;
}

NOINLINE uint64_t nofp_recurse(uint32_t frames, void (*leaf)(void *), void *context)
{
    if (frames == 0) {
        leaf(context);
        return 1;
    }
    return nofp_recurse(frames - 1, leaf, context) * 3 + frames;
}

NOINLINE uint64_t nofp_recurse_but(uint32_t frames, uint32_t other, void (*leaf)(void *), void *context)
{
    if (frames == 0) {
        leaf(context);
        return 1;
    }
    if (frames == other) {
        return nofp_recurse_but(frames - 1, other, leaf, context) * 5 + frames;
    }
    return nofp_recurse_but(frames - 1, other, leaf, context) * 3 + frames;
}
