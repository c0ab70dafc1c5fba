/* Which waiting thread may be borrowed, on stacks made by hand. Functions of the libc there: 0 waits inside, 1 is what programs call
 * to wait, 2 is the allocator's, 3 makes threads, 4 is another one, the last has no caller. */
#include "attach/safepoint.h"

#include "handmade.h"

enum { INSIDE, WAITS, ALLOCATOR, THREADS, OTHER, CLONE = FUNCTIONS - 1 };

static void add_range(struct handmade *h, const unsigned char *object, unsigned number, enum mt_hazard hazard)
{
    uint64_t low = in(object, number) - 16;
    h->ranges[h->hazards.count++] = (struct mt_hazard_range){ low, low + FUNCTION_BYTES, hazard };
}

/* Stopped in a call within libc, whose callers are to be laid. */
static void stop_inside(struct handmade *h)
{
    make(h);
    h->hazards.signal_return = in(h->libc, OTHER + 1);
    h->waits[h->hazards.wait_count++] = in(h->libc, WAITS) - 16;
    add_range(h, h->libc, ALLOCATOR, MT_HAZARD_ALLOCATOR);
    add_range(h, h->libc, THREADS, MT_HAZARD_THREADS);
    h->ranges[h->hazards.count++] = (struct mt_hazard_range){ h->objects[0].low, h->objects[0].high, MT_HAZARD_LIBC };
    h->thread.registers.rip = in(h->libc, INSIDE);
}

static void lay_base(struct handmade *h)
{
    lay_caller(h, in(h->libc, THREADS));
    lay_caller(h, in(h->libc, CLONE));
}

static void expect(struct handmade *h, enum mt_safety wanted)
{
    assert_int_equal(mt_safepoint_judge(&h->subject, &h->hazards, &h->tables, &h->thread), wanted);
    unmake(h);
}

/* An address of the allocator's in the innermost frame that is no return address. */
static void leave_old_word(struct handmade *h)
{
    h->stack[STACK_WORDS / 2] = in(h->libc, ALLOCATOR);
}

static void test_a_thread_in_a_function_that_waits_is_safe_whatever_lies_on_its_stack(void **state)
{
    struct handmade h;
    (void)state;
    stop_inside(&h);
    lay_caller(&h, in(h.libc, WAITS));
    lay_caller(&h, in(h.program, 1));
    lay_base(&h);
    leave_old_word(&h);
    expect(&h, MT_SAFE);
}

static void test_a_thread_whose_caller_is_the_allocator_is_not_safe(void **state)
{
    struct handmade h;
    (void)state;
    stop_inside(&h);
    lay_caller(&h, in(h.libc, WAITS));
    for (unsigned i = 0; i < 40; i++) {
        lay_caller(&h, in(h.program, 1)); /* far beyond the words that are looked at without a chain */
    }
    lay_caller(&h, in(h.libc, ALLOCATOR));
    lay_caller(&h, in(h.program, 2));
    lay_base(&h);
    expect(&h, MT_UNSAFE_LOCKS);
}

static void test_what_waits_may_lie_among_what_makes_threads_but_no_caller_of_it(void **state)
{
    struct handmade h;
    (void)state;
    stop_inside(&h);
    h.thread.registers.rip = in(h.libc, THREADS);
    lay_caller(&h, in(h.libc, WAITS));
    lay_caller(&h, in(h.program, 1));
    lay_base(&h);
    expect(&h, MT_SAFE);
    stop_inside(&h);
    lay_caller(&h, in(h.libc, WAITS));
    lay_caller(&h, in(h.program, 1));
    lay_caller(&h, in(h.libc, THREADS)); /* pthread_create, not the beginning */
    lay_caller(&h, in(h.program, 2));
    lay_base(&h);
    expect(&h, MT_UNSAFE_LOCKS);
    stop_inside(&h);
    lay_caller(&h, in(h.libc, THREADS)); /* in pthread_create itself */
    lay_caller(&h, in(h.program, 2));
    lay_caller(&h, in(h.program, 3));
    lay_base(&h);
    expect(&h, MT_UNSAFE_LOCKS);
}

static void test_a_call_that_the_program_makes_itself_is_safe(void **state)
{
    struct handmade h;
    (void)state;
    stop_inside(&h);
    h.thread.registers.rip = in(h.program, 1);
    lay_caller(&h, in(h.program, 2));
    lay_base(&h);
    leave_old_word(&h);
    expect(&h, MT_SAFE);
}

static void test_a_function_that_was_left_by_a_jump_is_known_by_the_call(void **state)
{
    struct handmade h;
    (void)state;
    stop_inside(&h);
    lay_caller(&h, in(h.libc, OTHER)); /* where what the program called has jumped to */
    lay_caller(&h, in(h.program, 1));
    lay_base(&h);
    leave_old_word(&h);
    unsigned char *call = h.program + (in(h.program, 1) - (uint64_t)(uintptr_t)h.program) - 5;
    *call = 0xE8;
    put_bytes(call + 1, in(h.libc, WAITS) - 16 - in(h.program, 1), 4);
    expect(&h, MT_SAFE);
}

static void test_another_function_of_libc_is_judged_by_the_words_near(void **state)
{
    struct handmade h;
    (void)state;
    stop_inside(&h);
    lay_caller(&h, in(h.libc, OTHER));
    lay_caller(&h, in(h.program, 1));
    lay_base(&h);
    expect(&h, MT_SAFE);
    stop_inside(&h);
    lay_caller(&h, in(h.libc, OTHER));
    lay_caller(&h, in(h.program, 1));
    lay_base(&h);
    leave_old_word(&h);
    expect(&h, MT_UNSAFE_LOCKS);
}

static void test_a_chain_that_breaks_off_is_judged_by_the_words_near(void **state)
{
    struct handmade h;
    (void)state;
    stop_inside(&h);
    lay_caller(&h, in(h.libc, WAITS));
    lay_caller(&h, (uint64_t)(uintptr_t)h.stack); /* code without an object */
    leave_old_word(&h);
    expect(&h, MT_UNSAFE_LOCKS);
    stop_inside(&h);
    lay_caller(&h, in(h.libc, WAITS));
    lay_caller(&h, (uint64_t)(uintptr_t)h.stack);
    expect(&h, MT_SAFE);
}

static void test_objects_that_are_not_those_of_the_tables_any_more_say_nothing(void **state)
{
    struct handmade h;
    (void)state;
    stop_inside(&h);
    lay_caller(&h, in(h.libc, WAITS));
    lay_caller(&h, in(h.program, 1));
    lay_base(&h);
    leave_old_word(&h);
    h.program[CODE_AT - 1] ^= 1; /* another object has come in its place since the tables were read */
    expect(&h, MT_UNSAFE_LOCKS);
}

static void test_in_a_program_that_is_an_allocator_the_words_decide(void **state)
{
    struct handmade h;
    (void)state;
    stop_inside(&h);
    h.hazards.program_is_allocator = true;
    lay_caller(&h, in(h.libc, WAITS));
    lay_caller(&h, in(h.program, 1));
    lay_base(&h);
    leave_old_word(&h);
    expect(&h, MT_UNSAFE_LOCKS);
}

static void test_a_handler_is_told_from_what_an_old_one_has_left(void **state)
{
    struct handmade h;
    (void)state;
    stop_inside(&h);
    lay_caller(&h, in(h.libc, WAITS));
    lay_caller(&h, in(h.program, 1));
    lay_caller(&h, h.hazards.signal_return);
    expect(&h, MT_UNSAFE_SIGNAL);
    stop_inside(&h);
    lay_caller(&h, in(h.libc, WAITS));
    lay_caller(&h, in(h.program, 1));
    lay_base(&h);
    h.stack[STACK_WORDS / 2] = h.hazards.signal_return;
    expect(&h, MT_SAFE);
    stop_inside(&h);
    lay_caller(&h, in(h.libc, WAITS));
    lay_caller(&h, (uint64_t)(uintptr_t)h.stack); /* not known to be old */
    h.stack[STACK_WORDS / 2] = h.hazards.signal_return;
    expect(&h, MT_UNSAFE_SIGNAL);
}

static void test_a_strange_stack_and_a_strange_call_are_refused(void **state)
{
    struct handmade h;
    (void)state;
    stop_inside(&h);
    h.thread.registers.fs_base = 4096;
    expect(&h, MT_UNSAFE_STACK);
    stop_inside(&h);
    lay_caller(&h, in(h.libc, WAITS));
    lay_caller(&h, in(h.program, 1));
    lay_base(&h);
    h.thread.registers.orig_rax = SYS_readv;
    expect(&h, MT_UNSAFE_LOCKS);
    stop_inside(&h);
    h.thread.registers.rip = in(h.libc, ALLOCATOR);
    lay_caller(&h, in(h.program, 1));
    lay_base(&h);
    expect(&h, MT_UNSAFE_LOCKS);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_thread_in_a_function_that_waits_is_safe_whatever_lies_on_its_stack),
    cmocka_unit_test(test_a_thread_whose_caller_is_the_allocator_is_not_safe),
    cmocka_unit_test(test_what_waits_may_lie_among_what_makes_threads_but_no_caller_of_it),
    cmocka_unit_test(test_a_call_that_the_program_makes_itself_is_safe),
    cmocka_unit_test(test_a_function_that_was_left_by_a_jump_is_known_by_the_call),
    cmocka_unit_test(test_another_function_of_libc_is_judged_by_the_words_near),
    cmocka_unit_test(test_a_chain_that_breaks_off_is_judged_by_the_words_near),
    cmocka_unit_test(test_objects_that_are_not_those_of_the_tables_any_more_say_nothing),
    cmocka_unit_test(test_in_a_program_that_is_an_allocator_the_words_decide),
    cmocka_unit_test(test_a_handler_is_told_from_what_an_old_one_has_left),
    cmocka_unit_test(test_a_strange_stack_and_a_strange_call_are_refused),
};
MT_TEST_MAIN(tests)
