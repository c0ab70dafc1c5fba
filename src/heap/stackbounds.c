/* stackbounds.c: see stackbounds.h.
 *
 * Own stack: [stack_low, stack_high). It starts as the page of its top and is extended downward to every new low of the
 * stack pointer; a page costs one probe in the life of the thread, less than the page fault the program pays for it.
 * Other stacks: two windows a thread, most recent first. A window starts as the page of sp, which is in use and so
 * readable, and is extended upward when a frame ends above it. An unmapping that touches a page that was ever in such a
 * window changes the generation, and all threads start their windows afresh.
 */
#include "heap/stackbounds.h"

#include "base/atomic.h"
#include "base/os.h"
#include "heap/unwind_state.h"

enum { PAGE_BYTES = 4096 }; /* of probing: the smallest page is right with larger ones too */
#define OWN_STEP_MAX_BYTES (64u << 20)       /* farther below the known part it is some other stack */
#define ALTERNATE_DOWN_MAX_BYTES (256u << 10)
#define ALTERNATE_FRAME_MAX_BYTES (8u << 20) /* one frame on another stack is never larger */

extern void *__libc_stack_end __attribute__((weak)); /* ld.so: rsp at the program's entry point */

static uint32_t g_generation;           /* writers: any thread; relaxed, a late reader is as if the unmap came later */
static uint64_t g_hull_low = UINT64_MAX; /* all windows there ever were; relaxed */
static uint64_t g_hull_high;

static uint64_t page_of(uint64_t address)
{
    return address & ~(uint64_t)(PAGE_BYTES - 1);
}

static uint64_t page_after(uint64_t address)
{
    return page_of(address + PAGE_BYTES - 1);
}

static uint64_t thread_pointer(void)
{
    uint64_t value;
    __asm__("movq %%fs:0, %0" : "=r"(value)); /* psABI, TLS variant II: the first word points to itself */
    return value;
}

void mt_stackbounds_init(struct mt_unwinder *u)
{
    if (u->stack_high == 0) {
        bool is_main = mt_os_tid() == mt_os_pid();
        bool known = is_main && &__libc_stack_end != NULL;
        u->stack_high = known ? (uint64_t)(uintptr_t)__libc_stack_end : is_main ? 0 : thread_pointer();
    }
    if (u->stack_low == 0) {
        u->stack_low = page_of(u->stack_high);
    }
}

static void widen_hull(uint64_t low, uint64_t high)
{
    uint64_t old = mt_load_relaxed(&g_hull_low);
    while (low < old && !mt_cas_acq_rel(&g_hull_low, &old, low)) {
    }
    old = mt_load_relaxed(&g_hull_high);
    while (high > old && !mt_cas_acq_rel(&g_hull_high, &old, high)) {
    }
}

void mt_stackbounds_forget(uint64_t addr, uint64_t bytes)
{
    if (addr < mt_load_relaxed(&g_hull_high) && addr + bytes > mt_load_relaxed(&g_hull_low)) {
        (void)mt_fetch_add_relaxed(&g_generation, 1u);
    }
}

static void follow_generation(struct mt_unwinder *u)
{
    uint32_t generation = mt_load_relaxed(&g_generation);
    if (u->alternate_generation != generation) {
        u->alternate_generation = generation;
        u->alternate[0].low = u->alternate[0].high = 0;
        u->alternate[1].low = u->alternate[1].high = 0;
        mt_unwind_state_of(u)->own_floor = 0;
    }
}

/* Probes pages downward from known towards wanted; the lowest page such that everything up to known is readable. */
static uint64_t probe_down(uint64_t known, uint64_t wanted)
{
    while (known > wanted && mt_os_is_readable(known - PAGE_BYTES)) {
        known -= PAGE_BYTES;
    }
    return known;
}

static bool extend_own(struct mt_unwinder *u, uint64_t sp)
{
    struct mt_unwind_state *state = mt_unwind_state_of(u);
    uint64_t wanted = page_of(sp - MT_STACK_RED_ZONE_BYTES);
    if (sp >= u->stack_high || wanted < state->own_floor || u->stack_low - wanted > OWN_STEP_MAX_BYTES) {
        return false;
    }
    u->stack_low = probe_down(u->stack_low, wanted);
    if (u->stack_low > sp) {
        state->own_floor = u->stack_low;
        return false;
    }
    return true; /* at worst the red zone is missing */
}

static bool enter_own(struct mt_unwinder *u, uint64_t sp, struct mt_stack_span *ret_span)
{
    if (!mt_stackbounds_is_own(u, sp) && !extend_own(u, sp)) {
        return false;
    }
    *ret_span = (struct mt_stack_span){ u->stack_low, u->stack_high, MT_STACK_OWN };
    return true;
}

static bool enter_known(struct mt_unwinder *u, uint64_t sp, struct mt_stack_span *ret_span)
{
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t low = u->alternate[i].low;
        uint64_t wanted = page_of(sp - MT_STACK_RED_ZONE_BYTES);
        if (sp >= u->alternate[i].high || (wanted < low && low - wanted > ALTERNATE_DOWN_MAX_BYTES)) {
            continue;
        }
        uint64_t reached = wanted < low ? probe_down(low, wanted) : low;
        if (reached <= sp) {
            u->alternate[i].low = reached;
            widen_hull(reached, low);
            *ret_span = (struct mt_stack_span){ reached, u->alternate[i].high, i };
            return true;
        }
    }
    return false;
}

bool mt_stackbounds_enter(struct mt_unwinder *u, uint64_t sp, struct mt_stack_span *ret_span)
{
    follow_generation(u);
    if (sp < PAGE_BYTES || sp > UINT64_MAX - PAGE_BYTES) {
        return false;
    }
    if (enter_own(u, sp, ret_span) || enter_known(u, sp, ret_span)) {
        return true;
    }
    u->alternate[1] = u->alternate[0];
    u->alternate[0].low = page_of(sp);
    u->alternate[0].high = page_of(sp) + PAGE_BYTES;
    widen_hull(u->alternate[0].low, u->alternate[0].high);
    *ret_span = (struct mt_stack_span){ u->alternate[0].low, u->alternate[0].high, 0 };
    return true;
}

bool mt_stackbounds_reach(struct mt_unwinder *u, struct mt_stack_span *span, uint64_t high)
{
    if (high <= span->high) {
        return true;
    }
    if (span->which == MT_STACK_OWN || high - span->high > ALTERNATE_FRAME_MAX_BYTES) {
        return false;
    }
    uint64_t wanted = page_after(high);
    uint64_t known = span->high;
    while (known < wanted && mt_os_is_readable(known)) {
        known += PAGE_BYTES;
    }
    widen_hull(span->high, known);
    span->high = known;
    u->alternate[span->which].high = known;
    return high <= known;
}
