/* load_processes.c: rows that a trace has as they are: stacks, modules, the resident set; and mappings as they are now. Context: [tool]. */
#include "sql/catalog.h"

#include "base/os.h"
#include "util/mappings.h"
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

/* ---- the resident set --------------------------------------------------------------------------------------------- */

mt_status mt_sql_load_process_memory(struct mt_sql_load *load)
{
    struct mt_sql *sql = load->sql;
    for (uint32_t t = 0; t < sql->set->count; t++) {
        size_t count;
        const struct mt_trace_rss *rss = mt_trace_rss(sql->set->traces[t], &count);
        for (size_t i = 0; i < count; i++) {
            struct mt_row_process_memory *row = mt_sql_add_row(load);
            row->process = mt_sql_pid(sql, t);
            row->time_s = (double)(sql->axis.spans[t].start_ns + rss[i].time_ns) / 1e9;
            row->rss_bytes = rss[i].bytes;
            row->file_bytes = rss[i].parted ? rss[i].file_bytes : MT_NULL_U64;
            row->own_bytes = rss[i].parted ? rss[i].own_bytes : MT_NULL_U64;
        }
    }
    return MT_OK;
}

/* ---- mappings of processes that run ------------------------------------------------------------------------------- */

static void add_mappings(struct mt_sql_load *load, uint32_t t, const struct mt_mappings *mappings)
{
    for (size_t i = 0; i < mappings->count; i++) {
        const struct mt_mapping *m = &mappings->items[i];
        struct mt_row_smaps *row = mt_sql_add_row(load);
        row->process = mt_sql_pid(load->sql, t);
        row->low_address = m->low;
        row->high_address = m->high;
        row->permissions = mt_sql_keep(load->sql, mt_strdup(m->permissions));
        row->path = m->path[0] != '\0' ? mt_sql_keep(load->sql, mt_strdup(m->path)) : NULL;
        row->size_bytes = m->high - m->low;
        row->rss_bytes = m->rss_bytes;
        row->pss_bytes = m->pss_bytes;
        row->private_dirty_bytes = m->private_dirty_bytes;
        row->swap_bytes = m->swap_bytes;
    }
}

/* Of a process that has ended, or may not be looked at, there are none. */
mt_status mt_sql_load_smaps(struct mt_sql_load *load)
{
    struct mt_sql *sql = load->sql;
    for (uint32_t t = 0; t < sql->set->count; t++) {
        const struct mt_trace_info *info = mt_trace_info(sql->set->traces[t]);
        struct mt_mappings mappings = { 0 };
        struct mt_error ignored = { 0 };
        if (mt_trace_is_live(info, mt_os_monotonic_ns()) && info->pid <= INT32_MAX &&
            mt_mappings_read_resident((pid_t)info->pid, &mappings, &ignored) == MT_OK) {
            add_mappings(load, t, &mappings);
        }
        mt_mappings_clear(&mappings);
    }
    return MT_OK;
}
