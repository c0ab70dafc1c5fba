/* test_clocks.c: the runs of clocks of a block are those of its events, whatever the block is made of. */
#include "harness.h"

#include "model/builder.h"
#include "wire/clocks.h"
#include "wire/pack.h"

#include <unistd.h>

enum { CLOCKS_MAX = 4096 };

struct clocks {
    uint64_t at[CLOCKS_MAX];
    size_t count;
};

static void take_run(void *context, uint64_t first, uint64_t last)
{
    struct clocks *c = context;
    assert_true(first <= last);
    for (uint64_t clock = first; clock <= last; clock++) {
        assert_true(c->count == 0 || clock > c->at[c->count - 1]);
        assert_true(c->count < CLOCKS_MAX);
        c->at[c->count++] = clock;
    }
}

static void check(const struct mt_reader *reader, const struct builder *b)
{
    static struct clocks found;
    struct mt_payload payload = { 0 };
    size_t count, from = 0;
    const struct mt_extent *e = mt_reader_extents(reader, &count);
    found.count = 0;
    for (size_t i = 0; i < count; i++) {
        if (e[i].type == MT_BLOCK_EVENTS) {
            mt_clocks_of_block(reader, &e[i], &payload, take_run, &found);
        }
    }
    for (size_t i = 0; i < b->event_count; i++) {
        from = from < found.count && found.at[from] < b->events[i].clock ? from + 1 : from;
        assert_true(from < found.count);
        assert_int_equal(found.at[from], b->events[i].clock);
    }
    assert_int_equal(from + 1, found.count);
    mt_payload_fini(&payload);
}

/* Events of one stream at random clocks, most of them one behind the other; some change their label or rate, some are EXT records. */
static void build(struct builder *b, uint64_t *seed)
{
    uint64_t clock = 10;
    builder_init(b);
    b->block_events = 1 + builder_random(seed) % 200;
    for (size_t i = 0; i < 1000; i++) {
        uint64_t r = builder_random(seed);
        clock += r % 64 == 0 ? 2 + (r >> 8) % 100000 : 1;
        if (r >> 20 & 15) {
            builder_alloc(b, 1, clock, 64 + (r >> 30) % 1000 * 8, 10, 0);
        } else {
            builder_resized(b, 1, clock, 64, 10, 20);
        }
        b->events[i].label = (r >> 24) % 16 == 0 ? (uint32_t)(r >> 40) % 3 : i > 0 ? b->events[i - 1].label : 0;
        b->events[i].rate_bytes = b->events[i].kind == MT_EVENT_ALLOC ? 1000 * (1 + i / 300) : 0;
    }
    builder_finish(b);
}

static void check_file(const char *path, const struct builder *b)
{
    struct mt_reader *reader;
    assert_int_equal(mt_reader_open(path, &reader, NULL), MT_OK);
    check(reader, b);
    mt_reader_close(reader);
}

static void test_runs_are_the_clocks_of_the_events(void **state)
{
    (void)state;
    char path[64];
    uint64_t seed = builder_seed();
    (void)snprintf(path, sizeof path, "/tmp/memtap-clocks-%d.mtap", (int)getpid());
    for (int round = 0; round < 20; round++) {
        struct builder b;
        build(&b, &seed);
        FILE *f = fopen(path, "wb");
        assert_int_equal(fwrite(b.file, 1, b.file_bytes, f), b.file_bytes);
        fclose(f);
        check_file(path, &b);
        struct mt_pack_options options = { .raw_bytes = 4096, .quick_bytes = round % 2 ? 256 : 0 };
        assert_int_equal(mt_pack(path, NULL, &options, NULL, NULL), MT_OK);
        check_file(path, &b);
        unlink(path);
        builder_fini(&b);
    }
}

/* Columns of any bytes give clocks that increase (take_run), and end. */
static void test_damaged_columns_are_harmless(void **state)
{
    (void)state;
    char path[64];
    uint64_t seed = builder_seed();
    struct builder b;
    (void)snprintf(path, sizeof path, "/tmp/memtap-clocks-%d.mtap", (int)getpid());
    build(&b, &seed);
    FILE *f = fopen(path, "wb");
    assert_int_equal(fwrite(b.file, 1, b.file_bytes, f), b.file_bytes);
    fclose(f);
    assert_int_equal(mt_pack(path, NULL, NULL, NULL, NULL), MT_OK);
    f = fopen(path, "rb");
    static uint8_t whole[1 << 16], damaged[1 << 16];
    size_t bytes = fread(whole, 1, sizeof whole, f);
    fclose(f);
    for (int round = 0; round < 300; round++) {
        struct mt_reader *reader;
        static struct clocks found;
        struct mt_payload payload = { 0 };
        size_t count;
        memcpy(damaged, whole, bytes);
        damaged[600 + builder_random(&seed) % (bytes - 600)] ^= (uint8_t)(1 + builder_random(&seed) % 255);
        if (mt_reader_open_memory(damaged, bytes, &reader, NULL) != MT_OK) {
            continue;
        }
        const struct mt_extent *e = mt_reader_extents(reader, &count);
        for (size_t i = 0; i < count; i++) {
            found.count = 0;
            if (e[i].type == MT_BLOCK_EVENTS) {
                mt_clocks_of_block(reader, &e[i], &payload, take_run, &found);
                assert_true(found.count <= b.event_count);
            }
        }
        mt_payload_fini(&payload);
        mt_reader_close(reader);
    }
    unlink(path);
    builder_fini(&b);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_runs_are_the_clocks_of_the_events),
    cmocka_unit_test(test_damaged_columns_are_harmless),
};
MT_TEST_MAIN(tests)
