/* join_armed.c: see join_armed.h. */
#include "cli/join_armed.h"

#include "util/memory.h"
#include "util/process.h"
#include "wire/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t LEAVING_NS = 1000000000; /* a process that is stopped meanwhile leaves later */

bool mt_join_reach_armed(pid_t pid, struct mt_client *ret)
{
    struct mt_process_stat now;
    bool stopped = mt_process_stat_read(pid, 0, &now) && (now.state == 'T' || now.state == 't');
    return !stopped && mt_client_reach(pid, ret);
}

/* Strings one after the other, as a request has them. malloc'ed. */
static char *strings_of(const char *const *settings, size_t *ret_bytes)
{
    size_t bytes = 0;
    for (const char *const *at = settings; *at != NULL; at++) {
        bytes += strlen(*at) + 1;
    }
    char *strings = mt_alloc(bytes + 1), *to = strings;
    for (const char *const *at = settings; *at != NULL; at++) {
        size_t length = strlen(*at) + 1;
        memcpy(to, *at, length);
        to += length;
    }
    *ret_bytes = bytes;
    return strings;
}

static void take(const struct mt_reply *reply, struct mt_injected *ret)
{
    const char *mode = mt_reply_text(reply, "MODE");
    memset(ret, 0, sizeof *ret);
    ret->code = (enum memtap_agent_code)mt_reply_number(reply, "CODE");
    ret->state.struct_bytes = sizeof ret->state;
    ret->state.rate_bytes = mt_reply_number(reply, "RATE");
    ret->state.live_samples = mt_reply_number(reply, "LIVE_SAMPLES");
    ret->state.dropped_events = mt_reply_number(reply, "DROPPED");
    ret->state.ended_early = (uint32_t)mt_reply_number(reply, "ENDED_EARLY");
    ret->state.by_command = strcmp(mt_reply_text(reply, "BEGUN_BY"), "command") == 0;
    for (unsigned i = 0; mt_mode_word(i) != NULL; i++) {
        ret->state.mode = strcmp(mode, mt_mode_word(i)) == 0 ? i : ret->state.mode;
    }
    (void)snprintf(ret->state.path, sizeof ret->state.path, "%s", mt_reply_text(reply, "OUTPUT"));
}

mt_status mt_join_armed(struct mt_client *armed, const struct mt_injection *how, struct mt_injected *ret, struct mt_error *err)
{
    static const char *const disarm[] = { "DISARM=1", NULL };
    bool begins = how->task == MT_LANDING_ATTACH;
    const struct mt_client_wait wait = { .timeout_ns = how->timeout_ns, .meanwhile = how->meanwhile, .context = how->context };
    struct mt_reply reply;
    size_t bytes = 0;
    char *strings = strings_of(begins ? how->settings : disarm, &bytes);
    mt_status status = mt_client_send(armed, begins ? MT_CONTROL_START : MT_CONTROL_STOP, strings, bytes, how->timeout_ns, err);
    free(strings);
    status = status == MT_OK ? mt_client_receive(armed, &wait, &reply, err) : status;
    if (status != MT_OK) {
        return status;
    }
    bool answered = mt_reply_text(&reply, "CODE")[0] != '\0';
    take(&reply, ret);
    if (mt_reply_number(&reply, "LEAVES") != 0) {
        mt_client_await_end(armed, LEAVING_NS);
    }
    if (!answered) {
        status = mt_error_set(err, MT_E_PERM, "%s: %s", armed->text, mt_control_status_text(reply.status));
    }
    mt_reply_clear(&reply);
    return status;
}
