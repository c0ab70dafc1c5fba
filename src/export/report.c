/* report.c: words all reports share. */
#include "export/report.h"

#include "analysis/estimate.h"
#include "util/human.h"
#include "util/memory.h"
#include "util/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has_parent(const struct mt_trace_set *set, const struct mt_trace_info *info)
{
    for (size_t i = 0; i < set->count; i++) {
        if (mt_trace_info(set->traces[i])->pid == info->parent_pid) {
            return true;
        }
    }
    return false;
}

const struct mt_trace *mt_report_root(const struct mt_trace_set *set)
{
    const struct mt_trace *root = NULL;
    for (size_t i = 0; i < set->count; i++) {
        const struct mt_trace_info *info = mt_trace_info(set->traces[i]);
        bool earlier = root == NULL || info->start_realtime_ns < mt_trace_info(root)->start_realtime_ns;
        if (!has_parent(set, info) && earlier) {
            root = set->traces[i];
        }
    }
    return root != NULL || set->count == 0 ? root : set->traces[0];
}

const char *mt_report_mode(const struct mt_trace_info *info)
{
    return (info->flags & MT_TRACE_AGGREGATE) != 0 ? "aggregate"
           : (info->flags & MT_TRACE_SAMPLE) != 0  ? "sample"
                                                   : "exact";
}

void mt_report_put_argument(struct mt_out *out, const char *argument)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:,@%+";
    char *clean = mt_text_clean(argument, strlen(argument));
    bool quote = clean[0] == '\0' || clean[strspn(clean, safe)] != '\0';
    mt_out_string(out, quote ? "'" : "");
    for (const char *at = clean; *at != '\0'; at++) {
        if (*at == '\'') {
            mt_out_string(out, "'\\'");
        }
        mt_out_byte(out, *at);
    }
    mt_out_string(out, quote ? "'" : "");
    free(clean);
}

char *mt_report_command(const struct mt_trace_info *info)
{
    struct mt_out *out = mt_out_open_memory();
    size_t at = 0;
    while (at < info->command_bytes) {
        if (at > 0) {
            mt_out_byte(out, ' ');
        }
        mt_report_put_argument(out, info->command + at);
        at += strlen(info->command + at) + 1;
    }
    char *text = mt_strdup(mt_out_text(out, NULL));
    mt_out_discard(out);
    return text;
}

/* Programs whose first operand says more than their own name does. */
static bool is_interpreter(const char *program)
{
    static const char *const names[] = { "python", "sh", "bash", "dash", "perl", "ruby", "node", "java" };
    for (size_t i = 0; i < MT_COUNTOF(names); i++) {
        size_t bytes = strlen(names[i]);
        if (strncmp(program, names[i], bytes) == 0 && program[bytes + strspn(program + bytes, "0123456789.td")] == '\0') {
            return true;
        }
    }
    return false;
}

static const char *argument_after(const struct mt_trace_info *info, const char *argument)
{
    const char *next = argument + strlen(argument) + 1;
    return next < info->command + info->command_bytes ? next : NULL;
}

static const char *program_of(const struct mt_trace_info *info)
{
    const char *program = mt_text_last_name(info->command);
    const char *first = info->command_bytes > 0 && is_interpreter(program) ? argument_after(info, info->command) : NULL;
    if (first != NULL && strcmp(first, "-m") == 0) {
        const char *module = argument_after(info, first);
        return module != NULL ? module : program;
    }
    return first != NULL && first[0] != '-' && first[0] != '\0' ? mt_text_last_name(first) : program;
}

char *mt_report_program(const struct mt_trace_info *info)
{
    const char *program = info->command_bytes > 0 ? program_of(info) : "?";
    return mt_text_clean(program, strlen(program));
}

const char *mt_report_python_allocator(const struct mt_trace_set *set)
{
    static const char *const names[] = { "pymalloc", "pymalloc_debug", "malloc", "malloc_debug", "mimalloc", "mimalloc_debug" };
    const char *noted = set->count > 0 ? mt_trace_note(mt_report_root(set), "python.allocator") : NULL;
    for (size_t i = 0; noted != NULL && i < MT_COUNTOF(names); i++) {
        if (strcmp(noted, names[i]) == 0) {
            return names[i];
        }
    }
    return NULL;
}

bool mt_report_knows_threads(const struct mt_trace_set *set, size_t trace_idx)
{
    return (mt_trace_info(set->traces[trace_idx])->flags & MT_TRACE_AGGREGATE) == 0;
}

char *mt_report_thread(const struct mt_trace_set *set, size_t trace_idx, uint32_t stream)
{
    if (trace_idx >= set->count) {
        return mt_strdup("?");
    }
    const struct mt_trace *trace = set->traces[trace_idx];
    const struct mt_trace_thread *thread = mt_trace_thread(trace, stream);
    if (thread == NULL) {
        return mt_format("no thread (stream %u)", stream); /* reserved memory that was found touched */
    }
    return set->count == 1 ? mt_format("%.*s (%llu)", (int)thread->name.bytes, thread->name.data,
                                       (unsigned long long)thread->tid)
                           : mt_format("%.*s (%llu/%llu)", (int)thread->name.bytes, thread->name.data,
                                       (unsigned long long)mt_trace_info(trace)->pid, (unsigned long long)thread->tid);
}

const char *mt_report_label_key(enum mt_table_by by)
{
    return by == MT_BY_TASK ? "task" : "label";
}

char *mt_report_label(const char *text, enum mt_table_by by)
{
    return text[0] != '\0' ? mt_text_clean(text, strlen(text)) : mt_format("(no %s)", mt_report_label_key(by));
}

char *mt_report_plain_name(const struct mt_frame *frame)
{
    char *name = mt_strdup(frame->function);
    for (char *at = name; frame->kind != MT_FRAME_NATIVE && *at != '\0'; at++) {
        *at = *at == '<' ? '[' : *at == '>' ? ']' : *at;
    }
    return name;
}

const char *mt_report_allocator(uint8_t allocator)
{
    static const char *const names[] = {
#define ALLOCATOR_NAME(name, value, text) [value] = text,
        MT_ALLOCATOR_TABLE(ALLOCATOR_NAME)
#undef ALLOCATOR_NAME
    };
    return allocator < MT_COUNTOF(names) ? names[allocator] : "?";
}

const char *mt_report_map_kind(uint8_t kind)
{
    static const char *const names[] = { "anonymous", "file",      "stack",  "brk",    "mremap", "arena",
                                         "reserved",  "allocator", "opened", "closed", "emptied" };
    return kind < MT_COUNTOF(names) ? names[kind] : "?";
}

static void put_key(struct mt_json *json, const char *prefix, const char *name, const char *suffix)
{
    char key[64];
    (void)snprintf(key, sizeof key, "%s%s%s", prefix, name, suffix);
    mt_json_key(json, key);
}

void mt_report_put_amount(struct mt_json *json, const char *prefix, const struct mt_amount *amount, bool sampled)
{
    put_key(json, prefix, "bytes", "");
    mt_json_u64(json, amount->bytes);
    if (sampled) {
        put_key(json, prefix, "bytes", "_ci95");
        mt_json_double(json, mt_estimate_ci95(amount->bytes_variance));
    }
    put_key(json, prefix, "count", "");
    mt_json_u64(json, amount->count);
    if (sampled) {
        put_key(json, prefix, "count", "_ci95");
        mt_json_double(json, mt_estimate_ci95(amount->count_variance));
    }
}

void mt_report_put_frame(struct mt_json *json, const struct mt_frame *frame)
{
    mt_json_put_text(json, "function", frame->function[0] != '\0' ? frame->function : NULL);
    mt_json_put_text(json, "file",
                     frame->file[0] != '\0'     ? frame->file
                     : frame->module[0] != '\0' ? frame->module
                                                : NULL);
    mt_json_key(json, "line");
    if (frame->line > 0) {
        mt_json_u64(json, frame->line);
    } else {
        mt_json_null(json);
    }
}

void mt_report_put_stack(struct mt_json *json, struct mt_frames *frames, size_t trace_idx, uint32_t stack)
{
    struct mt_frame_list list = mt_frames_stack(frames, trace_idx, stack);
    mt_json_key(json, "stack");
    mt_json_array(json);
    for (size_t i = 0; i < list.count; i++) {
        mt_json_object(json);
        mt_report_put_frame(json, mt_frames_frame(frames, list.ids[i]));
        mt_json_object_end(json);
    }
    mt_json_array_end(json);
}

struct mt_amount_text mt_report_bytes(const struct mt_amount *amount)
{
    struct mt_amount_text made;
    struct mt_human bytes = mt_human_bytes((double)amount->bytes);
    if (amount->bytes_variance > 0) {
        (void)snprintf(made.text, sizeof made.text, "%s ±%s", bytes.text,
                       mt_human_bytes(mt_estimate_ci95(amount->bytes_variance)).text);
    } else {
        (void)snprintf(made.text, sizeof made.text, "%s", bytes.text);
    }
    return made;
}

struct mt_amount_text mt_report_count(const struct mt_amount *amount)
{
    struct mt_amount_text made;
    struct mt_human count = mt_human_count((double)amount->count);
    if (amount->count_variance > 0) {
        (void)snprintf(made.text, sizeof made.text, "%s ±%s", count.text,
                       mt_human_count(mt_estimate_ci95(amount->count_variance)).text);
    } else {
        (void)snprintf(made.text, sizeof made.text, "%s", count.text);
    }
    return made;
}
