/* Chains of callers on stacks made by hand: what is followed, and what ends one. */
#include "attach/chain.h"

#include "handmade.h"

#define SIGNAL_RETURN 0x7777u

static struct mt_chain read_chain(struct handmade *h)
{
    struct mt_chain chain;
    mt_chain_read(&h->tables, &h->thread.registers, SIGNAL_RETURN, (uint64_t)(uintptr_t)&h->stack[STACK_WORDS], &chain);
    return chain;
}

static void test_a_chain_is_followed_to_the_function_without_a_caller(void **state)
{
    struct handmade h;
    (void)state;
    make(&h);
    h.thread.registers.rip = in(h.libc, 2);
    lay_caller(&h, in(h.program, 3));
    lay_caller(&h, in(h.program, 4));
    lay_caller(&h, in(h.libc, FUNCTIONS - 1));
    struct mt_chain chain = read_chain(&h);
    assert_int_equal(chain.count, 4);
    assert_true(chain.is_whole && !chain.in_handler);
    assert_int_equal(chain.addresses[0], in(h.libc, 2)); /* where it stands */
    assert_int_equal(chain.addresses[1], in(h.program, 3) - 1);
    assert_int_equal(chain.addresses[3], in(h.libc, FUNCTIONS - 1) - 1);
    mt_chain_clear(&chain);
    unmake(&h);
}

static void test_frames_found_by_the_frame_pointer_keep_the_caller_s(void **state)
{
    static const unsigned char by_rbp[] = { DW_CFA_def_cfa, 6, 16, DW_CFA_offset | 6, 2 };
    struct handmade h;
    (void)state;
    make(&h);
    put_rules(h.program, 1, by_rbp, sizeof by_rbp);
    h.thread.registers.rip = in(h.libc, 0);
    lay_caller(&h, in(h.program, 1));
    h.thread.registers.rbp = (uint64_t)(uintptr_t)&h.stack[h.top + 20];
    h.stack[h.top + 20] = (uint64_t)(uintptr_t)&h.stack[h.top + 40]; /* of its caller, which is found in the same way */
    h.stack[h.top + 21] = in(h.program, 1);
    h.stack[h.top + 41] = in(h.libc, FUNCTIONS - 1);
    struct mt_chain chain = read_chain(&h);
    assert_int_equal(chain.count, 4);
    assert_true(chain.is_whole);
    mt_chain_clear(&chain);
    unmake(&h);
}

static void expect_part(struct handmade *h, size_t count)
{
    struct mt_chain chain = read_chain(h);
    assert_int_equal(chain.count, count);
    assert_false(chain.is_whole);
    mt_chain_clear(&chain);
}

static void test_what_has_no_rule_ends_a_chain_before_its_end(void **state)
{
    static const unsigned char odd[] = { DW_CFA_def_cfa, 3, 16 }; /* by rbx */
    struct handmade h;
    (void)state;
    make(&h);
    h.thread.registers.rip = in(h.libc, 2);
    lay_caller(&h, in(h.program, 3));
    lay_caller(&h, in(h.libc, FUNCTIONS - 1));
    put_rules(h.program, 3, odd, sizeof odd);
    expect_part(&h, 2);
    unmake(&h);
    make(&h);
    h.thread.registers.rip = in(h.libc, 2);
    lay_caller(&h, (uint64_t)(uintptr_t)h.stack); /* in no object */
    expect_part(&h, 2);
    h.thread.registers.rip = in(h.program, FUNCTIONS); /* behind the last function */
    expect_part(&h, 1);
    unmake(&h);
}

static void test_a_chain_never_leaves_its_stack_nor_goes_round(void **state)
{
    static const unsigned char huge[] = { DW_CFA_def_cfa_offset, 0x80, 0x80, 0x08 }, same[] = { DW_CFA_def_cfa, 6, 0 };
    struct handmade h;
    (void)state;
    make(&h);
    h.thread.registers.rip = in(h.libc, 2);
    put_rules(h.libc, 2, huge, sizeof huge);
    expect_part(&h, 1);
    put_rules(h.libc, 2, same, sizeof same);
    h.thread.registers.rbp = h.thread.registers.rsp;
    expect_part(&h, 1);
    unmake(&h);
    make(&h);
    h.thread.registers.rip = in(h.libc, 2);
    while (h.top + 2 * FRAME_WORDS < STACK_WORDS) {
        lay_caller(&h, in(h.program, 3)); /* to the very end of the stack */
    }
    struct mt_chain chain = read_chain(&h);
    assert_false(chain.is_whole);
    assert_true(chain.count > 100 && chain.count < STACK_WORDS);
    mt_chain_clear(&chain);
    unmake(&h);
}

static void test_a_handler_ends_a_chain_by_name(void **state)
{
    struct handmade h;
    (void)state;
    make(&h);
    h.thread.registers.rip = in(h.libc, 2);
    lay_caller(&h, in(h.program, 3));
    lay_caller(&h, SIGNAL_RETURN);
    struct mt_chain chain = read_chain(&h);
    assert_true(chain.in_handler && !chain.is_whole);
    mt_chain_clear(&chain);
    unmake(&h);
}

static void test_tables_that_are_not_readable_say_nothing(void **state)
{
    struct handmade h;
    struct mt_cfi_row row;
    uint64_t start;
    (void)state;
    make(&h);
    assert_int_equal(munmap(h.program, CODE_AT), 0);
    assert_int_not_equal(mt_tables_row(&h.tables, in(h.program, 1), &row), MT_OK);
    assert_int_equal(mt_tables_start(&h.tables, in(h.libc, 1), &start), MT_OK);
    assert_int_equal(start, (uintptr_t)h.libc + CODE_AT + FUNCTION_BYTES);
    assert_int_equal(mt_tables_row(&h.tables, 16, &row), MT_E_NOENT);
    unmake(&h);
}

/* ---- who was called ------------------------------------------------------------------------------------------------- */

static void put_code(unsigned char *at, const char *bytes, size_t count)
{
    memcpy(at, bytes, count);
}

static void test_the_function_that_was_called_is_read_from_the_call(void **state)
{
    static uint64_t slot = 0x1234567890u;
    unsigned char *code = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    uint64_t base = (uint64_t)(uintptr_t)code;
    struct mt_error err = { 0 };
    struct mt_remote remote;
    (void)state;
    assert_int_equal(mt_remote_open(getpid(), &remote, &err), MT_OK);
    *(uint64_t *)(void *)(code + 4096) = slot;
    put_code(code + 100, "\xE8", 1); /* call code + 200, which is no stub */
    put_bytes(code + 101, 200 - 105, 4);
    assert_int_equal(mt_chain_called(&remote, base + 105), base + 200);
    put_code(code + 200, "\xFF\x25", 2); /* now it is one */
    put_bytes(code + 202, 4096 - 206, 4);
    assert_int_equal(mt_chain_called(&remote, base + 105), slot);
    put_code(code + 200, "\xF3\x0F\x1E\xFA\xF2\xFF\x25", 7);
    put_bytes(code + 207, 4096 - 211, 4);
    assert_int_equal(mt_chain_called(&remote, base + 105), slot);
    put_code(code + 300, "\xFF\x15", 2); /* call *slot(%rip) */
    put_bytes(code + 302, 4096 - 306, 4);
    assert_int_equal(mt_chain_called(&remote, base + 306), slot);
    put_code(code + 400, "\x90\x90\x90\x90\xFF\xD0", 6); /* call *%rax */
    assert_int_equal(mt_chain_called(&remote, base + 406), 0);
    assert_int_equal(mt_chain_called(&remote, 16), 0);
    mt_remote_close(&remote);
    (void)munmap(code, 8192);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_chain_is_followed_to_the_function_without_a_caller),
    cmocka_unit_test(test_frames_found_by_the_frame_pointer_keep_the_caller_s),
    cmocka_unit_test(test_what_has_no_rule_ends_a_chain_before_its_end),
    cmocka_unit_test(test_a_chain_never_leaves_its_stack_nor_goes_round),
    cmocka_unit_test(test_a_handler_ends_a_chain_by_name),
    cmocka_unit_test(test_tables_that_are_not_readable_say_nothing),
    cmocka_unit_test(test_the_function_that_was_called_is_read_from_the_call),
};
MT_TEST_MAIN(tests)
