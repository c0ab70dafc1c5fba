/* stacks_data.c: the selected memory as plain data: CSV and JSON, one item a (stack, thread, allocator). */
#include "analysis/estimate.h"
#include "export/exporter.h"
#include "export/rows.h"
#include "util/memory.h"

#include <stdlib.h>

static uint64_t pid_of(const struct mt_report *report, const struct mt_profile_row *row)
{
    return mt_trace_info(report->set->traces[row->trace_idx])->pid;
}

static uint64_t tid_of(const struct mt_report *report, const struct mt_profile_row *row)
{
    const struct mt_trace_thread *thread = mt_trace_thread(report->set->traces[row->trace_idx], row->stream);
    return thread != NULL ? thread->tid : 0;
}

/* "outer (file:line);…;inner (file:line)". */
static void put_csv_stack(struct mt_out *out, const struct mt_report *report, const struct mt_profile_row *row)
{
    struct mt_out *text = mt_out_open_memory();
    struct mt_frame_list list = mt_frames_stack(report->frames, row->trace_idx, row->stack);
    for (size_t i = list.count; i > 0; i--) {
        const struct mt_frame *frame = mt_frames_frame(report->frames, list.ids[i - 1]);
        char *place = mt_rows_place(frame);
        mt_out_print(text, "%s%s (%s)", i < list.count ? ";" : "", frame->function, place);
        free(place);
    }
    mt_csv_field(out, mt_out_text(text, NULL));
    mt_out_discard(text);
}

void mt_export_csv(struct mt_out *out, const struct mt_export_input *input)
{
    const struct mt_report *report = input->report;
    mt_out_string(out, "pid,tid,allocator,bytes,count,bytes_ci95,count_ci95,stack\r\n");
    for (size_t i = 0; i < input->profile->count && !mt_out_failed(out); i++) {
        const struct mt_profile_row *row = &input->profile->rows[i];
        mt_out_print(out, "%llu,", (unsigned long long)pid_of(report, row));
        if (mt_report_knows_threads(report->set, row->trace_idx)) {
            mt_out_print(out, "%llu", (unsigned long long)tid_of(report, row));
        }
        mt_out_print(out, ",%s,%llu,%llu,%.0f,%.1f,", mt_report_allocator(row->allocator),
                     (unsigned long long)row->amount.bytes, (unsigned long long)row->amount.count,
                     mt_estimate_ci95(row->amount.bytes_variance), mt_estimate_ci95(row->amount.count_variance));
        put_csv_stack(out, report, row);
        mt_out_string(out, "\r\n");
    }
}

static void put_thread(struct mt_json *json, const struct mt_report *report, const struct mt_profile_row *row)
{
    if (!mt_report_knows_threads(report->set, row->trace_idx)) {
        mt_json_put_text(json, "tid", NULL);
        mt_json_put_text(json, "thread", NULL);
        return;
    }
    char *thread = mt_report_thread(report->set, row->trace_idx, row->stream);
    mt_json_put_u64(json, "tid", tid_of(report, row));
    mt_json_put_text(json, "thread", thread);
    free(thread);
}

static void put_stack_item(struct mt_json *json, const struct mt_report *report, const struct mt_profile_row *row)
{
    mt_json_object(json);
    mt_json_put_u64(json, "pid", pid_of(report, row));
    put_thread(json, report, row);
    mt_json_put_text(json, "allocator", mt_report_allocator(row->allocator));
    mt_report_put_amount(json, "", &row->amount, report->analysis->sampled);
    mt_report_put_stack(json, report->frames, row->trace_idx, row->stack);
    mt_json_object_end(json);
}

void mt_export_json(struct mt_out *out, const struct mt_export_input *input)
{
    const struct mt_report *report = input->report;
    const struct mt_trace_info *root = mt_trace_info(mt_report_root(report->set));
    struct mt_json json;
    char *command = mt_report_command(root);
    mt_json_init(&json, out, 2);
    mt_json_object(&json);
    mt_json_put_text(&json, "command", command);
    mt_json_put_u64(&json, "pid", root->pid);
    mt_json_put_text(&json, "mode", mt_report_mode(root));
    mt_json_put_text(&json, "selection", report->selection);
    mt_report_put_amount(&json, "", &input->profile->sum, report->analysis->sampled);
    mt_json_key(&json, "stacks");
    mt_json_array(&json);
    for (size_t i = 0; i < input->profile->count && !mt_out_failed(out); i++) {
        put_stack_item(&json, report, &input->profile->rows[i]);
    }
    mt_json_array_end(&json);
    mt_json_object_end(&json);
    mt_out_byte(out, '\n');
    free(command);
}
