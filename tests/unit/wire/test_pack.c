/* test_pack.c: a packed trace says what the unpacked one said: every event, every metadata record; smaller; and the
 * original survives every failure. */
#include "harness.h"

#include "model/builder.h"
#include "model/cursor.h"
#include "wire/decode_file.h"
#include "wire/pack.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

static char g_path[64];
static char g_packed[80];

static void write_file(const struct builder *b)
{
    (void)snprintf(g_path, sizeof g_path, "/tmp/memtap-pack-%d.mtap", (int)getpid());
    (void)snprintf(g_packed, sizeof g_packed, "%s.packed", g_path);
    FILE *f = fopen(g_path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(b->file, 1, b->file_bytes, f), b->file_bytes);
    fclose(f);
}

static size_t read_path(const char *path, struct mt_event *out, size_t capacity, struct mt_cursor_losses *losses)
{
    struct mt_trace *t;
    struct mt_cursor *c;
    assert_int_equal(mt_trace_open(path, &t, NULL), MT_OK);
    assert_int_equal(mt_cursor_new(t, UINT64_MAX, &c), MT_OK);
    size_t count = 0, got;
    while ((got = mt_cursor_next(c, out + count, capacity - count)) > 0) {
        count += got;
    }
    *losses = *mt_cursor_losses(c);
    mt_cursor_free(c);
    mt_trace_close(t);
    return count;
}

static void build(struct builder *b, uint64_t *seed, size_t events)
{
    builder_init(b);
    b->block_events = 1 + builder_random(seed) % 60;
    b->slots = builder_random(seed) % 2 == 0;
    builder_plain_stacks(b, 50);
    builder_note(b, "key", "value");
    uint64_t clock = 5;
    uint64_t rate = 0;
    uint32_t labels[4] = { 0 };
    for (size_t i = 0; i < events; i++) {
        uint64_t r = builder_random(seed);
        uint32_t stream = 1 + (uint32_t)(r % 3);
        clock += 1 + (r >> 4) % 3;
        switch ((r >> 8) % 9) {
        case 0:
            builder_map(b, stream, clock, (unsigned)(r >> 20) % 8, (r >> 30 & 0xFFFF) << 12, 8192,
                        (uint32_t)(r >> 50) % 50);
            break;
        case 1:
            builder_unmap(b, stream, clock, 0, (r >> 30 & 0xFFFF) << 12, 4096);
            break;
        case 2: /* the two halves may fall into different blocks */
        case 3:
            builder_event(b, stream, MT_EVENT_REALLOC_OLD, clock)->addr = r & 0xFFFFF0;
            b->events[b->event_count - 1].rate_bytes = rate;
            static const uint8_t ends[] = { MT_EVENT_REALLOC_FAILED, MT_EVENT_REALLOC_GONE, MT_EVENT_REALLOC_THINNED };
            builder_event(b, stream, ends[(r >> 20) % 3], ++clock);
            break;
        case 7:
            builder_resized(b, stream, clock, r & 0xFFFFFF, r >> 40, r >> 20 & 0xFFFF);
            break;
        case 4:
            builder_free(b, stream, clock, r & 0xFFFFFF);
            break;
        default:
            builder_alloc(b, stream, clock, r & (r >> 60 ? 0xFFFFF0 : 0xFFFFFF), r >> 40, (uint32_t)(r >> 50) % 50);
            b->events[b->event_count - 1].allocator = (uint8_t)(r >> 58 == 0 ? r >> 20 : r >> 20 & 15);
            break;
        }
        rate = r >> 55 == 0 ? (r >> 12 & 3) * 1000 : rate;
        labels[stream] = r >> 52 & 7 ? labels[stream] : (uint32_t)(r >> 12 & 0x1FF);
        struct mt_event *last = &b->events[b->event_count - 1];
        last->rate_bytes = last->kind == MT_EVENT_RESIZED ? last->old_bytes : rate;
        last->label = labels[stream];
    }
    builder_finish(b);
}

static size_t rates_in(const struct mt_reader *reader, const struct mt_extent *e)
{
    struct mt_payload payload = { 0 };
    struct mt_event_decoder d;
    struct mt_event event;
    size_t rates = 0;
    assert_int_equal(mt_reader_load(reader, e, &payload, NULL), MT_OK);
    mt_decode_begin(&d, payload.data, payload.bytes, e->clock_first, e->stream);
    while (mt_decode_events(&d, UINT64_MAX, &event, 1) == 1) {
        rates += event.kind == MT_EVENT_RATE || event.kind == MT_EVENT_LABEL;
    }
    assert_int_equal(d.state, MT_DECODE_END);
    mt_payload_fini(&payload);
    return rates;
}

/* Changes of the rate and the label that stay records of their own: those in blocks that quick packing keeps. Elsewhere they
 * are said anew wherever the new blocks want it, and no such record is counted. */
static size_t kept_rates(const char *path, uint32_t quick_bytes)
{
    struct mt_reader *reader;
    size_t count, rates = 0;
    assert_int_equal(mt_reader_open(path, &reader, NULL), MT_OK);
    const struct mt_extent *e = mt_reader_extents(reader, &count);
    for (size_t i = 0; i < count && quick_bytes != 0; i++) {
        if (e[i].type == MT_BLOCK_EVENTS && !e[i].slot && e[i].raw_bytes >= quick_bytes) {
            rates += rates_in(reader, &e[i]);
        }
    }
    mt_reader_close(reader);
    return rates;
}

/* None, all blocks, none, the larger blocks, and so on. */
static uint32_t quick_of(int round, uint64_t *seed)
{
    return round % 2 == 0 ? 0 : round % 4 == 1 ? 1 : (uint32_t)(builder_random(seed) % 800);
}

static void test_a_packed_trace_says_the_same(void **state)
{
    (void)state;
    uint64_t seed = builder_seed();
    enum { MOST = 4000, ROOM = 2 * MOST + 1 };
    size_t all_rates = 0;
    struct mt_event *before = malloc(ROOM * sizeof *before), *after = malloc(ROOM * sizeof *after);
    for (int round = 0; round < 40; round++) {
        struct builder b;
        build(&b, &seed, 1 + builder_random(&seed) % MOST);
        write_file(&b);
        struct mt_cursor_losses l1, l2;
        size_t count = read_path(g_path, before, ROOM, &l1);
        struct mt_pack_options options = { .raw_bytes = (uint32_t)(4096 + builder_random(&seed) % 20000),
                                           .quick_bytes = quick_of(round, &seed) };
        struct mt_pack_result result;
        size_t rates = kept_rates(g_path, options.quick_bytes);
        all_rates += rates;
        assert_int_equal(mt_pack(g_path, NULL, &options, &result, NULL), MT_OK);
        assert_int_equal(result.events, b.event_count + rates);
        assert_int_equal(result.before_bytes, b.file_bytes);
        assert_int_equal(read_path(g_path, after, ROOM, &l2), count);
        assert_memory_equal(before, after, count * sizeof *before);
        assert_int_equal(l1.unfinished_reallocs, l2.unfinished_reallocs);
        struct mt_trace *t;
        assert_int_equal(mt_trace_open(g_path, &t, NULL), MT_OK);
        assert_int_equal(mt_trace_stack_count(t), 51);
        assert_string_equal(mt_trace_note(t, "key"), "value");
        assert_true(mt_trace_info(t)->flags & MT_TRACE_PACKED);
        assert_int_equal(mt_trace_info(t)->file_bytes, result.after_bytes);
        assert_int_equal(mt_trace_completeness(t)->holes + mt_trace_completeness(t)->truncated_at, 0);
        mt_trace_close(t);
        unlink(g_path);
        builder_fini(&b);
    }
    assert_true(all_rates > 0); /* 10 rounds keep all blocks: by chance nothing in them changes the rate once in 10^7 runs */
    free(before);
    free(after);
}

static void check_a_lost_block_stays_lost(const struct mt_pack_options *options)
{
    struct builder b;
    builder_init(&b);
    b.block_events = 10;
    for (uint64_t i = 0; i < 100; i++) {
        builder_alloc(&b, 1, i + 1, 64 * i + 64, i, 0);
    }
    builder_finish(&b);
    struct mt_block_header h;
    size_t offset = MT_TRACE_HEADER_BYTES;
    for (int i = 0; i < 4; i++) {
        memcpy(&h, b.file + offset, sizeof h);
        offset += h.extent_bytes;
    }
    b.file[offset + 70] ^= 1; /* the fifth payload */
    write_file(&b);
    assert_int_equal(mt_pack(g_path, NULL, options, NULL, NULL), MT_OK);
    struct mt_trace *t;
    struct mt_event got[128];
    struct mt_cursor_losses losses;
    assert_int_equal(mt_trace_open(g_path, &t, NULL), MT_OK);
    assert_int_equal(mt_trace_completeness(t)->lost_blocks, 1);
    mt_trace_close(t);
    assert_int_equal(read_path(g_path, got, 128, &losses), 90);
    unlink(g_path);
    builder_fini(&b);
}

static void test_a_lost_block_stays_lost(void **state)
{
    (void)state;
    struct mt_pack_options quick = { .quick_bytes = 1 };
    check_a_lost_block_stays_lost(NULL);
    check_a_lost_block_stays_lost(&quick);
}

static void test_repetitive_events_are_readable_after_packing(void **state)
{
    (void)state;
    struct builder b;
    builder_init(&b);
    enum { EVENTS = 100000 };
    for (uint64_t i = 0; i < EVENTS / 2; i++) {
        builder_alloc(&b, 1, 2 * i + 1, 0x1000, 64, 0);
        builder_free(&b, 1, 2 * i + 2, 0x1000);
    }
    builder_finish(&b);
    write_file(&b);
    struct mt_pack_result result;
    struct mt_cursor_losses losses;
    assert_int_equal(mt_pack(g_path, NULL, NULL, &result, NULL), MT_OK);
    assert_true(result.after_bytes < result.before_bytes / 20);
    struct mt_event *got = malloc((EVENTS + 1) * sizeof *got);
    assert_int_equal(read_path(g_path, got, EVENTS + 1, &losses), EVENTS);
    assert_int_equal(losses.bad_blocks, 0);
    free(got);
    unlink(g_path);
    builder_fini(&b);
}

static off_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_size : -1;
}

static int temporaries(void)
{
    char command[256];
    (void)snprintf(command, sizeof command, "ls %s.pack-* 2>/dev/null | wc -l", g_path);
    FILE *p = popen(command, "r");
    int count = -1;
    assert_int_equal(fscanf(p, "%d", &count), 1);
    pclose(p);
    return count;
}

static void test_every_failure_keeps_the_original(void **state)
{
    (void)state;
    struct builder b;
    uint64_t seed = 7;
    build(&b, &seed, 3000);
    write_file(&b);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit old, limit;
    getrlimit(RLIMIT_FSIZE, &old);
    bool packed = false;
    int failures = 0;
    for (rlim_t most = 0; !packed; most += 997) { /* a disk that is full after so many bytes */
        limit = (struct rlimit){ most, old.rlim_max };
        setrlimit(RLIMIT_FSIZE, &limit);
        struct mt_wire_error error = { 0 };
        mt_status status = mt_pack(g_path, g_packed, NULL, NULL, &error);
        setrlimit(RLIMIT_FSIZE, &old);
        packed = status == MT_OK;
        failures += !packed;
        assert_true(packed || error.text != NULL);
        assert_int_equal(size_of(g_path), b.file_bytes);
        assert_int_equal(size_of(g_packed) >= 0, packed);
        assert_int_equal(temporaries(), 0);
    }
    assert_true(failures > 5);
    unlink(g_path);
    unlink(g_packed);
    assert_int_equal(mt_pack(g_path, NULL, NULL, NULL, NULL), MT_E_NOENT);
    builder_fini(&b);
}

/* One file serves for many traces: nothing of an earlier, longer one is left. */
static void test_a_passing_file_holds_what_the_lasting_one_does(void **state)
{
    (void)state;
    uint64_t seed = 7;
    FILE *passing = tmpfile();
    for (size_t events = 3000; events > 10; events /= 3) {
        struct builder b;
        uint8_t *want = NULL, *got = NULL;
        build(&b, &seed, events);
        write_file(&b);
        assert_int_equal(mt_pack(g_path, g_packed, NULL, NULL, NULL), MT_OK);
        assert_int_equal(mt_pack_into(g_path, fileno(passing), NULL, NULL), MT_OK);
        struct stat st;
        assert_int_equal(fstat(fileno(passing), &st), 0);
        assert_int_equal(st.st_size, size_of(g_packed));
        want = malloc((size_t)st.st_size);
        got = malloc((size_t)st.st_size);
        FILE *lasting = fopen(g_packed, "rb");
        assert_int_equal(fread(want, 1, (size_t)st.st_size, lasting), st.st_size);
        assert_int_equal(pread(fileno(passing), got, (size_t)st.st_size, 0), st.st_size);
        assert_memory_equal(want, got, (size_t)st.st_size);
        assert_int_equal(size_of(g_path), b.file_bytes);
        fclose(lasting);
        free(want);
        free(got);
        builder_fini(&b);
    }
    fclose(passing);
    unlink(g_path);
    unlink(g_packed);
    assert_int_equal(mt_pack_into(g_path, 0, NULL, NULL), MT_E_NOENT);
}

static void test_a_trace_in_use_or_cut_is_left_alone(void **state)
{
    (void)state;
    struct builder b;
    uint64_t seed = 7;
    build(&b, &seed, 300);
    ((struct mt_trace_header *)(void *)b.file)->state = MT_STATE_RECORDING;
    write_file(&b);
    assert_int_equal(mt_pack(g_path, NULL, NULL, NULL, NULL), MT_E_BUSY);
    struct mt_pack_options options = { .writer_is_gone = true };
    assert_int_equal(mt_pack(g_path, g_packed, &options, NULL, NULL), MT_OK);
    assert_int_equal(truncate(g_path, (off_t)b.file_bytes - 200), 0);
    assert_int_equal(mt_pack(g_path, NULL, &options, NULL, NULL), MT_E_TRUNCATED);
    unlink(g_path);
    unlink(g_packed);
    builder_fini(&b);
}

/* Compressed blocks are cut too: what can be decompressed is delivered, and it is a prefix of each stream. */
static void check_cuts(const struct mt_pack_options *options)
{
    struct builder b;
    builder_init(&b);
    uint64_t seed = 3;
    enum { EVENTS = 60000 };
    for (uint64_t i = 0; i < EVENTS; i++) {
        builder_alloc(&b, 1 + (uint32_t)(i % 2), i + 1, (builder_random(&seed) >> 20) << 4, i, 0);
    }
    builder_finish(&b);
    write_file(&b);
    assert_int_equal(mt_pack(g_path, NULL, options, NULL, NULL), MT_OK);
    off_t bytes = size_of(g_path);
    struct mt_event *got = malloc((EVENTS + 1) * sizeof *got);
    size_t most = 0;
    for (off_t cut = bytes - 9973; cut > 4096; cut -= 9973) { /* the first is in a block of events */
        struct mt_cursor_losses losses;
        uint64_t next[3] = { 0, 0, 1 };
        assert_int_equal(truncate(g_path, cut), 0);
        size_t count = read_path(g_path, got, EVENTS + 1, &losses);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(got[i].size, next[got[i].stream]);
            next[got[i].stream] += 2;
        }
        most = count > most ? count : most;
    }
    assert_true(most > EVENTS / 2);
    free(got);
    unlink(g_path);
    builder_fini(&b);
}

static void test_a_packed_trace_cut_anywhere_gives_prefixes(void **state)
{
    (void)state;
    struct mt_pack_options small = { .raw_bytes = 32768 }, quick = { .raw_bytes = 32768, .quick_bytes = 1 };
    check_cuts(&small);
    check_cuts(&quick);
}

static void test_the_index_lists_every_event_block(void **state)
{
    (void)state;
    struct builder b;
    uint64_t seed = 11;
    build(&b, &seed, 3000);
    write_file(&b);
    struct mt_pack_options options = { .raw_bytes = 4096, .quick_bytes = 300 };
    assert_int_equal(mt_pack(g_path, NULL, &options, NULL, NULL), MT_OK);
    struct mt_reader *r;
    assert_int_equal(mt_reader_open(g_path, &r, NULL), MT_OK);
    size_t count;
    const struct mt_extent *e = mt_reader_extents(r, &count);
    struct mt_payload p = { 0 };
    assert_int_equal(e[count - 1].type, MT_BLOCK_INDEX);
    assert_int_equal(e[count - 1].offset + e[count - 1].extent_bytes, mt_reader_file_bytes(r));
    assert_int_equal(mt_reader_load(r, &e[count - 1], &p, NULL), MT_OK);
    struct mt_bytes in = mt_bytes_of(p.data, p.bytes);
    uint64_t blocks = mt_bytes_u64(&in), offset = 0, clock = 0, seen = 0;
    for (uint64_t i = 0; i < blocks; i++) {
        offset += mt_bytes_u64(&in);
        uint64_t stream = mt_bytes_u64(&in), seq = mt_bytes_u64(&in);
        clock += (uint64_t)mt_bytes_s64(&in);
        uint64_t last = clock + mt_bytes_u64(&in), events = mt_bytes_u64(&in);
        for (size_t k = 0; k < count; k++) {
            seen += e[k].offset == offset && e[k].stream == stream && e[k].seq == seq && e[k].clock_first == clock &&
                    e[k].clock_last == last && e[k].events == events;
        }
    }
    assert_false(in.bad);
    assert_true(blocks >= 3);
    assert_int_equal(seen, blocks);
    mt_payload_fini(&p);
    mt_reader_close(r);
    unlink(g_path);
    builder_fini(&b);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_packed_trace_says_the_same),
    cmocka_unit_test(test_a_lost_block_stays_lost),
    cmocka_unit_test(test_repetitive_events_are_readable_after_packing),
    cmocka_unit_test(test_every_failure_keeps_the_original),
    cmocka_unit_test(test_a_passing_file_holds_what_the_lasting_one_does),
    cmocka_unit_test(test_a_trace_in_use_or_cut_is_left_alone),
    cmocka_unit_test(test_a_packed_trace_cut_anywhere_gives_prefixes),
    cmocka_unit_test(test_the_index_lists_every_event_block),
};
MT_TEST_MAIN(tests)
