/* query.c: SQL over HTTP: POST /query with a message in an envelope, POST /query/dto with a plain object (docs/guide/serve.md).
 *
 * Decides: a column is a typed list: SeqI64, SeqF64 or SeqText, with null for what is not known; one with texts among its values is a
 * list of texts. A query has so long and no longer. Nothing can be written (sql/sql.h). */
#include "serve/answers.h"
#include "serve/server.h"

#include "base/os.h"
#include "util/json_read.h"
#include "util/memory.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define TIMEOUT_NS 30000000000ull

struct asked {
    struct mt_json_value *body;
    const char *sql;
    uint64_t limit; /* rows; UINT64_MAX: all */
};

/* ---- what is asked ------------------------------------------------------------------------------------------------ */

static mt_status read_limit(const struct mt_json_value *options, uint64_t *ret, struct mt_error *err)
{
    const struct mt_json_value *limit = mt_json_member(options, "limit");
    *ret = UINT64_MAX;
    if (limit == NULL || limit->type == MT_JSON_NULL) {
        return MT_OK;
    }
    if (limit->type != MT_JSON_NUMBER || !limit->is_whole || limit->whole < 0) {
        return mt_error_set(err, MT_E_INVAL, "opts.limit must be a whole number of rows");
    }
    *ret = (uint64_t)limit->whole;
    return MT_OK;
}

/* enveloped: the question is in `payload`. */
static mt_status read_asked(const struct mt_request *request, bool enveloped, struct asked *ret, struct mt_error *err)
{
    *ret = (struct asked){ 0 };
    mt_status status = mt_json_read(request->body != NULL ? request->body : "", request->body_bytes, &ret->body, err);
    if (status != MT_OK) {
        return status;
    }
    const struct mt_json_value *question = enveloped ? mt_json_member(ret->body, "payload") : ret->body;
    const struct mt_json_value *sql = mt_json_member(question, "expr");
    if (sql == NULL || sql->type != MT_JSON_TEXT) {
        return mt_error_set(err, MT_E_INVAL, enveloped ? "give the query as {\"payload\": {\"expr\": \"SELECT …\"}}"
                                                       : "give the query as {\"expr\": \"SELECT …\", \"opts\": {\"limit\": 10}}");
    }
    ret->sql = sql->text;
    return read_limit(mt_json_member(question, "opts"), &ret->limit, err);
}

static bool is_late(void *context)
{
    const struct mt_request *request = context;
    return mt_os_monotonic_ns() - request->began_ns > TIMEOUT_NS;
}

/* ---- rows --------------------------------------------------------------------------------------------------------- */

static enum mt_answer_type type_of(const struct mt_answer *answer, size_t rows, size_t column)
{
    enum mt_answer_type type = MT_ANSWER_NULL;
    for (size_t i = 0; i < rows; i++) {
        enum mt_answer_type own = mt_answer_value(answer, i, column).type;
        type = own > type ? own : type; /* null, integer, real, text: each can stand for those before it */
    }
    return type;
}

static void put_number_as_text(struct mt_json *json, const struct mt_answer_value *value)
{
    struct mt_out *out = mt_out_open_memory();
    struct mt_json number;
    mt_json_init(&number, out, 0);
    if (value->type == MT_ANSWER_INTEGER) {
        mt_json_s64(&number, value->integer);
    } else {
        mt_json_double(&number, value->real);
    }
    mt_json_text(json, mt_out_text(out, NULL));
    mt_out_discard(out);
}

static void put_value(struct mt_json *json, const struct mt_answer_value *value, enum mt_answer_type type)
{
    if (value->type == MT_ANSWER_NULL) {
        mt_json_null(json);
    } else if (value->type == MT_ANSWER_TEXT) {
        mt_json_bytes(json, value->text, value->bytes);
    } else if (type == MT_ANSWER_TEXT) {
        put_number_as_text(json, value);
    } else if (value->type == MT_ANSWER_INTEGER && type == MT_ANSWER_INTEGER) {
        mt_json_s64(json, value->integer);
    } else {
        mt_json_double(json, value->type == MT_ANSWER_INTEGER ? (double)value->integer : value->real);
    }
}

static void put_column(struct mt_json *json, const struct mt_answer *answer, size_t rows, size_t column)
{
    static const char *const names[] = { "SeqText", "SeqI64", "SeqF64", "SeqText" };
    enum mt_answer_type type = type_of(answer, rows, column);
    mt_json_object(json);
    mt_json_key(json, names[type]);
    mt_json_array(json);
    for (size_t i = 0; i < rows; i++) {
        struct mt_answer_value value = mt_answer_value(answer, i, column);
        put_value(json, &value, type);
    }
    mt_json_array_end(json);
    mt_json_object_end(json);
}

static void put_frame(struct mt_json *json, const struct mt_answer *answer, uint64_t limit)
{
    size_t columns = mt_answer_columns(answer);
    size_t rows = mt_answer_rows(answer) < limit ? mt_answer_rows(answer) : (size_t)limit;
    mt_json_object(json);
    mt_json_key(json, "names");
    mt_json_array(json);
    for (size_t i = 0; i < columns; i++) {
        mt_json_text(json, mt_answer_column(answer, i));
    }
    mt_json_array_end(json);
    mt_json_key(json, "cols");
    mt_json_array(json);
    for (size_t i = 0; i < columns; i++) {
        put_column(json, answer, rows, i);
    }
    mt_json_array_end(json);
    mt_json_put_u64(json, "size", rows);
    mt_json_object_end(json);
}

static void put_error(struct mt_json *json, const char *code, const char *message)
{
    mt_json_object(json);
    mt_json_put_text(json, "code", code);
    mt_json_put_text(json, "message", message);
    mt_json_put_text(json, "details", NULL);
    mt_json_object_end(json);
}

/* ---- envelopes ---------------------------------------------------------------------------------------------------- */

/* What came of it: an answer, or a failure. */
struct outcome {
    struct mt_answer *answer; /* NULL: */
    unsigned status;
    const char *code;
    char message[1024];
};

static uint64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void put_version(struct mt_json *json)
{
    mt_json_key(json, "version");
    mt_json_object(json);
    mt_json_put_u64(json, "major", 0);
    mt_json_put_u64(json, "minor", 1);
    mt_json_put_u64(json, "patch", 0);
    mt_json_object_end(json);
}

static void put_message_id(struct mt_json *json, const struct asked *asked)
{
    const struct mt_json_value *id = mt_json_member(asked->body, "message_id");
    mt_json_key(json, "message_id");
    if (id != NULL && id->type == MT_JSON_TEXT) {
        mt_json_text(json, id->text);
    } else if (id != NULL && id->type == MT_JSON_NUMBER && id->is_whole) {
        mt_json_s64(json, id->whole);
    } else {
        mt_json_null(json);
    }
}

static void put_enveloped(struct mt_json *json, const struct asked *asked, const struct outcome *outcome)
{
    mt_json_object(json);
    put_version(json);
    put_message_id(json, asked);
    mt_json_put_u64(json, "timestamp", now_us());
    mt_json_key(json, "payload");
    if (outcome->answer != NULL && mt_answer_columns(outcome->answer) == 0) {
        mt_json_text(json, "Nil");
    } else {
        mt_json_object(json);
        mt_json_key(json, outcome->answer != NULL ? "DataFrame" : "Error");
        if (outcome->answer != NULL) {
            put_frame(json, outcome->answer, asked->limit);
        } else {
            put_error(json, outcome->code, outcome->message);
        }
        mt_json_object_end(json);
    }
    if (outcome->answer == NULL) {
        mt_json_put_text(json, "detail", outcome->message);
    }
    mt_json_object_end(json);
}

static void put_dto(struct mt_json *json, const struct asked *asked, const struct outcome *outcome)
{
    bool good = outcome->answer != NULL;
    mt_json_object(json);
    mt_json_key(json, "payload");
    mt_json_object(json);
    mt_json_put_text(json, "type", good ? "DataFrame" : "Error");
    mt_json_key(json, "value");
    if (good) {
        put_frame(json, outcome->answer, asked->limit);
    } else {
        put_error(json, outcome->code, outcome->message);
    }
    mt_json_object_end(json);
    mt_json_put_u64(json, "timestamp", now_us());
    mt_json_put_bool(json, "success", good);
    mt_json_put_text(json, "message", good ? "done" : outcome->message);
    if (!good) {
        mt_json_put_text(json, "detail", outcome->message);
    }
    mt_json_object_end(json);
}

/* ---- answering ---------------------------------------------------------------------------------------------------- */

static void fail(struct outcome *outcome, unsigned status, const char *code, const char *message)
{
    outcome->status = status;
    outcome->code = code;
    (void)snprintf(outcome->message, sizeof outcome->message, "%s", message);
}

static void ask(struct mt_request *request, struct mt_opened *opened, const struct asked *asked, struct outcome *outcome)
{
    struct mt_profile_failure failure;
    uint64_t began_ns = mt_os_monotonic_ns();
    int code = mt_recording_query(opened->recording, asked->sql, is_late, request, &outcome->answer, &failure);
    mt_monitor_slow_query(&request->server->monitor, asked->sql, (double)(mt_os_monotonic_ns() - began_ns) / 1e6);
    if (code == MT_PROFILE_INTERRUPTED) {
        fail(outcome, MHD_HTTP_GATEWAY_TIMEOUT, "TIMEOUT", "the query took longer than 30 s and was ended: ask for less, or ask `memtap query`");
    } else if (code != MT_PROFILE_OK) {
        fail(outcome, mt_serve_status_of(code), code == MT_PROFILE_USAGE ? "QUERY" : "UNREADABLE", failure.text);
    }
}

static void answer(struct mt_request *request, bool enveloped)
{
    struct asked asked;
    struct outcome outcome = { .status = MHD_HTTP_OK };
    struct mt_error err = { 0 };
    struct mt_target *target;
    struct mt_opened *opened = mt_serve_open(request, &target);
    if (opened == NULL) {
        return;
    }
    if (read_asked(request, enveloped, &asked, &err) == MT_OK) {
        ask(request, opened, &asked, &outcome);
    } else {
        fail(&outcome, MHD_HTTP_BAD_REQUEST, "BAD_REQUEST", mt_error_text(&err));
    }
    mt_serve_close(target, opened);
    struct mt_json json = mt_response_json();
    (enveloped ? put_enveloped : put_dto)(&json, &asked, &outcome);
    mt_response_json_end(request, outcome.status, &json);
    mt_answer_free(outcome.answer);
    mt_json_value_free(asked.body);
}

void mt_serve_query(struct mt_request *request)
{
    answer(request, true);
}

void mt_serve_query_dto(struct mt_request *request)
{
    answer(request, false);
}
