/* memory_now.c: see memory_now.h. */
#include "cli/memory_now.h"

#include "control/client.h"
#include "top/watch.h"
#include "util/memory.h"

#include <stdio.h>
#include <stdlib.h>

static const uint64_t PATIENCE_NS = 2000000000;

bool mt_memory_recorded(const char *trace, struct mt_memory_view *view, struct mt_explain_trace *ret)
{
    struct mt_top_watch *watch = mt_top_watch_new(trace);
    struct mt_top_ui ui = { 0 };
    struct mt_top_look look;
    struct mt_error ignored = { 0 };
    bool read = mt_top_watch_look(watch, &ui, &look, &ignored) == MT_OK;
    if (read) {
        size_t count;
        size_t *order = mt_top_order(&look, &ui, &count);
        for (size_t i = 0; i < count && i < MT_MEMORY_SITES_MAX; i++) {
            const struct mt_top_site *site = &look.sites[order[i]];
            char *text = site->by[0] != '\0' ? mt_format("%s ← %s", site->line, site->by) : mt_strdup(site->line);
            view->sites[view->site_count++] = (struct mt_memory_site){ text, site->bytes, site->count, site->bytes_ci95 };
        }
        view->heap_bytes = look.heap_bytes;
        view->heap_ci95 = look.heap_ci95;
        *ret = (struct mt_explain_trace){ look.own_bytes != MT_TOP_UNKNOWN ? look.own_bytes : 0, look.heap_bytes, look.arena_bytes };
        free(order);
        mt_top_look_fini(&look);
    }
    mt_top_ui_fini(&ui);
    mt_top_watch_free(watch);
    return read;
}

void mt_memory_ask_allocator(pid_t pid, struct mt_explained *explained)
{
    struct mt_client client;
    struct mt_error ignored = { 0 };
    struct mt_reply reply;
    if (!mt_client_reach(pid, &client)) {
        return;
    }
    if (mt_client_ask(&client, MT_CONTROL_MEMORY, NULL, PATIENCE_NS, &reply, &ignored) == MT_OK) {
        struct mt_explain_allocator said = { .in_use_bytes = mt_reply_number(&reply, "IN_USE"),
                                             .own_bytes = mt_reply_number(&reply, "OWN"),
                                             .resident_bytes = mt_reply_number(&reply, "RESIDENT"),
                                             .given_back_bytes = mt_reply_number(&reply, "GIVEN_BACK") };
        (void)snprintf(said.name, sizeof said.name, "%s", mt_reply_text(&reply, "ALLOCATOR"));
        if (said.name[0] != '\0') {
            mt_explain_own_allocator(explained, &said);
        }
        mt_reply_clear(&reply);
    }
    mt_client_close(&client);
}
