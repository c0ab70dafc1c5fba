/* report.h: what every report and exporter starts from.
 *
 * Decides: the inputs (an analysed set of traces, the resolver of its frames, words for what was selected) and the
 * words all of them share: the command line, the mode, thread labels, and the account of what is missing. Writers
 * stream into an mt_out and never compute. Context: [tool].
 */
#ifndef MT_EXPORT_REPORT_H
#define MT_EXPORT_REPORT_H

#include "analysis/analysis.h"
#include "analysis/grouping.h"
#include "analysis/profile.h"
#include "model/frames.h"
#include "model/trace.h"
#include "util/json.h"
#include "util/out.h"
#include "util/strlist.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mt_format { MT_FORMAT_TABLE, MT_FORMAT_JSON, MT_FORMAT_CSV, MT_FORMAT_NDJSON };

/* Leaks that are not wanted in a report, by a part of a name in their stack. */
struct mt_suppression {
    char *pattern;
    uint64_t bytes, count; /* left out by it */
};

/* Borrowed. */
struct mt_report {
    const struct mt_trace_set *set;
    const struct mt_analysis *analysis;
    struct mt_frames *frames;
    const char *selection; /* "at the peak (1.20 s)" */
    const struct mt_suppression *suppressions; /* of leaks, with what each left out */
    size_t suppression_count;
    bool unknown_suppressions; /* a program has some that cannot be read (symbol/lsan.h) */
    enum mt_format format;
    size_t rows; /* at most this many; 0: all */
    bool rows_by_default; /* nobody asked for a number of them */
    struct mt_places *places; /* whose memory it is; NULL where no rows are shown */
    struct mt_grouping_options grouping;
    bool full_paths, all_frames;
    bool bare; /* nothing stands behind rows */
    bool imports_apart; /* imports are summed below the rows that one can edit, as what Python does before the program is */
};

/* The process that started the others: its parent is not in the set; the earliest one of these. Never NULL for count >
 * 0. */
const struct mt_trace *mt_report_root(const struct mt_trace_set *set);
/* "exact", "sample" or "aggregate". */
const char *mt_report_mode(const struct mt_trace_info *info);
/* The command line as one would type it (arguments quoted where needed), clean. malloc'ed. */
char *mt_report_command(const struct mt_trace_info *info);
/* One argument of it, quoted where needed, clean. */
void mt_report_put_argument(struct mt_out *out, const char *argument);
/* A process as people call it: the script or module that an interpreter runs, else the program; clean. malloc'ed. */
char *mt_report_program(const struct mt_trace_info *info);
/* "label" or "task", as by says: what such rows are called. */
const char *mt_report_label_key(enum mt_table_by by);
/* A label or task for people, "(no label)" for the empty text. Clean, malloc'ed. */
char *mt_report_label(const char *text, enum mt_table_by by);
/* Which allocator Python's objects have in this run, as PYTHONMALLOC calls it: "pymalloc", "malloc_debug" …; NULL: no Python, or not
 * known. The trace's words are not trusted. */
const char *mt_report_python_allocator(const struct mt_trace_set *set);
/* False for an aggregate trace, which does not tell its threads apart. */
bool mt_report_knows_threads(const struct mt_trace_set *set, size_t trace_idx);
/* "name (tid)"; in a set of several processes "name (pid/tid)". The name is not clean. malloc'ed. */
char *mt_report_thread(const struct mt_trace_set *set, size_t trace_idx, uint32_t stream);
/* The function's name for tools that take angle brackets for template arguments and drop them (pprof, heaptrack):
 * Python's
 * "<module>" becomes "[module]". malloc'ed. */
char *mt_report_plain_name(const struct mt_frame *frame);
/* Allocator's name; "?" outside the table. */
const char *mt_report_allocator(uint8_t allocator);
/* Name of an enum mt_map_kind; "?" outside. */
const char *mt_report_map_kind(uint8_t kind);

/* Why a recording ended before its process (enum mt_end_reason), to follow "because". */
const char *mt_report_end_reason(unsigned reason);
/* One sentence for everything that is missing, cut or estimated in a way a reader must know. Nothing: nothing is.
 * analysis may be NULL; frames too: where no stack was shown. */
void mt_report_warnings(const struct mt_trace_set *set, const struct mt_analysis *analysis,
                        const struct mt_frames *frames, struct mt_strlist *ret);
/* Those of them that say what of the events could not be read. */
void mt_report_loss_warnings(const struct mt_cursor_losses *losses, struct mt_strlist *ret);

/* `"bytes": …, "count": …` and, when sampled, the half widths `…_ci95`. prefix: "" or "total_" …. */
void mt_report_put_amount(struct mt_json *json, const char *prefix, const struct mt_amount *amount, bool sampled);
/* `"function": …, "file": …, "line": …`; unknown: null. */
void mt_report_put_frame(struct mt_json *json, const struct mt_frame *frame);
/* `"stack": [ {function, file, line} … ]`, innermost first. */
void mt_report_put_stack(struct mt_json *json, struct mt_frames *frames, size_t trace_idx, uint32_t stack);

/* "24.0 MiB", with " ±1.2 MiB" for an estimate. */
struct mt_amount_text {
    char text[96];
};
struct mt_amount_text mt_report_bytes(const struct mt_amount *amount);
struct mt_amount_text mt_report_count(const struct mt_amount *amount);

#endif
