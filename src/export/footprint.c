/* footprint.c: see footprint.h. Context: [tool]. */
#include "export/footprint.h"

#include "util/human.h"
#include "util/text.h"
#include "util/memory.h"
#include "util/out.h"

#include <stdlib.h>
#include <string.h>

static bool is_alive_at(const struct mt_span *span, uint64_t now_ns)
{
    return span->start_ns <= now_ns && now_ns <= span->end_ns;
}

/* What processes alive at this moment had at most. */
static uint64_t rss_at(const struct mt_report *report, uint64_t now_ns)
{
    const struct mt_axis *axis = &report->analysis->axis;
    uint64_t sum = 0;
    for (size_t i = 0; i < axis->count; i++) {
        sum += is_alive_at(&axis->spans[i], now_ns) ? mt_trace_info(report->set->traces[i])->rss_peak_bytes : 0;
    }
    return sum;
}

/* When that is largest: a sum is when somebody has just begun. */
static uint64_t largest_rss(const struct mt_report *report, uint64_t *ret_time_ns)
{
    const struct mt_axis *axis = &report->analysis->axis;
    uint64_t most = 0;
    *ret_time_ns = 0;
    for (size_t i = 0; i < axis->count; i++) {
        uint64_t sum = rss_at(report, axis->spans[i].start_ns);
        *ret_time_ns = sum > most ? axis->spans[i].start_ns : *ret_time_ns;
        most = sum > most ? sum : most;
    }
    return most;
}

uint64_t mt_footprint_rss(const struct mt_report *report)
{
    uint64_t time_ns;
    return largest_rss(report, &time_ns);
}

static uint64_t beyond(uint64_t more, uint64_t less)
{
    return more > less ? more - less : 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* What a fork child had when it began is its parent's: neither is it in the child's heap. The first look is made then. */
static uint64_t inherited_by(const struct mt_trace *trace)
{
    size_t count;
    const struct mt_trace_rss *rss = mt_trace_rss(trace, &count);
    bool known = (mt_trace_info(trace)->flags & MT_TRACE_FORK_CHILD) != 0 && count > 0 && rss->parted;
    return known ? beyond(rss->bytes, rss->file_bytes + rss->own_bytes) : 0;
}

/* What the process had before it was recorded, none of which is in its heap. */
static uint64_t held_before(const struct mt_trace *trace)
{
    const char *noted = mt_trace_note(trace, "recording.before");
    return noted != NULL ? strtoull(noted, NULL, 10) : 0;
}

/* *rest: what may be heap. */
static void add_process(struct mt_footprint *f, const struct mt_trace *trace, uint64_t *rest)
{
    const struct mt_trace_info *info = mt_trace_info(trace);
    uint64_t left = info->rss_peak_bytes;
    f->processes++;
    if (!info->rss_parted) {
        f->unmeasured_bytes += left;
        return;
    }
    f->parted = true;
    uint64_t file = least(info->rss_file_bytes, left);
    uint64_t own = least(info->rss_own_bytes, left - file);
    uint64_t inherited = least(inherited_by(trace), left - file - own);
    f->file_bytes += file;
    f->own_bytes += own;
    f->inherited_bytes += inherited;
    left -= file + own + inherited;
    f->before_bytes += least(held_before(trace), left);
    *rest += left;
}

struct mt_footprint mt_footprint_of(const struct mt_report *report)
{
    const struct mt_totals *totals = &report->analysis->totals;
    struct mt_footprint f = { .peak_bytes = totals->heap[MT_MEASURE_PEAK].bytes };
    uint64_t time_ns, rest = 0;
    f.rss_bytes = report->analysis->peak_is_bound ? 0 : largest_rss(report, &time_ns);
    if (f.rss_bytes == 0) {
        return (struct mt_footprint){ 0 };
    }
    for (size_t i = 0; i < report->set->count; i++) {
        if (is_alive_at(&report->analysis->axis.spans[i], time_ns)) {
            add_process(&f, report->set->traces[i], &rest);
        }
    }
    if (!f.parted) { /* nothing is known of anybody: then the heap may be in it */
        rest = f.unmeasured_bytes;
        f.unmeasured_bytes = 0;
    }
    f.before_bytes = least(f.before_bytes, beyond(rest, f.peak_bytes));
    f.slack_bytes = beyond(rest, f.peak_bytes + f.before_bytes);
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
    put_part(out, f->inherited_bytes, "of it pages that children have from their parents (fork)");
    put_part(out, f->unmeasured_bytes, "of it of processes too short-lived to be looked into");
    put_part(out, f->before_bytes, "of it " MT_FOOTPRINT_BEFORE);
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
    if (f->processes > 1) {
        mt_out_print(out, " at most, that of %zu processes together, each at its own largest", f->processes);
    }
    put_parts(out, f);
    char *text = mt_strdup(mt_out_text(out, NULL));
    mt_out_discard(out);
    return text;
}

void mt_footprint_write(struct mt_out *out, const struct mt_footprint *f, const char *label)
{
    enum { COLUMNS = 80 };
    char *note = mt_footprint_note(f);
    int indent = (int)strlen(label);
    for (const char *at = note; at != NULL && *at != '\0'; label = "") {
        size_t bytes = mt_text_line(at, (size_t)(COLUMNS - indent - 1));
        mt_out_print(out, "%-*s %.*s\n", indent, label, (int)bytes, at);
        at += bytes + (at[bytes] == ' ');
    }
    free(note);
}
