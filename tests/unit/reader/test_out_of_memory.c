/* test_out_of_memory.c: the n-th allocation of a call fails, for all n: the call says so, nothing is lost, no descriptor stays open, and
 * the same handle then answers as one that never failed. */
#include "model/live_writer.h"

#include "memtap/profile.h"
#include "util/memory.h"

#include <errno.h>

enum { CALLS_MOST = 100000 };

struct scene {
    struct writer w;
    uint64_t clock;
    const char *path;
    char packed[64];
};

static void write_alloc(struct scene *s, uint64_t addr, uint64_t bytes)
{
    uint32_t stack = write_stack(&s->w);
    if (s->w.slots[1].used + 2 * MT_EVENT_MAX_BYTES > SLOT_ROOM) {
        slot_flush(&s->w, &s->w.slots[1], s->clock);
    }
    mt_encode_alloc(&s->w.slots[1].encoder, MT_EVENT_ALLOC, MT_ALLOCATOR_MALLOC, ++s->clock, addr, bytes, stack);
    slot_commit_encoded(&s->w.slots[1]);
}

static void write_some(struct scene *s, uint64_t round)
{
    for (uint64_t i = 0; i < 30; i++) {
        write_alloc(s, 4096 + 64 * (30 * round + i), 100 + i);
    }
    mt_encode_free(&s->w.slots[1].encoder, MT_EVENT_FREE, ++s->clock, 4096 + 64 * 30 * round);
    slot_commit_encoded(&s->w.slots[1]);
}

static int setup(void **state)
{
    static struct scene s;
    s = (struct scene){ .clock = BUILDER_START_CLOCK };
    writer_start(&s.w, 1);
    s.w.header->flags = MT_TRACE_EXACT;
    s.w.header->pid = INT32_MAX;
    s.path = s.w.path;
    write_some(&s, 0);
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;
    writer_end(&s->w);
    return 0;
}

static size_t open_descriptors(void)
{
    size_t count = 0;
    for (int fd = 0; fd < 256; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

/* Blocks that are not freed, of everybody in the process. Sanitizers have an allocator of their own, and look for lost blocks
 * themselves. */
static long g_blocks;

static long held_blocks(void)
{
    return g_blocks;
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#undef free
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *block, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void *block);

void *malloc(size_t bytes)
{
    g_blocks++;
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    g_blocks++;
    return __libc_calloc(count, bytes);
}

void *realloc(void *block, size_t bytes)
{
    g_blocks += block == NULL;
    return __libc_realloc(block, bytes);
}

int posix_memalign(void **ret, size_t alignment, size_t bytes)
{
    g_blocks++;
    *ret = __libc_memalign(alignment, bytes);
    return *ret != NULL ? 0 : ENOMEM;
}

void free(void *block)
{
    g_blocks -= block != NULL;
    __libc_free(block);
}
#define free(block) mt_free(block)
#endif

/* One question; the answer as text (malloc'ed), NULL: *ret_code. */
typedef char *(*question)(const struct scene *s, struct mt_recording *r, int *ret_code);

static char *ask(struct mt_recording *r, enum mt_profile_report report, struct mt_profile_query query, int *ret_code)
{
    char *text = NULL;
    size_t bytes;
    query.struct_bytes = sizeof query;
    *ret_code = mt_recording_report(r, report, &query, &text, &bytes, NULL);
    char *copy = text != NULL ? strdup(text) : NULL;
    mt_profile_release(text);
    return copy;
}

static char *ask_stats(const struct scene *s, struct mt_recording *r, int *ret_code)
{
    (void)s;
    return ask(r, MT_PROFILE_STATS, (struct mt_profile_query){ 0 }, ret_code);
}

static char *ask_table(const struct scene *s, struct mt_recording *r, int *ret_code)
{
    (void)s;
    return ask(r, MT_PROFILE_TABLE, (struct mt_profile_query){ .native = true, .stacks = true }, ret_code);
}

static char *ask_tree(const struct scene *s, struct mt_recording *r, int *ret_code)
{
    (void)s;
    return ask(r, MT_PROFILE_TREE, (struct mt_profile_query){ .selection = "total" }, ret_code);
}

static char *ask_leaks(const struct scene *s, struct mt_recording *r, int *ret_code)
{
    (void)s;
    return ask(r, MT_PROFILE_LEAKS, (struct mt_profile_query){ .all_frames = true }, ret_code);
}

static char *ask_at(const struct scene *s, struct mt_recording *r, int *ret_code)
{
    (void)s;
    return ask(r, MT_PROFILE_TABLE, (struct mt_profile_query){ .selection = "at", .time = "peak" }, ret_code);
}

static char *ask_records(const struct scene *s, struct mt_recording *r, int *ret_code)
{
    (void)s;
    return ask(r, MT_PROFILE_PARSE, (struct mt_profile_query){ 0 }, ret_code);
}

static char *ask_snapshot(const struct scene *s, struct mt_recording *r, int *ret_code)
{
    struct mt_snapshot_options options = { .struct_bytes = sizeof options, .freed_limit = 100 };
    struct mt_snapshot *snapshot = NULL;
    char *text = NULL;
    (void)s;
    *ret_code = mt_recording_snapshot(r, 0, &options, &snapshot, NULL);
    if (*ret_code == MT_PROFILE_OK) {
        size_t live, freed, stacks;
        (void)mt_snapshot_live(snapshot, &live);
        (void)mt_snapshot_freed(snapshot, &freed);
        const struct mt_snapshot_stack *stack = mt_snapshot_stacks(snapshot, &stacks);
        assert_true(stacks > 0);
        assert_true(asprintf(&text, "%zu live, %zu freed, %zu stacks, %s", live, freed, stacks,
                             mt_snapshot_frame(snapshot, stack[0].frames[0]).function) > 0);
    }
    mt_snapshot_free(snapshot);
    return text;
}

static char *ask_export(const struct scene *s, struct mt_recording *r, int *ret_code)
{
    char path[80];
    (void)snprintf(path, sizeof path, "%s.collapsed", s->path);
    *ret_code = mt_recording_export(r, path, "collapsed", NULL, NULL);
    assert_int_equal(unlink(path) == 0, *ret_code == MT_PROFILE_OK);
    return *ret_code == MT_PROFILE_OK ? strdup("written") : NULL;
}

static struct mt_recording *open_it(const struct scene *s)
{
    struct mt_recording *r = NULL;
    assert_int_equal(mt_recording_open(&s->path, 1, &r, NULL), MT_PROFILE_OK);
    return r;
}

/* Of a handle that never failed. */
static char *answer_of(const struct scene *s, question asked)
{
    int code;
    struct mt_recording *r = open_it(s);
    char *answer = asked(s, r, &code);
    assert_int_equal(code, MT_PROFILE_OK);
    mt_recording_close(r);
    return answer;
}

/* What a handle did before the call that fails. */
enum before { NOTHING, ANSWERED, ANSWERED_AND_GREW };

/* Allocation n of each question fails; the same handle is then asked again. */
static void check_question(struct scene *s, question asked, enum before before)
{
    int code;
    uint64_t n = 0;
    free(answer_of(s, asked));
    for (code = MT_PROFILE_NO_MEMORY; code == MT_PROFILE_NO_MEMORY; n++) {
        assert_true(n < CALLS_MOST);
        size_t descriptors = open_descriptors();
        long blocks = held_blocks();
        struct mt_recording *r = open_it(s);
        if (before != NOTHING) {
            free(asked(s, r, &code));
        }
        if (before == ANSWERED_AND_GREW) {
            write_alloc(s, 64 + 64 * (s->clock % 40), 7 + s->clock % 1000);
        }
        mt_memory_fail_after(n);
        char *failed = asked(s, r, &code);
        mt_memory_fail_after(UINT64_MAX);
        assert_true(code == MT_PROFILE_NO_MEMORY || code == MT_PROFILE_OK);
        assert_true((failed != NULL) == (code == MT_PROFILE_OK));
        int again;
        char *answer = asked(s, r, &again), *wanted = answer_of(s, asked);
        assert_int_equal(again, MT_PROFILE_OK);
        assert_string_equal(answer, wanted);
        free(failed);
        free(answer);
        free(wanted);
        mt_recording_close(r);
        assert_int_equal(open_descriptors(), descriptors);
        assert_int_equal(held_blocks(), blocks);
    }
    assert_true(n > 1); /* one of them each, until there are no more */
    print_message("%llu allocations\n", (unsigned long long)n - 1);
}

static void check_all(struct scene *s)
{
    static const question questions[] = { ask_stats, ask_table, ask_tree, ask_leaks, ask_at, ask_records, ask_snapshot, ask_export };
    for (size_t i = 0; i < MT_COUNTOF(questions); i++) {
        check_question(s, questions[i], NOTHING);
        check_question(s, questions[i], ANSWERED);
        if (s->w.header->state == MT_STATE_RECORDING) {
            check_question(s, questions[i], ANSWERED_AND_GREW);
        }
    }
}

static void test_a_handle_on_a_growing_trace_answers_after_each_failure(void **state)
{
    check_all(*state);
}

static void test_a_handle_on_an_ended_trace_answers_after_each_failure(void **state)
{
    struct scene *s = *state;
    s->w.header->state = MT_STATE_ENDED;
    s->w.header->end_clock = s->clock;
    check_all(s);
}

static void test_opening_fails_and_loses_nothing(void **state)
{
    struct scene *s = *state;
    int code = MT_PROFILE_NO_MEMORY;
    size_t descriptors = open_descriptors();
    for (uint64_t n = 0; code == MT_PROFILE_NO_MEMORY; n++) {
        struct mt_recording *r = NULL;
        long blocks = held_blocks();
        mt_memory_fail_after(n);
        code = mt_recording_open(&s->path, 1, &r, NULL);
        mt_memory_fail_after(UINT64_MAX);
        assert_true((r != NULL) == (code == MT_PROFILE_OK));
        mt_recording_close(r);
        assert_int_equal(open_descriptors(), descriptors);
        assert_int_equal(held_blocks(), blocks);
    }
    assert_int_equal(code, MT_PROFILE_OK);
}

static void test_a_reader_of_events_goes_on_where_it_was(void **state)
{
    struct scene *s = *state;
    for (uint64_t n = 0; n < 12; n++) {
        struct mt_recording *r = open_it(s);
        struct mt_event_reader *reader = NULL;
        struct mt_profile_event events[8];
        size_t count, seen = 0;
        assert_int_equal(mt_event_reader_open(r, 0, &reader, NULL), MT_PROFILE_OK);
        for (uint64_t calls = 0; seen < 31; calls++) {
            mt_memory_fail_after(calls == 2 ? n : UINT64_MAX);
            int code = mt_event_reader_next(reader, events, MT_COUNTOF(events), &count, NULL);
            mt_memory_fail_after(UINT64_MAX);
            assert_true(code == MT_PROFILE_OK || code == MT_PROFILE_NO_MEMORY);
            for (size_t i = 0; code == MT_PROFILE_OK && i < count; i++) {
                assert_int_equal(events[i].timestamp_ns, BUILDER_START_CLOCK + ++seen);
            }
        }
        mt_event_reader_close(reader);
        mt_recording_close(r);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
static const struct CMUnitTest tests[] = {
    TEST(test_a_handle_on_a_growing_trace_answers_after_each_failure),
    TEST(test_a_handle_on_an_ended_trace_answers_after_each_failure),
    TEST(test_opening_fails_and_loses_nothing),
    TEST(test_a_reader_of_events_goes_on_where_it_was),
};
MT_TEST_MAIN(tests)
