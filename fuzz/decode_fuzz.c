/* decode_fuzz.c: any bytes are a trace until proven otherwise.
 *
 * Decides what "reading" means to the fuzzer: open, every event through the merged cursor, the whole analysis with all
 * views, frames of the first stacks. Each input is read twice: as it is, and with its checksums repaired, because a
 * mutated byte behind a checksum would never get past it; and as the columns of a block and as metadata. Nothing may
 * crash, hang, or use memory out of proportion to the input. Built for libFuzzer (clang -fsanitize=fuzzer,address) and, with replay.c, as a plain program over the
 * corpus; the unit test wire/test_fuzz_corpus includes this file. Context: [tool].
 */
#include "analysis/leaks.h"
#include "analysis/table.h"
#include "analysis/tree.h"
#include "model/cursor.h"
#include "model/frames.h"
#include "wire/columns.h"
#include "wire/encode.h"
#include "wire/meta_columns.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    FUZZ_BATCH = 256,
    FUZZ_NESTED_MAX = 8,
    FUZZ_INPUT_MAX = 1 << 20,
    FUZZ_HEADER_LEAST = MT_TRACE_FIXED_BYTES + MT_EXTENT_ALIGN,
};

/* Makes magic, version and size of the file header right, with the version and, when packed, the size it nearly has.
 * Returns where the extents begin. */
static size_t fuzz_repair_header(uint8_t *data)
{
    uint16_t major = data[8] % MT_TRACE_MAJOR_BASE + 1;
    uint32_t bytes;
    memcpy(&bytes, data + 12, sizeof bytes);
    bytes = bytes / MT_EXTENT_ALIGN * MT_EXTENT_ALIGN % (2 * MT_TRACE_HEADER_BYTES);
    bytes = major < MT_TRACE_MAJOR_SHORT ? MT_TRACE_HEADER_BYTES : bytes > FUZZ_HEADER_LEAST ? bytes : FUZZ_HEADER_LEAST;
    memcpy(data, MT_TRACE_MAGIC, 8);
    memcpy(data + 8, &major, sizeof major);
    memcpy(data + 12, &bytes, sizeof bytes);
    return bytes;
}

/* And every checksum, wherever something looks like a header. */
static void fuzz_repair(uint8_t *data, size_t size)
{
    if (size < FUZZ_HEADER_LEAST) {
        return;
    }
    for (size_t at = fuzz_repair_header(data); at + sizeof(struct mt_block_header) <= size;) {
        struct mt_block_header h;
        memcpy(&h, data + at, sizeof h);
        size_t there = size - at - sizeof h;
        if (h.magic != MT_BLOCK_MAGIC) {
            at += MT_EXTENT_ALIGN;
            continue;
        }
        if (h.type == MT_BLOCK_SLOT || h.type == MT_BLOCK_AGGREGATE) {
            mt_slot_seal(&h);
        } else if (h.stored_bytes <= there) {
            mt_block_seal(&h, data + at + sizeof h);
        }
        memcpy(data + at, &h, sizeof h);
        size_t step = h.extent_bytes & ~(uint32_t)(MT_EXTENT_ALIGN - 1);
        at += step >= sizeof h && step <= there ? step : sizeof h;
    }
}

static void fuzz_views(const struct mt_trace_set *set, const struct mt_analysis *a)
{
    struct mt_frames *frames;
    struct mt_profile profile;
    struct mt_tree tree;
    struct mt_table table;
    struct mt_leaks leaks;
    const struct mt_profile_options options = { .measure = MT_MEASURE_TOTAL };
    if (mt_frames_new(set, &(struct mt_frames_options){ .no_symbols = true }, &frames) != MT_OK) {
        return;
    }
    struct mt_places *places = mt_places_new(frames, NULL);
    struct mt_grouping *grouping = mt_grouping_new(places, set, &(struct mt_grouping_options){ .invert = true });
    if (mt_profile_make(set, a, &options, &profile) == MT_OK) {
        if (mt_tree_make(&profile, frames, NULL, &tree) == MT_OK) {
            mt_tree_fini(&tree);
        }
        if (mt_table_make(set, &profile, places, NULL, &table) == MT_OK) {
            mt_table_fini(&table);
        }
        mt_profile_fini(&profile);
    }
    if (mt_leaks_make(set, a, grouping, 0, 0, &leaks) == MT_OK) {
        mt_leaks_fini(&leaks);
    }
    mt_grouping_free(grouping);
    mt_places_free(places);
    mt_frames_free(frames);
}

static void fuzz_trace(struct mt_trace *trace)
{
    struct mt_cursor *cursor;
    struct mt_analysis analysis;
    static struct mt_event batch[FUZZ_BATCH];
    struct mt_trace_set set = { &trace, 1 };
    if (mt_cursor_new(trace, UINT64_MAX, &cursor) == MT_OK) {
        while (mt_cursor_next(cursor, batch, FUZZ_BATCH) > 0) {
        }
        mt_cursor_free(cursor);
    }
    if (mt_analyze(&set, NULL, &analysis) == MT_OK) { /* by its summary, if it has one */
        fuzz_views(&set, &analysis);
    }
    mt_analysis_fini(&analysis);
    struct mt_analysis_options options = MT_ANALYSIS_DEFAULTS;
    options.timeline_points = 16;
    options.window_start_ns = 100;
    if (mt_analyze(&set, &options, &analysis) == MT_OK) {
        fuzz_views(&set, &analysis);
    }
    mt_analysis_fini(&analysis);
}

static void fuzz_read(const uint8_t *data, size_t size)
{
    struct mt_trace *trace, *nested;
    struct mt_wire_error error;
    if (mt_trace_open_memory(data, size, &trace, &error) != MT_OK) {
        return;
    }
    fuzz_trace(trace);
    for (size_t i = 0; i < mt_trace_nested_count(trace) && i < FUZZ_NESTED_MAX; i++) {
        if (mt_trace_open_nested(trace, i, &nested, &error) == MT_OK) {
            fuzz_trace(nested);
            mt_trace_close(nested);
        }
    }
    mt_trace_close(trace);
}

/* Blocks of a trace are compressed, so that changed bytes rarely get as far as the columns in them: here directly. */
static void fuzz_columns(const uint8_t *data, size_t size)
{
    static struct mt_event batch[FUZZ_BATCH];
    if (size < MT_COLUMNS_HEAD_BYTES) {
        return;
    }
    size_t row_bytes = size - MT_COLUMNS_HEAD_BYTES;
    uint8_t *columns = calloc(1, size + MT_COLUMNS_SLACK), *rows = malloc(row_bytes + MT_COLUMNS_SLACK);
    memcpy(columns, data, size);
    if (mt_columns_join(columns, size, rows, row_bytes)) {
        struct mt_event_decoder d;
        mt_decode_begin(&d, rows, row_bytes, 0, 1);
        while (mt_decode_events(&d, UINT64_MAX, batch, FUZZ_BATCH) > 0) {
        }
    }
    free(columns);
    free(rows);
}

static void fuzz_meta_columns(const uint8_t *data, size_t size)
{
    uint8_t *rows = malloc(size > 0 ? 4 * size : 1);
    for (size_t row_bytes = size / 2; row_bytes < 4 * size; row_bytes += size) {
        (void)(mt_meta_columns_join(data, size, rows, row_bytes) == MT_OK);
    }
    free(rows);
    uint8_t *columns;
    size_t bytes, row_bytes;
    if (mt_meta_columns_split(data, size, &(struct mt_meta_count){ 0, 0 }, &columns, &bytes, &row_bytes) == MT_OK) {
        uint8_t *again = malloc(row_bytes + 1);
        if (mt_meta_columns_join(columns, bytes, again, row_bytes) != MT_OK) {
            abort(); /* whatever was taken apart comes together again */
        }
        free(again);
        free(columns);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > FUZZ_INPUT_MAX) {
        return 0;
    }
    fuzz_read(data, size);
    fuzz_columns(data, size);
    fuzz_meta_columns(data, size);
    uint8_t *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, data, size);
    fuzz_repair(copy, size);
    fuzz_read(copy, size);
    free(copy);
    return 0;
}
