/* load_torch.c: rows of torch training loops, in order of their steps. Context: [tool]. */
#include "sql/catalog.h"

#include "util/human.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

static double mib(double bytes)
{
    return bytes / 0x1p20;
}

/* What a note says as a number; fallback where it says none. */
static int64_t noted(const struct mt_trace *trace, const char *key, int64_t fallback)
{
    const char *text = mt_trace_note(trace, key);
    uint64_t value;
    return text != NULL && mt_parse_count(text, &value) && value <= INT64_MAX ? (int64_t)value : fallback;
}

/* What the rows of a process share. */
static void set_process(struct mt_row_torch_trace *row, const struct mt_trace *trace)
{
    const char *role = mt_trace_note(trace, "torch.role");
    row->process = mt_trace_info(trace)->pid;
    row->rank = noted(trace, "torch.rank", -1);
    row->world_size = noted(trace, "torch.world_size", -1);
    row->micro_batches = noted(trace, "torch.micro_batches", 1);
    row->role = role != NULL ? role : "";
}

static void set_row(struct mt_row_torch_trace *row, const struct mt_trace_torch *t, uint64_t start_realtime_ns)
{
    row->timestamp = (int64_t)((start_realtime_ns + t->time_ns) / 1000);
    row->step = row->local_step = row->global_step = (int64_t)t->step;
    row->micro_step = (int64_t)t->micro_step;
    row->seq = t->seq;
    row->module = t->module;
    row->stage = t->stage;
    row->source = t->source;
    row->allocated = mib((double)t->allocated);
    row->max_allocated = mib((double)t->max_allocated);
    row->cached = mib((double)t->cached);
    row->max_cached = mib((double)t->max_cached);
    row->time_offset = (double)t->offset_ns / 1e9;
    row->duration = (double)t->duration_ns / 1e9;
    row->allocated_delta = mib((double)t->allocated_delta);
    row->max_allocated_delta = mib((double)t->max_allocated_delta);
}

struct ordered {
    int64_t step;
    size_t row;
};

static int by_step(const void *a, const void *b)
{
    const struct ordered *x = a, *y = b;
    return x->step != y->step ? (x->step > y->step ? 1 : -1) : (x->row > y->row) - (x->row < y->row);
}

static bool is_in_order(const struct mt_row_torch_trace *rows, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (rows[i].step < rows[i - 1].step) {
            return false;
        }
    }
    return true;
}

/* By step; rows of one step stay as they were recorded. */
static void put_in_order(struct mt_sql_batch *batch)
{
    struct mt_row_torch_trace *rows = batch->rows;
    if (batch->count == 0 || is_in_order(rows, batch->count)) {
        return;
    }
    struct ordered *order = mt_alloc(batch->count * sizeof *order);
    struct mt_row_torch_trace *sorted = mt_alloc(batch->count * sizeof *sorted);
    for (size_t i = 0; i < batch->count; i++) {
        order[i] = (struct ordered){ rows[i].step, i };
    }
    qsort(order, batch->count, sizeof *order, by_step);
    for (size_t i = 0; i < batch->count; i++) {
        sorted[i] = rows[order[i].row];
    }
    memcpy(rows, sorted, batch->count * sizeof *sorted);
    free(sorted);
    free(order);
}

mt_status mt_sql_load_torch(struct mt_sql_load *load)
{
    const struct mt_trace_set *set = load->sql->set;
    for (size_t t = 0; t < set->count; t++) {
        size_t count;
        const struct mt_trace_torch *torch = mt_trace_torch(set->traces[t], &count);
        struct mt_row_torch_trace shared = { 0 };
        set_process(&shared, set->traces[t]);
        for (size_t i = 0; i < count; i++) {
            struct mt_row_torch_trace *row = mt_sql_add_row(load);
            *row = shared;
            set_row(row, &torch[i], mt_trace_info(set->traces[t])->start_realtime_ns);
        }
    }
    put_in_order(load->batch);
    return MT_OK;
}
