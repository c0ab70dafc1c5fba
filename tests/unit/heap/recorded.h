/* recorded.h: a folder for the trace of a test of the engine, and what is in that trace. Everything is static: a test includes
 * it. */
#ifndef MT_TESTS_UNIT_HEAP_RECORDED_H
#define MT_TESTS_UNIT_HEAP_RECORDED_H

#include "harness.h"

#include "heap/engine.h"
#include "model/cursor.h"
#include "model/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char g_directory[64];
static char g_path[96];

static int make_directory(void **state)
{
    (void)state;
    strcpy(g_directory, "/tmp/memtap-engine-XXXXXX");
    assert_non_null(mkdtemp(g_directory));
    snprintf(g_path, sizeof g_path, "%s/t.mtap", g_directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    mt_engine_stop(MT_STATE_STOPPED);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", g_directory);
    return system(command);
}

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
