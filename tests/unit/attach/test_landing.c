/* The landing's code, run in this process by registers that are set by hand: what it does, and that it leaves nothing changed. */
#include "attach/landing.h"

#include "attach/foothold.h"
#include "base/compiler.h"

#include "harness.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { ERESTARTSYS = 512, ERESTARTNOHAND = 514 };

void mt_landing_run(struct mt_landing_box *box, struct mt_landing_frame *frame);

/* ---- an agent made by hand ------------------------------------------------------------------------------------------ */

static struct {
    unsigned attached, detached, opened;
    char *const *settings;
    char path[64];
    uint64_t blocked; /* signals, while it was at work */
    bool no_library;
} g_seen;

static uint64_t blocked_now(void)
{
    sigset_t mask;
    uint64_t word = 0;
    assert_int_equal(sigprocmask(SIG_BLOCK, NULL, &mask), 0);
    memcpy(&word, &mask, sizeof word);
    return word;
}

static int attach(char *const *settings)
{
    g_seen.attached++;
    g_seen.settings = settings;
    g_seen.blocked = blocked_now();
    errno = ERANGE; /* the program's is another */
    return MEMTAP_AGENT_OK;
}

static int detach(void)
{
    g_seen.detached++;
    return MEMTAP_AGENT_IDLE;
}

static int state(struct memtap_agent_state *ret)
{
    assert_int_equal(ret->struct_bytes, sizeof *ret);
    ret->mode = MEMTAP_EXACT;
    return MEMTAP_AGENT_OK;
}

static const struct memtap_agent_api *agent(void)
{
    static const struct memtap_agent_api api = { .struct_bytes = sizeof api, .attach = attach, .detach = detach, .state = state };
    return &api;
}

static const struct memtap_agent_api *old_agent(void)
{
    static const struct memtap_agent_api api = { .struct_bytes = 16 };
    return &api;
}

static void *open_library(const char *path, int flags)
{
    (void)flags;
    g_seen.opened++;
    (void)snprintf(g_seen.path, sizeof g_seen.path, "%s", path);
    return g_seen.no_library ? NULL : &g_seen;
}

static void *find(void *handle, const char *name)
{
    union {
        memtap_agent_api_function function;
        void *object;
    } found = { agent };
    assert_ptr_equal(handle, &g_seen);
    assert_string_equal(name, "memtap_agent_api");
    return found.object;
}

static char *why(void)
{
    static char text[] = "no such library, says the loader";
    return text;
}

static int *errno_here(void)
{
    return &errno;
}

/* ---- the box and the way in ----------------------------------------------------------------------------------------- */

struct landing {
    struct mt_landing_box *box;
    uint64_t entry;
};

static struct landing make(void)
{
    size_t bytes, entry;
    const void *code = mt_landing_code(&bytes, &entry);
    assert_true(bytes <= MT_LANDING_CODE_BYTES && entry < bytes);
    char *room = mmap(NULL, MT_LANDING_BOX_BYTES + MT_LANDING_CODE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(room + MT_LANDING_BOX_BYTES, code, bytes);
    assert_int_equal(mprotect(room + MT_LANDING_BOX_BYTES, MT_LANDING_CODE_BYTES, PROT_READ | PROT_EXEC), 0);
    struct mt_landing_box *box = (void *)room;
    *box = (struct mt_landing_box){
        .magic = MT_LANDING_MAGIC, .blocked = (uint64_t)1 << (SIGUSR1 - 1) | (uint64_t)1 << (SIGTERM - 1), .stack_bytes = MT_LANDING_STACK_BYTES,
        .xsave_bytes = mt_foothold_vector_bytes(), .state = MT_LANDING_TAKEN, .control = 0x1F80, .task = MT_LANDING_ATTACH,
        .patience_ns = 60000000000u, .fd = -1, .errno_location = errno_here, .open = open_library, .find = find, .why = why, .agent = agent,
        .path = "/library", .whole_path = true, .name = "x", .symbol = "memtap_agent_api",
    };
    memset(&g_seen, 0, sizeof g_seen);
    return (struct landing){ box, (uint64_t)(uintptr_t)room + MT_LANDING_BOX_BYTES + entry };
}

static void unmake(struct landing *l)
{
    (void)munmap(l->box, MT_LANDING_BOX_BYTES + MT_LANDING_CODE_BYTES);
}

/* What was in the registers, and what is when the thread is back. */
struct kept {
    uint64_t before[14], after[14], stack_before, stack_after;
    double vector_before, vector_after;
};

/* Sets every register the ABI lets us, lays the frame as a stopped thread gets it, and jumps. The way back leads to label 9. */
static __attribute__((noinline)) void visit(struct landing *l, struct kept *kept)
{
    struct mt_landing_box *box = l->box;
    uint64_t entry = l->entry;
    __asm__ volatile("    lea -128(%%rsp), %%rsp\n    push %%rbp\n    push %%rbx\n" /* below what the compiler keeps there */
                     "    push %[kept]\n"
                     "    movsd 240(%[kept]), %%xmm9\n"
                     "    mov %%rsp, 224(%[kept])\n"
                     "    mov %[entry], %%r11\n"
                     "    mov %[box], %%r10\n"
                     "    mov %[kept], %%rax\n"
                     "    lea -272(%%rsp), %%rbx\n" /* red zone and frame: 128 + 144 */
                     "    movq $15, 8(%%rbx)\n    movq $14, 16(%%rbx)\n    movq $13, 24(%%rbx)\n    movq $12, 32(%%rbx)\n"
                     "    movq $6, 40(%%rbx)\n    movq $3, 48(%%rbx)\n    movq $11, 56(%%rbx)\n    movq $10, 64(%%rbx)\n"
                     "    movq $9, 72(%%rbx)\n    movq $8, 80(%%rbx)\n    movq $2, 88(%%rbx)\n    movq $1, 96(%%rbx)\n"
                     "    movq $4, 104(%%rbx)\n    movq $5, 112(%%rbx)\n    movq $7, 120(%%rbx)\n"
                     "    pushfq\n    pop %%rcx\n    mov %%rcx, 128(%%rbx)\n"
                     "    lea 9f(%%rip), %%rcx\n    mov %%rcx, 136(%%rbx)\n"
                     "    movq $0x5EED, -8(%%rsp)\n    movq $0x5EED, -128(%%rsp)\n" /* the red zone */
                     "    mov %%rbx, %%rsp\n"
                     "    mov %%r10, %%rbx\n"
                     "    jmp *%%r11\n"
                     "9:  cmpq $0x5EED, -8(%%rsp)\n    jne 8f\n    cmpq $0x5EED, -128(%%rsp)\n    je 7f\n"
                     "8:  ud2\n"
                     "7:  push %%rax\n"
                     "    mov 8(%%rsp), %%rax\n"
                     "    mov %%r15, 112(%%rax)\n    mov %%r14, 120(%%rax)\n    mov %%r13, 128(%%rax)\n    mov %%r12, 136(%%rax)\n"
                     "    mov %%rbp, 144(%%rax)\n    mov %%rbx, 152(%%rax)\n    mov %%r11, 160(%%rax)\n    mov %%r10, 168(%%rax)\n"
                     "    mov %%r9, 176(%%rax)\n    mov %%r8, 184(%%rax)\n    mov %%rcx, 192(%%rax)\n    mov %%rdx, 200(%%rax)\n"
                     "    mov %%rsi, 208(%%rax)\n    mov %%rdi, 216(%%rax)\n"
                     "    movsd %%xmm9, 248(%%rax)\n"
                     "    pop %%rcx\n    mov %%rcx, 0(%%rax)\n"
                     "    mov %%rsp, 232(%%rax)\n"
                     "    pop %%rcx\n    pop %%rbx\n    pop %%rbp\n    lea 128(%%rsp), %%rsp\n"
                     :
                     : [kept] "D"(kept), [entry] "S"(entry), [box] "d"(box)
                     : "rax", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm9", "memory", "cc");
}

static_assert(offsetof(struct kept, after) == 112 && offsetof(struct kept, stack_before) == 224 && offsetof(struct kept, vector_before) == 240,
              "as in the assembly");

/* ---- tests ---------------------------------------------------------------------------------------------------------- */

static void test_a_visit_changes_no_register_no_signal_and_no_errno(void **unused)
{
    static const uint64_t wanted[14] = { 15, 14, 13, 12, 6, 3, 11, 10, 9, 8, 2, 1, 4, 5 };
    struct landing l = make();
    struct kept kept = { .vector_before = 1.25 };
    uint64_t mask = blocked_now();
    (void)unused;
    errno = EXDEV;
    visit(&l, &kept);
    assert_int_equal(errno, EXDEV);
    assert_memory_equal(kept.after, wanted, sizeof wanted);
    assert_int_equal(kept.before[0], 7); /* rax */
    assert_int_equal(kept.stack_after, kept.stack_before);
    assert_true(kept.vector_after == 1.25);
    assert_int_equal(blocked_now(), mask);
    assert_int_equal(g_seen.attached, 1);
    assert_int_equal(g_seen.blocked, l.box->blocked | mask);
    assert_int_equal(l.box->state, MT_LANDING_FREE);
    assert_int_equal(l.box->failure, MT_LANDING_OK);
    assert_int_equal(l.box->result.mode, MEMTAP_EXACT);
    unmake(&l);
}

static void test_detach_asks_the_agent_to_end(void **unused)
{
    struct landing l = make();
    struct kept kept = { 0 };
    (void)unused;
    l.box->task = MT_LANDING_DETACH;
    visit(&l, &kept);
    assert_int_equal(g_seen.detached, 1);
    assert_int_equal(l.box->code, MEMTAP_AGENT_IDLE);
    unmake(&l);
}

static void test_an_agent_that_is_not_there_is_opened(void **unused)
{
    struct landing l = make();
    struct kept kept = { 0 };
    (void)unused;
    l.box->agent = NULL;
    visit(&l, &kept);
    assert_int_equal(g_seen.opened, 1);
    assert_string_equal(g_seen.path, "/library");
    assert_int_equal(g_seen.attached, 1);
    unmake(&l);
}

static void test_what_the_loader_says_is_kept(void **unused)
{
    struct landing l = make();
    struct kept kept = { 0 };
    (void)unused;
    l.box->agent = NULL;
    g_seen.no_library = true;
    visit(&l, &kept);
    assert_int_equal(l.box->failure, MT_LANDING_NO_DLOPEN);
    assert_string_equal(l.box->said, "no such library, says the loader");
    assert_int_equal(l.box->state, MT_LANDING_FREE);
    assert_int_equal(g_seen.attached, 0);
    unmake(&l);
}

static void test_an_agent_of_another_version_is_not_called(void **unused)
{
    struct landing l = make();
    struct kept kept = { 0 };
    (void)unused;
    l.box->agent = old_agent;
    visit(&l, &kept);
    assert_int_equal(l.box->failure, MT_LANDING_NO_AGENT);
    assert_int_equal(g_seen.attached, 0);
    unmake(&l);
}

/* A process that has ended and been waited for: its number is nobody's. */
static pid_t nobody(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        _exit(0);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    return pid;
}

static void test_a_memtap_that_is_gone_is_not_waited_for(void **unused)
{
    struct landing l = make();
    struct kept kept = { 0 };
    int before = dup(0);
    (void)unused;
    l.box->agent = NULL;
    l.box->whole_path = false;
    l.box->memtap = (uint64_t)nobody();
    visit(&l, &kept);
    assert_int_equal(l.box->failure, MT_LANDING_NOBODY);
    assert_int_equal(l.box->state, MT_LANDING_FREE);
    assert_int_equal(g_seen.opened, 0);
    (void)close(before);
    int after = dup(0);
    assert_int_equal(after, before); /* its memory file is closed */
    (void)close(after);
    unmake(&l);
}

static void test_no_memory_for_a_stack_is_a_failure_that_changes_nothing(void **unused)
{
    struct landing l = make();
    struct kept kept = { .vector_before = 2.5 };
    (void)unused;
    l.box->stack_bytes = (uint64_t)1 << 60;
    visit(&l, &kept);
    assert_int_equal(l.box->failure, MT_LANDING_NO_STACK);
    assert_int_equal(l.box->state, MT_LANDING_FREE);
    assert_int_equal(kept.before[0], 7);
    assert_true(kept.vector_after == 2.5);
    unmake(&l);
}

/* ---- the interrupted call ------------------------------------------------------------------------------------------- */

static void handle(int signal)
{
    (void)signal;
}

/* rax and rip after a visit with this signal waiting, that the thread itself does not block. */
static struct mt_landing_frame settled(int64_t interrupted, int flags, bool has_handler)
{
    struct landing l = make();
    struct mt_landing_frame frame = { .rax = 202, .rip = 1000 };
    struct sigaction action = { .sa_handler = has_handler ? handle : SIG_IGN, .sa_flags = flags };
    sigset_t blocked, before;
    (void)sigemptyset(&blocked);
    (void)sigaddset(&blocked, SIGUSR1);
    (void)sigprocmask(SIG_BLOCK, &blocked, &before);
    (void)sigaction(SIGUSR1, &action, NULL);
    (void)kill(getpid(), SIGUSR1);
    l.box->interrupted = interrupted;
    l.box->behind_call = 1002;
    mt_landing_run(l.box, &frame);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    unmake(&l);
    return frame;
}

static void test_a_signal_with_a_handler_ends_a_call_as_the_kernel_would(void **unused)
{
    (void)unused;
    struct mt_landing_frame frame = settled(-EINTR, SA_RESTART, true);
    assert_int_equal((int64_t)frame.rax, -EINTR);
    assert_int_equal(frame.rip, 1002);
    frame = settled(-ERESTARTNOHAND, SA_RESTART, true);
    assert_int_equal((int64_t)frame.rax, -EINTR);
    frame = settled(-ERESTARTSYS, 0, true);
    assert_int_equal((int64_t)frame.rax, -EINTR);
}

static void test_a_call_that_goes_on_is_made_again(void **unused)
{
    (void)unused;
    struct mt_landing_frame frame = settled(-ERESTARTSYS, SA_RESTART, true);
    assert_int_equal(frame.rax, 202);
    assert_int_equal(frame.rip, 1000);
    frame = settled(-EINTR, 0, false); /* ignored */
    assert_int_equal(frame.rax, 202);
    frame = settled(0, 0, true); /* it was in no call */
    assert_int_equal(frame.rax, 202);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_visit_changes_no_register_no_signal_and_no_errno),
    cmocka_unit_test(test_detach_asks_the_agent_to_end),
    cmocka_unit_test(test_an_agent_that_is_not_there_is_opened),
    cmocka_unit_test(test_what_the_loader_says_is_kept),
    cmocka_unit_test(test_an_agent_of_another_version_is_not_called),
    cmocka_unit_test(test_a_memtap_that_is_gone_is_not_waited_for),
    cmocka_unit_test(test_no_memory_for_a_stack_is_a_failure_that_changes_nothing),
    cmocka_unit_test(test_a_signal_with_a_handler_ends_a_call_as_the_kernel_would),
    cmocka_unit_test(test_a_call_that_goes_on_is_made_again),
};
MT_TEST_MAIN(tests)
