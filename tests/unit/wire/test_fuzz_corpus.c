/* test_fuzz_corpus.c: the committed fuzz inputs, seeds and past findings, and every seed with bytes changed at random.
 * */
#include "harness.h"

#include "../../../fuzz/decode_fuzz.c"

#include "model/builder.h"

#include <dirent.h>

static size_t read_file(const char *path, uint8_t **ret)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    *ret = malloc(FUZZ_INPUT_MAX);
    size_t bytes = fread(*ret, 1, FUZZ_INPUT_MAX, f);
    fclose(f);
    return bytes;
}

/* Calls each with every file of the corpus; returns how many. */
static size_t for_each_input(void (*each)(const uint8_t *, size_t))
{
    char path[1024];
    DIR *d = opendir(MT_TEST_CORPUS);
    assert_non_null(d);
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(d)) != NULL;) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        (void)snprintf(path, sizeof path, "%s/%s", MT_TEST_CORPUS, entry->d_name);
        uint8_t *data;
        size_t bytes = read_file(path, &data);
        each(data, bytes);
        free(data);
        count++;
    }
    closedir(d);
    return count;
}

static void replay(const uint8_t *data, size_t bytes)
{
    assert_int_equal(LLVMFuzzerTestOneInput(data, bytes), 0);
}

static void test_the_corpus_is_read_without_a_crash(void **state)
{
    (void)state;
    assert_true(for_each_input(replay) >= 8);
}

static size_t read_events(const char *name, struct mt_event *out, size_t capacity)
{
    char path[1024];
    struct mt_trace *trace;
    struct mt_cursor *cursor;
    (void)snprintf(path, sizeof path, "%s/%s", MT_TEST_CORPUS, name);
    assert_int_equal(mt_trace_open(path, &trace, NULL), MT_OK);
    assert_int_equal(mt_cursor_new(trace, UINT64_MAX, &cursor), MT_OK);
    size_t count = 0, got;
    while ((got = mt_cursor_next(cursor, out + count, capacity - count)) > 0) {
        count += got;
    }
    assert_int_equal(mt_cursor_losses(cursor)->bad_blocks, 0);
    mt_cursor_free(cursor);
    mt_trace_close(trace);
    return count;
}

/* The corpus has traces as every version packed them. */
static void test_every_packing_says_the_same(void **state)
{
    (void)state;
    static const char *const same[][2] = { { "threads", "packed" },   { "threads", "columns" }, { "blocks", "joined" },
                                           { "sampled", "summary" },  { "sampled", "summary-2" },
                                           { "python", "python-packed" }, { "grown", "grown-packed" } };
    enum { ROOM = 1000 };
    struct mt_event *want = calloc(ROOM, sizeof *want), *got = calloc(ROOM, sizeof *got);
    for (size_t i = 0; i < MT_COUNTOF(same); i++) {
        size_t count = read_events(same[i][0], want, ROOM);
        assert_true(count >= 20 && count < ROOM);
        assert_int_equal(read_events(same[i][1], got, ROOM), count);
        assert_memory_equal(got, want, count * sizeof *want);
    }
    free(want);
    free(got);
}

static uint64_t g_seed;

static void mutate(const uint8_t *data, size_t bytes)
{
    uint8_t *copy = malloc(bytes);
    for (int round = 0; round < 150; round++) {
        memcpy(copy, data, bytes);
        for (uint64_t n = builder_random(&g_seed) % 6 + 1; n > 0; n--) {
            size_t header = bytes > MT_TRACE_HEADER_BYTES ? MT_TRACE_HEADER_BYTES : FUZZ_HEADER_LEAST;
            size_t from = builder_random(&g_seed) % 4 == 0 ? 0 : header;
            copy[from + builder_random(&g_seed) % (bytes - from)] = (uint8_t)builder_random(&g_seed);
        }
        (void)LLVMFuzzerTestOneInput(copy, bytes - builder_random(&g_seed) % 200);
    }
    free(copy);
}

static void test_changed_bytes_are_read_without_a_crash(void **state)
{
    (void)state;
    g_seed = builder_seed();
    (void)for_each_input(mutate);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_the_corpus_is_read_without_a_crash),
    cmocka_unit_test(test_every_packing_says_the_same),
    cmocka_unit_test(test_changed_bytes_are_read_without_a_crash),
};
MT_TEST_MAIN(tests)
