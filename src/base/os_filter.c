/* os_filter.c: what seccomp lets us do.
 *
 * A filter may kill the program for a system call it does not expect, and ours are such. So each filter that the program
 * installs is copied beforehand, and every raw call is put to the copies first, with its arguments, by the same little machine
 * that the kernel runs (classic BPF over struct seccomp_data: linux/filter.h, linux/seccomp.h; net/core/filter.c says which
 * instructions it takes). A call that any of them does not simply allow is not made. What a copy cannot tell (it looks at the
 * address of the instruction, or there was no memory for it) is taken for forbidden.
 * Filters are only ever added. A place is taken first, where it forbids everything, and filled then. Pairing F1: a copy is whole
 * before its state says so (release; acquire in the reader).
 */
#include "base/os.h"

#include "base/atomic.h"
#include "base/rawcall.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>

enum { FILTERS_MAX = 16 };

enum copy_state { COPY_UNKNOWN = 0, COPY_KNOWN, COPY_UNUSED };

struct copy {
    uint32_t state; /* shared. UNKNOWN: nothing is allowed; UNUSED: the kernel has refused the filter */
    uint32_t length;
    const struct sock_filter *code;
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
static uint32_t verdict_of(const struct sock_filter *code, uint32_t length, const struct seccomp_data *data)
{
    struct machine m = { .data = data };
    for (uint32_t at = 0; at < length; at++) {
        const struct sock_filter *in = &code[at];
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

static bool code_allows(const struct sock_filter *code, uint32_t length, const struct seccomp_data *data)
{
    uint32_t action = verdict_of(code, length, data) & SECCOMP_RET_ACTION_FULL;
    return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG;
}

static bool allows(const struct copy *copy, const struct seccomp_data *data)
{
    uint32_t state = mt_load_acquire(&copy->state);
    return state == COPY_UNUSED || (state == COPY_KNOWN && code_allows(copy->code, copy->length, data));
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

static bool can_be_read(const void *from, size_t bytes)
{
    uint64_t first = (uint64_t)(uintptr_t)from;
    for (uint64_t at = first; at < first + bytes; at += mt_os_page_bytes()) {
        if (!mt_os_is_readable(at)) {
            return false;
        }
    }
    return bytes < 8 || mt_os_is_readable(first + bytes - 8);
}

/* The program's filter, in its memory; false: what it gave cannot be read, and the kernel will refuse it. */
static bool find_code(const void *program, struct copy *ret)
{
    struct sock_fprog given;
    if (!can_be_read(program, sizeof given)) {
        return false;
    }
    memcpy(&given, program, sizeof given);
    if (!can_be_read(given.filter, given.len * sizeof *given.filter)) {
        return false;
    }
    *ret = (struct copy){ .state = COPY_KNOWN, .code = given.filter, .length = given.len };
    return true;
}

bool mt_os_filter_lets_write(const void *program)
{
    static const long none[6];
    static const long needed[] = { SYS_fstat, SYS_pwrite64, SYS_prlimit64 };
    struct copy given = { 0 };
    if (!find_code(program, &given)) {
        return true;
    }
    for (size_t i = 0; i < MT_COUNTOF(needed); i++) {
        const struct seccomp_data data = data_of(needed[i], none);
        if (!code_allows(given.code, given.length, &data)) {
            return false;
        }
    }
    return true;
}

static bool filters_let(const long *calls, size_t count)
{
    static const long none[6];
    for (size_t i = 0; i < count; i++) {
        if (mt_os_is_restricted() && !mt_raw_is_allowed(calls[i], none)) {
            return false;
        }
    }
    return true;
}

bool mt_os_filters_let_execute(void)
{
    static const long either[] = { SYS_execve, SYS_execveat };
    return filters_let(&either[0], 1) || filters_let(&either[1], 1);
}

/* What base/ calls; without a socket nobody is told anything, which is no harm. */
bool mt_os_filters_let_start(void)
{
    static const long needed[] = { SYS_openat,     SYS_read,        SYS_pread64,   SYS_pwrite64,     SYS_close,       SYS_fstat,
                                   SYS_newfstatat, SYS_ftruncate,   SYS_fallocate, SYS_fcntl,        SYS_readlinkat,  SYS_mmap,
                                   SYS_munmap,     SYS_mprotect,    SYS_madvise,   SYS_mincore,      SYS_prlimit64,   SYS_prctl,
                                   SYS_getpid,     SYS_gettid,      SYS_getrandom, SYS_rt_sigprocmask, SYS_sched_yield, SYS_nanosleep,
                                   SYS_futex,      SYS_clock_gettime };
    return filters_let(needed, MT_COUNTOF(needed));
}

/* By the raw call itself: what else opens a file looks at descriptors first, which the loader does not. */
static size_t read_status(char *text, size_t capacity)
{
    long fd = mt_raw4(SYS_openat, AT_FDCWD, (long)"/proc/self/status", O_RDONLY | O_CLOEXEC, 0);
    long got = fd >= 0 ? mt_raw4(SYS_read, fd, (long)text, (long)capacity - 1, 0) : 0;
    if (fd >= 0) {
        (void)mt_raw4(SYS_close, fd, 0, 0, 0);
    }
    text[got > 0 ? got : 0] = '\0';
    return got > 0 ? (size_t)got : 0;
}

uint64_t mt_os_filter_count(void)
{
    static const char name[] = "\nSeccomp_filters:";
    char text[4096];
    uint64_t count = 0;
    const char *at = read_status(text, sizeof text) > 0 ? strstr(text, name) : NULL;
    for (at = at != NULL ? at + sizeof name - 1 : ""; *at == ' ' || *at == '\t'; at++) {
    }
    for (; *at >= '0' && *at <= '9'; at++) {
        count = count * 10 + (uint64_t)(*at - '0');
    }
    return count;
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

/* A copy in memory of ours; NULL: there is none. */
static const struct sock_filter *copied(const struct copy *given)
{
    void *room = NULL;
    size_t bytes = given->length * sizeof *given->code;
    if (mt_os_map_anonymous(bytes + 1, &room) == MT_OK) {
        memcpy(room, given->code, bytes);
    }
    return room;
}

uint32_t mt_os_filter_add(const void *program)
{
    struct copy given = { 0 };
    const struct sock_filter *code = program != NULL && find_code(program, &given) ? copied(&given) : NULL;
    mt_store_release(&g_mt_restricted, 1u);
    uint32_t place = mt_fetch_add_relaxed(&g_copy_count, 1u);
    if (code != NULL && place < FILTERS_MAX) {
        g_copies[place].code = code;
        g_copies[place].length = given.length;
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

bool mt_os_is_restricted(void)
{
    return mt_load_relaxed(&g_mt_restricted) != 0;
}
