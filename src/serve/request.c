/* request.c: see request.h. */
#include "serve/request.h"

#include "util/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *mt_request_argument(const struct mt_request *request, const char *name)
{
    return mt_http.lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *mt_request_header(const struct mt_request *request, const char *name)
{
    return mt_http.lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

void mt_response_clear(struct mt_response *reply)
{
    if (reply->shared && reply->release != NULL) {
        reply->release(reply->context);
    } else if (!reply->shared) {
        free(reply->body);
    }
    for (size_t i = 0; i < reply->header_count; i++) {
        free(reply->headers[i].value);
    }
    *reply = (struct mt_response){ 0 };
}

void mt_response_bytes(struct mt_request *request, const char *type, char *taken, size_t bytes)
{
    struct mt_response *reply = &request->reply;
    mt_response_clear(reply);
    reply->status = MHD_HTTP_OK;
    reply->type = type;
    reply->body = taken;
    reply->bytes = bytes;
}

void mt_response_text(struct mt_request *request, unsigned status, const char *type, struct mt_out *out)
{
    size_t bytes;
    const char *text = mt_out_text(out, &bytes);
    mt_response_bytes(request, type, mt_strndup(text, bytes), bytes);
    request->reply.status = status;
    mt_out_discard(out);
}

void mt_response_header(struct mt_request *request, const char *name, const char *value)
{
    struct mt_response *reply = &request->reply;
    if (reply->header_count < MT_RESPONSE_HEADERS_MAX) {
        reply->headers[reply->header_count++] = (struct mt_response_header){ name, mt_strdup(value) };
    }
}

struct mt_json mt_response_json(void)
{
    struct mt_json json;
    mt_json_init(&json, mt_out_open_memory(), 0);
    return json;
}

void mt_response_json_end(struct mt_request *request, unsigned status, struct mt_json *json)
{
    mt_out_byte(json->out, '\n');
    mt_response_text(request, status, "application/json", json->out);
}

void mt_response_fail(struct mt_request *request, unsigned status, const char *code, const char *format, ...)
{
    char text[MT_ERROR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct mt_json json = mt_response_json();
    mt_json_object(&json);
    mt_json_put_text(&json, "detail", text);
    mt_json_put_text(&json, "code", code);
    mt_json_put_text(&json, "message", text);
    mt_json_object_end(&json);
    mt_response_json_end(request, status, &json);
}
