/* load_stacks.c: rows that a trace has as they are: stacks, modules. Context: [tool]. */
#include "sql/catalog.h"

#include "util/memory.h"
#include "util/out.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- stacks ------------------------------------------------------------------------------------------------------- */

/* "main;load;malloc". malloc'ed. */
static char *joined(struct mt_frames *frames, const struct mt_frame_list *list)
{
    struct mt_out *out = mt_out_open_memory();
    for (size_t i = list->count; i-- > 0;) {
        mt_out_string(out, mt_frames_frame(frames, list->ids[i])->function);
        mt_out_string(out, i > 0 ? ";" : "");
    }
    char *text = mt_strdup(mt_out_text(out, NULL));
    mt_out_discard(out);
    return text;
}

static void add_stack(struct mt_sql_load *load, uint32_t t, uint32_t stack, bool named)
{
    struct mt_sql *sql = load->sql;
    struct mt_row_stacks *row = mt_sql_add_row(load);
    row->process = mt_sql_pid(sql, t);
    row->stack_id = mt_sql_stack_id(t, stack);
    if (named) {
        struct mt_frame_list list = mt_frames_stack(sql->frames, t, stack);
        row->depth = list.count;
        row->stack = MT_SQL_USES(load, stacks, stack) ? mt_sql_keep(sql, joined(sql->frames, &list)) : NULL;
        struct mt_sql_place place = mt_sql_place_of(sql, t, stack);
        row->function = place.function;
        row->file = place.file;
        row->line = place.line;
    }
}

mt_status mt_sql_load_stacks(struct mt_sql_load *load)
{
    struct mt_sql *sql = load->sql;
    bool named = load->used >> (offsetof(struct mt_row_stacks, depth) / sizeof(uint64_t)) != 0;
    load->filled = load->used;
    for (uint32_t t = 0; t < sql->set->count; t++) {
        size_t count = mt_trace_stack_count(sql->set->traces[t]);
        for (uint32_t stack = 1; stack < count; stack++) {
            if (mt_sql_should_stop(sql)) {
                return MT_E_INTERRUPTED;
            }
            add_stack(load, t, stack, named);
        }
    }
    return MT_OK;
}

/* ---- modules ------------------------------------------------------------------------------------------------------ */

static const char *hex(struct mt_sql *sql, const uint8_t *bytes, size_t count)
{
    char *text = mt_alloc(2 * count + 1);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    }
    return mt_sql_keep(sql, text);
}

mt_status mt_sql_load_modules(struct mt_sql_load *load)
{
    struct mt_sql *sql = load->sql;
    for (uint32_t t = 0; t < sql->set->count; t++) {
        const struct mt_trace *trace = sql->set->traces[t];
        for (uint32_t i = 1; i < mt_trace_module_count(trace); i++) {
            const struct mt_trace_module *module = mt_trace_module(trace, i);
            struct mt_row_modules *row = mt_sql_add_row(load);
            row->process = mt_sql_pid(sql, t);
            row->path = module->path.data;
            row->build_id = module->build_id_bytes > 0 ? hex(sql, module->build_id, module->build_id_bytes) : NULL;
            row->low_address = module->low;
            row->high_address = module->high;
            row->gone = module->gone;
            row->interpreter = module->interpreter;
        }
    }
    return MT_OK;
}
