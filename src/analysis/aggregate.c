/* aggregate.c: the same results from the table of an aggregate trace (trace.md section 6).
 *
 * A row is folded the way the pass folds a site: its stored peak counts when it was last folded at the header's peak,
 * its live fields otherwise. When the program died while rising, the header's peak is older than now: current > peak
 * means that now is the peak. The table of a live process is read while it changes; a row is at worst one event off.
 * Context: [tool].
 */
#include "analysis/pass.h"
#include "util/memory.h"
#include "wire/decode_file.h"

#include <stdlib.h>

enum { ROWS_AT_ONCE = 1024 };

struct table {
    const struct mt_trace *trace;
    uint32_t trace_idx;
    uint64_t peak_number;
    bool now_is_peak;
    bool at_peak; /* else nothing of it belongs to the peak of the run */
    struct mt_analysis *analysis;
    size_t *site_capacity;
};

static struct mt_site site_of(const struct table *t, const struct mt_aggregate_row *row)
{
    bool stored = row->peak_number == t->peak_number && !t->now_is_peak;
    uint64_t peak_bytes = stored ? row->peak_bytes : row->live_bytes;
    uint64_t peak_count = stored ? row->peak_count : row->live_count;
    uint8_t allocator = row->allocator < MT_ALLOCATOR__COUNT ? row->allocator : MT_ALLOCATOR_UNKNOWN;
    struct mt_site site = { .trace_idx = t->trace_idx,
                            .stack = row->stack < mt_trace_stack_count(t->trace) ? row->stack : 0,
                            .allocator = allocator,
                            .storage = MT_STORAGE_HEAP,
                            .oldest_ns = UINT64_MAX,
                            .first_ns = UINT64_MAX };
    if (t->at_peak) {
        site.amount[MT_MEASURE_PEAK] = (struct mt_amount){ .bytes = peak_bytes, .count = peak_count };
    }
    site.amount[MT_MEASURE_LIVE] = (struct mt_amount){ .bytes = row->live_bytes, .count = row->live_count };
    site.amount[MT_MEASURE_TOTAL] = (struct mt_amount){ .bytes = row->allocated_bytes, .count = row->allocations };
    return site;
}

static void take_rows(struct table *t, const struct mt_aggregate_row *rows, size_t count)
{
    struct mt_analysis *a = t->analysis;
    for (size_t i = 0; i < count; i++) {
        if (rows[i].used == 0) {
            continue;
        }
        a->sites = mt_alloc_grow(a->sites, t->site_capacity, a->site_count + 1, sizeof *a->sites);
        a->sites[a->site_count++] = site_of(t, &rows[i]);
        a->totals.deallocations += rows[i].allocations - rows[i].live_count;
    }
}

static mt_status read_table(struct table *t, const struct mt_extent *e)
{
    struct mt_aggregate_row *rows = mt_alloc(ROWS_AT_ONCE * sizeof *rows);
    uint64_t offset = e->offset + sizeof(struct mt_block_header);
    uint64_t left = e->stored_bytes / sizeof *rows;
    mt_status status = MT_OK;
    while (left > 0 && status == MT_OK) {
        size_t want = left < ROWS_AT_ONCE ? (size_t)left : ROWS_AT_ONCE;
        size_t got = 0;
        status = mt_reader_read(mt_trace_reader(t->trace), offset, rows, want * sizeof *rows, &got);
        if (status != MT_OK || got < sizeof *rows) {
            break;
        }
        take_rows(t, rows, got / sizeof *rows);
        offset += want * sizeof *rows;
        left -= want;
    }
    free(rows);
    return status;
}

uint64_t mt_aggregate_peak(const struct mt_trace *trace)
{
    const uint64_t *counters = mt_trace_info(trace)->counters;
    uint64_t now = counters[MT_COUNTER_CURRENT_BYTES], peak = counters[MT_COUNTER_PEAK_BYTES];
    return now > peak ? now : peak;
}

mt_status mt_analyze_aggregate(const struct mt_trace *trace, uint32_t trace_idx, bool at_peak, struct mt_analysis *a,
                               size_t *site_capacity)
{
    const struct mt_trace_info *info = mt_trace_info(trace);
    struct table t = { .trace = trace,
                       .trace_idx = trace_idx,
                       .peak_number = info->counters[MT_COUNTER_PEAK_NUMBER],
                       .now_is_peak = info->counters[MT_COUNTER_CURRENT_BYTES] > info->counters[MT_COUNTER_PEAK_BYTES],
                       .at_peak = at_peak,
                       .analysis = a,
                       .site_capacity = site_capacity };
    size_t count;
    const struct mt_extent *extents = mt_reader_extents(mt_trace_reader(trace), &count);
    mt_status status = MT_OK;
    for (size_t i = 0; i < count && status == MT_OK; i++) {
        if (extents[i].type == MT_BLOCK_AGGREGATE) {
            status = read_table(&t, &extents[i]);
        }
    }
    a->aggregate = true;
    a->totals.events += info->counters[MT_COUNTER_ALLOCATIONS] + info->counters[MT_COUNTER_DEALLOCATIONS];
    return status;
}
