/* footprint.c: see footprint.h. Context: [tool]. */
#include "export/footprint.h"

#include "util/human.h"
#include "util/memory.h"
#include "util/out.h"

#include <stdlib.h>
#include <string.h>

/* What processes alive at this moment had at most. */
static uint64_t rss_at(const struct mt_report *report, uint64_t now_ns)
{
    const struct mt_axis *axis = &report->analysis->axis;
    uint64_t sum = 0;
    for (size_t i = 0; i < axis->count; i++) {
        bool alive = axis->spans[i].start_ns <= now_ns && now_ns <= axis->spans[i].end_ns;
        sum += alive ? mt_trace_info(report->set->traces[i])->rss_peak_bytes : 0;
    }
    return sum;
}

uint64_t mt_footprint_rss(const struct mt_report *report)
{
    const struct mt_axis *axis = &report->analysis->axis;
    uint64_t most = 0;
    for (size_t i = 0; i < axis->count; i++) { /* a sum is largest when somebody has just begun */
        uint64_t sum = rss_at(report, axis->spans[i].start_ns);
        most = sum > most ? sum : most;
    }
    return most;
}

static uint64_t beyond(uint64_t more, uint64_t less)
{
    return more > less ? more - less : 0;
}

struct mt_footprint mt_footprint_of(const struct mt_report *report)
{
    const struct mt_totals *totals = &report->analysis->totals;
    struct mt_footprint f = { 0 };
    if (report->set->count != 1) {
        return f;
    }
    const struct mt_trace_info *info = mt_trace_info(report->set->traces[0]);
    f.peak_bytes = totals->heap[MT_MEASURE_PEAK].bytes;
    f.rss_bytes = info->rss_peak_bytes;
    if (f.rss_bytes == 0) {
        return f;
    }
    f.parted = info->rss_parted;
    f.file_bytes = info->rss_file_bytes < f.rss_bytes ? info->rss_file_bytes : f.rss_bytes;
    f.own_bytes = info->rss_own_bytes < f.rss_bytes - f.file_bytes ? info->rss_own_bytes : f.rss_bytes - f.file_bytes;
    uint64_t rest = f.rss_bytes - f.file_bytes - f.own_bytes;
    f.slack_bytes = beyond(rest, f.peak_bytes);
    f.untouched_bytes = beyond(f.peak_bytes, rest);
    f.reserved_bytes = totals->storage[MT_STORAGE_RESERVED][MT_MEASURE_PEAK].bytes;
    return f;
}

static void put_part(struct mt_out *out, uint64_t bytes, const char *what)
{
    if (bytes > 0) {
        mt_out_print(out, ", %s %s", mt_human_bytes((double)bytes).text, what);
    }
}

static void put_parts(struct mt_out *out, const struct mt_footprint *f)
{
    if (f->parted) {
        put_part(out, f->file_bytes, "of the RSS are mapped files and libraries");
        put_part(out, f->own_bytes, "of it memtap's own memory");
    }
    put_part(out, f->slack_bytes,
             f->parted ? "of it free blocks and rounding of the allocator, stacks and static data"
                       : "of the RSS are mapped files, the allocator's free blocks and rounding, stacks, static data");
    put_part(out, f->untouched_bytes, "of the peak were never touched (or are swapped out)");
    put_part(out, f->reserved_bytes, "are reserved address space, in neither");
}

char *mt_footprint_note(const struct mt_footprint *f)
{
    uint64_t larger = f->peak_bytes > f->rss_bytes ? f->peak_bytes : f->rss_bytes;
    uint64_t apart = larger - (f->peak_bytes < f->rss_bytes ? f->peak_bytes : f->rss_bytes);
    if (f->rss_bytes == 0 || apart <= larger / 4) {
        return NULL;
    }
    struct mt_out *out = mt_out_open_memory();
    mt_out_print(out, "the peak is %s and the largest RSS %s", mt_human_bytes((double)f->peak_bytes).text,
                 mt_human_bytes((double)f->rss_bytes).text);
    put_parts(out, f);
    char *text = mt_strdup(mt_out_text(out, NULL));
    mt_out_discard(out);
    return text;
}

static void put_or_null(struct mt_json *json, const char *key, uint64_t value, bool known)
{
    mt_json_key(json, key);
    if (known) {
        mt_json_u64(json, value);
    } else {
        mt_json_null(json);
    }
}

void mt_footprint_put(struct mt_json *json, const struct mt_footprint *f, uint64_t rss_peak_bytes)
{
    char *note = mt_footprint_note(f);
    mt_json_put_u64(json, "rss_peak_bytes", rss_peak_bytes);
    put_or_null(json, "rss_file_bytes", f->file_bytes, f->parted);
    put_or_null(json, "rss_own_bytes", f->own_bytes, f->parted);
    put_or_null(json, "rss_slack_bytes", f->slack_bytes, f->rss_bytes > 0);
    put_or_null(json, "untouched_bytes", f->untouched_bytes, f->rss_bytes > 0);
    mt_json_put_text(json, "rss_note", note);
    free(note);
}

/* How much of the text fits a line: up to the last space that does, or all of a long word. */
static size_t line_length(const char *text)
{
    enum { COLUMNS = 76 };
    size_t all = strlen(text), at = COLUMNS;
    if (all <= COLUMNS) {
        return all;
    }
    while (at > 0 && text[at] != ' ') {
        at--;
    }
    return at > 0 ? at : COLUMNS;
}

void mt_footprint_write(struct mt_out *out, const struct mt_footprint *f, const char *label)
{
    char *note = mt_footprint_note(f);
    int indent = (int)strlen(label);
    for (const char *at = note; at != NULL && *at != '\0'; label = "") {
        size_t bytes = line_length(at);
        mt_out_print(out, "%-*s %.*s\n", indent, label, (int)bytes, at);
        at += bytes + (at[bytes] == ' ');
    }
    free(note);
}
