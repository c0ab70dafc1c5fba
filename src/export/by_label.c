/* by_label.c: see by_label.h. What is not labelled is no item: the rest of the whole. */
#include "export/by_label.h"

#include "analysis/pass.h"
#include "util/memory.h"
#include "util/namemap.h"

#include <stdlib.h>
#include <string.h>

struct item {
    struct mt_text text; /* ends with a NUL, as all texts of a trace */
    struct mt_amount amount[MT_MEASURE__COUNT];
};

static int compare_items(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    uint64_t held = x->amount[MT_MEASURE_PEAK].bytes, others = y->amount[MT_MEASURE_PEAK].bytes;
    return held != others ? (held > others ? -1 : 1) : strcmp(x->text.data, y->text.data);
}

static struct item *sum_up(const struct mt_report *report, bool tasks, size_t *ret_count)
{
    struct mt_namemap *numbers = mt_namemap_new();
    struct item *items = NULL;
    size_t capacity = 0;
    for (size_t i = 0; i < report->analysis->site_count; i++) {
        const struct mt_site *site = &report->analysis->sites[i];
        struct mt_text text = mt_trace_label_text(report->set->traces[site->trace_idx], site->label, tasks);
        bool is_new;
        if (text.bytes == 0 || site->storage != MT_STORAGE_HEAP) {
            continue;
        }
        uint32_t number = mt_namemap_put(numbers, text.data, text.bytes, &is_new);
        if (is_new) {
            items = mt_alloc_grow(items, &capacity, (size_t)number + 1, sizeof *items);
            items[number] = (struct item){ .text = text };
        }
        for (size_t m = 0; m < MT_MEASURE__COUNT; m++) {
            mt_amount_add(&items[number].amount[m], &site->amount[m]);
        }
    }
    *ret_count = mt_namemap_count(numbers);
    mt_namemap_free(numbers);
    if (*ret_count > 0) {
        qsort(items, *ret_count, sizeof *items, compare_items);
    }
    return items;
}

static void put_items(struct mt_json *json, const struct mt_report *report, bool tasks)
{
    bool sampled = report->analysis->sampled;
    size_t count;
    struct item *items = sum_up(report, tasks, &count);
    mt_json_array(json);
    for (size_t i = 0; i < count; i++) {
        mt_json_object(json);
        mt_json_put_text(json, tasks ? "task" : "label", items[i].text.data);
        mt_report_put_amount(json, "", &items[i].amount[MT_MEASURE_TOTAL], sampled);
        mt_report_put_amount(json, "peak_", &items[i].amount[MT_MEASURE_PEAK], sampled);
        mt_report_put_amount(json, "leaked_", &items[i].amount[MT_MEASURE_LIVE], sampled);
        mt_json_object_end(json);
    }
    mt_json_array_end(json);
    free(items);
}

void mt_by_label_put(struct mt_json *json, const struct mt_report *report)
{
    for (int tasks = 0; tasks < 2; tasks++) {
        mt_json_key(json, tasks ? "by_task" : "by_label");
        if (report->analysis->aggregate) {
            mt_json_null(json);
        } else {
            put_items(json, report, tasks != 0);
        }
    }
}
