/* stack_functions.c: functions of a stack_id: frame(id, n), has_frame(id, 'name'), flamegraph(id, bytes).
 *
 * Whether a frame has a name is decided once a frame and kept while the statement runs; a stack is a walk over its frames' bits.
 * Context: [tool]. */
#include "sql/functions.h"

#include "model/role.h"
#include "util/memory.h"
#include "util/out.h"

#include <math.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

static bool list_of(struct mt_sql *sql, sqlite3_value *id, struct mt_frame_list *ret)
{
    uint32_t trace_idx, stack;
    if (sqlite3_value_type(id) == SQLITE_NULL || !mt_sql_stack_of(sql, sqlite3_value_int64(id), &trace_idx, &stack)) {
        return false;
    }
    *ret = mt_frames_stack(sql->frames, trace_idx, stack);
    return true;
}

/* "function file:line"; 0 is the innermost. NULL: there is no such stack or frame. */
static void frame(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    struct mt_sql *sql = sqlite3_user_data(context);
    struct mt_frame_list list;
    sqlite3_int64 n = sqlite3_value_int64(argv[1]);
    (void)argc;
    if (!list_of(sql, argv[0], &list) || sqlite3_value_type(argv[1]) == SQLITE_NULL || n < 0 || (size_t)n >= list.count) {
        return;
    }
    const struct mt_frame *f = mt_frames_frame(sql->frames, list.ids[n]);
    const char *file = f->file[0] != '\0' ? f->file : f->module;
    char *text = f->line > 0        ? mt_format("%s %s:%u", f->function, file, f->line)
                 : file[0] != '\0' ? mt_format("%s %s", f->function, file)
                                   : mt_strdup(f->function);
    sqlite3_result_text(context, text, -1, free);
}

/* ---- has_frame ---------------------------------------------------------------------------------------------------- */

enum { UNASKED, NO, YES };

struct matcher {
    struct mt_sql *sql;
    char *name;
    unsigned char *frames; /* of each frame: has it the name? */
    size_t frame_count, frame_capacity;
};

static void matcher_free(void *data)
{
    struct matcher *m = data;
    free(m->name);
    free(m->frames);
    free(m);
}

static struct matcher *matcher_new(struct mt_sql *sql, const char *name)
{
    struct matcher *m = mt_alloc_zero(1, sizeof *m);
    m->sql = sql;
    m->name = mt_strdup(name);
    return m;
}

/* The function as it is recorded or as it is shown, or its last part: "load" of "app.Store.load". */
static bool has_name(const struct mt_frame *f, const char *name)
{
    char *shown = mt_role_shown_name(f);
    size_t bytes = strlen(shown), wanted = strlen(name);
    bool is_last_part = bytes > wanted && strcmp(shown + bytes - wanted, name) == 0 &&
                        (shown[bytes - wanted - 1] == '.' || shown[bytes - wanted - 1] == ':');
    bool found = strcmp(f->function, name) == 0 || strcmp(shown, name) == 0 || is_last_part;
    free(shown);
    return found;
}

static bool matches(struct matcher *m, uint32_t id)
{
    if (id >= m->frame_count) {
        size_t old = m->frame_capacity;
        m->frames = mt_alloc_grow(m->frames, &m->frame_capacity, (size_t)id + 1, 1);
        memset(m->frames + old, UNASKED, m->frame_capacity - old);
        m->frame_count = m->frame_capacity;
    }
    if (m->frames[id] == UNASKED) {
        m->frames[id] = has_name(mt_frames_frame(m->sql->frames, id), m->name) ? YES : NO;
    }
    return m->frames[id] == YES;
}

static int is_in(struct matcher *m, const struct mt_frame_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        if (matches(m, list->ids[i])) {
            return 1;
        }
    }
    return 0;
}

static void has_frame(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    struct mt_sql *sql = sqlite3_user_data(context);
    struct mt_frame_list list;
    const char *name = (const char *)sqlite3_value_text(argv[1]);
    (void)argc;
    if (name == NULL || !list_of(sql, argv[0], &list)) {
        return;
    }
    struct matcher *m = sqlite3_get_auxdata(context, 1), *own = NULL;
    if (m == NULL || strcmp(m->name, name) != 0) {
        own = m = matcher_new(sql, name);
    }
    sqlite3_result_int(context, is_in(m, &list));
    if (own != NULL) {
        sqlite3_set_auxdata(context, 1, own, matcher_free); /* may be freed at once */
    }
}

/* ---- flamegraph --------------------------------------------------------------------------------------------------- */

struct weighed {
    int64_t stack_id;
    double bytes;
};

struct flames {
    struct weighed *items;
    size_t count, capacity;
};

static void flames_step(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    struct flames *f = sqlite3_aggregate_context(context, sizeof *f);
    (void)argc;
    if (f == NULL || sqlite3_value_type(argv[0]) == SQLITE_NULL || sqlite3_value_type(argv[1]) == SQLITE_NULL) {
        return;
    }
    f->items = mt_alloc_grow(f->items, &f->capacity, f->count + 1, sizeof *f->items);
    f->items[f->count++] = (struct weighed){ sqlite3_value_int64(argv[0]), sqlite3_value_double(argv[1]) };
}

static int by_stack(const void *a, const void *b)
{
    const struct weighed *x = a, *y = b;
    return (x->stack_id > y->stack_id) - (x->stack_id < y->stack_id);
}

/* What is shown of a frame; where a name is all decoration, the name as it is. malloc'ed. */
static char *name_of(const struct mt_frame *f)
{
    char *name = mt_role_shown_name(f);
    if (name[0] == '\0') {
        free(name);
        name = mt_strdup(f->function);
    }
    return name;
}

/* "main;load 4096" and a line break. */
static void put_line(struct mt_out *out, struct mt_sql *sql, const struct weighed *w)
{
    uint32_t trace_idx, stack;
    if (!mt_sql_stack_of(sql, w->stack_id, &trace_idx, &stack) || w->bytes == 0) {
        return;
    }
    struct mt_frame_list list = mt_frames_stack(sql->frames, trace_idx, stack);
    for (size_t i = list.count; i-- > 0;) {
        char *name = name_of(mt_frames_frame(sql->frames, list.ids[i]));
        for (char *at = name; *at != '\0'; at++) {
            *at = *at == ';' ? ':' : *at == '\n' ? ' ' : *at;
        }
        mt_out_print(out, "%s%s", name, i > 0 ? ";" : " ");
        free(name);
    }
    mt_out_print(out, "%.0f\n", w->bytes);
}

static void flames_final(sqlite3_context *context)
{
    struct mt_sql *sql = sqlite3_user_data(context);
    struct flames *f = sqlite3_aggregate_context(context, 0);
    if (f == NULL || f->count == 0) {
        return;
    }
    struct mt_out *out = mt_out_open_memory();
    size_t bytes;
    qsort(f->items, f->count, sizeof *f->items, by_stack);
    for (size_t i = 0; i < f->count; i++) {
        if (i + 1 < f->count && f->items[i + 1].stack_id == f->items[i].stack_id) {
            f->items[i + 1].bytes += f->items[i].bytes;
        } else {
            put_line(out, sql, &f->items[i]);
        }
    }
    const char *text = mt_out_text(out, &bytes);
    sqlite3_result_text64(context, text, bytes, SQLITE_TRANSIENT, SQLITE_UTF8);
    mt_out_discard(out);
    free(f->items);
}

mt_status mt_sql_add_stack_functions(struct mt_sql *sql)
{
    static const int how = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;
    int bad = sqlite3_create_function_v2(sql->db, "frame", 2, how, sql, frame, NULL, NULL, NULL);
    bad |= sqlite3_create_function_v2(sql->db, "has_frame", 2, how, sql, has_frame, NULL, NULL, NULL);
    bad |= sqlite3_create_function_v2(sql->db, "flamegraph", 2, how, sql, NULL, flames_step, flames_final, NULL);
    return bad == 0 ? MT_OK : MT_E_NOMEM;
}
