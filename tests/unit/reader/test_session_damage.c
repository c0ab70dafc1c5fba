/* test_session_damage.c: snapshots of what is left of a trace, and sessions that fail: with a code and a sentence, and usable
 * again where they can be. */
#include "session_file.h"

#include "util/memory.h"

/* ---- damage ---------------------------------------------------------------------------------------------------- */

static void assert_consistent(const struct mt_snapshot *snapshot)
{
    const struct mt_snapshot_totals *t = mt_snapshot_totals(snapshot);
    size_t live, freed, stacks;
    (void)mt_snapshot_live(snapshot, &live);
    (void)mt_snapshot_freed(snapshot, &freed);
    const struct mt_snapshot_stack *s = mt_snapshot_stacks(snapshot, &stacks);
    assert_int_equal(t->total_samples, t->live_samples + t->freed_samples);
    assert_int_equal(t->live_samples, live);
    assert_true(freed <= t->freed_samples && freed <= 8);
    for (size_t i = 0; i < stacks; i++) {
        assert_true(s[i].frame_count > 0);
        for (uint32_t f = 0; f < s[i].frame_count; f++) {
            struct mt_snapshot_frame frame = mt_snapshot_frame(snapshot, s[i].frames[f]);
            assert_true(s[i].frames[f] < mt_snapshot_frame_count(snapshot));
            assert_true(strlen(frame.function) + strlen(frame.file) + strlen(frame.module) > 0);
        }
    }
}

/* Opens whatever is in the file; true: it could be read. */
static bool survives(void)
{
    struct mt_recording *session = NULL;
    struct mt_snapshot *snapshot = NULL;
    struct mt_profile_failure failure = { 0 };
    struct mt_snapshot_options options = { .struct_bytes = sizeof options, .freed_limit = 8, .addresses_only = true };
    int code = mt_recording_open((const char *const[]){ g_path }, 1, &session, &failure);
    if (code == MT_PROFILE_OK) {
        code = mt_recording_snapshot(session, 0, &options, &snapshot, &failure);
        assert_true(code == MT_PROFILE_OK || (code == MT_PROFILE_USAGE && strstr(failure.text, "--aggregate") != NULL));
    }
    if (code == MT_PROFILE_OK) {
        assert_consistent(snapshot);
    } else {
        assert_true(code == MT_PROFILE_DAMAGED || code == MT_PROFILE_NEWER || code == MT_PROFILE_USAGE);
        assert_int_equal(failure.code, code);
        assert_non_null(strstr(failure.text, g_path));
    }
    mt_snapshot_free(snapshot);
    mt_recording_close(session);
    return code == MT_PROFILE_OK;
}

static void test_trace_cut_anywhere_is_read_or_refused(void **state)
{
    (void)state;
    struct builder b;
    build(&b, 20);
    size_t read = 0;
    for (size_t bytes = 0; bytes <= b.file_bytes; bytes += bytes >= MT_TRACE_HEADER_BYTES ? 1 : 61) {
        write_bytes(b.file, bytes);
        bool good = survives();
        assert_true(good == (bytes >= 512)); /* the fixed part of the header */
        read += good;
    }
    assert_true(read > b.file_bytes - MT_TRACE_HEADER_BYTES);
    builder_fini(&b);
}

static void test_random_damage_is_read_or_refused(void **state)
{
    (void)state;
    uint64_t seed = builder_seed();
    struct builder b;
    build(&b, 50);
    size_t read = 0;
    for (int round = 0; round < 2000; round++) {
        uint8_t *copy = malloc(b.file_bytes);
        memcpy(copy, b.file, b.file_bytes);
        for (uint64_t flips = 1 + builder_random(&seed) % 8; flips > 0; flips--) {
            size_t at = builder_random(&seed) % (b.file_bytes - MT_TRACE_HEADER_BYTES + 128);
            at = at < 128 ? at : at - 128 + MT_TRACE_HEADER_BYTES;
            copy[at] ^= (uint8_t)(1u << builder_random(&seed) % 8);
        }
        write_bytes(copy, b.file_bytes);
        read += survives();
        free(copy);
    }
    assert_true(read > 200);
    builder_fini(&b);
}

/* ---- failures -------------------------------------------------------------------------------------------------- */

static int open_code(const char *path, struct mt_profile_failure *failure)
{
    struct mt_recording *session = NULL;
    int code = mt_recording_open((const char *const[]){ path }, 1, &session, failure);
    assert_null(session);
    return code;
}

static void test_failures_have_codes_and_sentences(void **state)
{
    (void)state;
    struct mt_profile_failure failure = { 0 };
    struct builder b;
    assert_int_equal(open_code("/nonexistent/x.mtap", &failure), MT_PROFILE_NO_FILE);
    assert_non_null(strstr(failure.text, "/nonexistent/x.mtap"));
    write_bytes("not a trace", 11);
    assert_int_equal(open_code(g_path, &failure), MT_PROFILE_DAMAGED);
    assert_non_null(strstr(failure.text, "not a memtap trace"));
    assert_int_equal(open_code(g_path, NULL), MT_PROFILE_DAMAGED);
    build(&b, 0);
    header_of(&b)->major = MT_TRACE_MAJOR_BASE + 1;
    write_bytes(b.file, b.file_bytes);
    assert_int_equal(open_code(g_path, &failure), MT_PROFILE_NEWER);
    header_of(&b)->major = MT_TRACE_MAJOR;
    header_of(&b)->flags = MT_TRACE_AGGREGATE;
    write_bytes(b.file, b.file_bytes);
    struct mt_recording *aggregate = open_session();
    struct mt_snapshot *snapshot = NULL;
    assert_int_equal(mt_recording_snapshot(aggregate, 0, NULL, &snapshot, &failure), MT_PROFILE_USAGE);
    assert_non_null(strstr(failure.text, "--aggregate"));
    assert_null(snapshot);
    mt_recording_close(aggregate);
    builder_fini(&b);
}

static void test_session_whose_file_is_gone_fails_and_works_again(void **state)
{
    (void)state;
    struct builder b;
    struct mt_recording *session = open_built(&b, 0);
    struct mt_snapshot *snapshot = NULL;
    struct mt_profile_failure failure = { 0 };
    write_bytes("", 0);
    assert_int_equal(mt_recording_snapshot(session, 0, NULL, &snapshot, &failure), MT_PROFILE_DAMAGED);
    assert_null(snapshot);
    write_bytes(b.file, b.file_bytes);
    snapshot = take(session, (struct mt_snapshot_options){ 0 });
    assert_int_equal(mt_snapshot_totals(snapshot)->live_samples, 3);
    mt_snapshot_free(snapshot);
    mt_recording_close(session);
    builder_fini(&b);
}

static bool say_yes(void *context)
{
    ++*(int *)context;
    return true;
}

static void test_interrupted_snapshot_leaves_the_session_usable(void **state)
{
    (void)state;
    struct builder b;
    struct mt_recording *session = open_built(&b, 200000);
    struct mt_snapshot *snapshot = NULL;
    int asked = 0;
    struct mt_snapshot_options options = {
        .struct_bytes = sizeof options, .interrupted = say_yes, .context = &asked
    };
    assert_int_equal(mt_recording_snapshot(session, 0, &options, &snapshot, NULL), MT_PROFILE_INTERRUPTED);
    assert_null(snapshot);
    assert_int_equal(asked, 1);
    snapshot = take(session, (struct mt_snapshot_options){ 0 });
    assert_int_equal(mt_snapshot_totals(snapshot)->live_samples, 200003);
    mt_snapshot_free(snapshot);
    mt_recording_close(session);
    builder_fini(&b);
}

static bool run_out_of_memory(void *context)
{
    size_t capacity = 0;
    (void)context;
    (void)mt_alloc_grow(NULL, &capacity, SIZE_MAX, 16); /* refused before malloc is asked */
    return false;
}

static void test_running_out_of_memory_ends_the_call_not_the_process(void **state)
{
    (void)state;
    struct builder b;
    struct mt_recording *session = open_built(&b, 200000);
    struct mt_snapshot *snapshot = NULL;
    struct mt_profile_failure failure = { 0 };
    struct mt_snapshot_options options = { .struct_bytes = sizeof options, .interrupted = run_out_of_memory };
    assert_int_equal(mt_recording_snapshot(session, 0, &options, &snapshot, &failure), MT_PROFILE_NO_MEMORY);
    assert_null(snapshot);
    options.interrupted = NULL;
    assert_int_equal(mt_recording_snapshot(session, 0, &options, &snapshot, &failure), MT_PROFILE_OK);
    assert_int_equal(mt_snapshot_totals(snapshot)->live_samples, 200003);
    mt_snapshot_free(snapshot);
    mt_recording_close(session);
    builder_fini(&b);
}

static const struct CMUnitTest tests[] = {
    TEST(test_trace_cut_anywhere_is_read_or_refused),
    TEST(test_random_damage_is_read_or_refused),
    TEST(test_failures_have_codes_and_sentences),
    TEST(test_session_whose_file_is_gone_fails_and_works_again),
    TEST(test_interrupted_snapshot_leaves_the_session_usable),
    TEST(test_running_out_of_memory_ends_the_call_not_the_process),
};
MT_TEST_MAIN(tests)
