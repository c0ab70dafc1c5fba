/* suppress.c: see suppress.h. */
#include "reader/suppress.h"

#include "symbol/lsan.h"
#include "util/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX_BYTES = 1 << 20 };

/* ---- patterns -------------------------------------------------------------------------------------------------------- */

/* Does text hold the parts of pattern in order? The first part stands at its begin (anchored), the last at its end where a $ says so. */
static bool fits_from(const char *pattern, const char *text, bool anchored)
{
    for (;;) {
        size_t length = strcspn(pattern, "*$");
        char after = pattern[length];
        bool last = after == '$' && pattern[length + 1] == '\0';
        const char *found = text;
        if (last) {
            size_t rest = strlen(text);
            return rest >= length && (!anchored || rest == length) && memcmp(text + rest - length, pattern, length) == 0;
        }
        length += after == '$'; /* not at the end: a character as any other */
        if (length > 0) {
            char *part = mt_strndup(pattern, length);
            found = anchored ? (strncmp(text, part, length) == 0 ? text : NULL) : strstr(text, part);
            free(part);
        }
        if (found == NULL || pattern[length] == '\0') {
            return found != NULL;
        }
        text = found + length;
        anchored = after == '$';
        pattern += length + (after == '*');
    }
}

bool mt_suppression_fits(const char *pattern, const char *name)
{
    bool anchored = pattern[0] == '^';
    return name[0] != '\0' && fits_from(pattern + anchored, name, anchored);
}

static bool fits_stack(const struct mt_suppressions *s, const char *pattern, struct mt_frame_list list)
{
    for (size_t i = 0; i < list.count; i++) {
        const struct mt_frame *frame = mt_frames_frame(s->frames, list.ids[i]);
        if (mt_suppression_fits(pattern, frame->function) || mt_suppression_fits(pattern, frame->file) ||
            mt_suppression_fits(pattern, frame->module)) {
            return true;
        }
    }
    return false;
}

bool mt_suppressions_fit(void *context, uint32_t trace_idx, uint32_t stack, const struct mt_amount *live)
{
    struct mt_suppressions *s = context;
    struct mt_frame_list list = mt_frames_stack(s->frames, trace_idx, stack);
    for (size_t i = 0; i < s->count; i++) {
        if (fits_stack(s, s->items[i].pattern, list)) {
            s->items[i].bytes += live->bytes;
            s->items[i].count += live->count;
            return true;
        }
    }
    return false;
}

/* ---- files ----------------------------------------------------------------------------------------------------------- */

static void add(struct mt_suppressions *s, const char *pattern, size_t bytes)
{
    s->items = mt_alloc_grow(s->items, &s->capacity, s->count + 1, sizeof *s->items);
    s->items[s->count++] = (struct mt_suppression){ .pattern = mt_strndup(pattern, bytes) };
}

/* One line, without its end; false: it is nothing known. */
static bool add_line(struct mt_suppressions *s, const char *line, size_t bytes)
{
    static const char leak[] = "leak:";
    while (bytes > 0 && (line[0] == ' ' || line[0] == '\t')) {
        line++;
        bytes--;
    }
    while (bytes > 0 && strchr(" \t\r", line[bytes - 1]) != NULL) {
        bytes--;
    }
    if (bytes == 0 || line[0] == '#') {
        return true;
    }
    if (bytes < sizeof leak || memcmp(line, leak, sizeof leak - 1) != 0) {
        return false;
    }
    add(s, line + sizeof leak - 1, bytes - (sizeof leak - 1));
    return true;
}

/* The number of the first line that is nothing known, 0: none is. */
static size_t add_text(struct mt_suppressions *s, const char *text, size_t bytes)
{
    size_t number = 1, wrong = 0;
    for (const char *at = text, *end = text + bytes; at < end; number++) {
        const char *next = memchr(at, '\n', (size_t)(end - at));
        next = next != NULL ? next : end;
        if (!add_line(s, at, (size_t)(next - at)) && wrong == 0) {
            wrong = number;
        }
        at = next + 1;
    }
    return wrong;
}

mt_status mt_suppressions_read(struct mt_suppressions *s, const char *path, struct mt_error *err)
{
    char *text = mt_alloc(FILE_MAX_BYTES + 1);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        mt_status status = mt_error_set_errno(err, errno, "suppressions: cannot open %s", path);
        free(text);
        return status;
    }
    size_t bytes = fread(text, 1, FILE_MAX_BYTES + 1, file);
    bool failed = ferror(file) != 0 || bytes > FILE_MAX_BYTES;
    fclose(file);
    size_t wrong = failed ? 0 : add_text(s, text, bytes);
    free(text);
    if (failed) {
        return mt_error_set(err, MT_E_INVAL, "suppressions: %s cannot be read, or has more than 1 MiB", path);
    }
    return wrong == 0 ? MT_OK
                      : mt_error_set(err, MT_E_INVAL, "suppressions: line %zu of %s is not leak:PATTERN", wrong, path);
}

static void free_text(void *text, size_t bytes)
{
    (void)bytes;
    free(text);
}

/* The first module that a process tells of is its program. */
static void add_default(struct mt_suppressions *s, const struct mt_trace *trace)
{
    char *text = NULL;
    if (mt_trace_module_count(trace) < 2) {
        return;
    }
    const struct mt_trace_module *program = mt_trace_module(trace, 1);
    struct mt_module_ref ref = { program->path.data, program->build_id, program->build_id_bytes };
    enum mt_lsan_found found = mt_lsan_default_suppressions(&ref, &text);
    s->unknown_default = s->unknown_default || found == MT_LSAN_UNKNOWN;
    if (found == MT_LSAN_TEXT) {
        mt_memory_hold(text, 0, free_text);
        (void)add_text(s, text, strlen(text));
        free(text);
    }
}

static bool is_new(const struct mt_trace_set *set, size_t at)
{
    const char *path = mt_trace_module(set->traces[at], 1)->path.data;
    for (size_t i = 0; i < at; i++) {
        if (strcmp(mt_trace_module(set->traces[i], 1)->path.data, path) == 0) {
            return false;
        }
    }
    return true;
}

void mt_suppressions_of_programs(struct mt_suppressions *s, const struct mt_trace_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        if (is_new(set, i)) {
            add_default(s, set->traces[i]);
        }
    }
}

void mt_suppressions_fini(struct mt_suppressions *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->items[i].pattern);
    }
    free(s->items);
    *s = (struct mt_suppressions){ 0 };
}
