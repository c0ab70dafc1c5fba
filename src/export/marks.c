/* marks.c: see marks.h. */
#include "export/marks.h"

#include "export/behind.h"
#include "export/paths.h"
#include "model/place.h"
#include "util/human.h"
#include "util/memory.h"
#include "util/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t pid_of(const struct mt_report *report, const struct mt_run_mark *at)
{
    return mt_trace_info(report->set->traces[at->trace_idx])->pid;
}

static const struct mt_mark_held *held_at(const struct mt_report *report, const struct mt_run_mark *at)
{
    return &report->analysis->held[at - report->analysis->marks.items];
}

/* ---- the failure ---------------------------------------------------------------------------------------------------- */

/* The frame of the program's line that asked; NULL: frames are not looked at. */
static const struct mt_frame *line_that_asked(const struct mt_report *report, const struct mt_run_mark *at)
{
    if (report->frames == NULL || report->places == NULL) {
        return NULL;
    }
    struct mt_frame_list list = mt_frames_stack(report->frames, at->trace_idx, at->mark->stack);
    struct mt_place place = mt_places_find(report->places, &list);
    return mt_frames_frame(report->frames, list.ids[place.at]);
}

static char *line_text(const struct mt_report *report, const struct mt_frame *frame)
{
    struct mt_paths *paths = mt_paths_new(report->full_paths);
    mt_paths_add(paths, frame->file[0] != '\0' ? frame->file : frame->module);
    char *line = mt_behind_line(frame, MT_BY_LINE, false, paths);
    mt_paths_free(paths);
    return line;
}

/* ", 1.90 GiB alive then". malloc'ed. */
static char *alive_text(const struct mt_report *report, const struct mt_run_mark *at)
{
    const struct mt_mark_held *held = held_at(report, at);
    return held->known ? mt_format(", %s%s alive then", report->analysis->sampled ? "about " : "",
                                   mt_human_bytes((double)held->bytes).text)
                       : mt_strdup("");
}

char *mt_marks_failure(const struct mt_report *report)
{
    const struct mt_run_mark *at = mt_run_marks_oom(&report->analysis->marks);
    if (at == NULL) {
        return NULL;
    }
    const struct mt_frame *frame = line_that_asked(report, at);
    char *line = frame != NULL ? line_text(report, frame) : NULL;
    char *alive = alive_text(report, at);
    char *asked = at->mark->value > 0 ? mt_format("%s of %s failed", at->mark->text.data, mt_human_bytes((double)at->mark->value).text)
                                      : mt_strdup(at->mark->text.data);
    char *text = mt_format("%s%s%s%s", asked, line != NULL ? " at " : "", line != NULL ? line : "", alive);
    char *clean = mt_text_clean(text, strlen(text));
    free(text);
    free(asked);
    free(alive);
    free(line);
    return clean;
}

/* ---- rows and JSON -------------------------------------------------------------------------------------------------- */

/* "snapshot", or a number where the kind is not known. */
static const char *kind_word(const struct mt_trace_mark *mark)
{
    const char *word = mt_mark_word(mark->kind);
    return word != NULL ? word : "?";
}

static void write_mark(struct mt_out *out, const struct mt_report *report, const struct mt_run_mark *at)
{
    char *name = mt_text_clean(at->mark->text.data, at->mark->text.bytes);
    char *alive = alive_text(report, at);
    mt_out_print(out, "%-22s at %s%s%s%s", kind_word(at->mark), mt_human_duration(at->time_ns).text, name[0] != '\0' ? ", " : "", name,
                 alive);
    if (at->number > 0) {
        mt_out_print(out, " (--at mark:%u)", at->number);
    }
    mt_out_byte(out, '\n');
    free(alive);
    free(name);
}

void mt_marks_write(struct mt_out *out, const struct mt_report *report)
{
    char *failure = mt_marks_failure(report);
    if (failure != NULL) {
        mt_out_print(out, "%-22s %s (--at oom)\n", "first failure", failure);
        free(failure);
    }
    for (size_t i = 0; i < report->analysis->marks.count; i++) {
        if (report->analysis->marks.items[i].mark->kind != MT_MARK_OUT_OF_MEMORY) {
            write_mark(out, report, &report->analysis->marks.items[i]);
        }
    }
}

static void put_alive(struct mt_json *json, const struct mt_mark_held *held)
{
    if (held->known) {
        mt_json_put_u64(json, "alive_bytes", held->bytes);
        mt_json_put_u64(json, "alive_allocations", held->count);
    } else {
        mt_json_put_text(json, "alive_bytes", NULL);
        mt_json_put_text(json, "alive_allocations", NULL);
    }
}

static void put_failure(struct mt_json *json, const struct mt_report *report, const struct mt_run_mark *at)
{
    const struct mt_frame *frame = line_that_asked(report, at);
    mt_json_object(json);
    mt_json_put_double(json, "time_s", (double)at->time_ns / 1e9);
    mt_json_put_u64(json, "pid", pid_of(report, at));
    mt_json_put_text(json, "allocator", at->mark->text.data);
    if (at->mark->value > 0) {
        mt_json_put_u64(json, "requested_bytes", at->mark->value);
    } else {
        mt_json_put_text(json, "requested_bytes", NULL);
    }
    put_alive(json, held_at(report, at));
    if (frame != NULL) {
        mt_report_put_frame(json, frame);
        mt_report_put_stack(json, report->frames, at->trace_idx, at->mark->stack);
    }
    mt_json_object_end(json);
}

static void put_mark(struct mt_json *json, const struct mt_report *report, const struct mt_run_mark *at)
{
    mt_json_object(json);
    mt_json_put_text(json, "kind", kind_word(at->mark));
    if (at->number > 0) {
        mt_json_put_u64(json, "mark", at->number);
    } else {
        mt_json_put_text(json, "mark", NULL);
    }
    mt_json_put_text(json, "name", at->mark->text.data);
    mt_json_put_double(json, "time_s", (double)at->time_ns / 1e9);
    mt_json_put_u64(json, "pid", pid_of(report, at));
    put_alive(json, held_at(report, at));
    mt_json_object_end(json);
}

void mt_marks_put(struct mt_json *json, const struct mt_report *report)
{
    const struct mt_run_marks *marks = &report->analysis->marks;
    const struct mt_run_mark *failure = mt_run_marks_oom(marks);
    mt_json_key(json, "out_of_memory");
    if (failure != NULL) {
        put_failure(json, report, failure);
    } else {
        mt_json_null(json);
    }
    mt_json_key(json, "marks");
    mt_json_array(json);
    for (size_t i = 0; i < marks->count; i++) {
        put_mark(json, report, &marks->items[i]);
    }
    mt_json_array_end(json);
}
