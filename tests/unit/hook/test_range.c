/* test_range.c: the hooks of address ranges over libc's real ones.
 * Link: memtap_hooks
 */
#include "harness.h"

#include "base/status.h"
#include "fakes/engine.h"
#include "hook/originals.h"
#include "hook/owner.h"
#include "hook/range.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096 };

static int start(void **state)
{
    (void)state;
    mt_originals_early_end(NULL);
    mt_originals_resolve();
    memset(&mt_g_fake, 0, sizeof mt_g_fake);
    fake_engine_start(0);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    assert_int_equal(t_mt.depth, 0);
    assert_int_equal(mt_g_fake.unbalanced, 0);
    mt_owner_set_arenas(0, 0);
    fake_engine_stop();
    return 0;
}

static void *map(size_t bytes)
{
    return mt_bank0_mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void test_a_mapping_counts_whole_pages(void **state)
{
    (void)state;
    void *addr = map(PAGE + 1);
    assert_int_equal(mt_g_fake.maps[MT_MAP_ANONYMOUS], 1);
    assert_int_equal(mt_g_fake.mapped_bytes, 2 * PAGE);
    assert_int_equal(mt_bank0_munmap(addr, PAGE + 1), 0);
    assert_int_equal(mt_g_fake.unmapped_bytes, 2 * PAGE);
}

static void test_a_part_may_be_unmapped(void **state)
{
    (void)state;
    char *addr = map(3 * PAGE);
    assert_int_equal(mt_bank0_munmap(addr + PAGE, PAGE), 0);
    assert_int_equal(mt_g_fake.unmapped_bytes, PAGE);
    assert_int_equal(mt_bank0_munmap(addr, 3 * PAGE), 0);
}

static void test_kinds_are_told_apart(void **state)
{
    (void)state;
    int fd = open("/proc/self/exe", O_RDONLY);
    void *file = mt_bank0_mmap64(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
    void *stack = mt_bank0_mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    assert_int_equal(mt_g_fake.maps[MT_MAP_FILE], 1);
    assert_int_equal(mt_g_fake.maps[MT_MAP_STACK], 1);
    for (uint64_t arenas = 0; arenas < 2; arenas++) { /* the second call from here is one of an arena owner */
        munmap(map(PAGE), PAGE);
        assert_int_equal(mt_g_fake.maps[MT_MAP_ARENA], arenas);
        mt_owner_set_arenas(mt_g_fake.last_pc, mt_g_fake.last_pc + 1);
    }
    munmap(file, PAGE);
    munmap(stack, PAGE);
    close(fd);
}

/* A program's function that libc calls and that jumps to mmap returns into libc. */
static void test_libc_is_not_taken_for_an_allocator(void **state)
{
    (void)state;
    mt_owner_find_allocators();
    assert_int_equal(mt_owner_kind(mt_originals_get(0, MT_HOOK_malloc)), MT_MAP_ANONYMOUS);
}

static void test_what_cannot_be_used_is_reserved(void **state)
{
    (void)state;
    enum { BYTES = 4 << 20 };
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *closed = mt_bank0_mmap(NULL, BYTES, PROT_NONE, flags, -1, 0);
    assert_int_equal(mt_g_fake.maps[MT_MAP_RESERVED], 1);
    assert_int_equal(mt_g_fake.untouched, 0);
    void *open = mt_bank0_mmap(NULL, BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
    assert_int_equal(mt_g_fake.untouched, 1);
    void *small = mt_bank0_mmap(NULL, PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);
    void *filled = mt_bank0_mmap(NULL, BYTES, PROT_READ | PROT_WRITE, flags | MAP_POPULATE, -1, 0);
    assert_int_equal(mt_g_fake.untouched, 1);
    assert_int_equal(mt_g_fake.maps[MT_MAP_ANONYMOUS], 2);
    munmap(closed, BYTES);
    munmap(open, BYTES);
    munmap(small, PAGE);
    munmap(filled, BYTES);
}

static void test_what_is_made_usable_or_not_is_recorded(void **state)
{
    (void)state;
    char *addr = mt_bank0_mmap(NULL, 8 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_int_equal(mt_bank0_mprotect(addr + PAGE, 2 * PAGE, PROT_READ | PROT_WRITE), 0);
    assert_int_equal(mt_g_fake.maps[MT_MAP_OPENED], 1);
    assert_int_equal(mt_g_fake.access_bytes, 2 * PAGE);
    addr[PAGE] = 1;
    assert_int_equal(mt_bank0_madvise(addr + PAGE, PAGE, MADV_DONTNEED), 0);
    assert_int_equal(addr[PAGE], 0);
    assert_int_equal(mt_bank0_madvise(addr + PAGE, PAGE, MADV_WILLNEED), 0);
    assert_int_equal(mt_bank0_pkey_mprotect(addr + PAGE, PAGE, PROT_NONE, -1), 0);
    assert_int_equal(mt_g_fake.maps[MT_MAP_EMPTIED], 1);
    assert_int_equal(mt_g_fake.maps[MT_MAP_CLOSED], 1);
    munmap(addr, 8 * PAGE);
}

static void test_mprotect_far_from_reservations_is_not_recorded(void **state)
{
    (void)state;
    static char data[2 * PAGE] __attribute__((aligned(PAGE)));
    assert_int_equal(mt_bank0_mprotect(data, PAGE, PROT_READ), 0);
    assert_int_equal(mt_bank0_mprotect(data, PAGE, PROT_READ | PROT_WRITE), 0);
    assert_int_equal(mt_g_fake.maps[MT_MAP_OPENED], 0);
}

static void test_a_failed_change_records_nothing(void **state)
{
    (void)state;
    char *addr = map(PAGE);
    errno = 0;
    assert_int_equal(mt_bank0_mprotect(addr + 1, PAGE, PROT_NONE), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(mt_bank0_madvise(addr + 1, PAGE, MADV_DONTNEED), -1);
    assert_int_equal(mt_bank0_mprotect(addr, 0, PROT_NONE), 0);
    assert_int_equal(mt_g_fake.maps[MT_MAP_CLOSED] + mt_g_fake.maps[MT_MAP_EMPTIED], 0);
    assert_int_equal(mt_g_fake.abandoned, 3);
    munmap(addr, PAGE);
}

static void test_a_failed_mapping_records_nothing(void **state)
{
    (void)state;
    errno = 0;
    assert_ptr_equal(map(0), MAP_FAILED);
    assert_int_equal(errno, EINVAL);
    assert_ptr_equal(map((size_t)1 << 60), MAP_FAILED);
    assert_int_equal(mt_g_fake.mapped_bytes, 0);
    assert_int_equal(mt_g_fake.abandoned, 1);
    assert_int_equal(mt_g_fake.failed[MT_ALLOCATOR_MMAP], 1);
}

/* What is tried for and done without is no want of memory. */
static void test_only_memory_that_would_be_held_is_missed(void **state)
{
    static const struct {
        int protection, flags;
    } tried[] = {
        { PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS },
        { PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE },
        { PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB },
        { PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT },
        { PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK },
    };
    (void)state;
    for (size_t i = 0; i < MT_COUNTOF(tried); i++) {
        assert_ptr_equal(mt_bank0_mmap(NULL, (size_t)1 << 60, tried[i].protection, tried[i].flags, -1, 0), MAP_FAILED);
        assert_int_equal(errno, ENOMEM);
    }
    char *addr = map(2 * PAGE);
    assert_ptr_equal(mt_bank0_mremap(addr, 2 * PAGE, (size_t)1 << 46, 0, NULL), MAP_FAILED);
    assert_int_equal(mt_g_fake.failed[MT_ALLOCATOR_MMAP], 0);
    assert_ptr_equal(mt_bank0_mremap(addr, 2 * PAGE, (size_t)1 << 46, MREMAP_MAYMOVE, NULL), MAP_FAILED);
    assert_int_equal(mt_g_fake.failed[MT_ALLOCATOR_MMAP], 1);
    munmap(addr, 2 * PAGE);
}

static void test_an_invalid_unmapping_fails_unrecorded(void **state)
{
    (void)state;
    char *addr = map(PAGE);
    assert_int_equal(mt_bank0_munmap(addr + 1, PAGE), -1);
    assert_int_equal(mt_bank0_munmap(addr, 0), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(mt_bank0_munmap(addr, SIZE_MAX), -1);
    assert_int_equal(mt_g_fake.unmaps, 0);
    assert_int_equal(mt_bank0_munmap(addr, PAGE), 0);
}

static void test_mremap_moves_and_grows(void **state)
{
    (void)state;
    char *addr = map(PAGE);
    memset(addr, 7, PAGE);
    char *moved = mt_bank0_mremap(addr, PAGE, 5 * PAGE, MREMAP_MAYMOVE, NULL);
    assert_int_equal(moved[100], 7);
    assert_int_equal(mt_g_fake.maps[MT_MAP_MREMAP], 1);
    assert_int_equal(mt_g_fake.mapped_bytes, 6 * PAGE);
    assert_int_equal(mt_g_fake.unmapped_bytes, PAGE);
    void *place = map(5 * PAGE);
    assert_ptr_equal(mt_bank0_mremap(moved, 5 * PAGE, 5 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place), place);
    assert_int_equal(((char *)place)[100], 7);
    munmap(place, 5 * PAGE);
}

static void test_a_failed_mremap_leaves_the_books(void **state)
{
    (void)state;
    void *addr = map(PAGE);
    assert_ptr_equal(mt_bank0_mremap(addr, PAGE, (size_t)1 << 60, MREMAP_MAYMOVE, NULL), MAP_FAILED);
    assert_int_equal(mt_g_fake.maps[MT_MAP_MREMAP], 0);
    assert_int_equal(mt_g_fake.unmapped_bytes, 0);
    munmap(addr, PAGE);
}

static void test_the_break_is_followed_both_ways(void **state)
{
    (void)state;
    char *before = mt_bank0_sbrk(0);
    assert_int_equal(mt_g_fake.maps[MT_MAP_BRK], 0);
    assert_ptr_equal(mt_bank0_sbrk(10000), before);
    assert_int_equal(mt_g_fake.mapped_bytes, 10000);
    assert_int_equal(mt_bank0_brk(before + 4000), 0);
    assert_int_equal(mt_g_fake.unmapped_bytes, 6000);
    assert_ptr_equal(mt_bank0_sbrk(-4000), before + 4000);
    assert_int_equal(mt_g_fake.unmapped_bytes, 10000);
    assert_ptr_equal(mt_bank0_sbrk((intptr_t)1 << 60), (void *)-1);
    assert_int_equal(mt_g_fake.mapped_bytes, 10000);
}

#define HOOK_TEST(function) cmocka_unit_test_setup_teardown(function, start, stop)
static const struct CMUnitTest tests[] = {
    HOOK_TEST(test_a_mapping_counts_whole_pages),
    HOOK_TEST(test_a_part_may_be_unmapped),
    HOOK_TEST(test_kinds_are_told_apart),
    HOOK_TEST(test_libc_is_not_taken_for_an_allocator),
    HOOK_TEST(test_what_cannot_be_used_is_reserved),
    HOOK_TEST(test_what_is_made_usable_or_not_is_recorded),
    HOOK_TEST(test_mprotect_far_from_reservations_is_not_recorded),
    HOOK_TEST(test_a_failed_change_records_nothing),
    HOOK_TEST(test_a_failed_mapping_records_nothing),
    HOOK_TEST(test_only_memory_that_would_be_held_is_missed),
    HOOK_TEST(test_an_invalid_unmapping_fails_unrecorded),
    HOOK_TEST(test_mremap_moves_and_grows),
    HOOK_TEST(test_a_failed_mremap_leaves_the_books),
    HOOK_TEST(test_the_break_is_followed_both_ways),
};
MT_TEST_MAIN(tests)
