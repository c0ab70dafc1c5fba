/* head.c: see head.h. */
#include "top/head.h"

#include "util/human.h"
#include "util/memory.h"
#include "util/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SPARK_COLUMNS = 24 };

/* ---- facts on lines ----------------------------------------------------------------------------------------------- */

static size_t columns_of(const char *text)
{
    return mt_text_columns(text, strlen(text));
}

static void end_line(struct mt_screen *ret, enum mt_style style, size_t columns, char **line)
{
    char *fitted = columns > 0 ? mt_text_fit(*line, columns, MT_CUT_END) : mt_strdup(*line);
    mt_screen_take(ret, style, fitted);
    free(*line);
    *line = NULL;
}

/* Facts beside each other, as many on a line as fit. */
static void flow(struct mt_screen *ret, enum mt_style style, size_t columns, const struct mt_strlist *facts, const char *between)
{
    char *line = NULL;
    for (size_t i = 0; i < facts->count; i++) {
        size_t taken = line != NULL ? columns_of(line) + columns_of(between) : 0;
        if (line != NULL && columns > 0 && taken + columns_of(facts->items[i]) > columns) {
            end_line(ret, style, columns, &line);
        }
        char *longer = line != NULL ? mt_format("%s%s%s", line, between, facts->items[i]) : mt_strdup(facts->items[i]);
        free(line);
        line = longer;
    }
    if (line != NULL) {
        end_line(ret, style, columns, &line);
    }
}

/* ---- words -------------------------------------------------------------------------------------------------------- */

struct mt_top_text mt_top_growth(double bytes_per_s, double per_s)
{
    struct mt_top_text growth;
    double amount = bytes_per_s * per_s;
    if (isnan(amount)) {
        (void)snprintf(growth.text, sizeof growth.text, "—");
    } else if (fabs(amount) < 0.5) {
        (void)snprintf(growth.text, sizeof growth.text, "steady");
    } else {
        (void)snprintf(growth.text, sizeof growth.text, "%s%s/%s", amount > 0 ? "+" : "", mt_human_bytes(amount).text,
                       per_s > 1 ? "min" : "s");
    }
    return growth;
}

/* A time to come, as roughly as it is known. */
static struct mt_top_text roughly(double seconds)
{
    static const struct {
        double unit_s, up_to_s;
        const char *name;
    } units[] = { { 1, 120, "s" }, { 60, 7200, "min" }, { 3600, 172800, "h" }, { 86400, HUGE_VAL, "days" } };
    struct mt_top_text text;
    size_t i = 0;
    while (seconds >= units[i].up_to_s) {
        i++;
    }
    (void)snprintf(text.text, sizeof text.text, "%.0f %s", seconds / units[i].unit_s, units[i].name);
    return text;
}

static const char *const g_blocks[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };

char *mt_top_spark(const uint64_t *values, size_t count, size_t columns)
{
    uint64_t most = 0;
    size_t cells = count < columns ? count : columns;
    char *spark = mt_alloc_zero(cells * strlen(g_blocks[0]) + 1, 1);
    for (size_t i = 0; i < count; i++) {
        most = values[i] > most ? values[i] : most;
    }
    for (size_t cell = 0; cell < cells; cell++) {
        uint64_t largest = 0;
        for (size_t i = cell * count / cells; i < (cell + 1) * count / cells; i++) {
            largest = values[i] > largest ? values[i] : largest;
        }
        double height = most > 0 ? (double)largest / (double)most * 8 : 0;
        (void)strcat(spark, g_blocks[height >= 8 ? 7 : (size_t)height]);
    }
    return spark;
}

/* ---- the lines ------------------------------------------------------------------------------------------------------ */

static void add_recording(const struct mt_top_look *look, struct mt_strlist *facts)
{
    mt_strlist_print(facts, "memtap top %llu", (unsigned long long)look->pid);
    mt_strlist_print(facts, "%s", look->program);
    if (look->python[0] != '\0') {
        mt_strlist_print(facts, "python %s", look->python);
    }
    if (look->process.threads != MT_TOP_UNKNOWN) {
        mt_strlist_print(facts, "%s", mt_human_counted((double)look->process.threads, "thread", "threads").text);
    }
    if (look->rate_bytes > 0) {
        mt_strlist_print(facts, "sample %s", mt_human_bytes((double)look->rate_bytes).text);
    } else {
        mt_strlist_add(facts, look->aggregate ? "aggregate" : "exact");
    }
    if (!isnan(look->own_share)) {
        mt_strlist_print(facts, "own %.1f %%", 100 * look->own_share);
    }
    if (look->processes > 1) {
        mt_strlist_print(facts, "1 of %zu processes", look->processes);
    }
    if (!look->recording) {
        mt_strlist_add(facts, look->process.alive ? "RECORDING ENDED" : "PROCESS ENDED");
    }
}

static void add_resident(const struct mt_top_look *look, struct mt_strlist *facts)
{
    const struct mt_top_process *p = &look->process;
    if (p->rss_bytes == MT_TOP_UNKNOWN) {
        return;
    }
    struct mt_human rss = mt_human_bytes((double)p->rss_bytes);
    if (p->limit_bytes == MT_TOP_UNKNOWN) {
        mt_strlist_print(facts, "RSS %s", rss.text);
    } else if (isnan(look->seconds_to_limit)) {
        mt_strlist_print(facts, "RSS %s of %s", rss.text, mt_human_bytes((double)p->limit_bytes).text);
    } else {
        mt_strlist_print(facts, "RSS %s of %s (limit in %s)", rss.text, mt_human_bytes((double)p->limit_bytes).text,
                         roughly(look->seconds_to_limit).text);
    }
}

static void add_heap(const struct mt_top_look *look, struct mt_strlist *facts)
{
    char *spark = mt_top_spark(look->history, look->history_count, SPARK_COLUMNS);
    double per_s = mt_human_rate_unit_s(look->watched_s);
    if (look->heap_ci95 > 0) {
        mt_strlist_print(facts, " heap %s ±%s %s", mt_human_bytes((double)look->heap_bytes).text, mt_human_bytes(look->heap_ci95).text, spark);
    } else {
        mt_strlist_print(facts, " heap %s %s", mt_human_bytes((double)look->heap_bytes).text, spark);
    }
    free(spark);
    mt_strlist_print(facts, "%s", mt_top_growth(look->growth_bytes_per_s, per_s).text);
    if (!isnan(look->allocated_bytes_per_s)) {
        mt_strlist_print(facts, "alloc %s/s", mt_human_bytes(look->allocated_bytes_per_s).text);
        mt_strlist_print(facts, "free %s/s", mt_human_bytes(look->freed_bytes_per_s).text);
    }
    uint64_t own = look->own_bytes != MT_TOP_UNKNOWN ? look->own_bytes : 0;
    uint64_t anonymous = look->process.anonymous_bytes;
    if (anonymous != MT_TOP_UNKNOWN) {
        uint64_t held = look->heap_bytes + own;
        mt_strlist_print(facts, "other %s", mt_human_bytes(anonymous > held ? (double)(anonymous - held) : 0).text);
    }
    if (look->dropped_events > 0) {
        mt_strlist_print(facts, "DROPPED %s", mt_human_counted((double)look->dropped_events, "event", "events").text);
    }
}

void mt_top_head(const struct mt_top_look *look, size_t columns, struct mt_screen *ret)
{
    struct mt_strlist facts = { 0 }, heap = { 0 };
    add_recording(look, &facts);
    add_resident(look, &facts);
    flow(ret, MT_STYLE_BOLD, columns, &facts, " · ");
    add_heap(look, &heap);
    flow(ret, MT_STYLE_PLAIN, columns, &heap, "   ");
    mt_strlist_clear(&facts);
    mt_strlist_clear(&heap);
}
