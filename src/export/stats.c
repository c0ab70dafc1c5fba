/* stats.c: the numbers of a recording as a whole, for programs: those of table/tables.def, and the lists that JSON has besides. */
#include "export/stats.h"

#include "export/by_label.h"
#include "export/left_out.h"
#include "export/marks.h"
#include "export/processes.h"
#include "export/stats_row.h"
#include "export/stats_text.h"

/* ---- JSON ------------------------------------------------------------------------------------------------------ */

static void put_histogram(struct mt_json *json, const struct mt_facts *f)
{
    const struct mt_totals *totals = f->totals;
    if (f->aggregate) {
        mt_json_put_text(json, "size_histogram", NULL);
        return;
    }
    mt_json_key(json, "size_histogram");
    mt_json_array(json);
    for (unsigned b = 0; b < MT_HISTOGRAM_BUCKETS; b++) {
        if (totals->size_histogram[b].count == 0) {
            continue;
        }
        mt_json_object(json);
        mt_json_put_u64(json, "min_bytes", b == 0 ? 0 : (uint64_t)1 << (b - 1));
        mt_json_put_u64(json, "max_bytes", b == 0 ? 0 : b == 64 ? UINT64_MAX : ((uint64_t)1 << b) - 1);
        mt_report_put_amount(json, "", &totals->size_histogram[b], f->sampled);
        mt_json_object_end(json);
    }
    mt_json_array_end(json);
}

static void put_measures(struct mt_json *json, const struct mt_amount amounts[MT_MEASURE__COUNT], const struct mt_facts *f)
{
    mt_json_object(json);
    mt_report_put_amount(json, "", &amounts[MT_MEASURE_TOTAL], f->sampled);
    if (f->peak_is_bound) {
        mt_json_put_text(json, "peak_bytes", NULL);
        mt_json_put_text(json, "peak_count", NULL);
    } else {
        mt_report_put_amount(json, "peak_", &amounts[MT_MEASURE_PEAK], f->sampled);
    }
    mt_report_put_amount(json, "leaked_", &amounts[MT_MEASURE_LIVE], f->sampled);
    mt_json_object_end(json);
}

static void put_by_allocator(struct mt_json *json, const struct mt_facts *f)
{
    const struct mt_totals *totals = f->totals;
    mt_json_key(json, "by_allocator");
    mt_json_object(json);
    for (unsigned a = 0; a < MT_ALLOCATOR__COUNT; a++) {
        if (totals->allocator[a][MT_MEASURE_TOTAL].count > 0) {
            mt_json_key(json, mt_report_allocator((uint8_t)a));
            put_measures(json, totals->allocator[a], f);
        }
    }
    mt_json_object_end(json);
}

static void put_by_storage(struct mt_json *json, const struct mt_facts *f)
{
    const struct mt_totals *totals = f->totals;
    mt_json_key(json, "by_storage");
    mt_json_object(json);
    for (unsigned s = 0; s < MT_STORAGE__COUNT; s++) {
        if (totals->storage[s][MT_MEASURE_TOTAL].count > 0) {
            mt_json_key(json, mt_storage_name((enum mt_storage)s));
            put_measures(json, totals->storage[s], f);
        }
    }
    mt_json_object_end(json);
}

static void put_warnings(struct mt_json *json, const struct mt_report *report)
{
    struct mt_strlist warnings = { 0 };
    mt_report_warnings(report->set, report->analysis, report->frames, &warnings);
    mt_json_key(json, "warnings");
    mt_json_array(json);
    for (size_t i = 0; i < warnings.count; i++) {
        mt_json_text(json, warnings.items[i]);
    }
    mt_json_array_end(json);
    mt_strlist_clear(&warnings);
}

/* Which rates were in force from when on, in the process that the run began with. */
static void put_rates(struct mt_json *json, const struct mt_report *report, const struct mt_facts *f)
{
    size_t count = 0;
    const struct mt_trace_rate *rates = mt_trace_rates(mt_report_root(report->set), &count);
    mt_json_key(json, "rates");
    mt_json_array(json);
    for (size_t i = 0; f->sampled && i <= count; i++) {
        mt_json_object(json);
        mt_json_put_double(json, "time_s", i == 0 ? 0.0 : (double)rates[i - 1].time_ns / 1e9);
        mt_json_put_u64(json, "rate_bytes", i == 0 ? f->root->rate_bytes : rates[i - 1].rate_bytes);
        mt_json_object_end(json);
    }
    mt_json_array_end(json);
}

static void put_all(struct mt_json *json, const struct mt_report *report, const struct mt_facts *f,
                    const struct mt_row_stats *row)
{
    mt_json_object(json);
    mt_table_put(json, mt_table_stats(), row);
    put_histogram(json, f);
    put_by_allocator(json, f);
    put_by_storage(json, f);
    put_rates(json, report, f);
    mt_by_label_put(json, report);
    mt_marks_put(json, report);
    mt_left_out_put(json, report);
    mt_processes_put(json, report);
    put_warnings(json, report);
    mt_json_object_end(json);
}

void mt_stats_put(struct mt_json *json, const struct mt_report *report)
{
    struct mt_facts f = mt_facts_of(report);
    struct mt_row_stats row;
    mt_stats_row_make(report, &f, &row);
    put_all(json, report, &f, &row);
    mt_stats_row_fini(&row);
}

static void write_json(struct mt_out *out, const struct mt_report *report, const struct mt_facts *f,
                       const struct mt_row_stats *row, unsigned broken_lines)
{
    struct mt_json json;
    mt_json_init(&json, out, broken_lines);
    put_all(&json, report, f, row);
    mt_out_byte(out, '\n');
}

/* ---- CSV ------------------------------------------------------------------------------------------------------- */

static void write_csv(struct mt_out *out, const struct mt_report *report, const struct mt_row_stats *row)
{
    mt_out_string(out, "name,value\r\n");
    mt_table_csv_pairs(out, mt_table_stats(), row);
    mt_processes_csv(out, report);
}

void mt_stats_write(struct mt_out *out, const struct mt_report *report)
{
    struct mt_facts f = mt_facts_of(report);
    struct mt_row_stats row;
    mt_stats_row_make(report, &f, &row);
    switch (report->format) {
    case MT_FORMAT_JSON:
        write_json(out, report, &f, &row, 2);
        break;
    case MT_FORMAT_NDJSON:
        write_json(out, report, &f, &row, 0);
        break;
    case MT_FORMAT_CSV:
        write_csv(out, report, &row);
        break;
    case MT_FORMAT_TABLE:
    default:
        mt_stats_write_text(out, report, &f, &row);
        break;
    }
    mt_stats_row_fini(&row);
}
