/* run_python.c: see run_python.h. */
#include "cli/run_python.h"

#include "control/client.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

static const uint64_t SEND_NS = 10000000000, SLACK_NS = 20000000000;
static const size_t PRINTED_BYTES_MAX = (size_t)256 << 20;

struct printed {
    char *text, *error;
    size_t bytes, capacity;
    bool too_much;
};

static bool take(void *context, int stream, const char *text, size_t bytes)
{
    struct printed *p = context;
    if (stream == MT_STREAM_OUTPUT && bytes > PRINTED_BYTES_MAX - p->bytes) {
        p->too_much = true;
        return false;
    }
    if (stream == MT_STREAM_OUTPUT) {
        p->text = mt_alloc_grow(p->text, &p->capacity, p->bytes + bytes + 1, 1);
        memcpy(p->text + p->bytes, text, bytes);
        p->bytes += bytes;
        p->text[p->bytes] = '\0';
    } else if (stream == MT_STREAM_ERROR && p->error == NULL) {
        p->error = mt_strndup(text, bytes);
    }
    return true;
}

static mt_status judge(uint32_t status, const char *error, struct mt_error *err)
{
    switch (status) {
    case MT_CONTROL_IS_OK:
        return MT_OK;
    case MT_CONTROL_IS_RAISED:
        return mt_error_set(err, MT_E_INVAL, "the code raised %s", error != NULL ? error : "an exception");
    case MT_CONTROL_IS_TIMEOUT:
    case MT_CONTROL_IS_BUSY:
        return mt_error_set(err, MT_E_BUSY, "%s", mt_control_status_text(status));
    default:
        return mt_error_set(err, MT_E_PERM, "%s", mt_control_status_text(status));
    }
}

static mt_status send(struct mt_client *client, const struct mt_run_python *how, const char *code, struct mt_error *err)
{
    size_t capacity = strlen(code) + 64;
    struct mt_control_text words = { .buf = mt_alloc(capacity), .capacity = capacity };
    mt_control_add(&words, "CODE", code);
    mt_control_add_number(&words, "TIMEOUT_MS", how->timeout_ns / 1000000);
    mt_status status = mt_client_send(client, MT_CONTROL_EVAL, words.buf, words.length, SEND_NS, err);
    free(words.buf);
    return status;
}

mt_status mt_run_python(void *context, pid_t pid, const char *code, char **ret_text, struct mt_error *err)
{
    struct mt_run_python *how = context;
    struct mt_client client;
    struct mt_reply reply = { 0 };
    struct printed printed = { 0 };
    if (!mt_client_reach(pid, &client)) {
        return mt_error_set(err, MT_E_NOENT, "it is not armed; `memtap attach %d` makes it so", (int)pid);
    }
    const struct mt_client_wait wait = { .timeout_ns = how->timeout_ns + SLACK_NS, .say = take, .context = &printed };
    mt_status status = send(&client, how, code, err);
    status = status == MT_OK ? mt_client_receive(&client, &wait, &reply, err) : status;
    if (printed.too_much) {
        status = mt_error_set(err, MT_E_FULL, "it printed more than %d MiB", (int)(PRINTED_BYTES_MAX >> 20));
    }
    if (status == MT_OK) {
        how->held_gil_ns += mt_reply_number(&reply, "HELD_NS");
        status = judge(reply.status, printed.error, err);
    }
    if (status == MT_OK) {
        *ret_text = printed.text != NULL ? printed.text : mt_strdup("");
        printed.text = NULL;
    }
    free(printed.text);
    free(printed.error);
    mt_reply_clear(&reply);
    mt_client_close(&client);
    return status;
}
