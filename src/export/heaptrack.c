/* heaptrack.c: heaptrack's interpreted data, file version 3, for heaptrack_gui and heaptrack_print.
 *
 * A line a record, numbers in hexadecimal: v version, X command, I system, s string, i instruction pointer with its
 * names, t stack node (ip, parent), a allocation kind (size, node), + and - events of a kind, c milliseconds, R
 * resident pages. Strings, ips and nodes count from 1 (0: none), allocation kinds from 0. Every malloc-like event is
 * written in order; maps are not, because the format has no partial unmap. One process: addresses of several would
 * collide. Samples are written with the bytes they stand for, so sums are right and counts are those of the samples.
 */
#include "analysis/alive.h"
#include "analysis/estimate.h"
#include "export/exporter.h"
#include "model/cursor.h"
#include "util/memory.h"
#include "util/namemap.h"
#include "util/progress.h"
#include "util/text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EVENTS_BATCH = 512 };
static const uint64_t NS_PER_MS = 1000000;

struct writer {
    struct mt_out *out;
    const struct mt_report *report;
    const struct mt_trace *trace;
    struct mt_namemap *strings; /* number + 1 is heaptrack's */
    struct mt_namemap *nodes;   /* (parent, frame): number + 1 is heaptrack's */
    struct mt_namemap *kinds;   /* (size, node): number is heaptrack's */
    uint32_t *frame_ip;         /* frame id -> ip, 0: not written */
    size_t frame_capacity;
    size_t frame_count; /* of frame_ip that are valid */
    uint32_t ip_count;
    uint32_t *stack_node; /* stack number -> node, 0: not known yet */
    size_t stack_count;
    struct mt_alive alive; /* site: allocation kind, ordinal: node */
    uint64_t ms;
    size_t rss_next;
};

static unsigned string_of(struct writer *w, const char *text)
{
    bool is_new;
    if (text[0] == '\0') {
        return 0;
    }
    char *clean = mt_text_clean(text, strlen(text));
    unsigned number = mt_namemap_put(w->strings, clean, strlen(clean), &is_new) + 1;
    if (is_new) {
        mt_out_print(w->out, "s %zx %s\n", strlen(clean), clean);
    }
    free(clean);
    return number;
}

static uint32_t ip_of(struct writer *w, uint32_t id)
{
    if (id >= w->frame_count) {
        w->frame_ip = mt_alloc_grow(w->frame_ip, &w->frame_capacity, (size_t)id + 1, sizeof *w->frame_ip);
        memset(w->frame_ip + w->frame_count, 0, ((size_t)id + 1 - w->frame_count) * sizeof *w->frame_ip);
        w->frame_count = (size_t)id + 1;
    }
    if (w->frame_ip[id] == 0) {
        const struct mt_frame *frame = mt_frames_frame(w->report->frames, id);
        unsigned module = string_of(w, frame->module);
        char *name = mt_report_plain_name(frame);
        unsigned function = string_of(w, name);
        unsigned file = string_of(w, frame->file);
        /* The address only has to tell frames apart: names are resolved already. */
        mt_out_print(w->out, "i %x %x %x %x %x\n", id + 1, module, function, file, frame->line);
        free(name);
        w->frame_ip[id] = ++w->ip_count;
    }
    return w->frame_ip[id];
}

static uint32_t make_node(struct writer *w, uint32_t stack)
{
    struct mt_frame_list list = mt_frames_stack(w->report->frames, 0, stack);
    uint32_t node = 0;
    for (size_t i = list.count; i > 0; i--) {
        bool is_new;
        const uint32_t key[2] = { node, list.ids[i - 1] };
        uint32_t ip = ip_of(w, list.ids[i - 1]);
        uint32_t parent = node;
        node = mt_namemap_put(w->nodes, key, sizeof key, &is_new) + 1;
        if (is_new) {
            mt_out_print(w->out, "t %x %x\n", ip, parent);
        }
    }
    return node;
}

static uint32_t node_of(struct writer *w, uint32_t stack)
{
    if (stack >= w->stack_count) {
        stack = 0;
    }
    if (w->stack_node[stack] == 0) {
        w->stack_node[stack] = make_node(w, stack);
    }
    return w->stack_node[stack];
}

/* Returns the allocation kind. */
static uint32_t put_block(struct writer *w, uint64_t bytes, uint32_t node)
{
    bool is_new;
    const uint64_t key[2] = { bytes, node };
    uint32_t kind = mt_namemap_put(w->kinds, key, sizeof key, &is_new);
    if (is_new) {
        mt_out_print(w->out, "a %llx %x\n", (unsigned long long)bytes, node);
    }
    mt_out_print(w->out, "+ %x\n", kind);
    return kind;
}

static void put_free(struct writer *w, const struct mt_live *entry)
{
    mt_out_print(w->out, "- %x\n", entry->site);
}

static void block_began(void *context, const struct mt_event *e, struct mt_live *entry)
{
    struct writer *w = context;
    uint64_t bytes = e->rate_bytes > 0 ? (uint64_t)mt_weight_of(e->size, e->rate_bytes).bytes : e->size;
    entry->ordinal = node_of(w, e->stack);
    entry->site = put_block(w, bytes, entry->ordinal);
}

static void block_ended(void *context, const struct mt_event *e, const struct mt_live *entry, enum mt_alive_end how)
{
    (void)e;
    (void)how;
    put_free(context, entry);
}

/* The format knows no blocks that change: one goes and one comes. */
static void block_resized(void *context, const struct mt_event *e, const struct mt_live *before, struct mt_live *entry)
{
    struct writer *w = context;
    put_free(w, before);
    entry->site = put_block(w, e->size, entry->ordinal);
}

static const struct mt_alive_counter blocks = { block_began, block_ended, block_resized };

static void put_time(struct writer *w, uint64_t time_ns)
{
    size_t count;
    const struct mt_trace_rss *rss = mt_trace_rss(w->trace, &count);
    while (w->rss_next < count && rss[w->rss_next].time_ns <= time_ns) {
        mt_out_print(w->out, "R %llx\n", (unsigned long long)(rss[w->rss_next++].bytes / 4096));
    }
    if (time_ns / NS_PER_MS > w->ms) {
        w->ms = time_ns / NS_PER_MS;
        mt_out_print(w->out, "c %llx\n", (unsigned long long)w->ms);
    }
}

static void put_event(struct writer *w, const struct mt_event *e)
{
    put_time(w, mt_trace_event_time(w->trace, e->clock));
    (void)mt_alive_apply(&w->alive, e, e->clock, &blocks, w);
}

static void put_head(struct writer *w)
{
    char *command = mt_report_command(mt_trace_info(w->trace));
    long pages = sysconf(_SC_PHYS_PAGES);
    mt_out_print(w->out, "v 10400 3\nX %s\nI 1000 %lx\n", command, pages > 0 ? (unsigned long)pages : 0ul);
    free(command);
}

static mt_status put_events(struct writer *w)
{
    struct mt_progress progress;
    struct mt_cursor *cursor;
    struct mt_event events[EVENTS_BATCH];
    size_t count;
    mt_status status = mt_cursor_new(w->trace, mt_analysis_end_clock(w->report->set->traces[0]), &cursor);
    if (status != MT_OK) {
        return status;
    }
    mt_progress_begin(&progress, "exporting", false);
    while ((count = mt_cursor_next(cursor, events, EVENTS_BATCH)) > 0 && !mt_out_failed(w->out)) {
        for (size_t i = 0; i < count; i++) {
            put_event(w, &events[i]);
        }
        mt_progress_update(&progress, mt_cursor_done_bytes(cursor), mt_trace_info(w->trace)->event_bytes);
    }
    mt_progress_end(&progress);
    status = mt_cursor_status(cursor);
    mt_cursor_free(cursor);
    return status;
}

mt_status mt_export_heaptrack(struct mt_out *out, const struct mt_report *report, struct mt_error *err)
{
    struct writer w = { .out = out, .report = report, .trace = report->set->traces[0] };
    w.strings = mt_namemap_new();
    w.nodes = mt_namemap_new();
    w.kinds = mt_namemap_new();
    w.stack_count = mt_trace_stack_count(w.trace);
    w.stack_count = w.stack_count > 0 ? w.stack_count : 1;
    w.stack_node = mt_alloc_zero(w.stack_count, sizeof *w.stack_node);
    mt_alive_init(&w.alive, false);
    put_head(&w);
    mt_status status = put_events(&w);
    put_time(&w, mt_trace_info(w.trace)->duration_ns);
    mt_alive_fini(&w.alive);
    free(w.stack_node);
    free(w.frame_ip);
    mt_namemap_free(w.kinds);
    mt_namemap_free(w.nodes);
    mt_namemap_free(w.strings);
    return status == MT_OK ? status : mt_error_set(err, status, "cannot read the events: %s", mt_status_text(status));
}
