/* rows_text.c: tables and leak lists for people.
 *
 * The eye finds the biggest line without reading: amounts flush right in one unit, then the program's line and behind an
 * arrow what allocated there. On wide terminals a bar shows the share. Under the list stands what it leaves out and what to
 * look at first. */
#include "analysis/estimate.h"
#include "export/facts.h"
#include "export/headline.h"
#include "export/rows_private.h"
#include "model/moment.h"
#include "util/grid.h"
#include "util/human.h"
#include "util/memory.h"
#include "util/namemap.h"
#include "util/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Over less time a slope says how the program begins and ends: seconds and minutes that nobody saw are not spoken of. */
static const double RATE_LEAST_S = 1;

#define NO_GROWTH "—" /* nothing can be said */

enum { GROWTH_BYTES = 64, BAR_CELLS = 10, BAR_TERMINAL = 100, NAMES_SHOWN = 2, STACK_FRAMES_SHOWN = 12, SUSPECTS_SHOWN = 3 };

struct text {
    const struct mt_row_writer *w;
    struct mt_grid *grid;
    struct mt_paths *paths;
    char **lines; /* by shown row: what stands for it */
    bool bars;
    bool any_growth; /* a row has one to show */
    bool may_be_reused; /* one that holds a tenth is about objects that Python hands out again */
    double run_s;
    double most_growth; /* of the shown rows, per second */
};

/* ---- cells ------------------------------------------------------------------------------------------------------ */

static void add_amount(const struct text *t, const struct mt_amount *amount, uint64_t like)
{
    bool estimate = amount->bytes_variance > 0;
    mt_grid_cell(t->grid, estimate ? mt_report_bytes(amount).text
                                   : mt_human_bytes_like((double)amount->bytes, (double)like).text);
}

static void add_share(const struct text *t, const struct mt_row *row)
{
    char cell[32];
    double whole = (double)t->w->sum->bytes;
    double share = whole > 0 ? 100 * (double)row->self->bytes / whole : 0;
    (void)snprintf(cell, sizeof cell, share >= 1 || share == 0 ? "%.0f %%" : "%.1f %%", share);
    mt_grid_cell(t->grid, cell);
}

static void add_bar(const struct text *t, const struct mt_row *row, uint64_t largest)
{
    static const char *const eighths[] = { "", "▏", "▎", "▍", "▌", "▋", "▊", "▉" };
    char bar[BAR_CELLS * 3 + 4] = "";
    double cells = largest > 0 ? BAR_CELLS * (double)row->self->bytes / (double)largest : 0;
    unsigned units = (unsigned)round(cells * 8);
    for (unsigned i = 0; i < units / 8; i++) {
        (void)strcat(bar, "█");
    }
    (void)strcat(bar, eighths[units % 8]);
    mt_grid_cell(t->grid, bar);
}

/* What a narrow terminal may leave out, see mt_grid_column_spare. Of functions what they call tells more than how many blocks there are; of
 * lines it is the other way round. */
enum { SPARE_LAST = 1, SPARE_SECOND, SPARE_FIRST };

/* Steady is what changed over the run by less than a twentieth of what is alive, or than its own uncertainty; where that is more than
 * a quarter of what is alive, nothing can be said. One block neither grows nor shrinks, unless realloc makes it larger again and again. The page
 * says the same (web/src/names.ts). */
static void growth_text(const struct text *t, const struct mt_leak *leak, char ret[GROWTH_BYTES])
{
    double change = leak->growth_bytes_per_s * t->run_s;
    double alive = (double)leak->live.bytes, uncertain = mt_estimate_ci95(leak->live.bytes_variance);
    bool one = leak->live.count <= 1 && leak->moved < MT_LEAK_STEPS;
    bool steady = one || fabs(change) <= fmax(alive / 20, uncertain);
    if (leak->timed && steady && uncertain <= alive / 4) {
        (void)snprintf(ret, GROWTH_BYTES, "steady");
    } else if (!leak->timed || steady || t->run_s < RATE_LEAST_S) {
        (void)snprintf(ret, GROWTH_BYTES, NO_GROWTH);
    } else {
        double unit_s = mt_human_rate_unit_s(t->run_s);
        (void)snprintf(ret, GROWTH_BYTES, "%s%s/%s", change > 0 ? "+" : "",
                       mt_human_bytes_like(leak->growth_bytes_per_s * unit_s, t->most_growth * unit_s).text,
                       unit_s > 1 ? "min" : "s");
    }
}

static void add_growth(const struct text *t, const struct mt_leak *leak)
{
    char cell[GROWTH_BYTES];
    growth_text(t, leak, cell);
    mt_grid_cell(t->grid, cell);
}

/* Is there a row that tells how it grows? */
static bool any_growth(const struct text *t, const struct mt_row *rows, size_t count)
{
    char cell[GROWTH_BYTES] = NO_GROWTH;
    for (size_t i = 0; i < count && strcmp(cell, NO_GROWTH) == 0; i++) {
        growth_text(t, rows[i].leak, cell);
    }
    return strcmp(cell, NO_GROWTH) != 0;
}

/* Is the row about heads of objects that Python keeps when they are freed, and hands out again without asking its allocator? Their content
 * is allocated anew by who fills it. */
static bool may_be_reused(const struct mt_row *row, const struct mt_behind *behind)
{
    static const char *const kinds[] = { "list", "dict", "tuple", "float" };
    enum { HEAD_BYTES_MAX = 192 }; /* of a tuple of 20 */
    bool kept = false;
    for (size_t i = 0; i < MT_COUNTOF(kinds) && behind->count > 0; i++) {
        kept = kept || strcmp(behind->names[0].text, kinds[i]) == 0;
    }
    return kept && row->leak != NULL && !row->import && row->self->bytes < row->self->count * HEAD_BYTES_MAX;
}

static void write_reuse(const struct text *t)
{
    enum { LABEL_COLUMNS = 6 };
    if (t->may_be_reused) {
        mt_terminal_wrap(t->w->out,
                         "note: Python hands out lists, dicts, tuples and floats that were freed again: the line that made one first is shown, and "
                         "another may hold it now\n",
                         LABEL_COLUMNS);
    }
}

static void add_behind(struct text *t, const struct mt_row *row)
{
    struct mt_behind behind;
    struct mt_out *cell = mt_out_open_memory();
    mt_behind_make(t->w->report, t->w->stacks, row->stacks, t->paths, &behind);
    for (size_t i = 0; i < behind.count && i < NAMES_SHOWN; i++) {
        mt_out_print(cell, "%s%s", i == 0 ? "← " : ", ", behind.names[i].text);
    }
    mt_out_string(cell, behind.count > NAMES_SHOWN ? ", …" : "");
    mt_grid_cell(t->grid, mt_out_text(cell, NULL));
    mt_out_discard(cell);
    t->may_be_reused = t->may_be_reused || (row->self->bytes >= t->w->sum->bytes / 10 && may_be_reused(row, &behind));
    mt_behind_fini(&behind);
}

static void add_row(struct text *t, const struct mt_row *row, const struct mt_row *first, const char *line)
{
    add_amount(t, row->self, first->self->bytes);
    add_share(t, row);
    if (t->bars) {
        add_bar(t, row, first->self->bytes);
    }
    if (row->leak != NULL) {
        add_growth(t, row->leak);
    }
    mt_grid_cell(t->grid, mt_human_count((double)row->self->count).text);
    if (row->leak != NULL) {
        mt_grid_cell(t->grid, row->leak->timed ? mt_human_clock(row->leak->age_s).text : "—");
    } else {
        mt_grid_cell(t->grid, mt_human_bytes_like((double)row->total->bytes, (double)first->self->bytes).text);
    }
    if (t->w->report->grouping.by == MT_BY_PROCESS) {
        char pid[24];
        (void)snprintf(pid, sizeof pid, "%llu",
                       (unsigned long long)mt_trace_info(t->w->report->set->traces[row->trace_idx])->pid);
        mt_grid_cell(t->grid, pid);
    }
    mt_grid_cell(t->grid, line);
    if (t->w->behind) {
        add_behind(t, row);
    }
}

static void add_columns(const struct text *t)
{
    const struct mt_row_writer *w = t->w;
    const struct mt_grouping_options *grouping = &w->report->grouping;
    bool by_function = w->function && !w->line;
    mt_grid_column(t->grid, w->leaks ? "alive" : "own", MT_ALIGN_RIGHT, false);
    mt_grid_column(t->grid, "", MT_ALIGN_RIGHT, false);
    if (t->bars) {
        mt_grid_column(t->grid, "", MT_ALIGN_LEFT, false);
        mt_grid_column_spare(t->grid, SPARE_FIRST);
    }
    if (w->leaks) {
        mt_grid_column(t->grid, "growth", MT_ALIGN_RIGHT, false);
        mt_grid_column_spare(t->grid, t->any_growth ? 0 : SPARE_FIRST);
    }
    mt_grid_column(t->grid, "blocks", MT_ALIGN_RIGHT, false);
    mt_grid_column_spare(t->grid, by_function || w->leaks ? SPARE_SECOND : SPARE_LAST);
    mt_grid_column(t->grid, w->leaks ? "oldest" : "with callees", MT_ALIGN_RIGHT, false);
    mt_grid_column_spare(t->grid, by_function || w->leaks ? SPARE_LAST : SPARE_SECOND);
    if (grouping->by == MT_BY_PROCESS) {
        mt_grid_column(t->grid, "process", MT_ALIGN_RIGHT, false);
    }
    if (grouping->invert) {
        mt_grid_column_names(t->grid, "by");
        mt_grid_column_place(t->grid, "← line");
        return;
    }
    mt_grid_column_place(t->grid, w->label_key != NULL ? w->label_key : !w->function ? "file" : w->line ? "line" : "function");
    if (w->behind) {
        mt_grid_column_names(t->grid, "← by");
    }
}

/* ---- what stands for rows --------------------------------------------------------------------------------------- */

static char *line_of(const struct text *t, const struct mt_row *row, bool whole)
{
    if (row->label != NULL || row->frame == NULL) {
        enum mt_table_by by = t->w->report->grouping.by;
        if (row->frame == NULL && mt_table_by_is_label(by)) {
            return mt_report_label(row->label != NULL ? row->label : "", by);
        }
        bool path = row->label != NULL && row->frame == NULL && row->label[0] == '/';
        const char *label = row->label == NULL ? "?" : row->label[0] == '\0' ? "no module" : row->label;
        return mt_strdup(path ? mt_paths_short(t->paths, row->label) : label);
    }
    char *line = mt_behind_line(row->frame, t->w->report->grouping.stacks ? MT_BY_LINE : t->w->report->grouping.by, whole,
                                t->paths);
    if (line[0] == '\0') {
        free(line);
        return mt_strdup("?");
    }
    return line;
}

static void add_paths(const struct text *t, const struct mt_row *row)
{
    struct mt_frames *frames = t->w->report->frames;
    if (row->frame != NULL) {
        mt_paths_add(t->paths, row->frame->file[0] != '\0' ? row->frame->file : row->frame->module);
    }
    bool labelled = mt_table_by_is_label(t->w->report->grouping.by);
    if (row->frame == NULL && !labelled && row->label != NULL && row->label[0] == '/') { /* of a module */
        mt_paths_add(t->paths, row->label);
    }
    bool lines = t->w->report->grouping.stacks || t->w->report->grouping.invert;
    const struct mt_row_stack *s = NULL;
    while (lines && (s = mt_rowstacks_next(t->w->stacks, row->stacks, s)) != NULL) {
        struct mt_frame_list list = mt_frames_stack(frames, s->trace_idx, s->stack);
        for (size_t i = 0; i < list.count; i++) {
            const struct mt_frame *frame = mt_frames_frame(frames, list.ids[i]);
            mt_paths_add(t->paths, frame->file[0] != '\0' ? frame->file : frame->module);
        }
    }
}

/* Two rows that would look the same show their functions whole. */
static void make_lines(struct text *t, const struct mt_row *rows, size_t count)
{
    struct mt_namemap *names = mt_namemap_new();
    size_t *first_of = mt_alloc_zero(count, sizeof *first_of); /* by number of a line: the row that has it */
    t->lines = mt_alloc_zero(count, sizeof *t->lines);
    for (size_t i = 0; i < count; i++) {
        add_paths(t, &rows[i]);
    }
    for (size_t i = 0; i < count; i++) {
        bool is_new;
        t->lines[i] = line_of(t, &rows[i], false);
        uint32_t number = mt_namemap_put(names, t->lines[i], strlen(t->lines[i]), &is_new);
        if (is_new) {
            first_of[number] = i;
        } else if (!t->w->report->grouping.stacks) {
            size_t first = first_of[number];
            free(t->lines[i]);
            free(t->lines[first]);
            t->lines[i] = line_of(t, &rows[i], true);
            t->lines[first] = line_of(t, &rows[first], true);
        }
    }
    free(first_of);
    mt_namemap_free(names);
}

/* The frames of a row's stack under it, outwards from the allocation. */
static void add_stack(const struct text *t, const struct mt_row *row)
{
    struct mt_frames *frames = t->w->report->frames;
    struct mt_frame_list list = mt_frames_stack(frames, row->trace_idx, row->stack);
    size_t shown = list.count > STACK_FRAMES_SHOWN + 1 ? STACK_FRAMES_SHOWN : list.count;
    for (size_t i = 0; i < shown; i++) {
        char *line = mt_behind_line(mt_frames_frame(frames, list.ids[i]), MT_BY_LINE, false, t->paths);
        char *note = mt_format("    %s", line);
        mt_grid_note(t->grid, note);
        free(note);
        free(line);
    }
    if (shown < list.count) {
        char *note = mt_format("    ⋯ %zu frames", list.count - shown);
        mt_grid_note(t->grid, note);
        free(note);
    }
}

/* ---- under the list --------------------------------------------------------------------------------------------- */

static uint64_t sum_bytes(const struct mt_row *rows, size_t from, size_t to)
{
    uint64_t bytes = 0;
    for (size_t i = from; i < to; i++) {
        bytes += rows[i].self->bytes;
    }
    return bytes;
}

static void write_rest(const struct text *t, const struct mt_row *rows, size_t shown, size_t listed, size_t of)
{
    size_t columns = mt_terminal_columns(t->w->out);
    const char *apart = columns > 0 && columns < BAR_TERMINAL ? "\n… " : " · ";
    if (listed > shown) {
        mt_out_print(t->w->out, "… %s, %s (-n 0 shows all)%s", mt_human_counted((double)(listed - shown), "more row", "more rows").text,
                     mt_human_bytes((double)sum_bytes(rows, shown, listed)).text, of > listed ? apart : "\n");
    }
    if (of > listed) {
        mt_out_print(t->w->out, "%s%s in start-up%s (--all-frames)\n", listed > shown ? "" : "… ",
                     mt_human_bytes((double)sum_bytes(rows, listed, of)).text, t->w->report->imports_apart ? " and imports" : "");
    }
}

/* "20,001 blocks made", "1 block made, enlarged 83 times". malloc'ed. */
static char *made_text(const struct mt_leak *leak)
{
    enum { MANY_BLOCKS = 100 };
    struct mt_counted made = mt_human_counted((double)(leak->live.count + leak->freed), "block", "blocks");
    return leak->live.count >= MANY_BLOCKS ? mt_format("%s made", made.text)
                                           : mt_format("%s made, enlarged %s", made.text, mt_human_counted((double)leak->moved, "time", "times").text);
}

static void write_suspects(const struct text *t, const struct mt_row *rows, size_t shown)
{
    enum { LABEL_COLUMNS = 9 };
    size_t count = 0;
    for (size_t i = 0; i < shown && count < SUSPECTS_SHOWN; i++) {
        const struct mt_leak *leak = rows[i].leak;
        if (!leak->suspect) {
            continue;
        }
        char *made = made_text(leak);
        char *line = mt_text_clean(t->lines[i], strlen(t->lines[i]));
        char *text = mt_format("%s, %s freed, growing", made, leak->freed == 0 ? "none" : mt_human_count((double)leak->freed).text);
        mt_out_string(t->w->out, count == 0 ? "suspect: " : "         ");
        mt_terminal_pair(t->w->out, LABEL_COLUMNS, line, text);
        free(text);
        free(made);
        free(line);
        count++;
    }
}

/* Has a process of the run left its main? What destructors of statics freed afterwards was held until then. */
static bool knows_main_end(const struct mt_trace_set *set)
{
    bool knows = false;
    for (size_t i = 0; i < set->count; i++) {
        knows = knows || mt_moment_find(set->traces[i], MT_MOMENT_MAIN_END).clock != UINT64_MAX;
    }
    return knows;
}

static void write_nothing(const struct text *t)
{
    if (!t->w->leaks) {
        mt_out_string(t->w->out, "nothing was allocated there\n");
        return;
    }
    const struct mt_facts facts = mt_facts_of(t->w->report);
    if (facts.is_attached) {
        mt_out_print(t->w->out, "nothing is left of what was allocated in the %s that were recorded; what the process had before is not known. Try:\n"
                                "  memtap table --total FILE      what was allocated meanwhile; nothing: the process was idle\n"
                                "  memtap memory %-16llu what all of its memory is made of\n",
                     mt_human_duration(facts.totals->duration_ns).text, (unsigned long long)facts.root->pid);
        return;
    }
    mt_out_string(t->w->out, "nothing is left to show. Try:\n");
    if (knows_main_end(t->w->report->set)) {
        mt_out_string(t->w->out, "  memtap leaks FILE@main-end     what was alive when main returned, before statics were destroyed\n");
    }
    mt_out_string(t->w->out, "  memtap table FILE              what was held when it was most\n"
                             "  memtap table --temporary FILE  what was freed at once\n"
                             "  memtap leaks --thread T, --min-age T: fewer conditions show more\n");
}

/* Leaves out lines that hold nothing themselves, as main() does; the tree has them. */
static size_t drop_empty(struct mt_row *rows, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (rows[i].self->bytes > 0 || rows[i].self->count > 0) {
            rows[kept++] = rows[i];
        }
    }
    return kept;
}

/* Unless a number of rows is asked for, those end where a share would be 0.0 %: the line below tells of the rest. */
static size_t rows_to_show(const struct mt_row_writer *w, const struct mt_row *rows, size_t listed)
{
    size_t limit = w->report->rows, shown = limit > 0 && limit < listed ? limit : listed;
    while (w->report->rows_by_default && shown > 1 && rows[shown - 1].self->bytes * 2000 < w->sum->bytes) {
        shown--;
    }
    return shown;
}

void mt_rows_write_text(const struct mt_row_writer *w, const struct mt_row *given, size_t of)
{
    struct text t = { .w = w, .grid = mt_grid_new(), .paths = mt_paths_new(w->report->full_paths) };
    struct mt_row *rows = mt_alloc_zero(of, sizeof *rows);
    memcpy(rows, given, of * sizeof *rows);
    of = drop_empty(rows, of);
    size_t listed = mt_rows_set_apart(w, rows, of);
    size_t shown = rows_to_show(w, rows, listed);
    t.bars = mt_terminal_columns(w->out) >= BAR_TERMINAL;
    t.run_s = (double)w->report->analysis->totals.duration_ns * 1e-9;
    for (size_t i = 0; w->leaks && i < shown; i++) {
        t.most_growth = fmax(t.most_growth, fabs(rows[i].leak->growth_bytes_per_s));
    }
    t.any_growth = w->leaks && any_growth(&t, rows, shown);
    make_lines(&t, rows, shown);
    mt_headline_write(w->out, w->report, w->sum, shown > 0 ? rows[0].self : NULL);
    add_columns(&t);
    for (size_t i = 0; i < shown; i++) {
        add_row(&t, &rows[i], &rows[0], t.lines[i]);
        if (w->report->grouping.stacks) {
            add_stack(&t, &rows[i]);
        }
    }
    if (shown > 0) {
        mt_grid_print(t.grid, w->out);
    } else {
        write_nothing(&t);
    }
    write_rest(&t, rows, shown, listed, of);
    if (w->leaks) {
        write_suspects(&t, rows, shown);
        write_reuse(&t);
    }
    for (size_t i = 0; i < shown; i++) {
        free(t.lines[i]);
    }
    free(t.lines);
    free(rows);
    mt_paths_free(t.paths);
    mt_grid_free(t.grid);
}
