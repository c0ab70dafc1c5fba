/* diff_junit.c: see diff_junit.h. */
#include "export/diff_junit.h"

#include "analysis/estimate.h"
#include "export/behind.h"
#include "export/paths.h"
#include "util/human.h"
#include "util/memory.h"
#include "util/text.h"

#include <stdlib.h>
#include <string.h>

/* Clean text is well-formed and has no control characters, so that only XML's own have to be written otherwise. */
static void put_xml(struct mt_out *out, const char *text)
{
    char *clean = mt_text_clean(text, strlen(text));
    for (const char *at = clean; *at != '\0'; at++) {
        const char *entity = *at == '<' ? "&lt;" : *at == '>' ? "&gt;" : *at == '&' ? "&amp;" : *at == '"' ? "&quot;" : NULL;
        if (entity != NULL) {
            mt_out_string(out, entity);
        } else {
            mt_out_byte(out, *at);
        }
    }
    free(clean);
}

static bool is_over(const struct mt_diff_report *r)
{
    return r->limited && mt_diff_is_over(r->diff, r->limit_bytes);
}

static bool place_is_over(const struct mt_diff_report *r, const struct mt_diff_row *row)
{
    return is_over(r) && (double)row->bytes - mt_estimate_ci95(row->bytes_variance) > r->limit_bytes;
}

static bool is_case(const struct mt_diff_row *row)
{
    return row->change == MT_CHANGE_GREW || row->change == MT_CHANGE_APPEARED;
}

/* One test case: what it is about, what is to be said of it, and whether it fails. */
static const char UNKNOWN[] = "(unknown)"; /* a case without a name is none to a reader */
struct test_case {
    const char *group, *name;
    char *text; /* malloc'ed, given away */
    bool fails;
};

static void put_case(struct mt_out *out, const struct test_case *take)
{
    mt_out_string(out, "    <testcase classname=\"");
    put_xml(out, take->group[0] != '\0' ? take->group : UNKNOWN);
    mt_out_string(out, "\" name=\"");
    put_xml(out, take->name[0] != '\0' ? take->name : UNKNOWN);
    mt_out_string(out, "\" time=\"0\">\n      ");
    if (take->fails) {
        mt_out_string(out, "<failure type=\"memory\" message=\"");
        put_xml(out, take->text);
        mt_out_string(out, "\"/>");
    } else {
        mt_out_string(out, "<system-out>");
        put_xml(out, take->text);
        mt_out_string(out, "</system-out>");
    }
    mt_out_string(out, "\n    </testcase>\n");
    free(take->text);
}

/* "+1.50 MiB ±0.10 MiB, 3.00 MiB before, 4.50 MiB after". malloc'ed. */
static char *change_text(int64_t bytes, double variance, const struct mt_amount sums[MT_DIFF_SIDES])
{
    char *error = variance > 0 ? mt_format(" ±%s", mt_human_bytes(mt_estimate_ci95(variance)).text) : mt_strdup("");
    char *text = mt_format("%s%s%s, %s before, %s after", bytes > 0 ? "+" : "", mt_human_bytes((double)bytes).text, error,
                           mt_human_bytes((double)sums[MT_DIFF_BEFORE].bytes).text,
                           mt_human_bytes((double)sums[MT_DIFF_AFTER].bytes).text);
    free(error);
    return text;
}

static void put_whole(struct mt_out *out, const struct mt_diff_report *r)
{
    char *change = change_text(r->diff->bytes, r->diff->bytes_variance, r->diff->sum);
    char *limit = r->limited ? mt_format("; %s more are allowed", mt_human_bytes(r->limit_bytes).text) : mt_strdup("");
    const struct test_case whole = { .group = "memory",
                                     .name = r->side[MT_DIFF_AFTER]->selection,
                                     .text = mt_format("%s%s", change, limit),
                                     .fails = is_over(r) };
    put_case(out, &whole);
    free(limit);
    free(change);
}

static void put_place(struct mt_out *out, const struct mt_diff_report *r, const struct mt_diff_row *row, const struct mt_paths *paths)
{
    const struct mt_frame *frame = row->frame;
    struct mt_amount sums[MT_DIFF_SIDES] = { row->amount[MT_DIFF_BEFORE], row->amount[MT_DIFF_AFTER] };
    char *file = mt_behind_line(frame, MT_BY_FILE, false, paths);
    char *line = mt_behind_line(frame, r->by, false, paths);
    char *change = change_text(row->bytes, row->bytes_variance, sums);
    const struct test_case place = { .group = file,
                                     .name = r->by == MT_BY_FILE || frame->function[0] == '\0' ? line : frame->function,
                                     .text = mt_format("%s: %s", line, change),
                                     .fails = place_is_over(r, row) };
    put_case(out, &place);
    free(change);
    free(line);
    free(file);
}

struct counts {
    size_t cases, failures;
};

static struct counts count(const struct mt_diff_report *r)
{
    struct counts counts = { 1, is_over(r) };
    size_t shown[MT_CHANGE__COUNT] = { 0 };
    for (size_t i = 0; i < r->diff->count; i++) {
        const struct mt_diff_row *row = &r->diff->rows[i];
        if (is_case(row) && (r->rows == 0 || shown[row->change]++ < r->rows)) {
            counts.cases++;
            counts.failures += place_is_over(r, row);
        }
    }
    return counts;
}

static void put_places(struct mt_out *out, const struct mt_diff_report *r)
{
    struct mt_paths *paths = mt_paths_new(r->side[MT_DIFF_AFTER]->full_paths);
    size_t shown[MT_CHANGE__COUNT] = { 0 };
    for (size_t i = 0; i < r->diff->count; i++) {
        const struct mt_frame *frame = r->diff->rows[i].frame;
        mt_paths_add(paths, frame->file[0] != '\0' ? frame->file : frame->module);
    }
    for (size_t i = 0; i < r->diff->count; i++) {
        const struct mt_diff_row *row = &r->diff->rows[i];
        if (is_case(row) && (r->rows == 0 || shown[row->change]++ < r->rows)) {
            put_place(out, r, row, paths);
        }
    }
    mt_paths_free(paths);
}

void mt_diff_junit_write(struct mt_out *out, const struct mt_diff_report *r)
{
    struct counts counts = count(r);
    char *name = mt_format("memtap diff %s %s", r->name[MT_DIFF_BEFORE], r->name[MT_DIFF_AFTER]);
    mt_out_print(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"%zu\" failures=\"%zu\" errors=\"0\">\n",
                 counts.cases, counts.failures);
    mt_out_string(out, "  <testsuite name=\"");
    put_xml(out, name);
    mt_out_print(out, "\" tests=\"%zu\" failures=\"%zu\" errors=\"0\" skipped=\"0\" time=\"0\">\n", counts.cases, counts.failures);
    put_whole(out, r);
    put_places(out, r);
    mt_out_string(out, "  </testsuite>\n</testsuites>\n");
    free(name);
}
