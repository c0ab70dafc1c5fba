/* profile.c: profiles for other tools, of a moment or of some seconds: /profile, /debug/pprof/heap and allocs, /snapshot.
 *
 * Decides: without seconds, what is alive now (at the end of a recording that is finished). With seconds, what was allocated in them
 * and is alive at their end: the next ones of a recording that grows, the last ones of one that does not. */
#include "serve/answers.h"
#include "serve/server.h"
#include "serve/stamp.h"

#include "base/os.h"
#include "reader/texts.h"
#include "util/human.h"
#include "util/memory.h"

#include <stdio.h>
#include <string.h>

enum { SECONDS_MAX = 600, ROWS_DEFAULT = 100, ROWS_MAX = 10000 };

/* 0: none asked for. False: the reply says what is wrong. */
static bool read_number(struct mt_request *request, const char *name, uint64_t least, uint64_t most, uint64_t *ret)
{
    const char *text = mt_request_argument(request, name);
    if (text == NULL) {
        return true;
    }
    if (!mt_parse_count(text, ret) || *ret < least || *ret > most) {
        mt_response_fail(request, MHD_HTTP_BAD_REQUEST, "BAD_REQUEST", "%s must be a whole number, %llu to %llu", name, (unsigned long long)least,
                         (unsigned long long)most);
        return false;
    }
    return true;
}

/* What is asked for, as times of the recording. False: it is answered already, or it is too early. */
static bool find_window(struct mt_request *request, struct mt_opened *opened, uint64_t seconds, char *ret, size_t capacity)
{
    struct mt_recording_info info;
    struct mt_profile_failure failure;
    uint64_t window_ns = seconds * 1000000000;
    if (mt_recording_info(opened->recording, &info, &failure) != MT_PROFILE_OK) {
        mt_serve_fail(request, &failure);
        return false;
    }
    uint64_t from_ns = info.duration_ns > window_ns ? info.duration_ns - window_ns : 0;
    if (request->begin_clock_ns == 0 && info.live) {
        request->begin_clock_ns = request->began_ns; /* not now: others may have been answered before */
        request->due_ns = request->begin_clock_ns + window_ns;
        return false;
    }
    if (request->begin_clock_ns == 0) {
        (void)snprintf(ret, capacity, "%.9f,end", (double)from_ns / 1e9);
        return true;
    }
    from_ns = request->begin_clock_ns > info.start_clock_ns ? request->begin_clock_ns - info.start_clock_ns : 0;
    (void)snprintf(ret, capacity, "%.9f,%.9f", (double)from_ns / 1e9, (double)(from_ns + window_ns) / 1e9);
    return true;
}

static void export_as(struct mt_request *request, struct mt_opened *opened, const char *format, const char *type)
{
    char window[64];
    uint64_t seconds = 0;
    struct mt_profile_failure failure;
    struct mt_profile_query query = { .struct_bytes = sizeof query, .selection = "leaks", .all = true };
    if (!read_number(request, "seconds", 1, SECONDS_MAX, &seconds)) {
        return;
    }
    if (seconds > 0) {
        if (!find_window(request, opened, seconds, window, sizeof window)) {
            return;
        }
        query.selection = "between";
        query.time = window;
    }
    char *text;
    size_t bytes;
    if (mt_recording_export_text(opened->recording, format, &query, &text, &bytes, &failure) != MT_PROFILE_OK) {
        mt_serve_fail(request, &failure);
        return;
    }
    mt_response_bytes(request, type, text, bytes);
}

static void answer(struct mt_request *request, const char *format, const char *type)
{
    struct mt_target *target;
    struct mt_opened *opened = mt_serve_open(request, &target);
    if (opened != NULL) {
        export_as(request, opened, format, type);
        mt_serve_close(target, opened);
    }
}

void mt_serve_profile(struct mt_request *request)
{
    static const char *const formats[][2] = {
        { "pprof", "application/octet-stream" }, { "speedscope", "application/json" }, { "collapsed", "text/plain; charset=utf-8" }
    };
    const char *wanted = mt_request_argument(request, "format");
    for (size_t i = 0; i < MT_COUNTOF(formats); i++) {
        if (strcmp(wanted != NULL ? wanted : formats[0][0], formats[i][0]) == 0) {
            answer(request, formats[i][0], formats[i][1]);
            return;
        }
    }
    mt_response_fail(request, MHD_HTTP_BAD_REQUEST, "BAD_REQUEST", "format must be pprof, speedscope or collapsed");
}

/* ---- what is shown first ------------------------------------------------------------------------------------------ */

enum { PROFILE_STRING = 6, PROFILE_DEFAULT_TYPE = 14, WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

/* False: it ends here. */
static bool next_varint(const unsigned char **at, const unsigned char *end, uint64_t *ret)
{
    *ret = 0;
    for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
        unsigned char byte = *(*at)++;
        *ret |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            return true;
        }
    }
    return false;
}

/* The number of a string of a profile.proto, below 128; 0: it has none. */
static unsigned char string_number(const unsigned char *at, size_t bytes, const char *text)
{
    const unsigned char *end = at + bytes;
    uint64_t tag, value;
    for (unsigned char number = 0; number < 128 && next_varint(&at, end, &tag);) {
        size_t skip = (tag & 7) == WIRE_64 ? 8 : (tag & 7) == WIRE_32 ? 4 : 0;
        if ((tag & 7) == WIRE_VARINT || (tag & 7) == WIRE_BYTES) {
            if (!next_varint(&at, end, &value)) {
                return 0;
            }
            skip = (tag & 7) == WIRE_BYTES ? (size_t)value : 0;
        }
        if (skip > (size_t)(end - at)) {
            return 0;
        }
        if (tag >> 3 == PROFILE_STRING && skip == strlen(text) && memcmp(at, text, skip) == 0) {
            return number;
        }
        number = (unsigned char)(number + (tag >> 3 == PROFILE_STRING));
        at += skip;
    }
    return 0;
}

/* Of a field that is there twice the last one counts. */
static void show_allocations(struct mt_request *request)
{
    struct mt_response *reply = &request->reply;
    unsigned char number = reply->status == MHD_HTTP_OK ? string_number((const unsigned char *)reply->body, reply->bytes, "alloc_space") : 0;
    if (number > 0) {
        char *longer = mt_alloc(reply->bytes + 2);
        memcpy(longer, reply->body, reply->bytes);
        longer[reply->bytes] = (char)(PROFILE_DEFAULT_TYPE << 3 | WIRE_VARINT);
        longer[reply->bytes + 1] = (char)number;
        mt_response_bytes(request, reply->type, longer, reply->bytes + 2);
    }
}

/* As Go's: gc and debug are for a runtime that memtap does not have; text is not given. */
void mt_serve_pprof(struct mt_request *request)
{
    const char *debug = mt_request_argument(request, "debug");
    if (debug != NULL && strcmp(debug, "0") != 0) {
        mt_response_fail(request, MHD_HTTP_BAD_REQUEST, "BAD_REQUEST", "debug must be 0: the profile is profile.proto; /profile?format=collapsed is text");
        return;
    }
    answer(request, "pprof", "application/octet-stream");
}

void mt_serve_pprof_allocs(struct mt_request *request)
{
    mt_serve_pprof(request);
    show_allocations(request);
}

/* ---- /snapshot ---------------------------------------------------------------------------------------------------- */

static bool put_report(struct mt_request *request, struct mt_json *json, const char *key, struct mt_opened *opened, enum mt_profile_report report,
                       const struct mt_profile_query *query)
{
    struct mt_profile_failure failure;
    char *text;
    size_t bytes;
    if (mt_recording_report(opened->recording, report, query, &text, &bytes, &failure) != MT_PROFILE_OK) {
        mt_serve_fail(request, &failure);
        return false;
    }
    mt_json_key(json, key);
    mt_json_raw(json, text);
    mt_profile_release(text);
    return true;
}

void mt_serve_snapshot(struct mt_request *request)
{
    uint64_t rows = ROWS_DEFAULT;
    char now[40];
    struct mt_target *target;
    struct mt_opened *opened = read_number(request, "rows", 1, ROWS_MAX, &rows) ? mt_serve_open(request, &target) : NULL;
    if (opened == NULL) {
        return;
    }
    const struct mt_profile_query query = { .struct_bytes = sizeof query, .rows = rows };
    mt_stamp_now(now, sizeof now);
    struct mt_json json = mt_response_json();
    mt_json_object(&json);
    mt_json_put_text(&json, "target", target->name);
    mt_json_put_text(&json, "timestamp", now);
    bool good = put_report(request, &json, "stats", opened, MT_PROFILE_STATS, NULL) &&
                put_report(request, &json, "live", opened, MT_PROFILE_LEAKS, &query);
    mt_serve_close(target, opened);
    if (!good) {
        mt_out_discard(json.out);
        return;
    }
    mt_json_object_end(&json);
    mt_response_json_end(request, MHD_HTTP_OK, &json);
}
