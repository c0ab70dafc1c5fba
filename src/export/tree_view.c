/* tree_view.c: the call tree for people and for programs. Drawing uses an explicit stack: trees are thousands of frames
 * deep. */
#include "export/tree_view.h"

#include "export/headline.h"
#include "export/paths.h"
#include "model/role.h"
#include "util/grid.h"
#include "util/human.h"
#include "util/memory.h"
#include "util/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct view {
    const struct mt_report *report;
    const struct mt_tree *tree;
    struct mt_out *out;
    bool *shown;    /* by node */
    bool *foreign;  /* by node: not of the program */
    bool *closed;   /* by node: foreign, with nothing of the program further in; drawn without what is inside */
    size_t columns; /* terminal width, 0 no limit */
    struct mt_paths *paths; /* text only */
};

/* ---- which nodes ----------------------------------------------------------------------------------------------- */

struct candidate {
    uint64_t bytes;
    uint32_t node;
};

static int by_bytes(const void *a, const void *b)
{
    const struct candidate *x = a;
    const struct candidate *y = b;
    if (x->bytes != y->bytes) {
        return x->bytes > y->bytes ? -1 : 1;
    }
    return x->node < y->node ? -1 : x->node > y->node ? 1 : 0; /* parents come first in the array */
}

static bool is_import(const struct mt_report *report, const struct mt_tree_node *node)
{
    return node->frame != MT_TREE_NONE && mt_frames_role(report->frames, node->frame) == MT_ROLE_IMPORT;
}

/* Not of the program: a library's frame, a wrapper, an import that a library makes, code that a library made as text. */
static bool is_foreign(const struct view *view, const struct mt_tree_node *node)
{
    const struct mt_report *report = view->report;
    if (node->frame == MT_TREE_NONE || report->all_frames) {
        return false;
    }
    enum mt_role role = mt_frames_role(report->frames, node->frame);
    const char *file = mt_frames_frame(report->frames, node->frame)->file;
    return role == MT_ROLE_LIBRARY || role == MT_ROLE_WRAPPER ||
           (role == MT_ROLE_IMPORT && (file[0] == '<' || mt_role_library_path(file) != NULL)) ||
           (role == MT_ROLE_PROGRAM && strcmp(file, "<string>") == 0 && view->foreign[node->parent]);
}

static void find_foreign(struct view *view)
{
    view->foreign = mt_alloc_zero(view->tree->count, sizeof *view->foreign);
    for (size_t i = 1; i < view->tree->count; i++) { /* parents come first in the array */
        view->foreign[i] = is_foreign(view, &view->tree->nodes[i]);
    }
}

/* Where no frame is the program's, none is foreign to it. */
static void find_closed(struct view *view)
{
    const struct mt_tree *tree = view->tree;
    bool *closed = view->closed = mt_alloc_zero(tree->count, sizeof *closed);
    for (size_t i = tree->count; i > 1 && !view->report->all_frames; i--) {
        const struct mt_tree_node *node = &tree->nodes[i - 1];
        closed[i - 1] = view->foreign[i - 1] || is_import(view->report, node);
        for (uint32_t c = node->first_child; c != MT_TREE_NONE && closed[i - 1]; c = tree->nodes[c].next_sibling) {
            closed[i - 1] = closed[c];
        }
    }
    bool all = true;
    for (uint32_t c = tree->nodes[0].first_child; c != MT_TREE_NONE; c = tree->nodes[c].next_sibling) {
        all = all && closed[c];
    }
    if (all) {
        memset(closed, 0, tree->count * sizeof *closed);
    }
}

/* Does a node take a row of its own? In a run of foreign frames that is drawn as one line only the first does. */
static bool takes_row(const struct view *view, uint32_t id)
{
    const struct mt_tree_node *node = &view->tree->nodes[id];
    if (node->parent == MT_TREE_NONE || view->report->format != MT_FORMAT_TABLE || !view->foreign[id]) {
        return true;
    }
    return view->tree->nodes[node->parent].child_count != 1 || !view->foreign[node->parent];
}

/* The root and the `rows` largest other nodes (0: all). A node is never shown without its parent. */
static bool *choose(const struct view *view, size_t rows)
{
    const struct mt_tree *tree = view->tree;
    bool *shown = mt_alloc_zero(tree->count, sizeof *shown);
    struct candidate *all = mt_alloc_zero(tree->count, sizeof *all);
    for (size_t i = 0; i < tree->count; i++) {
        all[i] = (struct candidate){ tree->nodes[i].amount.bytes, (uint32_t)i };
    }
    qsort(all, tree->count, sizeof *all, by_bytes);
    size_t taken = 0;
    for (size_t i = 0; i < tree->count && (rows == 0 || taken <= rows); i++) {
        uint32_t parent = tree->nodes[all[i].node].parent;
        shown[all[i].node] = parent == MT_TREE_NONE || (shown[parent] && !view->closed[parent]);
        taken += shown[all[i].node] && takes_row(view, all[i].node) ? 1 : 0;
    }
    free(all);
    return shown;
}

/* ---- text ------------------------------------------------------------------------------------------------------ */

/* What is still to be drawn: a node, or (node MT_TREE_NONE) the remark about children left out. */
struct pending {
    uint32_t node;
    uint32_t hidden_count;
    uint64_t hidden_bytes;
    size_t prefix_bytes; /* of the prefix text, before this line's own branch */
    bool last;           /* no sibling line follows */
    bool chained;        /* drawn under its parent without a branch */
};

struct drawing {
    const struct view *view;
    struct pending *stack;
    size_t count;
    size_t capacity;
    char *prefix;
    size_t prefix_capacity;
};

enum { NUMBERS_COLUMNS = 20 };

static void push(struct drawing *d, struct pending pending)
{
    d->stack = mt_alloc_grow(d->stack, &d->capacity, d->count + 1, sizeof *d->stack);
    d->stack[d->count++] = pending;
}

/* Makes the prefix `bytes` long plus text; returns the new length. */
static size_t extend_prefix(struct drawing *d, size_t bytes, const char *text)
{
    size_t more = strlen(text);
    d->prefix = mt_alloc_grow(d->prefix, &d->prefix_capacity, bytes + more + 1, 1);
    memcpy(d->prefix + bytes, text, more + 1);
    return bytes + more;
}

static const char *path_of(const struct mt_frame *frame)
{
    return frame->file[0] != '\0' ? frame->file : frame->module;
}

/* What a node is called, and where it is ("": not said). */
struct label {
    char *name, *place;
};

static struct label label_of(char *take_name, char *take_place)
{
    struct label label = { mt_text_clean(take_name, strlen(take_name)), mt_text_clean(take_place, strlen(take_place)) };
    free(take_name);
    free(take_place);
    return label;
}

static void label_fini(struct label *label)
{
    free(label->name);
    free(label->place);
}

static struct label node_label(const struct view *view, uint32_t node)
{
    uint32_t id = view->tree->nodes[node].frame;
    if (id == MT_TREE_NONE) {
        return label_of(mt_strdup("all"), mt_strdup(""));
    }
    const struct mt_frame *frame = mt_frames_frame(view->report->frames, id);
    if (frame->kind == MT_FRAME_LABEL) {
        return label_of(mt_report_label(frame->function, view->report->grouping.by), mt_strdup(""));
    }
    const char *path = mt_paths_short(view->paths, path_of(frame));
    bool line = frame->line > 0 && frame->file[0] != '\0';
    char *place = line ? mt_format("%s:%u", path, frame->line) : mt_strdup(path);
    return label_of(view->report->all_frames ? mt_strdup(frame->function) : mt_role_shown_name(frame), place);
}

/* "name  place" in so many columns: folders go first, then what qualifies the name; malloc'ed. */
static char *fit_label(const struct label *label, size_t columns)
{
    enum { GAP = 2, NAME_LEAST = 8 };
    size_t name = mt_text_columns(label->name, strlen(label->name)), place = mt_text_columns(label->place, strlen(label->place));
    size_t gap = place > 0 ? GAP : 0;
    if (name + gap + place > columns) {
        size_t least = mt_text_place_columns(label->place), room = columns > name + gap ? columns - name - gap : 0;
        place = room > least ? room : least;
        name = columns > place + gap + NAME_LEAST ? columns - place - gap : NAME_LEAST;
    }
    char *fitted_place = mt_text_fit(label->place, place, MT_CUT_PLACE), *fitted_name = mt_text_fit(label->name, name, MT_CUT_NAME);
    char *fitted = mt_format("%s%*s%s", fitted_name, (int)gap, "", fitted_place);
    free(fitted_name);
    free(fitted_place);
    return fitted;
}

static void put_line(const struct view *view, const char *numbers, const char *prefix, const char *branch,
                     const struct label *label)
{
    enum { LABEL_LEAST = 20 };
    size_t drawn = mt_text_columns(prefix, strlen(prefix)) + mt_text_columns(branch, strlen(branch)) + NUMBERS_COLUMNS;
    size_t room = view->columns == 0 ? SIZE_MAX / 2 : view->columns > drawn + LABEL_LEAST ? view->columns - drawn : LABEL_LEAST;
    char *fitted = fit_label(label, room);
    char *drawing = mt_format("%s%s%s", prefix, branch, fitted);
    size_t columns = view->columns > NUMBERS_COLUMNS + LABEL_LEAST ? view->columns - NUMBERS_COLUMNS : LABEL_LEAST;
    char *shown = view->columns > 0 ? mt_text_fit(drawing, columns, MT_CUT_MIDDLE) : mt_strdup(drawing); /* of a deep branch */
    mt_out_print(view->out, "%*s  %s\n", NUMBERS_COLUMNS - 2, numbers, shown);
    free(shown);
    free(drawing);
    free(fitted);
}

static void draw_node(struct drawing *d, const struct pending *p, const char *branch)
{
    const struct mt_tree_node *node = &d->view->tree->nodes[p->node];
    char numbers[96];
    struct label label = node_label(d->view, p->node);
    (void)snprintf(numbers, sizeof numbers, "%s %6s", mt_human_bytes((double)node->amount.bytes).text,
                   mt_human_percent((double)node->amount.bytes, (double)d->view->tree->nodes[0].amount.bytes).text);
    put_line(d->view, numbers, d->prefix, branch, &label);
    label_fini(&label);
}

/* The one child that is drawn under a node without a branch; MT_TREE_NONE: there are more, or something is left out. */
static uint32_t only_child(const struct view *view, uint32_t node)
{
    const struct mt_tree_node *n = &view->tree->nodes[node];
    return !view->closed[node] && n->child_count == 1 && view->shown[n->first_child] ? n->first_child : MT_TREE_NONE;
}

/* How many foreign frames follow each other from a node on, each the only child of the one before it and none the last. */
static uint32_t run_of_foreign(const struct view *view, uint32_t node, uint32_t *ret_after)
{
    uint32_t count = 0;
    uint32_t child = only_child(view, node);
    while (child != MT_TREE_NONE && view->foreign[node]) {
        count++;
        node = child;
        child = only_child(view, node);
    }
    *ret_after = node;
    return count;
}

static void draw_run(struct drawing *d, const struct pending *p, const char *branch, uint32_t count)
{
    const struct mt_tree_node *node = &d->view->tree->nodes[p->node];
    char numbers[96];
    struct label label = label_of(mt_format("⋯ %u frames", count), mt_strdup(""));
    (void)snprintf(numbers, sizeof numbers, "%s %6s", mt_human_bytes((double)node->amount.bytes).text,
                   mt_human_percent((double)node->amount.bytes, (double)d->view->tree->nodes[0].amount.bytes).text);
    put_line(d->view, numbers, d->prefix, branch, &label);
    label_fini(&label);
}

static void draw_hidden(struct drawing *d, const struct pending *p, const char *branch)
{
    char numbers[96];
    struct label label = label_of(mt_format("… %u more", p->hidden_count), mt_strdup(""));
    (void)snprintf(numbers, sizeof numbers, "%s %6s", mt_human_bytes((double)p->hidden_bytes).text, "");
    put_line(d->view, numbers, d->prefix, branch, &label);
    label_fini(&label);
}

/* Pushes the children to draw, last first. */
static void push_children(struct drawing *d, uint32_t node, size_t prefix_bytes)
{
    const struct view *view = d->view;
    struct pending hidden = { .node = MT_TREE_NONE, .prefix_bytes = prefix_bytes, .last = true };
    size_t first = d->count;
    size_t visible = 0;
    if (view->closed[node]) {
        return;
    }
    for (uint32_t c = view->tree->nodes[node].first_child; c != MT_TREE_NONE; c = view->tree->nodes[c].next_sibling) {
        if (view->shown[c]) {
            push(d, (struct pending){ .node = c, .prefix_bytes = prefix_bytes });
            visible++;
        } else {
            hidden.hidden_count++;
            hidden.hidden_bytes += view->tree->nodes[c].amount.bytes;
        }
    }
    uint64_t whole = view->tree->nodes[node].amount.bytes;
    bool worth_saying = hidden.hidden_count > 0 && hidden.hidden_bytes > whole / 200;
    if (worth_saying) {
        push(d, hidden);
    }
    if (d->count > first) {
        d->stack[d->count - 1].last = true;
    }
    d->stack = mt_alloc_grow(d->stack, &d->capacity, d->count + 1, sizeof *d->stack);
    d->stack[first].chained = visible == 1 && !worth_saying && node != 0 && d->count > first;
    for (size_t i = first, j = d->count; i + 1 < j; i++, j--) {
        struct pending swap = d->stack[i];
        d->stack[i] = d->stack[j - 1];
        d->stack[j - 1] = swap;
    }
}

static void draw(struct drawing *d)
{
    push(d, (struct pending){ .node = 0, .last = true, .chained = true });
    while (d->count > 0 && !mt_out_failed(d->view->out)) {
        struct pending p = d->stack[--d->count];
        const char *branch = p.chained ? "" : p.last ? "└ " : "├ ";
        (void)extend_prefix(d, p.prefix_bytes, "");
        if (p.node == MT_TREE_NONE) {
            draw_hidden(d, &p, branch);
            continue;
        }
        const char *below = p.chained ? "" : p.last ? "  " : "│ ";
        uint32_t after;
        uint32_t run = run_of_foreign(d->view, p.node, &after);
        if (run > 1) {
            draw_run(d, &p, branch, run);
            push(d, (struct pending){
                        .node = after, .prefix_bytes = extend_prefix(d, p.prefix_bytes, below), .last = true, .chained = true });
            continue;
        }
        draw_node(d, &p, branch);
        push_children(d, p.node, extend_prefix(d, p.prefix_bytes, below));
    }
}

static void write_text(const struct view *view)
{
    struct drawing d = { .view = view };
    const struct mt_amount *sum = &view->tree->nodes[0].amount;
    for (size_t i = 0; i < view->tree->count; i++) {
        if (view->shown[i] && view->tree->nodes[i].frame != MT_TREE_NONE) {
            mt_paths_add(view->paths, path_of(mt_frames_frame(view->report->frames, view->tree->nodes[i].frame)));
        }
    }
    mt_headline_write(view->out, view->report, sum, sum);
    draw(&d);
    free(d.stack);
    free(d.prefix);
}

/* ---- data ------------------------------------------------------------------------------------------------------ */

static void put_node(struct mt_json *json, const struct view *view, uint32_t id)
{
    static const struct mt_frame root = { .function = "all", .file = "", .module = "" };
    const struct mt_tree_node *node = &view->tree->nodes[id];
    double whole = (double)view->tree->nodes[0].amount.bytes;
    bool sampled = view->report->analysis->sampled;
    mt_json_object(json);
    mt_json_put_u64(json, "id", id);
    mt_json_key(json, "parent");
    if (node->parent == MT_TREE_NONE) {
        mt_json_null(json);
    } else {
        mt_json_u64(json, node->parent);
    }
    mt_json_put_u64(json, "depth", node->depth);
    const struct mt_frame *frame = node->frame == MT_TREE_NONE ? &root : mt_frames_frame(view->report->frames, node->frame);
    mt_report_put_frame(json, frame);
    if (frame->kind == MT_FRAME_LABEL) {
        mt_json_put_text(json, mt_report_label_key(view->report->grouping.by), frame->function[0] != '\0' ? frame->function : NULL);
    }
    mt_report_put_amount(json, "", &node->amount, sampled);
    mt_json_put_double(json, "percent", whole > 0 ? 100.0 * (double)node->amount.bytes / whole : 0);
    mt_report_put_amount(json, "self_", &node->self, sampled);
    mt_json_object_end(json);
}

static void write_json(const struct view *view)
{
    struct mt_json json;
    mt_json_init(&json, view->out, 1);
    mt_json_array(&json);
    for (size_t i = 0; i < view->tree->count && !mt_out_failed(view->out); i++) {
        if (view->shown[i]) {
            put_node(&json, view, (uint32_t)i);
        }
    }
    mt_json_array_end(&json);
    mt_out_byte(view->out, '\n');
}

static void write_ndjson(const struct view *view)
{
    for (size_t i = 0; i < view->tree->count && !mt_out_failed(view->out); i++) {
        struct mt_json json;
        if (view->shown[i]) {
            mt_json_init(&json, view->out, 0);
            put_node(&json, view, (uint32_t)i);
            mt_out_byte(view->out, '\n');
        }
    }
}

static void write_csv(const struct view *view)
{
    mt_out_string(view->out, "id,parent,depth,function,file,line,bytes,count,self_bytes,self_count\r\n");
    for (size_t i = 0; i < view->tree->count && !mt_out_failed(view->out); i++) {
        const struct mt_tree_node *node = &view->tree->nodes[i];
        if (!view->shown[i] || node->frame == MT_TREE_NONE) {
            continue; /* the root is the sum of its children */
        }
        const struct mt_frame *frame = mt_frames_frame(view->report->frames, node->frame);
        mt_out_print(view->out, "%zu,%u,%u,", i, node->parent, node->depth);
        mt_csv_field(view->out, frame->function);
        mt_out_byte(view->out, ',');
        mt_csv_field(view->out, frame->file[0] != '\0' ? frame->file : frame->module);
        mt_out_print(view->out, ",%u,%llu,%llu,%llu,%llu\r\n", frame->line, (unsigned long long)node->amount.bytes,
                     (unsigned long long)node->amount.count, (unsigned long long)node->self.bytes,
                     (unsigned long long)node->self.count);
    }
}

void mt_tree_view_write(struct mt_out *out, const struct mt_report *report, const struct mt_tree *tree)
{
    struct view view = { .report = report, .tree = tree, .out = out, .columns = mt_terminal_columns(out) };
    find_foreign(&view);
    if (report->format == MT_FORMAT_TABLE) {
        find_closed(&view);
    } else {
        view.closed = mt_alloc_zero(tree->count, sizeof *view.closed);
    }
    view.shown = choose(&view, report->rows);
    view.paths = mt_paths_new(report->full_paths);
    switch (report->format) {
    case MT_FORMAT_JSON:
        write_json(&view);
        break;
    case MT_FORMAT_NDJSON:
        write_ndjson(&view);
        break;
    case MT_FORMAT_CSV:
        write_csv(&view);
        break;
    case MT_FORMAT_TABLE:
    default:
        write_text(&view);
        break;
    }
    mt_paths_free(view.paths);
    free(view.closed);
    free(view.foreign);
    free(view.shown);
}
