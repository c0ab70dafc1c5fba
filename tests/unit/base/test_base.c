/* Unit tests of base/: varints, zigzag, checksums, hashing, statuses, the bounded lock. */
#include "harness.h"

#include "base/hash.h"
#include "base/lock.h"
#include "base/os.h"
#include "base/varint.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_varint_round_trips_at_every_length_border(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits <= 64; bits++) {
        uint64_t around = bits == 64 ? UINT64_MAX : (uint64_t)1 << bits;
        for (int64_t delta = -1; delta <= 1; delta++) {
            uint64_t value = around + (uint64_t)delta;
            uint8_t text[MT_VARINT_MAX];
            uint8_t *end = mt_varint_put(text, value);
            const uint8_t *at = text;
            uint64_t back = 0;
            assert_true(mt_varint_get(&at, end, &back));
            assert_ptr_equal(at, end);
            assert_int_equal(back, value);
            size_t least = 1;
            for (uint64_t rest = value >> 7; rest != 0; rest >>= 7) {
                least++;
            }
            assert_int_equal(end - text, least);
            uint8_t either[MT_VARINT_MAX];
            assert_int_equal(mt_varint_put_either(either, value) - either, least);
            assert_memory_equal(either, text, least);
        }
    }
}

static void test_varint_cut_short_is_refused_and_leaves_the_cursor(void **state)
{
    (void)state;
    uint8_t text[MT_VARINT_MAX];
    const uint8_t *end = mt_varint_put(text, UINT64_MAX);
    for (const uint8_t *cut = text; cut < end; cut++) {
        const uint8_t *at = text;
        uint64_t back = 77;
        assert_false(mt_varint_get(&at, cut, &back));
        assert_ptr_equal(at, text);
        assert_int_equal(back, 77);
    }
}

static void test_varint_longer_than_64_bits_is_refused(void **state)
{
    (void)state;
    const uint8_t text[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02 };
    const uint8_t *at = text;
    uint64_t back = 0;
    assert_false(mt_varint_get(&at, text + sizeof text, &back));
}

static void test_zigzag_keeps_extremes(void **state)
{
    (void)state;
    const int64_t values[] = { 0, -1, 1, INT64_MAX, INT64_MIN, -64, 64 };
    const uint64_t coded[] = { 0, 1, 2, UINT64_MAX - 1, UINT64_MAX, 127, 128 };
    for (size_t i = 0; i < MT_COUNTOF(values); i++) {
        assert_int_equal(mt_zigzag(values[i]), coded[i]);
        assert_int_equal(mt_unzigzag(coded[i]), values[i]);
    }
}

static void test_crc32c_matches_the_rfc_3720_vectors(void **state)
{
    (void)state;
    uint8_t data[32];
    memset(data, 0, sizeof data);
    assert_int_equal(mt_crc32c(0, data, 32), 0x8A9136AAu);
    memset(data, 0xff, sizeof data);
    assert_int_equal(mt_crc32c(0, data, 32), 0x62A8AB43u);
    for (unsigned i = 0; i < 32; i++) {
        data[i] = (uint8_t)i;
    }
    assert_int_equal(mt_crc32c(0, data, 32), 0x46DD794Eu);
    assert_int_equal(mt_crc32c(mt_crc32c(0, data, 13), data + 13, 19), 0x46DD794Eu);
}

static void test_hash_chain_depends_on_order(void **state)
{
    (void)state;
    assert_int_not_equal(mt_hash_pair(1, 2), mt_hash_pair(2, 1));
    assert_int_not_equal(mt_hash_bytes("ab", 2), mt_hash_bytes("ab\0", 3));
}

static void test_errno_values_map_to_what_they_mean(void **state)
{
    (void)state;
    assert_int_equal(mt_status_from_errno(ENOSPC), MT_E_NOSPACE);
    assert_int_equal(mt_status_from_errno(EFBIG), MT_E_TOO_LARGE);
    assert_int_equal(mt_status_from_errno(EMFILE), MT_E_NOFILES);
    assert_int_equal(mt_status_from_errno(EROFS), MT_E_READONLY);
    assert_int_equal(mt_status_from_errno(0), MT_OK);
    assert_string_equal(mt_status_text(MT_E_NOSPACE), "no space left on device");
    assert_string_equal(mt_status_text((mt_status)999), "unknown status");
}

static struct mt_spinlock g_lock = MT_SPINLOCK_INIT(MT_RANK_META);
static uint64_t g_guarded;

static void *add_under_lock(void *argument)
{
    for (int i = 0; i < 20000; i++) {
        if (mt_spinlock_lock(&g_lock)) {
            g_guarded++;
            mt_spinlock_unlock(&g_lock);
        }
    }
    return argument;
}

static void test_spinlock_excludes(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (size_t i = 0; i < MT_COUNTOF(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, add_under_lock, NULL), 0);
    }
    for (size_t i = 0; i < MT_COUNTOF(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(g_guarded, 80000);
}

static void test_a_held_spinlock_cannot_be_tried(void **state)
{
    (void)state;
    struct mt_spinlock lock = MT_SPINLOCK_INIT(MT_RANK_FILE);
    assert_true(mt_spinlock_try(&lock));
    assert_false(mt_spinlock_try(&lock));
    mt_spinlock_reset(&lock);
    assert_true(mt_spinlock_try(&lock));
}

/* In a child: how it ended. */
static int status_of_taking(struct mt_spinlock *first, struct mt_spinlock *second)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        (void)signal(SIGILL, SIG_DFL); /* the harness catches it */
        _exit(mt_spinlock_lock(first) && mt_spinlock_lock(second) ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void test_a_lock_taken_against_the_order_of_ranks_stops_a_checked_build(void **state)
{
    (void)state;
    struct mt_spinlock outer = MT_SPINLOCK_INIT(MT_RANK_LIVE);
    struct mt_spinlock inner = MT_SPINLOCK_INIT(MT_RANK_META);
    assert_int_equal(status_of_taking(&outer, &inner), 0);
    assert_true(WIFSIGNALED(status_of_taking(&inner, &outer)));
    assert_true(WIFSIGNALED(status_of_taking(&inner, &inner)));
}

static void test_system_calls_leave_errno_alone(void **state)
{
    (void)state;
    int fd = -1;
    errno = 12345;
    assert_int_equal(mt_os_open("/nonexistent/x", MT_OPEN_READ, &fd), MT_E_NOENT);
    void *base = NULL;
    assert_int_equal(mt_os_map_anonymous(SIZE_MAX, &base), MT_E_INVAL);
    assert_int_equal(mt_os_map_anonymous((size_t)1 << 62, &base), MT_E_NOMEM);
    assert_int_equal(errno, 12345);
}

static void test_own_memory_is_what_was_touched_of_it(void **state)
{
    (void)state;
    enum { BYTES = 64 * 4096, TOUCHED = 10 };
    void *base = NULL;
    uint64_t before = mt_os_own_resident_bytes();
    assert_int_equal(mt_os_map_anonymous(BYTES, &base), MT_OK);
    (void)mt_os_advise_nohugepage(base, BYTES);
    assert_int_equal(mt_os_own_resident_bytes(), before);
    for (size_t i = 0; i < TOUCHED; i++) {
        ((volatile char *)base)[i * 3 * 4096] = 1;
    }
    assert_int_equal(mt_os_own_resident_bytes(), before + TOUCHED * 4096);
    mt_os_unmap(base, BYTES);
    assert_int_equal(mt_os_own_resident_bytes(), before);
}

static void test_mappings_beyond_the_table_count_whole(void **state)
{
    (void)state;
    enum { MAPS = 300 };
    void *bases[MAPS];
    uint64_t before = mt_os_own_resident_bytes();
    for (size_t i = 0; i < MAPS; i++) {
        assert_int_equal(mt_os_map_anonymous(4096, &bases[i]), MT_OK);
    }
    uint64_t full = mt_os_own_resident_bytes();
    assert_true(full > before && full <= before + (uint64_t)MAPS * 4096);
    for (size_t i = 0; i < MAPS; i++) {
        mt_os_unmap(bases[i], 4096);
    }
    assert_int_equal(mt_os_own_resident_bytes(), before);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_varint_round_trips_at_every_length_border),
    cmocka_unit_test(test_varint_cut_short_is_refused_and_leaves_the_cursor),
    cmocka_unit_test(test_varint_longer_than_64_bits_is_refused),
    cmocka_unit_test(test_zigzag_keeps_extremes),
    cmocka_unit_test(test_crc32c_matches_the_rfc_3720_vectors),
    cmocka_unit_test(test_hash_chain_depends_on_order),
    cmocka_unit_test(test_errno_values_map_to_what_they_mean),
    cmocka_unit_test(test_spinlock_excludes),
    cmocka_unit_test(test_a_held_spinlock_cannot_be_tried),
    cmocka_unit_test(test_a_lock_taken_against_the_order_of_ranks_stops_a_checked_build),
    cmocka_unit_test(test_system_calls_leave_errno_alone),
    cmocka_unit_test(test_own_memory_is_what_was_touched_of_it),
    cmocka_unit_test(test_mappings_beyond_the_table_count_whole),
};
MT_TEST_MAIN(tests)
