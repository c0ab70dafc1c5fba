/* filter_copies.c: see filter_copies.h. */
#include "base/filter_copies.h"

#include "base/os.h"
#include "base/rawcall.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>

enum { FILTERS_MAX = 16 };

enum copy_state { COPY_UNKNOWN = 0, COPY_KNOWN, COPY_UNUSED };

struct copy {
    uint32_t state; /* shared. UNKNOWN: nothing is allowed; UNUSED: the kernel has refused the filter */
    struct mt_filter_code filter;
};
static struct copy g_copies[FILTERS_MAX];
static uint32_t g_copy_count; /* shared; more than FILTERS_MAX: nothing is allowed */
uint32_t g_mt_restricted;     /* shared; 0: there was never a filter, every call is made */

/* The machine's registers. */
struct machine {
    const struct seccomp_data *data;
    uint32_t a, x;
    uint32_t memory[BPF_MEMWORDS];
};

static uint32_t compute(uint16_t operation, uint32_t a, uint32_t b)
{
    switch (operation) {
    case BPF_ADD: return a + b;
    case BPF_SUB: return a - b;
    case BPF_MUL: return a * b;
    case BPF_DIV: return b != 0 ? a / b : 0;
    case BPF_AND: return a & b;
    case BPF_OR: return a | b;
    case BPF_XOR: return a ^ b;
    case BPF_LSH: return a << (b & 31);
    case BPF_RSH: return a >> (b & 31);
    case BPF_NEG: return 0 - a;
    default: return 0;
    }
}

static bool compare(uint16_t operation, uint32_t a, uint32_t b)
{
    return operation == BPF_JEQ ? a == b : operation == BPF_JGT ? a > b : operation == BPF_JGE ? a >= b : (a & b) != 0;
}

/* False: a load that has no known value. */
static bool load(struct machine *m, const struct sock_filter *in, uint32_t *ret_value)
{
    bool of_address = in->k - offsetof(struct seccomp_data, instruction_pointer) < sizeof m->data->instruction_pointer;
    switch (BPF_MODE(in->code)) {
    case BPF_IMM:
        *ret_value = in->k;
        return true;
    case BPF_MEM:
        *ret_value = m->memory[in->k % BPF_MEMWORDS];
        return true;
    case BPF_LEN:
        *ret_value = sizeof *m->data;
        return true;
    case BPF_ABS:
        if (of_address || in->k > sizeof *m->data - sizeof *ret_value) {
            return false;
        }
        memcpy(ret_value, (const uint8_t *)m->data + in->k, sizeof *ret_value);
        return true;
    default:
        return false;
    }
}

static uint32_t jump(const struct machine *m, const struct sock_filter *in)
{
    if (BPF_OP(in->code) == BPF_JA) {
        return in->k;
    }
    return compare(BPF_OP(in->code), m->a, BPF_SRC(in->code) == BPF_X ? m->x : in->k) ? in->jt : in->jf;
}

/* What is neither a jump nor the end. */
static bool step(struct machine *m, const struct sock_filter *in)
{
    switch (BPF_CLASS(in->code)) {
    case BPF_LD:
        return load(m, in, &m->a);
    case BPF_LDX:
        return load(m, in, &m->x);
    case BPF_ST:
        m->memory[in->k % BPF_MEMWORDS] = m->a;
        return true;
    case BPF_STX:
        m->memory[in->k % BPF_MEMWORDS] = m->x;
        return true;
    case BPF_ALU:
        m->a = compute(BPF_OP(in->code), m->a, BPF_SRC(in->code) == BPF_X ? m->x : in->k);
        return true;
    case BPF_MISC:
        *(BPF_MISCOP(in->code) == BPF_TAX ? &m->x : &m->a) = BPF_MISCOP(in->code) == BPF_TAX ? m->a : m->x;
        return true;
    default:
        return false;
    }
}

/* Jumps lead forward only, so this ends. */
static uint32_t verdict_of(const struct mt_filter_code *filter, const struct seccomp_data *data)
{
    struct machine m = { .data = data };
    for (uint32_t at = 0; at < filter->length; at++) {
        const struct sock_filter *in = &filter->code[at];
        if (BPF_CLASS(in->code) == BPF_RET) {
            return BPF_RVAL(in->code) == BPF_A ? m.a : in->k;
        }
        if (BPF_CLASS(in->code) == BPF_JMP) {
            at += jump(&m, in);
        } else if (!step(&m, in)) {
            break;
        }
    }
    return SECCOMP_RET_KILL_PROCESS;
}

static bool code_allows(const struct mt_filter_code *filter, const struct seccomp_data *data)
{
    uint32_t action = verdict_of(filter, data) & SECCOMP_RET_ACTION_FULL;
    return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG;
}

static bool allows(const struct copy *copy, const struct seccomp_data *data)
{
    uint32_t state = mt_load_acquire(&copy->state);
    return state == COPY_UNUSED || (state == COPY_KNOWN && code_allows(&copy->filter, data));
}

static struct seccomp_data data_of(long number, const long arguments[6])
{
    struct seccomp_data data = { .nr = (int)number, .arch = AUDIT_ARCH_X86_64 };
    for (int i = 0; i < 6; i++) {
        data.args[i] = (uint64_t)arguments[i];
    }
    return data;
}

bool mt_raw_is_allowed(long number, const long arguments[6])
{
    const struct seccomp_data data = data_of(number, arguments);
    uint32_t count = mt_load_acquire(&g_copy_count);
    bool allowed = count <= FILTERS_MAX;
    for (uint32_t i = 0; i < count && allowed; i++) {
        allowed = allows(&g_copies[i], &data);
    }
    return allowed;
}

bool mt_filter_code_allows(const struct mt_filter_code *filter, long number, const long arguments[6])
{
    const struct seccomp_data data = data_of(number, arguments);
    return code_allows(filter, &data);
}

uint32_t mt_filter_enter(const struct mt_filter_code *filter)
{
    mt_store_release(&g_mt_restricted, 1u);
    uint32_t place = mt_fetch_add_relaxed(&g_copy_count, 1u);
    if (filter->code != NULL && place < FILTERS_MAX) {
        g_copies[place].filter = *filter;
        mt_store_release(&g_copies[place].state, (uint32_t)COPY_KNOWN);
    }
    return place;
}

void mt_os_filter_undo(uint32_t place)
{
    if (place < FILTERS_MAX) {
        mt_store_release(&g_copies[place].state, (uint32_t)COPY_UNUSED);
    }
}

uint64_t mt_os_filters_added(void)
{
    uint64_t added = 0;
    uint32_t count = mt_load_acquire(&g_copy_count);
    for (uint32_t i = 0; i < count && i < FILTERS_MAX; i++) {
        added += mt_load_acquire(&g_copies[i].state) != COPY_UNUSED;
    }
    return count <= FILTERS_MAX ? added : 0;
}

bool mt_os_is_restricted(void)
{
    return mt_load_relaxed(&g_mt_restricted) != 0;
}
