/* chrome.c: heap and RSS over time in the Trace Event Format: counter events (ph C), times in microseconds, one process
 * name (ph M) a process. Opens in chrome://tracing, Perfetto and speedscope. */
#include "export/exporter.h"

#include "util/memory.h"

#include <stdlib.h>

static void begin_event(struct mt_json *json, const char *phase, const char *name, uint64_t pid, uint64_t time_ns)
{
    mt_json_object(json);
    mt_json_put_text(json, "ph", phase);
    mt_json_put_text(json, "name", name);
    mt_json_put_u64(json, "pid", pid);
    mt_json_put_u64(json, "tid", pid);
    mt_json_put_double(json, "ts", (double)time_ns / 1e3);
    mt_json_key(json, "args");
    mt_json_object(json);
}

static void end_event(struct mt_json *json)
{
    mt_json_object_end(json);
    mt_json_object_end(json);
}

static void put_process(struct mt_json *json, const struct mt_trace *trace, uint64_t start_ns)
{
    const struct mt_trace_info *info = mt_trace_info(trace);
    char *command = mt_report_command(info);
    size_t count;
    begin_event(json, "M", "process_name", info->pid, 0);
    mt_json_put_text(json, "name", command);
    end_event(json);
    const struct mt_trace_rss *rss = mt_trace_rss(trace, &count);
    for (size_t i = 0; i < count; i++) {
        begin_event(json, "C", "RSS", info->pid, rss[i].time_ns + start_ns);
        mt_json_put_u64(json, "bytes", rss[i].bytes);
        end_event(json);
    }
    free(command);
}

void mt_export_chrome(struct mt_out *out, const struct mt_export_input *input)
{
    const struct mt_report *report = input->report;
    const struct mt_analysis *a = report->analysis;
    uint64_t pid = mt_trace_info(mt_report_root(report->set))->pid;
    struct mt_json json;
    mt_json_init(&json, out, 2);
    mt_json_object(&json);
    mt_json_put_text(&json, "displayTimeUnit", "ms");
    mt_json_key(&json, "traceEvents");
    mt_json_array(&json);
    for (size_t i = 0; i < report->set->count; i++) {
        put_process(&json, report->set->traces[i], a->axis.spans[i].start_ns);
    }
    for (size_t i = 0; i < a->timeline_count && !mt_out_failed(out); i++) {
        begin_event(&json, "C", "heap", pid, a->timeline[i].time_ns);
        mt_json_put_u64(&json, "bytes", a->timeline[i].heap_bytes);
        end_event(&json);
        begin_event(&json, "C", "heap, largest in interval", pid, a->timeline[i].time_ns);
        mt_json_put_u64(&json, "bytes", a->timeline[i].heap_max_bytes);
        end_event(&json);
    }
    mt_json_array_end(&json);
    mt_json_object_end(&json);
    mt_out_byte(out, '\n');
}
