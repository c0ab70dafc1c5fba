/* list_rows.c: see list_rows.h. */
#include "cli/list_rows.h"

#include "attach/recorded.h"
#include "control/client.h"
#include "control/found.h"
#include "launch/runfiles.h"
#include "top/process.h"
#include "top/watch.h"
#include "util/memory.h"
#include "util/process.h"
#include "wire/config.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint64_t PATIENCE_NS = 2000000000;
enum { HEAP_READ_MAX = 32 << 20 }; /* bytes of a trace that a list may take the time for */

static bool is_known(const struct mt_list_rows *rows, pid_t pid)
{
    for (size_t i = 0; i < rows->count; i++) {
        if (rows->items[i].pid == pid) {
            return true;
        }
    }
    return false;
}

static void add(struct mt_list_rows *rows, const struct mt_list_row *row)
{
    rows->items = mt_alloc_grow(rows->items, &rows->capacity, rows->count + 1, sizeof *rows->items);
    rows->items[rows->count++] = *row;
}

/* ---- armed ---------------------------------------------------------------------------------------------------------- */

static char *text_of(const struct mt_reply *reply, const char *name)
{
    return mt_strdup(mt_reply_text(reply, name));
}

/* One that does not answer is none: its process is stopped, or ends. */
static void ask(struct mt_list_rows *rows, struct mt_client *client)
{
    struct mt_error err = { 0 };
    struct mt_reply reply;
    if (is_known(rows, client->pid) || mt_client_ask(client, MT_CONTROL_HELLO, NULL, PATIENCE_NS, &reply, &err) != MT_OK) {
        return;
    }
    bool recording = strcmp(mt_reply_text(&reply, "MODE"), "off") != 0;
    const struct mt_list_row row = {
        .pid = client->pid,
        .armed = true,
        .rate_bytes = mt_reply_number(&reply, "RATE"),
        .began_unix_ns = recording ? mt_reply_number(&reply, "BEGAN_NS") : 0,
        .rss_bytes = mt_reply_number(&reply, "RSS"),
        .dropped_events = mt_reply_number(&reply, "DROPPED"),
        .port = mt_reply_number(&reply, "PORT"),
        .heap_bytes = UINT64_MAX,
        .mode = text_of(&reply, "MODE"),
        .command = text_of(&reply, "COMMAND"),
        .trace = text_of(&reply, "OUTPUT"),
        .begun_by = text_of(&reply, "BEGUN_BY"),
        .listen = text_of(&reply, "LISTEN"),
        .version = text_of(&reply, "VERSION"),
    };
    add(rows, &row);
    mt_reply_clear(&reply);
}

static void add_armed(struct mt_list_rows *rows)
{
    struct mt_found_list found = { 0 };
    struct mt_client client;
    struct mt_error err;
    mt_found_sockets(&found);
    for (size_t i = 0; i < found.count; i++) {
        if (mt_client_open_found(&found.items[i], &client, &err) == MT_OK) {
            ask(rows, &client);
            mt_client_close(&client);
        }
    }
    mt_found_clear(&found);
}

/* ---- recorded ------------------------------------------------------------------------------------------------------- */

static const char *mode_of(const struct mt_trace_header *header)
{
    return mt_mode_word((header->flags & MT_TRACE_AGGREGATE) != 0 ? MT_MODE_AGGREGATE : header->rate_bytes != 0 ? MT_MODE_SAMPLE : MT_MODE_EXACT);
}

static void add_recorded(struct mt_list_rows *rows, pid_t pid, const char *trace)
{
    struct mt_trace_header header;
    struct mt_top_process now;
    int fd = mt_runfiles_open(trace, false, &header);
    if (fd < 0) {
        return;
    }
    (void)close(fd);
    mt_top_process_read((uint64_t)pid, &now);
    const struct mt_list_row row = {
        .pid = pid,
        .rate_bytes = header.rate_bytes,
        .began_unix_ns = header.start_realtime_ns,
        .rss_bytes = now.rss_bytes != MT_TOP_UNKNOWN ? now.rss_bytes : 0,
        .dropped_events = header.counters[MT_COUNTER_DROPPED_EVENTS],
        .heap_bytes = UINT64_MAX,
        .mode = mt_strdup(mode_of(&header)),
        .command = mt_process_command(pid),
        .trace = mt_strdup(trace),
        .begun_by = mt_strdup(""),
        .listen = mt_strdup(""),
        .version = mt_strdup(""),
    };
    add(rows, &row);
}

/* Processes whose descriptors may not be looked at are not shown. */
static void add_all_recorded(struct mt_list_rows *rows)
{
    DIR *folder = opendir("/proc");
    for (const struct dirent *entry = folder != NULL ? readdir(folder) : NULL; entry != NULL; entry = readdir(folder)) {
        struct mt_error ignored = { 0 };
        char *trace = NULL;
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0 && pid != getpid() && !is_known(rows, pid) && mt_recorded_trace(pid, &trace, &ignored) == MT_OK) {
            add_recorded(rows, pid, trace);
            free(trace);
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

static bool is_small(const char *trace)
{
    struct stat info;
    return stat(trace, &info) == 0 && info.st_size <= HEAP_READ_MAX;
}

/* The trace may have another name from here. */
static void add_heap(struct mt_list_row *row)
{
    struct mt_error ignored = { 0 };
    struct mt_top_ui ui = { 0 };
    struct mt_top_look look;
    char *trace = NULL;
    if (row->began_unix_ns == 0 || mt_recorded_trace(row->pid, &trace, &ignored) != MT_OK) {
        return;
    }
    struct mt_top_watch *watch = mt_top_watch_new(trace);
    if (is_small(trace) && mt_top_watch_look(watch, &ui, &look, &ignored) == MT_OK) {
        row->heap_bytes = look.heap_bytes;
        mt_top_look_fini(&look);
    }
    mt_top_ui_fini(&ui);
    mt_top_watch_free(watch);
    free(trace);
}

static int by_pid(const void *a, const void *b)
{
    const struct mt_list_row *left = a, *right = b;
    return (left->pid > right->pid) - (left->pid < right->pid);
}

void mt_list_rows_read(bool with_heap, struct mt_list_rows *ret)
{
    *ret = (struct mt_list_rows){ 0 };
    add_armed(ret);
    add_all_recorded(ret);
    if (ret->count > 1) {
        qsort(ret->items, ret->count, sizeof *ret->items, by_pid);
    }
    for (size_t i = 0; with_heap && i < ret->count; i++) {
        add_heap(&ret->items[i]);
    }
}

void mt_list_rows_clear(struct mt_list_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        struct mt_list_row *row = &rows->items[i];
        free(row->mode);
        free(row->command);
        free(row->trace);
        free(row->begun_by);
        free(row->listen);
        free(row->version);
    }
    free(rows->items);
    *rows = (struct mt_list_rows){ 0 };
}
