/* test_detour.c: functions whose first instructions are moved do what they did; what cannot be moved is refused.
 * Link: memtap_hooks
 */
#include "harness.h"

#include "hook/detour.h"

#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, MOVED_AT = 2048 };

/* A page with a function at its start, and room for what is moved. */
static uint8_t *g_page;

static int map_page(void **state)
{
    (void)state;
    g_page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(g_page, MAP_FAILED);
    return 0;
}

static int unmap_page(void **state)
{
    (void)state;
    return munmap(g_page, PAGE);
}

static uint64_t address_of(const uint8_t *at)
{
    return (uint64_t)(uintptr_t)at;
}

/* Of `bytes` bytes at code the first `size` are the function. */
static bool plan_part(const uint8_t *code, size_t bytes, size_t size, struct mt_detour *ret)
{
    memset(g_page, 0x90, 64);
    memcpy(g_page, code, bytes);
    return mt_detour_plan(g_page, address_of(g_page), size, address_of(g_page + MOVED_AT), ret);
}

static bool plan(const uint8_t *code, size_t bytes, struct mt_detour *ret)
{
    return plan_part(code, bytes, bytes, ret);
}

#define REFUSED(...)                                                                                                   \
    do {                                                                                                               \
        const uint8_t code_[] = { __VA_ARGS__ };                                                                       \
        struct mt_detour detour_;                                                                                      \
        assert_false(plan(code_, sizeof code_, &detour_));                                                             \
    } while (0)

/* Moves the start of a function, puts a trap in its place, and calls what was moved. */
static long run_part(const uint8_t *code, size_t bytes, size_t size, long argument)
{
    struct mt_detour detour;
    assert_true(plan_part(code, bytes, size, &detour));
    memcpy(g_page + MOVED_AT, detour.moved, detour.moved_bytes);
    memset((void *)(uintptr_t)detour.place, 0xCC, MT_DETOUR_JUMP_BYTES);
    assert_int_equal(mprotect(g_page, PAGE, PROT_READ | PROT_EXEC), 0);
    long (*moved)(long) = (long (*)(long))(uintptr_t)(g_page + MOVED_AT);
    long result = moved(argument);
    assert_int_equal(mprotect(g_page, PAGE, PROT_READ | PROT_WRITE), 0);
    return result;
}

static long run_moved(const uint8_t *code, size_t bytes, long argument)
{
    return run_part(code, bytes, bytes, argument);
}

static void test_plain_instructions_are_moved(void **state)
{
    (void)state;
    /* push %rbp; mov %rsp,%rbp; mov %rdi,%rax; add $7,%rax; pop %rbp; ret */
    const uint8_t code[] = { 0x55, 0x48, 0x89, 0xE5, 0x48, 0x89, 0xF8, 0x48, 0x83, 0xC0, 7, 0x5D, 0xC3 };
    assert_int_equal(run_moved(code, sizeof code, 35), 42);
}

static void test_an_operand_relative_to_the_instruction_keeps_its_meaning(void **state)
{
    (void)state;
    /* mov 0x10(%rip),%rax; add %rdi,%rax; ret. The word it reads is of the nops behind it */
    const uint8_t code[] = { 0x48, 0x8B, 0x05, 0x10, 0, 0, 0, 0x48, 0x01, 0xF8, 0xC3 };
    assert_int_equal(run_moved(code, sizeof code, 2), 0x9090909090909092);
}

static void test_a_branch_among_the_moved_goes_where_it_went(void **state)
{
    (void)state;
    /* test %rdi,%rdi; je +6; mov $1,%eax; ret; mov $2,%eax; ret */
    const uint8_t code[] = { 0x48, 0x85, 0xFF, 0x74, 6, 0xB8, 1, 0, 0, 0, 0xC3, 0xB8, 2, 0, 0, 0, 0xC3 };
    assert_int_equal(run_moved(code, sizeof code, 0), 2);
    assert_int_equal(run_moved(code, sizeof code, 5), 1);
}

static void test_a_call_among_the_moved_returns_to_where_it_stood(void **state)
{
    (void)state;
    /* sub $8,%rsp; call +8; add $8,%rsp; inc %rax; ret; and at 0x11: mov (%rsp),%rax; ret */
    const uint8_t code[] = { 0x48, 0x83, 0xEC, 8, 0xE8, 8, 0, 0, 0, 0x48, 0x83, 0xC4, 8, 0x48, 0xFF, 0xC0, 0xC3,
                             0x48, 0x8B, 0x04, 0x24, 0xC3 };
    assert_int_equal(run_moved(code, sizeof code, 0), address_of(g_page) + 9 + 1);
}

static void test_a_call_through_a_word_is_moved(void **state)
{
    (void)state;
    /* call *0x2a(%rip); inc %rax; ret; at 0x20: lea 1(%rdi),%rax; ret; at 0x30: the address of that */
    uint8_t code[0x38] = { 0xFF, 0x15, 0x2A, 0, 0, 0, 0x48, 0xFF, 0xC0, 0xC3 };
    const uint8_t called[] = { 0x48, 0x8D, 0x47, 1, 0xC3 };
    memset(code + 10, 0x90, sizeof code - 10);
    memcpy(code + 0x20, called, sizeof called);
    uint64_t address = address_of(g_page + 0x20);
    memcpy(code + 0x30, &address, sizeof address);
    assert_int_equal(run_part(code, sizeof code, 10, 40), 42);
}

static void test_endbr64_stays(void **state)
{
    (void)state;
    const uint8_t code[] = { 0xF3, 0x0F, 0x1E, 0xFA, 0x48, 0x8D, 0x47, 1, 0x90, 0xC3 }; /* lea 1(%rdi),%rax; nop; ret */
    struct mt_detour detour;
    assert_true(plan(code, sizeof code, &detour));
    assert_int_equal(detour.place, address_of(g_page) + 4);
    assert_int_equal(run_moved(code, sizeof code, 41), 42);
}

static void test_a_function_of_one_jump_is_moved(void **state)
{
    (void)state;
    /* jmp +0x0e, to a function at 0x10: lea 2(%rdi),%rax; ret */
    uint8_t code[] = { 0xEB, 0x0E, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
                       0x90, 0x90, 0x90, 0x90, 0x90, 0x48, 0x8D, 0x47, 2,    0xC3 };
    struct mt_detour detour;
    memcpy(g_page, code, sizeof code);
    assert_true(mt_detour_plan(g_page, address_of(g_page), 2, address_of(g_page + MOVED_AT), &detour));
    assert_int_equal(detour.moved_bytes, MT_DETOUR_JUMP_BYTES);
    assert_int_equal(run_moved(code, sizeof code, 40), 42);
}

static void test_an_empty_function_is_moved_when_padding_follows(void **state)
{
    (void)state;
    const uint8_t code[] = { 0xC3, 0x66, 0x66, 0x2E, 0x0F, 0x1F, 0x84, 0, 0, 0, 0, 0, 0x0F, 0x1F, 0x40, 0 };
    struct mt_detour detour;
    memcpy(g_page, code, sizeof code);
    assert_true(mt_detour_plan(g_page, address_of(g_page), 1, address_of(g_page + MOVED_AT), &detour));
    assert_int_equal(detour.moved_bytes, 1);
    g_page[1] = 0x50; /* something else begins there */
    assert_false(mt_detour_plan(g_page, address_of(g_page), 1, address_of(g_page + MOVED_AT), &detour));
}

static void test_a_function_that_ends_where_the_next_begins_is_refused(void **state)
{
    (void)state;
    uint8_t code[16] = { 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x31, 0xC0, 0xC3 };
    struct mt_detour detour;
    memcpy(g_page, code, sizeof code);
    assert_false(mt_detour_plan(g_page + 13, address_of(g_page + 13), 3, address_of(g_page + MOVED_AT), &detour));
}

static void test_what_cannot_be_moved_is_refused(void **state)
{
    (void)state;
    REFUSED(0xFF, 0xD0, 0x90, 0x90, 0x90, 0xC3);                         /* call *%rax */
    REFUSED(0x90, 0xE3, 4, 0x90, 0x90, 0x90, 0x90, 0xC3);                /* jrcxz */
    REFUSED(0xCC, 0x90, 0x90, 0x90, 0x90, 0xC3);                         /* a breakpoint is set there */
    REFUSED(0x06, 0x90, 0x90, 0x90, 0x90, 0xC3);                         /* unknown */
    REFUSED(0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x75, 0xFA, 0xC3);       /* jumps back to the third instruction */
    REFUSED(0x90, 0x74, 0x01, 0x90, 0x90, 0x90, 0x90, 0xC3);             /* a branch among the moved into them */
}

static void test_a_jump_back_to_the_very_start_is_a_call(void **state)
{
    (void)state;
    const uint8_t code[] = { 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x75, 0xF8, 0xC3 };
    struct mt_detour detour;
    assert_true(plan(code, sizeof code, &detour));
}

static void test_a_place_too_far_is_refused(void **state)
{
    (void)state;
    const uint8_t code[] = { 0x48, 0x8B, 0x05, 0, 0, 0, 0, 0xC3 };
    struct mt_detour detour;
    uint8_t jump[MT_DETOUR_JUMP_BYTES];
    memcpy(g_page, code, sizeof code);
    uint64_t here = address_of(g_page);
    assert_false(mt_detour_plan(g_page, here, sizeof code, here + ((uint64_t)1 << 33), &detour));
    assert_false(mt_detour_jump(here, here + ((uint64_t)1 << 33), jump));
    assert_true(mt_detour_jump(here, here - 4096, jump));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, map_page, unmap_page)
static const struct CMUnitTest tests[] = {
    TEST(test_plain_instructions_are_moved),
    TEST(test_an_operand_relative_to_the_instruction_keeps_its_meaning),
    TEST(test_a_branch_among_the_moved_goes_where_it_went),
    TEST(test_a_call_among_the_moved_returns_to_where_it_stood),
    TEST(test_a_call_through_a_word_is_moved),
    TEST(test_endbr64_stays),
    TEST(test_a_function_of_one_jump_is_moved),
    TEST(test_an_empty_function_is_moved_when_padding_follows),
    TEST(test_a_function_that_ends_where_the_next_begins_is_refused),
    TEST(test_what_cannot_be_moved_is_refused),
    TEST(test_a_jump_back_to_the_very_start_is_a_call),
    TEST(test_a_place_too_far_is_refused),
};
MT_TEST_MAIN(tests)
