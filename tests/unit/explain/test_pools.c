/* test_pools.c: what is a pool of pymalloc, which pages count, and which span holds an address. */
#include "harness.h"

#include "explain/explain.h"
#include "explain/pools.h"
#include "util/memory.h"

#include <string.h>
#include <sys/mman.h>

/* A pool of 16 KiB with blocks of 64 bytes, 100 of them handed out, 30 in use. */
static struct mt_pool_head example(void)
{
    return (struct mt_pool_head){ .blocks_used = 30, .free_block = 0x100000 + 48 + 64 * 50, .next = 0x200000, .before = 0x300000, .arena = 3,
                                  .size_class = 3, .next_offset = 48 + 64 * 100, .last_offset = 16384 - 64 };
}

static void test_a_pool_is_known_by_numbers_that_agree(void **state)
{
    (void)state;
    struct mt_pool_head head = example();
    assert_int_equal(mt_pool_bytes(&head, 0x100000), 16384);
    assert_int_equal(mt_pool_bytes(&head, 0x101000), 0); /* not where pools begin */
    head.last_offset = 4096 - 64;
    head.next_offset = 48 + 64 * 40;
    head.free_block = 0;
    assert_int_equal(mt_pool_bytes(&head, 0x101000), 4096);
    struct mt_pool_head wrong[] = { example(), example(), example(), example(), example(), { 0 } };
    wrong[0].size_class = 4;
    wrong[1].blocks_used = 101;
    wrong[2].next_offset = 48 + 64 * 100 + 8;
    wrong[3].free_block = 0x200000;
    wrong[4].last_offset += 16;
    for (size_t i = 0; i < MT_COUNTOF(wrong); i++) {
        assert_int_equal(mt_pool_bytes(&wrong[i], 0x100000), 0);
    }
}

static void test_a_part_of_a_resident_page_counts_as_that_part(void **state)
{
    (void)state;
    struct mt_span runs[] = { { 0x10000, 0x11000 }, { 0x12000, 0x14000 } };
    struct mt_pages pages = { { runs, 2, 2 } };
    assert_int_equal(mt_pages_resident(&pages, 0x10000, 0x14000), 3 * 4096);
    assert_int_equal(mt_pages_resident(&pages, 0x10F00, 0x12100), 0x100 + 0x100);
    assert_int_equal(mt_pages_resident(&pages, 0, UINT64_MAX), 3 * 4096);
    assert_int_equal(mt_pages_resident(&pages, 0x14000, 0x15000), 0);
    assert_int_equal(mt_pages_whole(&pages, 0x11FFF, 0x13FFF), 4096);
    assert_int_equal(mt_pages_whole(&pages, 0x12001, 0x12FFF), 0);
    assert_true(mt_pages_next(&pages, 0) == 0x10000 && mt_pages_next(&pages, 0x10FFF) == 0x10FFF && mt_pages_next(&pages, 0x11000) == 0x12000);
    assert_true(mt_pages_next(&pages, 0x13FFF) == 0x13FFF && mt_pages_next(&pages, 0x14000) == UINT64_MAX);
}

static void test_pages_of_a_process_are_as_it_touched_them(void **state)
{
    (void)state;
    const size_t bytes = 16 * MT_PAGE_BYTES;
    char *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(area != MAP_FAILED && madvise(area, bytes, MADV_NOHUGEPAGE) == 0);
    FILE *pagemap = fopen("/proc/self/pagemap", "re");
    assert_non_null(pagemap);
    struct mt_pages pages = { 0 };
    area[3 * MT_PAGE_BYTES] = 1;
    area[7 * MT_PAGE_BYTES] = 1;
    assert_int_equal(mlock(area + 3 * MT_PAGE_BYTES, 1) | mlock(area + 7 * MT_PAGE_BYTES, 1), 0); /* nobody swaps them out */
    assert_true(mt_pages_add(fileno(pagemap), (uintptr_t)area, (uintptr_t)area + bytes, &pages));
    assert_int_equal(mt_pages_resident(&pages, (uintptr_t)area, (uintptr_t)area + bytes), 2 * MT_PAGE_BYTES);
    mt_pages_fini(&pages);
    (void)fclose(pagemap);
}

static void test_spans_are_found_by_any_address_in_them(void **state)
{
    (void)state;
    struct mt_spans spans = { 0 };
    mt_spans_add(&spans, 100, 200);
    mt_spans_add(&spans, 300, 400);
    assert_true(mt_spans_at(&spans, 99) == NULL && mt_spans_at(&spans, 200) == NULL);
    assert_int_equal(mt_spans_at(&spans, 399)->low, 300);
    mt_spans_clear(&spans);
    assert_null(mt_spans_at(&spans, 100));
}

static void test_a_trace_explains_what_nobody_claimed_and_no_more(void **state)
{
    (void)state;
    struct mt_explained e = { 0 };
    e.bytes[MT_EXPLAIN_MEMTAP] = 10;
    e.bytes[MT_EXPLAIN_MALLOC_USED] = 500;
    e.bytes[MT_EXPLAIN_UNEXPLAINED] = 100;
    mt_explain_recorded(&e, &(struct mt_explain_trace){ .own_bytes = 30, .heap_bytes = 540, .arena_bytes = 45 });
    assert_int_equal(e.bytes[MT_EXPLAIN_MEMTAP], 30);
    assert_int_equal(e.bytes[MT_EXPLAIN_RECORDED], 40); /* of 540 malloc has 500 */
    assert_int_equal(e.bytes[MT_EXPLAIN_OTHER_FREE], 5); /* the rest of what is kept for these 40 */
    assert_int_equal(e.bytes[MT_EXPLAIN_UNEXPLAINED], 35);
    e.malloc_known = true;
    mt_explain_recorded(&e, &(struct mt_explain_trace){ .arena_bytes = 10000 });
    assert_int_equal(e.bytes[MT_EXPLAIN_OTHER_FREE], 5);
    mt_explain_recorded(&e, &(struct mt_explain_trace){ .own_bytes = 1000 });
    assert_true(e.bytes[MT_EXPLAIN_MEMTAP] == 65 && e.bytes[MT_EXPLAIN_UNEXPLAINED] == 0);
    mt_explain_recorded(&e, &(struct mt_explain_trace){ .own_bytes = 5, .heap_bytes = 10000 });
    assert_true(e.bytes[MT_EXPLAIN_MEMTAP] == 65 && e.bytes[MT_EXPLAIN_RECORDED] == 40);
}

static void test_an_allocator_gets_what_nobody_claimed_and_no_more(void **state)
{
    (void)state;
    struct mt_explained e = { 0 };
    e.bytes[MT_EXPLAIN_UNEXPLAINED] = 100;
    e.bytes[MT_EXPLAIN_BRK] = 30;
    mt_explain_own_allocator(&e, &(struct mt_explain_allocator){ .name = "x", .in_use_bytes = 60, .own_bytes = 50, .resident_bytes = 165 });
    assert_int_equal(e.bytes[MT_EXPLAIN_OTHER_USED], 60);
    assert_int_equal(e.bytes[MT_EXPLAIN_OTHER_SLACK], 55); /* 165 but the 110 */
    assert_int_equal(e.bytes[MT_EXPLAIN_OTHER_OWN], 15);   /* as much as there is */
    assert_true(e.bytes[MT_EXPLAIN_UNEXPLAINED] == 0 && e.bytes[MT_EXPLAIN_BRK] == 0);
    assert_true(e.own_allocator_known && e.own_allocator.resident_bytes == 165);
    e.bytes[MT_EXPLAIN_UNEXPLAINED] = 100; /* what a trace has of blocks is known of it already, and so is its slack */
    mt_explain_recorded(&e, &(struct mt_explain_trace){ .heap_bytes = 70, .arena_bytes = 1000 });
    assert_int_equal(e.bytes[MT_EXPLAIN_RECORDED], 10);
    assert_int_equal(e.bytes[MT_EXPLAIN_OTHER_FREE], 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_pool_is_known_by_numbers_that_agree),
    cmocka_unit_test(test_a_part_of_a_resident_page_counts_as_that_part),
    cmocka_unit_test(test_pages_of_a_process_are_as_it_touched_them),
    cmocka_unit_test(test_spans_are_found_by_any_address_in_them),
    cmocka_unit_test(test_a_trace_explains_what_nobody_claimed_and_no_more),
    cmocka_unit_test(test_an_allocator_gets_what_nobody_claimed_and_no_more),
};
MT_TEST_MAIN(tests)
