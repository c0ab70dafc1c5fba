/* make_seeds.c: writes the seed corpus of decode_fuzz: `make_seeds DIRECTORY`. Deterministic; the result is committed.
 *
 * One small trace for each shape a reader meets: blocks, slots, many threads, reallocs over block ends, ranges,
 * sampling with rate changes, merged stacks, an aggregate table, packed files without and with a summary, of blocks joined
 * and of Python stacks, one with a hole, what version 3 added, several processes in one file, and one that begins at a base. The corpus keeps what
 * cannot be made any more: `packed` and `summary` are `threads` and `sampled` as version 1 packed them, `columns`, `joined`,
 * `python-packed` and `summary-2` are as version 2 packed, `base*` are of version 4, the others but `grown*` and `nested` of version 1.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/summary.h"
#include "model/builder.h"
#include "symbol/pyline.h"
#include "wire/pack.h"

static const char *g_directory;

static void seed_path(char *ret, size_t bytes, const char *name)
{
    (void)snprintf(ret, bytes, "%s/%s", g_directory, name);
}

static void seed_write(struct builder *b, const char *name)
{
    char path[512];
    seed_path(path, sizeof path, name);
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(b->file, 1, b->file_bytes, f) != b->file_bytes || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
    builder_fini(b);
}

static void seed_events(struct builder *b, uint32_t streams, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t stream = 1 + (uint32_t)(i / 3) % streams;
        uint64_t clock = 5 * i + 5;
        uint64_t addr = 0x1000 + 16 * (i * 7 % 23);
        if (i % 9 == 8) {
            struct mt_event *e = builder_event(b, stream, MT_EVENT_REALLOC_OLD, clock);
            e->addr = addr;
            e = builder_event(b, stream, i % 2 ? MT_EVENT_REALLOC_NEW : MT_EVENT_REALLOC_FAILED, clock + 1);
            e->addr = i % 2 ? addr + 0x10000 : 0;
            e->size = i % 2 ? 99 : 0;
        } else if (i % 11 == 10) {
            builder_map(b, stream, clock, (unsigned)i % 6, 0x700000000000 + 4096 * (i % 16), 4096 * (1 + i % 5), 2);
        } else if (i % 13 == 12) {
            builder_unmap(b, stream, clock, i % 2 ? MT_MAP_MREMAP : 0, 0x700000000000 + 4096 * (i % 16), 8192);
        } else if (i % 2) {
            builder_free(b, stream, clock, addr - 16 * 7);
        } else {
            builder_alloc(b, stream, clock, addr, i * i, 1 + (uint32_t)i % 3);
        }
    }
}

static void seed_plain(const char *name, uint32_t streams, size_t block_events, bool slots)
{
    struct builder b;
    builder_init(&b);
    b.block_events = block_events;
    b.slots = slots;
    b.state = slots ? MT_STATE_RECORDING : MT_STATE_ENDED;
    builder_plain_stacks(&b, 3);
    for (uint32_t i = 1; i <= streams; i++) {
        builder_thread(&b, i, 1000 + i, "worker");
    }
    builder_note(&b, "python.version", "3.12.1");
    seed_events(&b, streams, 120);
    builder_finish(&b);
    seed_write(&b, name);
}

static void seed_sampled(void)
{
    struct builder b;
    builder_init(&b);
    b.flags = MT_TRACE_SAMPLE;
    b.rate_bytes = 4096;
    b.block_events = 20;
    builder_plain_stacks(&b, 3);
    seed_events(&b, 2, 100);
    for (size_t i = 0; i < b.event_count; i++) {
        b.events[i].rate_bytes = i < 50 ? 4096 : 1000;
    }
    builder_numbers(&b, MT_META_RATE, (const uint64_t[]){ BUILDER_START_CLOCK + 250, 1000 }, 2);
    builder_numbers(&b, MT_META_RSS, (const uint64_t[]){ BUILDER_START_CLOCK + 300, 1 << 20 }, 2);
    builder_finish(&b);
    seed_write(&b, "sampled");
}

static void seed_python(void)
{
    struct builder b;
    builder_init(&b);
    b.python_version = 0x030b0700;
    builder_module(&b, 1, 0x100000, "/usr/lib/libpython3.11.so.1.0", 0, 0x10000);
    builder_module(&b, 2, 0x200000, "/x/ext.so", 0, 0x10000);
    builder_string(&b, "app.py");
    builder_string(&b, "f");
    builder_code(&b, 1, 1, 2, 2, 7);
    builder_numbers(&b, MT_META_EVAL_RANGE, (const uint64_t[]){ 0x100100, 0x100200 }, 2);
    builder_native(&b, 0, 0x100150);
    builder_native(&b, 1, 0x200010);
    builder_numbers(&b, MT_META_MODULE_GONE, (const uint64_t[]){ 2 }, 1);
    builder_native(&b, 2, 0x200020);
    builder_python(&b, 0, 1, 4, MT_PYTHON_ENTRY);
    builder_python(&b, 1, 1, -1, 0);
    builder_stack(&b, 3, 2, (const uint64_t[]){ 1 }, 1);
    builder_stack(&b, 2, 1, NULL, 0);
    seed_events(&b, 1, 30);
    builder_finish(&b);
    seed_write(&b, "python");
}

static void seed_aggregate(void)
{
    struct builder b;
    builder_init(&b);
    b.flags = MT_TRACE_AGGREGATE;
    builder_plain_stacks(&b, 2);
    builder_finish(&b);
    struct mt_aggregate_row rows[3] = { { .stack = 1, .allocator = 1, .used = 1, .allocations = 3, .live_bytes = 10 },
                                        { .stack = 2, .allocator = 14, .used = 1, .peak_number = 1 } };
    builder_block(&b, MT_BLOCK_AGGREGATE, 0, 0, false, (const uint8_t *)rows, sizeof rows, 0, 0, 0);
    uint8_t *at = b.file + b.file_bytes - mt_block_extent(sizeof rows);
    struct mt_block_header h;
    memcpy(&h, at, sizeof h);
    mt_slot_seal(&h);
    memcpy(at, &h, sizeof h);
    memcpy(b.file + offsetof(struct mt_trace_header, file_tail), &(uint64_t){ b.file_bytes }, 8);
    seed_write(&b, "aggregate");
}

static void seed_hole(void)
{
    struct builder b;
    builder_init(&b);
    b.block_events = 10;
    builder_plain_stacks(&b, 3);
    seed_events(&b, 2, 60);
    builder_finish(&b);
    memset(b.file + b.ends[15].offset / MT_EXTENT_ALIGN * MT_EXTENT_ALIGN, 0, 2 * MT_EXTENT_ALIGN);
    seed_write(&b, "hole");
}

/* Labels, marks, blocks that change their size, allocators and ranges that version 2 had no room for. */
static void build_grown(struct builder *b)
{
    builder_init(b);
    b->block_events = 25;
    builder_plain_stacks(b, 3);
    builder_label(b, 1, MT_LABEL_REQUEST, "GET /");
    builder_label(b, 2, MT_LABEL_TASK, "sweep");
    builder_torch(b, &(struct mt_record_torch){ .clock = 100, .step = 1, .module = 1, .allocated = 1 << 20, .allocated_delta = -5 });
    builder_mark(b, 100, 1, MT_MARK_PHASE, 0, "load");
    builder_mark(b, 900, 0, MT_MARK_RECORDING_ENDED, 28, "write");
    builder_mark(b, 901, 0, 1000, UINT64_MAX, "?");
    seed_events(b, 2, 100);
    for (size_t i = 0; i < b->event_count; i++) {
        struct mt_event *e = &b->events[i];
        e->label = (uint32_t)(i / 20 % 4);
        if (e->kind == MT_EVENT_ALLOC && i % 4 == 0) {
            e->allocator = (uint8_t)(i % 8 == 0 ? 200 : 17);
        } else if (e->kind == MT_EVENT_MAP && i % 3 == 0) {
            e->allocator = MT_MAP_RESERVED;
        } else if (e->kind == MT_EVENT_FREE && i % 3 == 0) {
            *e = (struct mt_event){ .kind = MT_EVENT_RESIZED, .clock = e->clock, .stream = e->stream, .label = e->label,
                                    .addr = e->addr, .old_bytes = i, .size = 3 * i };
        }
    }
    builder_finish(b);
}

/* A trace that begins at a base, with what it knows of the time before. */
static void seed_base(void)
{
    enum { KEPT = 20, EVENTS = 40, HORIZON = 100 };
    const uint64_t before[] = { BUILDER_START_CLOCK + 50, 5000 << 10 };
    const uint64_t sites[][13] = { { 1, MT_ALLOCATOR_MALLOC, 1, 0, 100, 9000 << 10, 90 << 10, 1 << 30, 1 << 30, 4000 << 10, 4 << 10, 0, 0 },
                                   { 2, MT_ALLOCATOR_MMAP, 0, 0, 0, 4096 << 10, 1 << 10, 0, 0, 1000 << 10, 1 << 10, 0, 0 } };
    struct mt_block_header base = { .magic = MT_BLOCK_MAGIC, .type = MT_BLOCK_BASE, .stream = MT_STREAM_NONE,
                                    .clock_first = BUILDER_START_CLOCK + HORIZON };
    size_t order[EVENTS];
    struct builder b;
    builder_init(&b);
    builder_plain_stacks(&b, 3);
    builder_finish(&b);
    builder_numbers(&b, MT_META_BEFORE, before, MT_COUNTOF(before));
    for (uint64_t i = 1; i <= 4; i++) {
        const uint64_t point[] = { BUILDER_START_CLOCK + 25 * i, i << 20, 3 * i << 20, i << 10 };
        builder_numbers(&b, MT_META_POINT, point, MT_COUNTOF(point));
    }
    for (size_t i = 0; i < MT_COUNTOF(sites); i++) {
        builder_numbers(&b, MT_META_SITE, sites[i], MT_COUNTOF(sites[i]));
    }
    for (size_t i = 0; i < EVENTS; i++) {
        uint64_t clock = i < KEPT ? 1 + 4 * i : HORIZON + i;
        builder_alloc(&b, 1, clock, 0x1000 + 64 * i, 100 + i, 1 + (uint32_t)i % 3);
        b.events[i].rate_bytes = 100;
        order[i] = i;
    }
    size_t at = b.file_bytes;
    b.ends = realloc(b.ends, (b.end_count + EVENTS) * sizeof *b.ends);
    (void)builder_extent(&b, 0);
    builder_block(&b, MT_BLOCK_META, MT_STREAM_META, 0, false, b.meta, b.meta_bytes, 0, 0, 0);
    builder_event_block(&b, order, 0, KEPT, 0, false);
    base.extent_bytes = (uint32_t)(b.file_bytes - at);
    mt_block_seal(&base, "");
    memcpy(b.file + at, &base, sizeof base);
    builder_event_block(&b, order, KEPT, EVENTS, 1, false);
    struct mt_trace_header *header = (struct mt_trace_header *)(void *)b.file;
    header->major = MT_TRACE_MAJOR_BASE;
    header->flags = MT_TRACE_SAMPLE;
    header->rate_bytes = 100;
    header->base_offset = at;
    header->file_tail = b.file_bytes;
    seed_write(&b, "base");
}

static void seed_nested(void)
{
    struct builder outer, inner;
    build_grown(&outer);
    build_grown(&inner);
    memcpy(inner.file + offsetof(struct mt_trace_header, pid), &(uint64_t){ 4243 }, sizeof(uint64_t));
    builder_nest(&outer, inner.file, inner.file_bytes);
    builder_fini(&inner);
    seed_write(&outer, "nested");
}

static mt_status summarize(const char *path, uint64_t events, uint8_t **ret_data, size_t *ret_bytes)
{
    struct mt_trace *trace;
    struct mt_analysis analysis;
    (void)events;
    mt_status status = mt_trace_open(path, &trace, NULL);
    if (status != MT_OK) {
        return status;
    }
    struct mt_trace_set set = { &trace, 1 };
    status = mt_analyze(&set, NULL, &analysis);
    if (status == MT_OK) {
        mt_summary_encode(&analysis, 1, ret_data, ret_bytes);
    }
    mt_analysis_fini(&analysis);
    mt_trace_close(trace);
    return status;
}

static bool seed_packed(const char *name, const char *packed, const struct mt_pack_options *options)
{
    char from[512], to[512];
    seed_path(from, sizeof from, name);
    seed_path(to, sizeof to, packed);
    return mt_pack(from, to, options, NULL, NULL) == MT_OK;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "usage: make_seeds DIRECTORY\n");
        return 2;
    }
    g_directory = argv[1];
    seed_plain("blocks", 1, 50, false);
    seed_plain("threads", 6, 4, false);
    seed_plain("slots", 3, 1000, true);
    seed_sampled();
    seed_python();
    seed_aggregate();
    seed_hole();
    struct builder grown;
    build_grown(&grown);
    seed_write(&grown, "grown");
    seed_nested();
    seed_base();
    bool good = seed_packed("threads", "columns", NULL);
    good = good && seed_packed("blocks", "joined", &(struct mt_pack_options){ .quick_bytes = 1 });
    good = good && seed_packed("python", "python-packed", &(struct mt_pack_options){ .lines_of = mt_pyline_lookup_all });
    good = good && seed_packed("sampled", "summary-2", &(struct mt_pack_options){ .summarize = summarize });
    good = good && seed_packed("grown", "grown-packed", &(struct mt_pack_options){ .summarize = summarize });
    good = good && seed_packed("base", "base-packed", &(struct mt_pack_options){ .summarize = summarize });
    return good ? 0 : 1;
}
