/* postmortem.c: see postmortem.h. */
#include "export/postmortem.h"

#include "analysis/estimate.h"
#include "export/behind.h"
#include "export/marks.h"
#include "export/paths.h"
#include "export/postmortem_row.h"
#include "util/grid.h"
#include "util/human.h"
#include "util/memory.h"
#include "util/text.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { LABEL_COLUMNS = 11, ROWS_OF_TEXT = 2, WIDTH = 80, PLACE_LEAST = 20, MOMENTS = 3, GROUP_COLUMNS = 32 };
static const uint64_t LAST_NS = 300000000000; /* "the last minutes" */

/* ---- for people -------------------------------------------------------------------------------------------------------- */

static void begin(struct mt_out *out, const char *label)
{
    mt_out_print(out, "  %-8s ", label);
}

/* To follow the program's name. malloc'ed. */
static char *end_text(const struct mt_ending_facts *facts)
{
    const struct mt_trace_info *info = facts->info;
    if (facts->killed_by == NULL) {
        return mt_strdup("runs and is recorded");
    }
    if (strcmp(facts->killed_by, "kernel") == 0) {
        return mt_strdup("was killed by the kernel for want of memory");
    }
    if (facts->signal != 0) {
        bool sent = facts->signal == SIGKILL && info->memory.kills == MT_KILLS_NONE;
        return mt_format("was killed by %ssignal %d (%s)", sent ? "somebody's " : "", facts->signal, strsignal(facts->signal));
    }
    return info->exit_known                        ? mt_format("ended by itself, with code %d", WEXITSTATUS(info->exit_status))
           : strcmp(facts->killed_by, "itself") == 0 ? mt_strdup("ended by itself")
                                                     : mt_strdup("ended without a word, and nobody waited for it");
}

static void put_head(struct mt_out *out, const struct mt_ending_facts *facts)
{
    char *program = mt_report_program(facts->info), *end = end_text(facts);
    mt_out_print(out, "%s (%llu) %s after %s\n", program, (unsigned long long)facts->info->pid, end,
                 mt_human_duration(facts->duration_ns).text);
    free(end);
    free(program);
}

static void put_limit(struct mt_out *out, const struct mt_ending_facts *facts)
{
    const struct mt_trace_memory *memory = &facts->info->memory;
    begin(out, "limit");
    if (memory->limit_bytes == 0) {
        mt_out_string(out, facts->killed_by != NULL ? "not known: no memtap run waited for the process\n" : "not known yet\n");
        return;
    }
    mt_out_print(out, "%s of %s", mt_human_bytes((double)memory->limit_bytes).text, facts->limit_text);
    if (mt_ending_names_group(facts)) {
        char *whole = mt_text_clean(facts->low->text.data, facts->low->text.bytes);
        char *name = mt_text_fit(whole, GROUP_COLUMNS, MT_CUT_MIDDLE);
        mt_out_print(out, ", %s", name);
        free(whole);
        free(name);
    }
    mt_out_byte(out, '\n');
}

static void put_use(struct mt_out *out, const struct mt_ending_facts *facts)
{
    const struct mt_trace_info *info = facts->info;
    const struct mt_trace_memory *memory = &info->memory;
    if (memory->limit_bytes == 0 && facts->rss == NULL) {
        return;
    }
    begin(out, "used");
    if (memory->limit_bytes != 0) {
        uint64_t before = facts->duration_ns > memory->clock ? facts->duration_ns - memory->clock : 0;
        mt_out_print(out, "%s (%s) of it, %s before the end", mt_human_bytes((double)memory->charged_bytes).text,
                     mt_human_percent((double)memory->charged_bytes, (double)memory->limit_bytes).text, mt_human_duration(before).text);
    }
    if (facts->rss != NULL) {
        mt_out_print(out, "%sRSS %s", memory->limit_bytes != 0 ? "; " : "", mt_human_bytes((double)facts->rss->bytes).text);
    }
    mt_out_byte(out, '\n');
}

static void put_low(struct mt_out *out, const struct mt_postmortem *p, const struct mt_trace_mark *low)
{
    char *failure = mt_marks_failure(p->report);
    if (failure != NULL) {
        begin(out, "failure");
        mt_out_print(out, "%s\n", failure);
    } else if (low != NULL) {
        begin(out, "low");
        mt_out_print(out, "at %s, %s were left (FILE@mark: what was alive then)\n", mt_human_duration(low->time_ns).text,
                     mt_human_bytes((double)low->value).text);
    }
    free(failure);
}

static uint64_t heap_at(const struct mt_analysis *a, uint64_t time_ns)
{
    size_t i = 0;
    while (i + 1 < a->timeline_count && a->timeline[i].time_ns < time_ns) {
        i++;
    }
    return a->timeline[i].heap_bytes;
}

/* Halfway to the end, and so on: what matters is how it was near the end. */
static void put_minutes(struct mt_out *out, const struct mt_postmortem *p)
{
    if (p->timeline == NULL || p->timeline->timeline_count == 0) {
        return;
    }
    uint64_t end = p->timeline->totals.duration_ns, span = (end < LAST_NS ? end : LAST_NS) / 2;
    begin(out, "before");
    int moments = p->report->analysis->sampled ? MOMENTS - 1 : MOMENTS; /* the sum takes the room of its error */
    for (int i = 0; i < moments && span > 0; i++, span /= 2) {
        mt_out_print(out, "-%s %s, ", mt_human_duration(span).text, mt_human_bytes((double)heap_at(p->timeline, end - span)).text);
    }
    mt_out_print(out, "end %s\n", mt_report_bytes(&p->held->sum).text);
}

static void put_place(struct mt_out *out, const struct mt_postmortem *p, const struct mt_frame *frame, const char *amount)
{
    struct mt_paths *paths = mt_paths_new(p->report->full_paths);
    mt_paths_add(paths, frame->file[0] != '\0' ? frame->file : frame->module);
    char *line = mt_behind_line(frame, MT_BY_LINE, false, paths);
    char *clean = mt_text_clean(line, strlen(line));
    size_t columns = mt_terminal_columns(out), taken = LABEL_COLUMNS + 2 + mt_text_columns(amount, strlen(amount));
    columns = columns > 0 ? columns : WIDTH;
    char *shown = mt_text_fit(clean, columns > taken + PLACE_LEAST ? columns - taken : PLACE_LEAST, MT_CUT_PLACE);
    mt_out_print(out, "%s: %s\n", shown, amount);
    free(shown);
    free(clean);
    free(line);
    mt_paths_free(paths);
}

/* "+1.50 MiB ±0.10 MiB". malloc'ed. */
static char *change_text(int64_t bytes, double variance)
{
    const char *plus = bytes > 0 ? "+" : "";
    return variance > 0 ? mt_format("%s%s ±%s", plus, mt_human_bytes((double)bytes).text, mt_human_bytes(mt_estimate_ci95(variance)).text)
                        : mt_format("%s%s", plus, mt_human_bytes((double)bytes).text);
}

static void put_growth(struct mt_out *out, const struct mt_postmortem *p)
{
    if (p->diff == NULL) {
        return;
    }
    begin(out, "growth");
    char *growth = change_text(p->diff->bytes, p->diff->bytes_variance);
    mt_out_print(out, "%s in the last %s", growth, mt_human_duration(p->window_ns).text);
    mt_out_print(out, ", %s a second\n", mt_human_bytes(mt_ending_per_second(p->diff->bytes, p->window_ns)).text);
    free(growth);
    for (size_t i = 0, shown = 0; i < p->diff->count && shown < ROWS_OF_TEXT; i++) {
        const struct mt_diff_row *row = &p->diff->rows[i];
        if (row->bytes <= 0) {
            continue;
        }
        char *amount = change_text(row->bytes, row->bytes_variance);
        begin(out, "grew");
        put_place(out, p, row->frame, amount);
        free(amount);
        shown++;
    }
}

static void put_held(struct mt_out *out, const struct mt_postmortem *p)
{
    for (size_t i = 0; i < p->held->count && i < ROWS_OF_TEXT && p->held->rows[i].self.bytes > 0; i++) {
        const struct mt_table_row *row = &p->held->rows[i];
        char *amount = mt_format("%s in %s, %s", mt_report_bytes(&row->self).text,
                                 mt_human_counted((double)row->self.count, "block", "blocks").text,
                                 mt_human_percent((double)row->self.bytes, (double)p->held->sum.bytes).text);
        begin(out, "held");
        put_place(out, p, mt_frames_frame(p->report->frames, row->frame), amount);
        free(amount);
    }
}

static void write_text(struct mt_out *out, const struct mt_postmortem *p)
{
    struct mt_ending_facts facts = mt_ending_facts_of(p->report->set);
    struct mt_out *lines = mt_out_open_memory();
    put_head(lines, &facts);
    put_limit(lines, &facts);
    put_use(lines, &facts);
    put_low(lines, p, facts.low);
    put_minutes(lines, p);
    mt_terminal_wrap(out, mt_out_text(lines, NULL), LABEL_COLUMNS);
    mt_out_discard(lines);
    put_growth(out, p);
    put_held(out, p);
}

/* ---- for programs ------------------------------------------------------------------------------------------------------ */

static void put_grew_rows(struct mt_json *json, const struct mt_postmortem *p)
{
    mt_json_key(json, "grew");
    mt_json_array(json);
    for (size_t i = 0, shown = 0; p->diff != NULL && i < p->diff->count && (p->rows == 0 || shown < p->rows); i++) {
        const struct mt_diff_row *row = &p->diff->rows[i];
        if (row->bytes > 0) {
            mt_json_object(json);
            mt_report_put_frame(json, row->frame);
            mt_json_put_u64(json, "bytes", (uint64_t)row->bytes);
            if (p->report->analysis->sampled) {
                mt_json_put_double(json, "bytes_ci95", mt_estimate_ci95(row->bytes_variance));
            }
            mt_json_put_double(json, "bytes_per_s", mt_ending_per_second(row->bytes, p->window_ns));
            mt_json_object_end(json);
            shown++;
        }
    }
    mt_json_array_end(json);
}

static void put_held_rows(struct mt_json *json, const struct mt_postmortem *p)
{
    mt_json_key(json, "held");
    mt_json_array(json);
    for (size_t i = 0; i < p->held->count && (p->rows == 0 || i < p->rows); i++) {
        const struct mt_table_row *row = &p->held->rows[i];
        mt_json_object(json);
        mt_report_put_frame(json, mt_frames_frame(p->report->frames, row->frame));
        mt_report_put_amount(json, "", &row->self, p->report->analysis->sampled);
        mt_report_put_stack(json, p->report->frames, row->trace_idx, row->stack);
        mt_json_object_end(json);
    }
    mt_json_array_end(json);
}

static void put_before(struct mt_json *json, const struct mt_postmortem *p)
{
    uint64_t end = p->timeline != NULL ? p->timeline->totals.duration_ns : 0;
    mt_json_key(json, "before");
    mt_json_array(json);
    for (size_t i = 0; p->timeline != NULL && i < p->timeline->timeline_count; i++) {
        const struct mt_timeline_point *point = &p->timeline->timeline[i];
        if (point->time_ns + LAST_NS >= end) {
            mt_json_object(json);
            mt_json_put_double(json, "time_s", (double)point->time_ns / 1e9);
            mt_json_put_u64(json, "heap_bytes", point->heap_bytes);
            mt_json_object_end(json);
        }
    }
    mt_json_array_end(json);
}

static void write_json(struct mt_out *out, const struct mt_postmortem *p)
{
    struct mt_ending_facts facts = mt_ending_facts_of(p->report->set);
    const struct mt_ending_heap heap = { .alive = p->held->sum,
                                         .sampled = p->report->analysis->sampled,
                                         .window_ns = p->diff != NULL ? p->window_ns : 0,
                                         .growth_bytes = p->diff != NULL ? p->diff->bytes : 0 };
    struct mt_json json;
    mt_json_init(&json, out, 3);
    mt_json_object(&json);
    mt_postmortem_row_put(&json, &facts, &heap);
    put_grew_rows(&json, p);
    put_held_rows(&json, p);
    put_before(&json, p);
    mt_json_object_end(&json);
    mt_out_byte(out, '\n');
}

void mt_postmortem_write(struct mt_out *out, const struct mt_postmortem *p)
{
    if (p->json) {
        write_json(out, p);
    } else {
        write_text(out, p);
    }
}
