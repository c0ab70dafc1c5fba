/* test_deflate.c: both ways to make raw deflate give back what went in. The stored way is compiled in here under another name. */
#include "page/deflate.h"

#define mt_deflate stored_deflate
unsigned char *stored_deflate(const void *data, size_t bytes, size_t *ret_bytes);
#include "page/deflate_stored.c"
#undef mt_deflate

#include "harness.h"

#include <stdbool.h>
#include <stdlib.h>
#include <zlib.h>

enum { SIZES = 5 };
static const size_t g_sizes[SIZES] = { 0, 1, 65535, 65536, 200000 };

static unsigned char *make(size_t bytes)
{
    unsigned char *data = mt_alloc(bytes);
    for (size_t i = 0; i < bytes; i++) {
        data[i] = (unsigned char)(i * 7 ^ i >> 9);
    }
    return data;
}

static void assert_inflates(const unsigned char *packed, size_t packed_bytes, const unsigned char *data, size_t bytes)
{
    unsigned char *out = mt_alloc(bytes + 1);
    unsigned char *in = mt_alloc(packed_bytes);
    memcpy(in, packed, packed_bytes);
    z_stream z = { .next_in = in, .avail_in = (uInt)packed_bytes, .next_out = out, .avail_out = (uInt)(bytes + 1) };
    assert_int_equal(inflateInit2(&z, -15), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.total_out, bytes);
    assert_int_equal(z.avail_in, 0);
    assert_memory_equal(out, data, bytes);
    assert_int_equal(inflateEnd(&z), Z_OK);
    free(in);
    free(out);
}

static void check(unsigned char *(*deflater)(const void *, size_t, size_t *))
{
    for (size_t i = 0; i < SIZES; i++) {
        size_t packed_bytes;
        unsigned char *data = make(g_sizes[i]);
        unsigned char *packed = deflater(data, g_sizes[i], &packed_bytes);
        assert_inflates(packed, packed_bytes, data, g_sizes[i]);
        free(packed);
        free(data);
    }
}

static void test_what_is_stored_comes_back(void **state)
{
    (void)state;
    check(stored_deflate);
}

static void test_what_is_deflated_comes_back(void **state)
{
    (void)state;
    check(mt_deflate);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_what_is_stored_comes_back),
    cmocka_unit_test(test_what_is_deflated_comes_back),
};

MT_TEST_MAIN(tests)
