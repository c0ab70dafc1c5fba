/* pprof.c: profile.proto (github.com/google/pprof/proto/profile.proto), uncompressed, streamed.
 *
 * Sample types as Go's heap profile has them: alloc_objects, alloc_space (everything ever allocated) and inuse_objects,
 * inuse_space (the selection), so that every pprof view and script for heaps works. Each frame is a location of its
 * own; the innermost comes first. Strings, functions and locations are written when first used: repeated fields may
 * interleave.
 */
#include "export/exporter.h"
#include "export/proto.h"
#include "util/namemap.h"
#include "util/memory.h"
#include "util/text.h"

#include <stdlib.h>
#include <string.h>

/* Field numbers of profile.proto. */
enum {
    PROFILE_SAMPLE_TYPE = 1,
    PROFILE_SAMPLE = 2,
    PROFILE_MAPPING = 3,
    PROFILE_LOCATION = 4,
    PROFILE_FUNCTION = 5,
    PROFILE_STRING = 6,
    PROFILE_TIME_NS = 9,
    PROFILE_DURATION_NS = 10,
    PROFILE_PERIOD_TYPE = 11,
    PROFILE_PERIOD = 12,
    PROFILE_DEFAULT_TYPE = 14,
    VALUE_TYPE = 1,
    VALUE_UNIT = 2,
    SAMPLE_LOCATIONS = 1,
    SAMPLE_VALUES = 2,
    SAMPLE_LABEL = 3,
    LABEL_KEY = 1,
    LABEL_STRING = 2,
    LABEL_NUMBER = 3,
    MAPPING_ID = 1,
    MAPPING_START = 2,
    MAPPING_LIMIT = 3,
    MAPPING_FILE = 5,
    MAPPING_BUILD_ID = 6,
    MAPPING_FUNCTIONS = 7,
    MAPPING_FILENAMES = 8,
    MAPPING_LINES = 9,
    MAPPING_INLINES = 10,
    LOCATION_ID = 1,
    LOCATION_MAPPING = 2,
    LOCATION_LINE = 4,
    LINE_FUNCTION = 1,
    LINE_NUMBER = 2,
    FUNCTION_ID = 1,
    FUNCTION_NAME = 2,
    FUNCTION_SYSTEM_NAME = 3,
    FUNCTION_FILE = 4,
};

struct writer {
    struct mt_out *out;
    const struct mt_export_input *input;
    struct mt_namemap *strings;
    struct mt_namemap *functions; /* (name, file) string numbers */
    struct mt_namemap *mappings;  /* path; id = number + 1 */
    bool *located;                /* by frame id: its location was written */
    struct mt_proto message;
    struct mt_proto part;
};

static uint64_t string_of(struct writer *w, const char *text, size_t bytes)
{
    bool is_new;
    char *clean = mt_text_clean(text, bytes); /* proto3 strings are UTF-8; parsers reject others */
    uint32_t number = mt_namemap_put(w->strings, clean, strlen(clean), &is_new);
    if (is_new) {
        mt_proto_emit(w->out, PROFILE_STRING, clean, strlen(clean));
    }
    free(clean);
    return number;
}

static uint64_t text_of(struct writer *w, const char *text)
{
    return string_of(w, text, strlen(text));
}

static void put_message(struct writer *w, unsigned field)
{
    mt_proto_emit(w->out, field, w->message.data, w->message.bytes);
    mt_proto_clear(&w->message);
}

static void put_value_type(struct writer *w, unsigned field, const char *type, const char *unit)
{
    mt_proto_u64(&w->message, VALUE_TYPE, text_of(w, type));
    mt_proto_u64(&w->message, VALUE_UNIT, text_of(w, unit));
    put_message(w, field);
}

/* ---- mappings --------------------------------------------------------------------------------------------------- */

static void put_mapping(struct writer *w, const struct mt_trace_module *module, uint32_t id)
{
    char build_id[129];
    size_t bytes = module->build_id_bytes < 64 ? module->build_id_bytes : 64;
    for (size_t i = 0; i < bytes; i++) {
        static const char digits[] = "0123456789abcdef";
        build_id[2 * i] = digits[module->build_id[i] >> 4];
        build_id[2 * i + 1] = digits[module->build_id[i] & 15];
    }
    uint64_t path = string_of(w, module->path.data, module->path.bytes);
    uint64_t build = string_of(w, build_id, 2 * bytes);
    mt_proto_u64(&w->message, MAPPING_ID, id);
    mt_proto_u64(&w->message, MAPPING_START, module->low);
    mt_proto_u64(&w->message, MAPPING_LIMIT, module->high);
    mt_proto_u64(&w->message, MAPPING_FILE, path);
    mt_proto_u64(&w->message, MAPPING_BUILD_ID, build);
    for (unsigned field = MAPPING_FUNCTIONS; field <= MAPPING_INLINES; field++) {
        mt_proto_u64(&w->message, field, 1); /* names are resolved: pprof need not look for the binary */
    }
    put_message(w, PROFILE_MAPPING);
}

/* The root process first: pprof takes mapping 1 for the main binary. */
static void put_mappings_of(struct writer *w, const struct mt_trace *trace)
{
    size_t count = mt_trace_module_count(trace);
    for (size_t i = 1; i < count; i++) {
        const struct mt_trace_module *module = mt_trace_module(trace, (uint32_t)i);
        bool is_new;
        uint32_t number = mt_namemap_put(w->mappings, module->path.data, module->path.bytes, &is_new);
        if (is_new) {
            put_mapping(w, module, number + 1);
        }
    }
}

static uint64_t mapping_of(struct writer *w, const char *path)
{
    bool is_new;
    if (path[0] == '\0') {
        return 0;
    }
    uint32_t number = mt_namemap_put(w->mappings, path, strlen(path), &is_new);
    if (is_new) {
        struct mt_trace_module unknown = { .path = { path, strlen(path) } };
        put_mapping(w, &unknown, number + 1);
    }
    return number + 1;
}

/* ---- functions and locations ------------------------------------------------------------------------------------ */

static uint64_t name_of(struct writer *w, const struct mt_frame *frame)
{
    char *name = mt_report_plain_name(frame);
    uint64_t number = text_of(w, name);
    free(name);
    return number;
}

static uint64_t function_of(struct writer *w, const struct mt_frame *frame)
{
    bool is_new;
    uint64_t key[2] = { name_of(w, frame), text_of(w, frame->file) };
    uint64_t id = (uint64_t)mt_namemap_put(w->functions, key, sizeof key, &is_new) + 1;
    if (is_new) {
        mt_proto_u64(&w->message, FUNCTION_ID, id);
        mt_proto_u64(&w->message, FUNCTION_NAME, key[0]);
        mt_proto_u64(&w->message, FUNCTION_SYSTEM_NAME, key[0]);
        mt_proto_u64(&w->message, FUNCTION_FILE, key[1]);
        put_message(w, PROFILE_FUNCTION);
    }
    return id;
}

/* Location id of a frame: its number + 1. */
static uint64_t location_of(struct writer *w, uint32_t frame_id)
{
    if (!w->located[frame_id]) {
        const struct mt_frame *frame = mt_frames_frame(w->input->report->frames, frame_id);
        uint64_t function = function_of(w, frame);
        uint64_t mapping = mapping_of(w, frame->module);
        w->located[frame_id] = true;
        mt_proto_u64(&w->message, LOCATION_ID, (uint64_t)frame_id + 1);
        mt_proto_u64(&w->message, LOCATION_MAPPING, mapping);
        mt_proto_clear(&w->part);
        mt_proto_u64(&w->part, LINE_FUNCTION, function);
        mt_proto_u64(&w->part, LINE_NUMBER, frame->line);
        mt_proto_message(&w->message, LOCATION_LINE, &w->part);
        put_message(w, PROFILE_LOCATION);
    }
    return (uint64_t)frame_id + 1;
}

/* ---- samples ---------------------------------------------------------------------------------------------------- */

static void add_label(struct writer *w, uint64_t key, uint64_t text, uint64_t number)
{
    mt_proto_clear(&w->part);
    mt_proto_u64(&w->part, LABEL_KEY, key);
    mt_proto_u64(&w->part, LABEL_STRING, text);
    mt_proto_u64(&w->part, LABEL_NUMBER, number);
    mt_proto_message(&w->message, SAMPLE_LABEL, &w->part);
}

static void put_sample(struct writer *w, const struct mt_profile_row *row, const struct mt_amount *total,
                       const struct mt_amount *selected)
{
    const struct mt_report *report = w->input->report;
    struct mt_frame_list list = mt_frames_stack(report->frames, row->trace_idx, row->stack);
    struct mt_proto locations = { 0 };
    for (size_t i = 0; i < list.count; i++) {
        mt_proto_packed(&locations, location_of(w, list.ids[i]));
    }
    char *thread = mt_report_thread(report->set, row->trace_idx, row->stream);
    uint64_t keys[] = { text_of(w, "thread"), text_of(w, "pid"), text_of(w, "allocator") };
    uint64_t values[] = { text_of(w, thread), text_of(w, mt_report_allocator(row->allocator)) };
    mt_proto_message(&w->message, SAMPLE_LOCATIONS, &locations);
    mt_proto_clear(&w->part);
    mt_proto_packed(&w->part, total->count);
    mt_proto_packed(&w->part, total->bytes);
    mt_proto_packed(&w->part, selected->count);
    mt_proto_packed(&w->part, selected->bytes);
    mt_proto_message(&w->message, SAMPLE_VALUES, &w->part);
    if (mt_report_knows_threads(report->set, row->trace_idx)) {
        add_label(w, keys[0], values[0], 0);
    }
    add_label(w, keys[1], 0, mt_trace_info(report->set->traces[row->trace_idx])->pid);
    add_label(w, keys[2], values[1], 0);
    put_message(w, PROFILE_SAMPLE);
    mt_proto_fini(&locations);
    free(thread);
}

static int by_place(const void *a, const void *b)
{
    const struct mt_profile_row *x = a;
    const struct mt_profile_row *y = b;
    const uint64_t left[] = { x->trace_idx, x->stack, x->stream, x->allocator, x->storage };
    const uint64_t right[] = { y->trace_idx, y->stack, y->stream, y->allocator, y->storage };
    for (size_t i = 0; i < MT_COUNTOF(left); i++) {
        if (left[i] != right[i]) {
            return left[i] < right[i] ? -1 : 1;
        }
    }
    return 0;
}

static struct mt_profile_row *sorted_rows(const struct mt_profile *profile)
{
    struct mt_profile_row *rows = mt_alloc_zero(profile->count, sizeof *rows);
    if (profile->count > 0) {
        memcpy(rows, profile->rows, profile->count * sizeof *rows);
        qsort(rows, profile->count, sizeof *rows, by_place);
    }
    return rows;
}

/* Joins the selection with the totals by place, so that each place is one sample with all four values. */
static void put_samples(struct writer *w)
{
    static const struct mt_amount nothing = { 0 };
    const struct mt_profile *total = w->input->total;
    const struct mt_profile *chosen = w->input->profile;
    struct mt_profile_row *totals = sorted_rows(total);
    struct mt_profile_row *chosens = sorted_rows(chosen);
    size_t t = 0;
    size_t c = 0;
    while ((t < total->count || c < chosen->count) && !mt_out_failed(w->out)) {
        int order = t == total->count ? 1 : c == chosen->count ? -1 : by_place(&totals[t], &chosens[c]);
        if (order == 0) {
            put_sample(w, &totals[t], &totals[t].amount, &chosens[c].amount);
        } else if (order < 0) {
            put_sample(w, &totals[t], &totals[t].amount, &nothing);
        } else {
            put_sample(w, &chosens[c], &nothing, &chosens[c].amount);
        }
        t += order <= 0 ? 1 : 0;
        c += order >= 0 ? 1 : 0;
    }
    free(totals);
    free(chosens);
}

static void put_facts(struct writer *w)
{
    const struct mt_trace_info *root = mt_trace_info(mt_report_root(w->input->report->set));
    put_value_type(w, PROFILE_SAMPLE_TYPE, "alloc_objects", "count");
    put_value_type(w, PROFILE_SAMPLE_TYPE, "alloc_space", "bytes");
    put_value_type(w, PROFILE_SAMPLE_TYPE, "inuse_objects", "count");
    put_value_type(w, PROFILE_SAMPLE_TYPE, "inuse_space", "bytes");
    put_value_type(w, PROFILE_PERIOD_TYPE, "space", "bytes");
    mt_proto_emit_u64(w->out, PROFILE_PERIOD, root->rate_bytes > 0 ? root->rate_bytes : 1);
    mt_proto_emit_u64(w->out, PROFILE_TIME_NS, root->start_realtime_ns);
    mt_proto_emit_u64(w->out, PROFILE_DURATION_NS, w->input->report->analysis->totals.duration_ns);
    uint64_t type = text_of(w, "inuse_space");
    mt_proto_emit_u64(w->out, PROFILE_DEFAULT_TYPE, type);
}

/* Frame ids appear while stacks are resolved: resolve all first, so that their number is known. */
static size_t resolve_all(const struct mt_export_input *input)
{
    const struct mt_profile *lists[] = { input->profile, input->total };
    for (size_t l = 0; l < MT_COUNTOF(lists); l++) {
        for (size_t i = 0; i < lists[l]->count; i++) {
            (void)mt_frames_stack(input->report->frames, lists[l]->rows[i].trace_idx, lists[l]->rows[i].stack);
        }
    }
    return mt_frames_count(input->report->frames);
}

void mt_export_pprof(struct mt_out *out, const struct mt_export_input *input)
{
    struct writer w = { .out = out, .input = input };
    w.strings = mt_namemap_new();
    w.functions = mt_namemap_new();
    w.mappings = mt_namemap_new();
    w.located = mt_alloc_zero(resolve_all(input), sizeof *w.located);
    (void)text_of(&w, ""); /* string_table[0] must be "" */
    put_facts(&w);
    put_mappings_of(&w, mt_report_root(input->report->set));
    put_samples(&w);
    mt_proto_fini(&w.message);
    mt_proto_fini(&w.part);
    free(w.located);
    mt_namemap_free(w.mappings);
    mt_namemap_free(w.functions);
    mt_namemap_free(w.strings);
}
