/* ask_leak.c: what grows: a leak, a cache that is full, or a collector that is off. Context: [tool]. */
#include "cli/ask_chain.h"

#include "util/human.h"
#include "util/memory.h"

#include <stdlib.h>

/* Columns of a row of leaks. */
enum { FUNCTION, FILE_NAME, LINE, BYTES, CI95, COUNT, GROWTH, SUSPECT, MIDDLE };
#define LEAKS "SELECT function, file, line, bytes, bytes_ci95, count, growth_bytes_per_s, suspect, oldest_s + age_s / 2 AS middle_s FROM leaks WHERE import = 0 "

/* Of what a program of many small things holds, a line that holds less is nobody's worry. */
static const double SHARE_LEAST = 0.05, BYTES_LEAST = 65536;

static char *amount(const struct mt_ask_row *row)
{
    return row->number[CI95] > 0 ? mt_format("%s ±%s", mt_human_bytes(row->number[BYTES]).text, mt_human_bytes(row->number[CI95]).text)
                                 : mt_format("%s", mt_human_bytes(row->number[BYTES]).text);
}

/* What that line held half-way from its oldest block to the end, as a share of now; 1: as much. */
static double share_in_the_middle(struct mt_ask *ask, const struct mt_ask_row *row)
{
    if (row->number[MIDDLE] < mt_sql_horizon_s(ask->session->sql)) {
        return 0; /* what was alive then is not known */
    }
    char *function = mt_ask_quoted(row->text[FUNCTION]), *file = mt_ask_quoted(row->text[FILE_NAME]);
    struct mt_ask_row middle = mt_ask_for(ask, "SELECT coalesce(sum(bytes), 0) AS bytes FROM memory.live_at(%.9f) WHERE function IS %s AND file IS %s AND line IS %s",
                                          row->number[MIDDLE], function, file, row->text[LINE] != NULL ? row->text[LINE] : "NULL");
    double share = middle.there && row->number[BYTES] > 0 ? middle.number[0] / row->number[BYTES] : 0;
    mt_ask_row_fini(&middle);
    free(function);
    free(file);
    return share;
}

static void say_other_suspects(struct mt_ask *ask)
{
    struct mt_ask_row more = mt_ask_for(ask, "SELECT count(*) AS suspects, sum(bytes) AS bytes FROM leaks WHERE suspect = 1");
    if (more.number[0] > 1) {
        mt_strlist_print(&ask->sentences, "%.0f lines in all are suspects, with %s: `memtap leaks` lists them.", more.number[0],
                         mt_human_bytes(more.number[1]).text);
    }
    mt_ask_row_fini(&more);
}

static void say_leak(struct mt_ask *ask, const struct mt_ask_row *row, const char *place, const char *bytes)
{
    mt_ask_blame(ask, "leak", row, FUNCTION, row->number[BYTES]);
    mt_strlist_print(&ask->sentences, "Memory leaks at %s: %s in %s are alive, and what that line allocates is hardly ever freed.", place, bytes,
                     mt_human_counted(row->number[COUNT], "block", "blocks").text);
    if (row->number[GROWTH] > 0) {
        mt_strlist_print(&ask->sentences, "It grew by %s a second over the run.", mt_human_bytes(row->number[GROWTH]).text);
    }
    say_other_suspects(ask);
}

static void say_cache(struct mt_ask *ask, const struct mt_ask_row *row, const char *place, const char *bytes)
{
    mt_ask_blame(ask, "cache", row, FUNCTION, row->number[BYTES]);
    mt_strlist_print(&ask->sentences, "A cache or a table, not a leak, holds most: %s at %s, which filled and has not grown since.", bytes, place);
    mt_strlist_print(&ask->sentences, "Half-way from its oldest block to the end that line held as much as at the end; if it is too much, bound it there.");
}

static void say_holds(struct mt_ask *ask, const struct mt_ask_row *row, const char *place, const char *bytes)
{
    mt_ask_blame(ask, "held", row, FUNCTION, row->number[BYTES]);
    mt_strlist_print(&ask->sentences, "No line is a suspect; most is held by %s, with %s.", place, bytes);
    mt_strlist_print(&ask->sentences, "A longer recording tells a leak from what is only kept for a while.");
}

/* The collector of a live Python, where it can be asked. True: it is off, and much waits for it. */
static bool is_gc_off(struct mt_ask *ask, double *ret_pending)
{
    struct mt_ask_row python = mt_ask_for(ask, "SELECT count(*) AS interpreters FROM memory.modules WHERE interpreter = 1");
    bool asked = python.number[0] > 0 && ask->session->traces->process_count > 0;
    mt_ask_row_fini(&python);
    if (!asked) {
        return false;
    }
    struct mt_ask_row gc = mt_ask_for(ask, "SELECT enabled, pending, threshold FROM memory.gc WHERE generation = 0 ORDER BY pending DESC LIMIT 1");
    bool off = gc.there && gc.number[0] == 0 && gc.number[1] > 10 * 700; /* 700: what starts it unless a program says otherwise, up to 3.12 */
    *ret_pending = gc.number[1];
    mt_ask_row_fini(&gc);
    return off;
}

static void say_gc_off(struct mt_ask *ask, const struct mt_ask_row *row, const char *place, const char *bytes, double pending)
{
    mt_ask_blame(ask, "gc_off", row, FUNCTION, row->number[BYTES]);
    mt_strlist_print(&ask->sentences, "Python's garbage collector is off (gc.disable), so that cycles of objects pile up: most is from %s, with %s.", place, bytes);
    mt_strlist_print(&ask->sentences, "%s wait for it that were made since it last ran; some of them may be in use.",
                     mt_human_counted(pending, "object", "objects").text);
    mt_strlist_print(&ask->sentences, "gc.enable(), or gc.collect() at a quiet moment, would free what nobody uses.");
}

void mt_ask_leak(struct mt_ask *ask)
{
    struct mt_ask_row total = mt_ask_for(ask, "SELECT coalesce(sum(bytes), 0) AS bytes FROM leaks");
    struct mt_ask_row top = mt_ask_for(ask, LEAKS "ORDER BY suspect DESC, bytes DESC LIMIT 1");
    double pending = 0;
    bool off = is_gc_off(ask, &pending);
    bool worth = top.there && top.number[BYTES] >= BYTES_LEAST && top.number[BYTES] >= SHARE_LEAST * total.number[0];
    if (ask->err.status == MT_OK && !worth) {
        ask->cause = "none";
        mt_strlist_print(&ask->sentences, "Nothing looks like a leak: %s are alive, and no line of the program holds much of it.",
                         mt_human_bytes(total.number[0]).text);
    } else if (ask->err.status == MT_OK) {
        char *place = mt_ask_place(&top, FUNCTION), *bytes = amount(&top);
        double middle = top.number[SUSPECT] == 0 ? share_in_the_middle(ask, &top) : 0;
        if (off) {
            say_gc_off(ask, &top, place, bytes, pending);
        } else if (top.number[SUSPECT] != 0) {
            say_leak(ask, &top, place, bytes);
        } else if (middle > 0.95) {
            say_cache(ask, &top, place, bytes);
        } else {
            say_holds(ask, &top, place, bytes);
        }
        free(place);
        free(bytes);
    }
    mt_ask_row_fini(&total);
    mt_ask_row_fini(&top);
}
