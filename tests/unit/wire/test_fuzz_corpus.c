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

/* Calls each with every file of the corpus, which lies beside this source; returns how many. */
static size_t for_each_input(void (*each)(const uint8_t *, size_t))
{
    char dir[512], path[1024];
    (void)snprintf(dir, sizeof dir, "%.*s/../../../fuzz/corpus/decode",
                   (int)(strrchr(__FILE__, '/') - __FILE__), __FILE__);
    DIR *d = opendir(dir);
    assert_non_null(d);
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(d)) != NULL;) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        (void)snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
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

static uint64_t g_seed;

static void mutate(const uint8_t *data, size_t bytes)
{
    uint8_t *copy = malloc(bytes);
    for (int round = 0; round < 150; round++) {
        memcpy(copy, data, bytes);
        for (uint64_t n = builder_random(&g_seed) % 6 + 1; n > 0; n--) {
            size_t from = builder_random(&g_seed) % 4 == 0 ? 0 : 4096;
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
    cmocka_unit_test(test_changed_bytes_are_read_without_a_crash),
};
MT_TEST_MAIN(tests)
