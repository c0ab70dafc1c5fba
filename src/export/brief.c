/* brief.c: see brief.h. */
#include "export/brief.h"

#include "analysis/biggest.h"
#include "export/behind.h"
#include "export/endings.h"
#include "export/marks.h"
#include "export/processes.h"
#include "util/grid.h"
#include "util/human.h"
#include "util/memory.h"
#include "util/text.h"

#include <stdlib.h>
#include <string.h>

/* Looking names up takes longer than a program runs that holds less than the first; where it does not, the second is worth a line. */
static const uint64_t WORTH_NAMES_BYTES = 4 << 20, WORTH_A_LINE_BYTES = 64 << 10;
/* So few stacks have their names at once; and beside so long a run nobody notices. */
static const uint64_t FEW_STACKS = 64, LONG_RUN_NS = 1000000000;
/* Over less time the slope of a line through the heap says how the program begins and ends, not whether it grows. */
static const uint64_t TREND_LEAST_NS = 10000000000;

enum { LABEL_COLUMNS = 11 };

static void begin(struct mt_out *out, const char *label)
{
    mt_out_print(out, "  %-8s ", label);
}

void mt_brief_extent(struct mt_out *out, const struct mt_facts *facts)
{
    mt_out_print(out, "%s, %s", mt_human_duration(facts->totals->duration_ns).text,
                 mt_human_counted((double)facts->threads, "thread", "threads").text);
    if (facts->processes > 1) {
        mt_out_print(out, ", %s", mt_human_counted((double)facts->processes, "process", "processes").text);
    }
}

/* ---- the peak ------------------------------------------------------------------------------------------------------- */

/* In the unit that the RSS is written in. */
static void put_in_unit_of(struct mt_out *out, uint64_t bytes, uint64_t whole_bytes)
{
    double unit = 1;
    while ((double)whole_bytes / unit >= 999.5) {
        unit *= 1024;
    }
    double size = (double)bytes / unit;
    if (size >= 99.95) {
        mt_out_string(out, mt_human_count(size).text);
    } else {
        mt_out_print(out, "%.1f", size);
    }
}

/* What lies between peak and RSS, as far as it matters: the rest is in the note, and in stats. */
static void put_parts(struct mt_out *out, const struct mt_footprint *f)
{
    enum { LEAST_SHARE = 50 };
    const struct {
        uint64_t bytes;
        char sign;
        const char *what;
    } parts[] = {
        { f->parted ? f->file_bytes : 0, '+', "files" },
        { f->parted ? f->own_bytes : 0, '+', "memtap" },
        { f->inherited_bytes, '+', "forked" },
        { f->unmeasured_bytes, '+', "unmeasured" },
        { f->before_bytes, '+', MT_FOOTPRINT_BEFORE },
        { f->slack_bytes, '+', f->parted ? "slack" : "files and slack" },
        { f->untouched_bytes, '-', "untouched" },
    };
    const char *before = ": ";
    char sign = '\0';
    for (size_t i = 0; i < MT_COUNTOF(parts); i++) {
        if (parts[i].bytes == 0 || parts[i].bytes < f->rss_bytes / LEAST_SHARE) {
            continue;
        }
        mt_out_string(out, before);
        if (parts[i].sign != sign) {
            mt_out_print(out, "%c ", parts[i].sign);
        }
        put_in_unit_of(out, parts[i].bytes, f->rss_bytes);
        mt_out_print(out, " %s", parts[i].what);
        before = ", ";
        sign = parts[i].sign;
    }
}

static void write_peak(struct mt_out *out, const struct mt_facts *facts)
{
    begin(out, "peak");
    if (facts->peak_is_bound) {
        mt_out_print(out, "at most %s, each process at its own peak",
                     mt_report_bytes(&facts->totals->heap[MT_MEASURE_PEAK]).text);
    } else {
        mt_out_print(out, "%s at %s", mt_report_bytes(&facts->totals->heap[MT_MEASURE_PEAK]).text,
                     mt_human_duration(facts->totals->peak_time_ns).text);
    }
    if (facts->rss_peak_bytes > 0) {
        mt_out_print(out, " (RSS %s%s", facts->processes > 1 ? "at most " : "",
                     mt_human_bytes((double)facts->rss_peak_bytes).text);
        put_parts(out, &facts->footprint);
        mt_out_byte(out, ')');
    }
    mt_out_byte(out, '\n');
}

static void write_holders(struct mt_out *out, const struct mt_report *report, const struct mt_facts *facts)
{
    if (facts->processes > 1 && !facts->peak_is_bound) {
        begin(out, "held by");
        mt_processes_brief(out, report);
        mt_out_byte(out, '\n');
    }
}

/* ---- what stayed ------------------------------------------------------------------------------------------------------ */

/* Slopes add up. An estimate of one has no interval: it is not shown. */
static double growth_of(const struct mt_report *report)
{
    double growth = 0;
    for (size_t i = 0; i < report->analysis->site_count; i++) {
        const struct mt_site *site = &report->analysis->sites[i];
        growth += site->storage == MT_STORAGE_HEAP ? site->growth_bytes_per_s : 0;
    }
    return growth;
}

static void write_alive(struct mt_out *out, const struct mt_report *report, const struct mt_facts *facts)
{
    const struct mt_amount *live = &facts->totals->heap[MT_MEASURE_LIVE];
    double seconds = (double)facts->totals->duration_ns / 1e9;
    begin(out, "alive");
    mt_out_print(out, "%s in %s %s %s", mt_report_bytes(live).text, mt_report_count(live).text, live->count == 1 ? "block" : "blocks",
                 mt_ending_words(report->set));
    if (!facts->sampled && !facts->aggregate && facts->totals->duration_ns >= TREND_LEAST_NS) {
        double growth = growth_of(report), unit_s = mt_human_rate_unit_s(seconds);
        if (growth * seconds > (double)live->bytes / 4) {
            mt_out_print(out, ", growing %s/%s", mt_human_bytes(growth * unit_s).text, unit_s > 1 ? "min" : "s");
        }
    }
    mt_out_byte(out, '\n');
    const struct mt_amount *reserved = &facts->totals->storage[MT_STORAGE_RESERVED][MT_MEASURE_LIVE];
    if (reserved->bytes > 0) {
        begin(out, "reserved");
        mt_out_print(out, "%s %s, not held\n", mt_report_bytes(reserved).text, mt_ending_short(report->set));
    }
}

/* ---- the biggest place -------------------------------------------------------------------------------------------- */

/* What allocated at a row, most bytes first; "" where it is not to be looked up, which opens binaries, or nothing stands behind
 * it: an import. malloc'ed. */
static char *behind_row(const struct mt_report *report, const struct mt_table *table, const struct mt_table_row *row,
                        const struct mt_paths *paths)
{
    struct mt_behind behind;
    if (report->places == NULL || row->import) {
        return mt_strdup("");
    }
    mt_behind_make(report, &table->stacks, &row->stacks, paths, &behind);
    char *text = behind.count > 0 ? mt_format(" ← %s", behind.names[0].text) : mt_strdup("");
    mt_behind_fini(&behind);
    return text;
}

/* "cache.py:31 handle ← bytearray: 161 MiB in 16,512 blocks, 86 % of what is alive". */
static void put_place(struct mt_out *out, const struct mt_report *report, const struct mt_table *table,
                      const struct mt_table_row *row, uint64_t sum_bytes, const char *of)
{
    const struct mt_frame *frame = mt_frames_frame(report->frames, row->frame);
    struct mt_paths *paths = mt_paths_new(report->full_paths);
    mt_paths_add(paths, frame->file[0] != '\0' ? frame->file : frame->module);
    char *line = mt_behind_line(frame, MT_BY_LINE, false, paths);
    char *by = behind_row(report, table, row, paths);
    char *text = mt_format("%s%s", line, by);
    char *clean = mt_text_clean(text, strlen(text));
    char *amount = mt_format("%s in %s %s, %.0f %% of %s", mt_report_bytes(&row->self).text, mt_report_count(&row->self).text,
                             row->self.count == 1 ? "block" : "blocks",
                             100 * (double)row->self.bytes / (double)sum_bytes, of);
    begin(out, "biggest");
    mt_terminal_pair(out, LABEL_COLUMNS, clean, amount);
    free(amount);
    free(clean);
    free(text);
    free(by);
    free(line);
    mt_paths_free(paths);
}

/* The first allocation that failed. */
static void write_failed(struct mt_out *out, const struct mt_report *report)
{
    char *text = mt_marks_failure(report);
    if (text != NULL) {
        begin(out, "failure");
        mt_out_print(out, "%s\n", text);
        free(text);
    }
}

/* Are names known quickly, as the run goes? */
static bool is_quick(const struct mt_trace_set *set)
{
    uint64_t stacks = 0, longest_ns = 0;
    for (size_t i = 0; i < set->count; i++) {
        const struct mt_trace_info *info = mt_trace_info(set->traces[i]);
        stacks += mt_trace_stack_count(set->traces[i]);
        longest_ns = info->duration_ns > longest_ns ? info->duration_ns : longest_ns;
    }
    return stacks <= FEW_STACKS || longest_ns >= LONG_RUN_NS;
}

bool mt_brief_wants_names(const struct mt_report *report)
{
    uint64_t least = is_quick(report->set) ? WORTH_A_LINE_BYTES : WORTH_NAMES_BYTES;
    return !report->analysis->peak_is_bound && report->analysis->totals.heap[MT_MEASURE_PEAK].bytes >= least;
}

bool mt_brief_may_want_names(const struct mt_trace_set *set)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < set->count; i++) {
        const struct mt_trace_info *info = mt_trace_info(set->traces[i]);
        uint64_t other = info->rss_parted ? info->rss_file_bytes + info->rss_own_bytes : 0;
        bytes += info->rss_peak_bytes > other ? info->rss_peak_bytes - other : 0;
    }
    return bytes >= (is_quick(set) ? WORTH_A_LINE_BYTES : WORTH_NAMES_BYTES);
}

/* Of what is alive, where that is most of the peak; else of the peak. */
static void write_biggest(struct mt_out *out, const struct mt_report *report, const struct mt_facts *facts)
{
    const struct mt_amount *heap = facts->totals->heap;
    if (report->frames == NULL || !mt_brief_wants_names(report)) {
        return;
    }
    bool stays = heap[MT_MEASURE_LIVE].bytes >= heap[MT_MEASURE_PEAK].bytes / 2;
    struct mt_profile_options options = { .measure = stays ? MT_MEASURE_LIVE : MT_MEASURE_PEAK, .by_allocator = true };
    struct mt_profile profile = { 0 };
    struct mt_places *own = report->places == NULL ? mt_places_new(report->frames, NULL) : NULL;
    struct mt_table table = { 0 };
    const struct mt_table_row *row = NULL;
    if (mt_profile_make(report->set, report->analysis, &options, &profile) == MT_OK &&
        mt_biggest_make(report->set, &profile, own != NULL ? own : report->places, &table, &row) == MT_OK && row != NULL &&
        profile.sum.bytes > 0) {
        put_place(out, report, &table, row, profile.sum.bytes, stays ? "what is alive" : "the peak");
    }
    mt_places_free(own);
    mt_table_fini(&table);
    mt_profile_fini(&profile);
}

static void write_attached(struct mt_out *out, const struct mt_facts *facts)
{
    if (facts->is_attached) {
        begin(out, "attached");
        mt_out_print(out, "%s; what was allocated before is not known\n", mt_human_moment(facts->root->start_realtime_ns).text);
    }
}

void mt_brief_write(struct mt_out *out, const struct mt_report *report, const struct mt_facts *facts)
{
    struct mt_out *lines = mt_out_open_memory();
    write_attached(lines, facts);
    write_peak(lines, facts);
    write_holders(lines, report, facts);
    write_alive(lines, report, facts);
    write_failed(lines, report);
    mt_terminal_wrap(out, mt_out_text(lines, NULL), LABEL_COLUMNS);
    mt_out_discard(lines);
    write_biggest(out, report, facts);
}

void mt_brief_own(struct mt_out *out, const struct mt_facts *facts)
{
    if (facts->cpu_ns == 0) {
        return;
    }
    begin(out, "memtap");
    mt_out_print(out, "itself %s of %s CPU (%s)", mt_human_duration(facts->own_cpu_ns).text,
                 mt_human_duration(facts->cpu_ns).text,
                 mt_human_percent((double)facts->own_cpu_ns, (double)facts->cpu_ns).text);
    if (facts->footprint.parted) {
        mt_out_print(out, ", %s", mt_human_bytes((double)facts->footprint.own_bytes).text);
    }
    if (facts->dropped_events > 0) {
        mt_out_print(out, ", %s dropped", mt_human_counted((double)facts->dropped_events, "event", "events").text);
    }
    mt_out_byte(out, '\n');
}
