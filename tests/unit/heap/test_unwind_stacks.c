/* test_unwind_stacks.c: stacks that are not one plain thread stack: signals, alternate stacks, coroutines, code without
 * unwind tables, objects that come and go.
 * Link: unwind
 */
#include "harness.h"
#include "nofp_shapes.h"
#include "unwind_oracle.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

static struct oracle g_oracle;

static void settle(void)
{
    uint64_t wrong = g_oracle.wrong;
    uint64_t captures = g_oracle.captures;
    oracle_fini(&g_oracle);
    assert_true(captures > 0);
    assert_int_equal(wrong, 0);
}

static int g_nested;

static void on_signal(int number)
{
    (void)number;
    oracle_check(&g_oracle);
    nofp_recurse(5, oracle_check, &g_oracle);
    if (g_nested > 0) {
        g_nested--;
        raise(SIGUSR2);
    }
    oracle_check(&g_oracle);
}

static void install(int flags)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };
    sigemptyset(&action.sa_mask);
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
    assert_int_equal(sigaction(SIGUSR2, &action, NULL), 0);
    assert_int_equal(sigaction(SIGSEGV, &action, NULL), 0);
}

static void raise_within(void *context)
{
    oracle_check(context);
    raise(SIGUSR1);
    oracle_check(context);
}

static void raise_everywhere(uint32_t rounds)
{
    static const uint8_t path[] = { NOFP_PLAIN, NOFP_BUSY, NOFP_ALIGNED, NOFP_ALLOCA, NOFP_SORT, NOFP_BUSY };
    struct nofp_plan plan = { path, sizeof path, 1, raise_within, &g_oracle };
    for (uint32_t i = 0; i < rounds; i++) {
        g_nested = (int)(i % 3);
        nofp_run(&plan);
    }
}

static void test_signal_handlers_are_walked_through(void **state)
{
    (void)state;
    oracle_init(&g_oracle);
    install(0);
    raise_everywhere(30);
    settle();
}

static void test_handlers_on_an_alternate_stack_are_walked_through(void **state)
{
    (void)state;
    stack_t stack = { .ss_size = 256 << 10 };
    stack.ss_sp = malloc(stack.ss_size);
    oracle_init(&g_oracle);
    assert_int_equal(sigaltstack(&stack, NULL), 0);
    install(SA_ONSTACK);
    raise_everywhere(30);
    settle();
    stack.ss_flags = SS_DISABLE;
    sigaltstack(&stack, NULL);
    free(stack.ss_sp);
}

/* An asynchronous signal interrupts any instruction, prologues and epilogues too: step the program through a call path
 * with a timer and compare wherever it hits. */
static volatile sig_atomic_t g_ticks;

static void on_tick(int number)
{
    (void)number;
    g_ticks++;
    oracle_check(&g_oracle);
}

static void do_nothing(void *context)
{
    (void)context;
}

static void test_any_interrupted_instruction_is_unwound(void **state)
{
    static const uint8_t path[] = { NOFP_PLAIN, NOFP_BUSY, NOFP_ALLOCA, NOFP_ALIGNED,
                                    NOFP_ARGS,  NOFP_SORT, NOFP_LARGE };
    struct nofp_plan plan = { path, sizeof path, 0, do_nothing, NULL };
    struct sigaction action = { .sa_handler = on_tick };
    struct itimerspec period = { { 0, 50000 }, { 0, 50000 } };
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
    timer_t timer;
    (void)state;
    oracle_init(&g_oracle);
    sigemptyset(&action.sa_mask);
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
    assert_int_equal(timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer), 0);
    assert_int_equal(timer_settime(timer, 0, &period, NULL), 0);
    while (g_ticks < 300) {
        nofp_run(&plan);
    }
    timer_delete(timer);
    settle();
}

/* Compilers leave the rule of rbp as it was until the return, also behind the pop. The caller's rbp is no address here. */
__asm__(".text\n"
        ".type stop_behind_the_pop, @function\n"
        "stop_behind_the_pop:\n"
        ".cfi_startproc\n"
        "push %rbp\n"
        ".cfi_adjust_cfa_offset 8\n"
        "mov %rsp, %rbp\n"
        ".cfi_escape 0x10, 6, 2, 0x76, 0\n" /* rbp is at rbp + 0 */
        "pop %rbp\n"
        ".cfi_adjust_cfa_offset -8\n"
        "int3\n"
        "ret\n"
        ".cfi_endproc\n"
        ".size stop_behind_the_pop, .-stop_behind_the_pop\n"
        ".type with_three_in_rbp, @function\n"
        "with_three_in_rbp:\n"
        ".cfi_startproc\n"
        "push %rbp\n"
        ".cfi_adjust_cfa_offset 8\n"
        ".cfi_offset rbp, -16\n"
        "mov $3, %ebp\n"
        "call stop_behind_the_pop\n"
        "pop %rbp\n"
        ".cfi_adjust_cfa_offset -8\n"
        ".cfi_restore rbp\n"
        "ret\n"
        ".cfi_endproc\n"
        ".size with_three_in_rbp, .-with_three_in_rbp\n");
void with_three_in_rbp(void);

static void test_a_frame_interrupted_behind_its_pop_is_unwound(void **state)
{
    (void)state;
    struct sigaction action = { .sa_handler = on_tick };
    oracle_init(&g_oracle);
    sigemptyset(&action.sa_mask);
    assert_int_equal(sigaction(SIGTRAP, &action, NULL), 0);
    with_three_in_rbp();
    settle();
}

/* ---- coroutines -------------------------------------------------------------------------------------------------- */

enum { COROUTINES = 5, STACK_BYTES = 128 << 10 };

static ucontext_t g_main_context;
static ucontext_t g_contexts[COROUTINES];
static uint64_t g_seed;

static void run_coroutine(int number)
{
    for (int i = 0; i < 40; i++) {
        nofp_recurse((uint32_t)(oracle_random(&g_seed) % 60), oracle_check, &g_oracle);
        swapcontext(&g_contexts[number], i % 7 == 6 ? &g_main_context : &g_contexts[(number + 1) % COROUTINES]);
    }
}

static void start_coroutine(int number, void *stack)
{
    getcontext(&g_contexts[number]);
    g_contexts[number].uc_stack.ss_sp = stack;
    g_contexts[number].uc_stack.ss_size = STACK_BYTES;
    g_contexts[number].uc_link = &g_main_context;
    makecontext(&g_contexts[number], (void (*)(void))run_coroutine, 1, number);
}

static void test_coroutine_stacks_are_walked_to_their_base(void **state)
{
    void *stacks[COROUTINES];
    (void)state;
    oracle_init(&g_oracle);
    g_seed = oracle_seed();
    for (int i = 0; i < COROUTINES; i++) {
        stacks[i] = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        start_coroutine(i, stacks[i]);
    }
    for (int i = 0; i < 20; i++) {
        oracle_check(&g_oracle);
        swapcontext(&g_main_context, &g_contexts[i % COROUTINES]);
    }
    for (int i = 0; i < COROUTINES; i++) {
        munmap(stacks[i], STACK_BYTES);
        mt_unwind_forget_range((uint64_t)(uintptr_t)stacks[i], STACK_BYTES);
    }
    oracle_check(&g_oracle);
    assert_true(g_oracle.captures > 100);
    settle();
}

/* A stack whose top lies directly below unreadable memory, with rubbish where a return address should be. */
static void test_a_stack_without_a_base_ends_at_unreadable_memory(void **state)
{
    const size_t bytes = 64 << 10;
    struct mt_frame_regs regs;
    (void)state;
    oracle_init(&g_oracle);
    uint8_t *stack = mmap(NULL, bytes + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_int_equal(mprotect(stack + bytes, 4096, PROT_NONE), 0);
    for (size_t i = 0; i < bytes; i += 8) { /* every word returns into the middle of a function of libc */
        uint64_t word = (uint64_t)(uintptr_t)qsort + 64 + i % 512;
        memcpy(stack + i, &word, 8);
    }
    for (uint64_t offset = 0; offset < bytes; offset += 8) {
        regs.sp = (uint64_t)(uintptr_t)stack + offset;
        regs.bp = regs.sp + 64 + offset % 1024;
        regs.pc = (uint64_t)(uintptr_t)qsort + 64 + offset % 700;
        (void)mt_unwind_capture(&g_oracle.memo, &regs);
        assert_true(g_oracle.memo.count >= 1);
        assert_true(g_oracle.memo.frames[0].pc == regs.pc);
    }
    munmap(stack, bytes + 4096);
    mt_unwind_forget_range((uint64_t)(uintptr_t)stack, bytes + 4096);
    oracle_check(&g_oracle);
    settle();
}

static void test_rubbish_registers_do_no_harm(void **state)
{
    uint64_t seed = oracle_seed();
    (void)state;
    oracle_init(&g_oracle);
    for (int i = 0; i < 20000; i++) {
        MT_CAPTURE_CALLER(regs);
        uint64_t choice = oracle_random(&seed);
        uint64_t value = oracle_random(&seed) >> (choice >> 8 & 63);
        regs.bp = choice & 1 ? value : regs.sp + (value & 0xFFF8);
        regs.pc = choice & 2 ? value : (uint64_t)(uintptr_t)qsort + (value & 0xFFF);
        regs.sp += choice & 4 ? value & 0x3FF : 0;
        (void)mt_unwind_capture(&g_oracle.memo, &regs);
    }
    oracle_check(&g_oracle);
    settle();
}

/* ---- code without unwind tables ---------------------------------------------------------------------------------- */

typedef void (*thunk)(void (*leaf)(void *), void *context);

/* push rbp; mov rsp, rbp; mov rdi, rax; mov rsi, rdi; call *rax; pop rbp; ret */
static const uint8_t g_with_frame_pointer[] = { 0x55, 0x48, 0x89, 0xE5, 0x48, 0x89, 0xF8, 0x48,
                                                0x89, 0xF7, 0xFF, 0xD0, 0x5D, 0xC3 };
/* push rbp; xor ebp, ebp; the same call; pop rbp; ret */
static const uint8_t g_without_frame_pointer[] = { 0x55, 0x31, 0xED, 0x48, 0x89, 0xF8, 0x48, 0x89,
                                                   0xF7, 0xFF, 0xD0, 0x5D, 0xC3 };

static uint64_t make_code(const uint8_t *code, size_t bytes)
{
    uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(page, code, bytes);
    assert_int_equal(mprotect(page, 4096, PROT_READ | PROT_EXEC), 0);
    return (uint64_t)(uintptr_t)page;
}

struct jit_call {
    uint64_t page;
    uint32_t below; /* frames outside the generated code */
};

static MT_NOINLINE void capture_in_jit(void *context)
{
    MT_CAPTURE_CALLER(regs);
    g_oracle.result = mt_unwind_capture(&g_oracle.memo, &regs);
    g_oracle.captures++;
    (void)context;
}

static MT_NOINLINE void count_below(struct jit_call *call)
{
    capture_in_jit(NULL);
    call->below = g_oracle.memo.count;
    ((thunk)call->page)(capture_in_jit, call);
    __asm__ volatile("");
}

static void test_generated_code_with_frame_pointers_is_walked_through(void **state)
{
    struct jit_call call = { .page = make_code(g_with_frame_pointer, sizeof g_with_frame_pointer) };
    (void)state;
    oracle_init(&g_oracle);
    for (int i = 0; i < 3; i++) {
        count_below(&call);
        assert_int_equal(g_oracle.result, MT_UNWIND_COMPLETE);
        assert_int_equal(g_oracle.memo.count, call.below + 1);
        assert_true(g_oracle.memo.frames[g_oracle.memo.count - 1 - call.below].pc - call.page < 4096);
    }
    settle();
}

static void test_generated_code_without_frame_pointers_breaks_the_stack(void **state)
{
    struct jit_call call = { .page = make_code(g_without_frame_pointer, sizeof g_without_frame_pointer) };
    (void)state;
    oracle_init(&g_oracle);
    for (int i = 0; i < 3; i++) {
        count_below(&call);
        assert_int_equal(g_oracle.result, MT_UNWIND_BROKEN);
        assert_int_equal(g_oracle.memo.count, 1);
        assert_true(g_oracle.memo.frames[g_oracle.memo.count - 1].pc - call.page < 4096);
    }
    oracle_check(&g_oracle);
    settle();
}

/* ld.so's entry code calls constructors from the very top of the main stack and has no unwind tables. */
static void test_code_without_tables_at_the_top_of_the_stack_is_its_base(void **state)
{
    uint64_t page = make_code(g_without_frame_pointer, sizeof g_without_frame_pointer);
    static uint64_t stack[1024] __attribute__((aligned(4096)));
    uint64_t high = (uint64_t)(uintptr_t)(stack + 1024);
    (void)state;
    oracle_init(&g_oracle);
    g_oracle.memo.stack_low = (uint64_t)(uintptr_t)stack;
    g_oracle.memo.stack_high = high;
    struct mt_frame_regs regs = { .pc = page + 11, .sp = high - 8, .bp = 1 };
    assert_int_equal(mt_unwind_capture(&g_oracle.memo, &regs), MT_UNWIND_COMPLETE);
    assert_int_equal(g_oracle.memo.count, 1);
    regs.sp = high - 128;
    assert_int_equal(mt_unwind_capture(&g_oracle.memo, &regs), MT_UNWIND_BROKEN);
    assert_int_equal(g_oracle.memo.count, 1);
    oracle_fini(&g_oracle);
}

/* ---- objects that come and go ------------------------------------------------------------------------------------ */

typedef int (*plugin_function)(void (*leaf)(void *), void *context, int depth);

static void test_plugins_are_unwound_after_dlopen_and_dlclose(void **state)
{
    (void)state;
    oracle_init(&g_oracle);
    assert_int_equal(mt_modules_init(NULL), MT_OK);
    uint32_t epoch = mt_modules_epoch();
    for (int i = 0; i < 20; i++) {
        void *handle = dlopen(MT_TEST_PLUGINS "/plugin_stack.so", RTLD_NOW);
        assert_non_null(handle);
        plugin_function call = (plugin_function)(uintptr_t)dlsym(handle, "plugin_call");
        if (i % 2 == 0) {
            mt_modules_refresh(); /* else it is noticed by its first frame */
        }
        call(oracle_check, &g_oracle, i);
        dlclose(handle);
        mt_modules_refresh();
        assert_true(mt_modules_epoch() == ++epoch);
        unw_flush_cache(unw_local_addr_space, 0, 0);
        oracle_check(&g_oracle);
    }
    settle();
}

/* The same addresses, another object: rows and stacks of the first must not be used for the second. */
static void test_reused_addresses_are_new_frames(void **state)
{
    uint64_t hashes[2];
    (void)state;
    oracle_init(&g_oracle);
    assert_int_equal(mt_modules_init(NULL), MT_OK);
    for (volatile int i = 0; i < 2; i++) {
        void *handle = dlopen(MT_TEST_PLUGINS "/plugin_stack.so", RTLD_NOW);
        plugin_function call = (plugin_function)(uintptr_t)dlsym(handle, "plugin_call");
        call(oracle_check, &g_oracle, 3);
        hashes[i] = g_oracle.memo.hash;
        dlclose(handle);
        mt_modules_refresh();
        unw_flush_cache(unw_local_addr_space, 0, 0);
    }
    assert_true(hashes[0] != hashes[1]);
    settle();
}

/* ---- threads with other stacks
 * ------------------------------------------------------------------------------------ */

static void *check_in_thread(void *argument)
{
    oracle_init(&g_oracle);
    raise_everywhere(5);
    nofp_recurse(*(const uint32_t *)argument, oracle_check, &g_oracle);
    return NULL;
}

static void test_threads_on_given_and_on_small_stacks(void **state)
{
    uint32_t depths[] = { 50, 5000 };
    const size_t bytes[] = { 64 << 10, 4 << 20 };
    (void)state;
    install(0);
    for (int i = 0; i < 4; i++) {
        pthread_attr_t attr;
        pthread_t thread;
        size_t size = bytes[i & 1];
        void *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        pthread_attr_init(&attr);
        if (i < 2) {
            assert_int_equal(pthread_attr_setstack(&attr, stack, size), 0);
        } else {
            assert_int_equal(pthread_attr_setstacksize(&attr, size), 0);
        }
        assert_int_equal(pthread_create(&thread, &attr, check_in_thread, &depths[i & 1]), 0);
        pthread_join(thread, NULL);
        pthread_attr_destroy(&attr);
        munmap(stack, size);
        settle();
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_signal_handlers_are_walked_through),
    cmocka_unit_test(test_handlers_on_an_alternate_stack_are_walked_through),
    cmocka_unit_test(test_any_interrupted_instruction_is_unwound),
    cmocka_unit_test(test_a_frame_interrupted_behind_its_pop_is_unwound),
    cmocka_unit_test(test_coroutine_stacks_are_walked_to_their_base),
    cmocka_unit_test(test_a_stack_without_a_base_ends_at_unreadable_memory),
    cmocka_unit_test(test_rubbish_registers_do_no_harm),
    cmocka_unit_test(test_generated_code_with_frame_pointers_is_walked_through),
    cmocka_unit_test(test_generated_code_without_frame_pointers_breaks_the_stack),
    cmocka_unit_test(test_code_without_tables_at_the_top_of_the_stack_is_its_base),
    cmocka_unit_test(test_plugins_are_unwound_after_dlopen_and_dlclose),
    cmocka_unit_test(test_reused_addresses_are_new_frames),
    cmocka_unit_test(test_threads_on_given_and_on_small_stacks),
};

MT_TEST_MAIN(tests)
