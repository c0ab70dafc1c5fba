/* metrics.c: /metrics, for Prometheus: its text format, or OpenMetrics where that is asked for.
 *
 * Decides: few series whatever the programs do: a target, a route, a kind of status, and nothing from a program but the name of the file.
 * What is not known has no sample. */
#include "serve/answers.h"
#include "serve/facts.h"
#include "serve/server.h"

#include "util/memory.h"
#include "util/text.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

struct writer {
    struct mt_out *out;
    bool open_metrics;
};

/* counter: its samples are called NAME_total. */
static void begin_family(const struct writer *w, const char *name, bool counter, const char *help)
{
    const char *suffix = counter && !w->open_metrics ? "_total" : "";
    mt_out_print(w->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, suffix, help, name, suffix, counter ? "counter" : "gauge");
}

/* A label's value, with what the formats need escaped. */
static void put_label(const struct writer *w, const char *text)
{
    char *clean = mt_text_clean(text, strlen(text));
    for (const char *at = clean; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\') {
            mt_out_byte(w->out, '\\');
        }
        mt_out_byte(w->out, *at);
    }
    free(clean);
}

static void put_number(const struct writer *w, double value)
{
    struct mt_json json;
    mt_json_init(&json, w->out, 0);
    mt_json_double(&json, value);
    mt_out_byte(w->out, '\n');
}

/* ---- targets ------------------------------------------------------------------------------------------------------ */

struct family {
    const char *name;
    bool counter;
    size_t offset; /* of a double in struct mt_facts_read */
    const char *help;
};

#define OF(name) offsetof(struct mt_facts_read, name)
static const struct family families[] = {
    { "memtap_target_leaked_bytes", false, OF(leaked_bytes), "Alive now, or when the program ended, without what the C library keeps for itself" },
    { "memtap_target_libc_bytes", false, OF(libc_bytes), "Alive now, or when the program ended: what the C library keeps for itself" },
    { "memtap_target_live_blocks", false, OF(leaked_allocations), "Blocks alive now, or when the program ended" },
    { "memtap_target_peak_bytes", false, OF(peak_bytes), "The most that was alive at once" },
    { "memtap_target_allocated_bytes", true, OF(total_allocated_bytes), "Allocated so far" },
    { "memtap_target_allocations", true, OF(allocations), "Blocks allocated so far" },
    { "memtap_target_frees", true, OF(deallocations), "Blocks freed so far" },
    { "memtap_target_dropped_events", true, OF(dropped_events), "Events that could not be recorded" },
    { "memtap_target_threads", false, OF(threads), "Threads seen" },
    { "memtap_target_duration_seconds", false, OF(duration_s), "Recorded so far" },
    { "memtap_target_resident_peak_bytes", false, OF(rss_peak_bytes), "The largest resident memory seen" },
    { "memtap_target_resident_bytes", false, OF(resident_bytes), "Resident memory of the process now" },
};

struct known {
    struct mt_facts_read facts;
    const struct mt_target *target;
};

static void put_family(const struct writer *w, const struct family *family, const struct known *known, size_t count)
{
    begin_family(w, family->name, family->counter, family->help);
    for (size_t i = 0; i < count; i++) {
        double value;
        memcpy(&value, (const char *)&known[i].facts + family->offset, sizeof value);
        if (!isnan(value)) {
            mt_out_print(w->out, "%s%s{target=\"", family->name, family->counter ? "_total" : "");
            put_label(w, known[i].target->name);
            mt_out_print(w->out, "\",number=\"%zu\"} ", known[i].target->number);
            put_number(w, value);
        }
    }
}

static void put_targets(const struct writer *w, struct mt_server *server)
{
    size_t count = 0, all = mt_targets_count(&server->targets);
    struct known *known = mt_alloc_zero(all, sizeof *known);
    for (size_t i = 0; i < all; i++) {
        struct mt_target *target = mt_targets_in(&server->targets, i);
        known[count].target = target;
        count += mt_facts_read(target, &known[count].facts);
    }
    for (size_t i = 0; i < MT_COUNTOF(families); i++) {
        put_family(w, &families[i], known, count);
    }
    begin_family(w, "memtap_targets", false, "What is served");
    mt_out_print(w->out, "memtap_targets %zu\n", all);
    begin_family(w, "memtap_targets_readable", false, "What is served and can be read");
    mt_out_print(w->out, "memtap_targets_readable %zu\n", count);
    free(known);
}

/* ---- the server itself -------------------------------------------------------------------------------------------- */

/* What is no route has a name of its own. */
static struct mt_route route_of(const struct mt_server *server, size_t row)
{
    return row < server->route_count ? server->routes[row] : (struct mt_route){ .path = "other", .method = "other" };
}

static uint64_t requests_of(const struct mt_usage_row *row)
{
    uint64_t count = 0;
    for (size_t i = 0; i < MT_USAGE_CLASSES; i++) {
        count += row->count[i];
    }
    return count;
}

static void put_requests(const struct writer *w, const struct mt_server *server, const struct mt_usage_row *rows)
{
    begin_family(w, "memtap_serve_requests", true, "Requests answered");
    for (size_t i = 0; i <= MT_USAGE_ROUTES_MAX; i++) {
        for (size_t class = 1; class < MT_USAGE_CLASSES; class++) {
            if (rows[i].count[class] > 0) {
                mt_out_print(w->out, "memtap_serve_requests_total{path=\"%s\",method=\"%s\",status=\"%zuxx\"} %llu\n", route_of(server, i).path, route_of(server, i).method, class,
                             (unsigned long long)rows[i].count[class]);
            }
        }
    }
    begin_family(w, "memtap_serve_request_seconds", true, "Time that requests took to be answered, in all");
    for (size_t i = 0; i <= MT_USAGE_ROUTES_MAX; i++) {
        if (requests_of(&rows[i]) > 0) {
            mt_out_print(w->out, "memtap_serve_request_seconds_total{path=\"%s\",method=\"%s\"} ", route_of(server, i).path, route_of(server, i).method);
            put_number(w, (double)rows[i].total_ns / 1e9);
        }
    }
}

static void put_gauge(const struct writer *w, const char *name, const char *help, size_t value)
{
    begin_family(w, name, false, help);
    mt_out_print(w->out, "%s %zu\n", name, value);
}

static void put_server(const struct writer *w, struct mt_server *server)
{
    struct mt_usage_row rows[MT_USAGE_ROUTES_MAX + 1];
    mt_usage_copy(&server->usage, rows);
    put_requests(w, server, rows);
    put_gauge(w, "memtap_serve_connections", "Connections that are open", mt_clients_count(&server->clients));
    put_gauge(w, "memtap_serve_viewers", "Pages that are told of new data", mt_feed_streams(&server->feed));
    put_gauge(w, "memtap_serve_busy", "Questions that wait or are being answered, this one included", mt_workers_busy(&server->workers));
    begin_family(w, "memtap_serve_build_info", false, "The version that serves");
    mt_out_print(w->out, "memtap_serve_build_info{version=\"%s\"} 1\n", MEMTAP_VERSION);
}

void mt_serve_metrics(struct mt_request *request)
{
    const char *accept = mt_request_header(request, "Accept");
    struct writer w = { mt_out_open_memory(), accept != NULL && strstr(accept, "application/openmetrics-text") != NULL };
    put_targets(&w, request->server);
    put_server(&w, request->server);
    mt_out_string(w.out, w.open_metrics ? "# EOF\n" : "");
    mt_response_text(request, MHD_HTTP_OK,
                     w.open_metrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8" : "text/plain; version=0.0.4; charset=utf-8", w.out);
}
