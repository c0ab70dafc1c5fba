/* recorded.h: what is in the trace of a test of the engine. Everything is static: a test includes it. */
#ifndef MT_TESTS_UNIT_HEAP_RECORDED_H
#define MT_TESTS_UNIT_HEAP_RECORDED_H

#include "heap/folder.h"

#include "model/cursor.h"
#include "model/trace.h"

#include <stdlib.h>

/* Reads all events of the trace at path; the caller frees them. */
static struct mt_event *read_events(const char *path, size_t *ret_count, struct mt_trace **ret_trace)
{
    struct mt_trace *trace = NULL;
    struct mt_cursor *cursor = NULL;
    assert_int_equal(mt_trace_open(path, &trace, NULL), MT_OK);
    assert_int_equal(mt_cursor_new(trace, UINT64_MAX, &cursor), MT_OK);
    size_t capacity = 1 << 20;
    struct mt_event *events = malloc(capacity * sizeof *events);
    size_t count = 0;
    size_t got;
    while ((got = mt_cursor_next(cursor, events + count, capacity - count)) > 0) {
        count += got;
    }
    assert_int_equal(mt_cursor_status(cursor), MT_OK);
    assert_int_equal(mt_cursor_losses(cursor)->bad_blocks, 0);
    mt_cursor_free(cursor);
    *ret_count = count;
    if (ret_trace != NULL) {
        *ret_trace = trace;
    } else {
        mt_trace_close(trace);
    }
    return events;
}

#endif
