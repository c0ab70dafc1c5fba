/* status.c: whether the server runs, what it serves, and failures of recordings as replies. */
#include "serve/answers.h"
#include "serve/server.h"

#include "base/os.h"
#include "util/memory.h"

#include <stdio.h>

unsigned mt_serve_status_of(int profile_code)
{
    switch (profile_code) {
    case MT_PROFILE_USAGE:
        return MHD_HTTP_BAD_REQUEST;
    case MT_PROFILE_NO_FILE:
        return MHD_HTTP_NOT_FOUND;
    case MT_PROFILE_NO_MEMORY:
    case MT_PROFILE_DAMAGED:
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    case MT_PROFILE_INTERRUPTED:
        return MHD_HTTP_GATEWAY_TIMEOUT;
    default:
        return MHD_HTTP_INTERNAL_SERVER_ERROR;
    }
}

static const char *code_of(int profile_code)
{
    static const char *const words[] = { "OK", "NO_MEMORY", "NO_FILE", "NOT_ALLOWED", "DAMAGED", "NEWER", "BAD_REQUEST", "IO", "TIMEOUT" };
    return profile_code > 0 && (size_t)profile_code < MT_COUNTOF(words) ? words[profile_code] : "INTERNAL";
}

void mt_serve_fail(struct mt_request *request, const struct mt_profile_failure *failure)
{
    mt_response_fail(request, mt_serve_status_of(failure->code), code_of(failure->code), "%s", failure->text);
}

struct mt_opened *mt_serve_open(struct mt_request *request, struct mt_target **ret_target)
{
    const char *name = mt_request_argument(request, "target");
    struct mt_target *target = mt_targets_find(&request->server->targets, name);
    struct mt_profile_failure failure;
    struct mt_opened *opened = NULL;
    if (target == NULL) {
        mt_response_fail(request, MHD_HTTP_NOT_FOUND, "NO_TARGET", "there is no target %s; /targets lists them", name != NULL ? name : "yet");
    } else if (mt_target_open(target, MT_USE_QUESTIONS, &opened, &failure) != MT_PROFILE_OK) {
        mt_serve_fail(request, &failure);
    }
    *ret_target = target;
    return opened;
}

void mt_serve_close(struct mt_target *target, struct mt_opened *opened)
{
    mt_target_close(target, MT_USE_QUESTIONS, opened);
}

void mt_serve_health(struct mt_request *request)
{
    struct mt_json json = mt_response_json();
    mt_json_object(&json);
    mt_json_put_text(&json, "status", "ok");
    mt_json_put_text(&json, "version", MEMTAP_VERSION);
    mt_json_put_double(&json, "uptime_s", (double)(mt_os_monotonic_ns() - request->server->began_ns) / 1e9);
    mt_json_object_end(&json);
    mt_response_json_end(request, MHD_HTTP_OK, &json);
}

/* What is looked at costs no more than a stat: this is asked often. */
static size_t files_there(struct mt_targets *targets)
{
    size_t there = 0;
    struct mt_target_version version;
    for (size_t i = 0; i < mt_targets_count(targets); i++) {
        there += mt_target_version(mt_targets_in(targets, i), &version);
    }
    return there;
}

void mt_serve_ready(struct mt_request *request)
{
    bool ready = files_there(&request->server->targets) > 0;
    if (!ready) {
        mt_response_fail(request, MHD_HTTP_SERVICE_UNAVAILABLE, "NOT_READY", "there is no trace to be read yet");
        return;
    }
    struct mt_json json = mt_response_json();
    mt_json_object(&json);
    mt_json_put_text(&json, "status", "ready");
    mt_json_object_end(&json);
    mt_response_json_end(request, MHD_HTTP_OK, &json);
}

void mt_serve_targets(struct mt_request *request)
{
    struct mt_targets *targets = &request->server->targets;
    struct mt_json json = mt_response_json();
    mt_json_object(&json);
    mt_json_key(&json, "targets");
    mt_json_array(&json);
    for (size_t i = 0; i < mt_targets_count(targets); i++) {
        const struct mt_target *target = mt_targets_in(targets, i);
        struct mt_target_version version = { 0 };
        bool there = mt_target_version(target, &version);
        mt_json_object(&json);
        mt_json_put_u64(&json, "target", target->number);
        mt_json_put_text(&json, "name", target->name);
        mt_json_put_text(&json, "path", target->path);
        mt_json_put_bool(&json, "there", there);
        mt_json_put_u64(&json, "file_bytes", (uint64_t)version.bytes);
        mt_json_object_end(&json);
    }
    mt_json_array_end(&json);
    mt_json_object_end(&json);
    mt_response_json_end(request, MHD_HTTP_OK, &json);
}
