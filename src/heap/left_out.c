/* left_out.c: see left_out.h.
 *
 * Invariant: a page is written by the children of one process and read by that process. Pairing F2: pid and kind of filter, then the
 * count (release) -> count (acquire), then those.
 */
#include "heap/left_out.h"

#include "base/decimal.h"
#include "base/os.h"
#include "heap/state.h"

enum { TEXT_BYTES = 256 };

struct told {
    uint64_t count; /* children */
    uint64_t pid;   /* of the first; 0: it might not ask for it */
    uint32_t unknown_filter; /* what the filter forbids is not known: 1 */
};

static struct told *g_children; /* written by the children; NULL: none could have been told */
static struct told *g_parents;  /* in a fork child */
static uint64_t g_said;

void mt_left_out_prepare(void)
{
    void *page = NULL;
    struct told *none = NULL;
    if (g_mt.restart_after_fork == NULL || mt_load_acquire(&g_children) != NULL ||
        mt_os_map_shared(sizeof *g_children, &page) != MT_OK) {
        return;
    }
    if (!mt_cas_acq_rel(&g_children, &none, (struct told *)page)) {
        mt_os_unmap(page, sizeof *g_children); /* another thread forks as well */
    }
}

void mt_left_out_after_fork(void)
{
    g_parents = g_children;
    g_children = NULL;
    g_said = 0;
}

void mt_engine_child_is_left_out(int pid, bool unknown_filter)
{
    struct told *told = g_parents;
    uint64_t none = 0;
    if (told == NULL) {
        return;
    }
    if (unknown_filter) {
        mt_store_release(&told->unknown_filter, 1u);
    }
    if (pid > 0) {
        (void)mt_cas_acq_rel(&told->pid, &none, (uint64_t)pid);
    }
    (void)mt_fetch_add_acq_rel(&told->count, (uint64_t)1);
}

/* ---- the sentence ---------------------------------------------------------------------------------------------------- */

static char *add_text(char *at, const char *text)
{
    while (*text != '\0') {
        *at++ = *text++;
    }
    return at;
}

static char *add_number(char *at, uint64_t number)
{
    char digits[MT_DECIMAL_BYTES];
    return add_text(at, mt_decimal(number, digits));
}

static void note(uint64_t count, uint64_t pid)
{
    char text[TEXT_BYTES], *at = text;
    if (pid != 0) {
        at = add_number(add_text(at, "process "), pid);
    }
    if (pid != 0 && count > 1) {
        at = add_text(add_number(add_text(at, " and "), count - 1), " more");
    } else if (pid == 0) {
        at = add_text(add_number(at, count), count == 1 ? " process" : " processes");
    }
    at = add_text(at, count == 1 ? " that it forked is not recorded: a seccomp filter that it inherits"
                                 : " that it forked are not recorded: a seccomp filter that they inherit");
    at = add_text(at, " may forbid calls that the agent makes");
    *at = '\0';
    mt_engine_note("warning", text);
}

/* An unknown filter is this process's as well: no call that it might kill for is made any more. */
static void obey_unknown_filter(const struct told *told)
{
    static uint32_t obeyed;
    if (mt_load_acquire(&told->unknown_filter) != 0 && mt_exchange_acq_rel(&obeyed, 1u) == 0) {
        (void)mt_os_filter_add(NULL);
    }
}

void mt_left_out_look(bool last)
{
    const struct told *told = mt_load_acquire(&g_children);
    uint64_t count = told != NULL ? mt_load_acquire(&told->count) : 0;
    uint64_t said = mt_load_relaxed(&g_said);
    if (count == said) {
        return;
    }
    obey_unknown_filter(told);
    if ((last || count >= 2 * said) && mt_exchange_acq_rel(&g_said, count) == said) {
        note(count, mt_load_relaxed(&told->pid));
    }
}
