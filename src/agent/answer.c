/* answer.c: see answer.h.
 *
 * What is asked for is done by the functions that the program itself has (include/memtap/agent.h), one caller at a time; what changes
 * something leaves a note in the trace.
 */
#include "agent/answer.h"

#include "agent/allocator.h"
#include "agent/apart.h"
#include "agent/control.h"
#include "agent/ears.h"
#include "base/decimal.h"
#include "base/os.h"
#include "heap/engine.h"
#include "memtap/agent.h"

#include <string.h>

enum { SETTINGS_MAX = 64, WORD_BYTES = 256, NOTE_BYTES = 48 };

static enum mt_control_status status_of(int code)
{
    switch (code) {
    case MEMTAP_AGENT_OK:
        return MT_CONTROL_IS_OK;
    case MEMTAP_AGENT_RECORDING:
        return MT_CONTROL_IS_RECORDING;
    case MEMTAP_AGENT_IDLE:
        return MT_CONTROL_IS_IDLE;
    case MEMTAP_AGENT_BUSY:
        return MT_CONTROL_IS_BUSY;
    case MEMTAP_AGENT_FOREIGN:
        return MT_CONTROL_IS_FOREIGN;
    case MEMTAP_AGENT_ARGUMENT:
        return MT_CONTROL_IS_BAD;
    default:
        return MT_CONTROL_IS_FAILED;
    }
}

/* ---- what is the case ------------------------------------------------------------------------------------------------ */

static uint64_t resident_bytes(void)
{
    char text[128];
    size_t got = 0, at = 0;
    uint64_t pages = 0;
    int fd = -1;
    if (mt_os_open("/proc/self/statm", MT_OPEN_READ, &fd) != MT_OK) {
        return 0;
    }
    mt_status status = mt_os_read(fd, text, sizeof text, &got);
    mt_os_close(fd);
    for (at = 0; status == MT_OK && at < got && text[at] != ' '; at++) {
    }
    for (at++; status == MT_OK && at < got && text[at] >= '0' && text[at] <= '9'; at++) {
        pages = pages * 10 + (uint64_t)(text[at] - '0');
    }
    return pages * mt_os_page_bytes();
}

/* The arguments with spaces between them. */
static void add_command(struct mt_control_text *reply)
{
    char words[WORD_BYTES];
    size_t got = 0;
    int fd = -1;
    if (mt_os_open("/proc/self/cmdline", MT_OPEN_READ, &fd) != MT_OK) {
        return;
    }
    mt_status status = mt_os_read(fd, words, sizeof words - 1, &got);
    mt_os_close(fd);
    while (got > 0 && words[got - 1] == '\0') {
        got--;
    }
    for (size_t i = 0; i < got; i++) {
        words[i] = words[i] == '\0' ? ' ' : words[i];
    }
    words[status == MT_OK ? got : 0] = '\0';
    mt_control_add(reply, "COMMAND", words);
}

static void add_state(struct mt_control_text *reply)
{
    static struct memtap_agent_state state; /* too large for a small stack; one thread answers */
    unsigned port = 0;
    state.struct_bytes = sizeof state;
    if (memtap_agent_api()->state(&state) != MEMTAP_AGENT_OK) {
        return;
    }
    mt_control_add(reply, "MODE", mt_mode_word((unsigned)mt_engine_mode()));
    mt_control_add_number(reply, "RATE", state.rate_bytes);
    mt_control_add(reply, "OUTPUT", state.path);
    mt_control_add_number(reply, "LIVE_SAMPLES", state.live_samples);
    mt_control_add_number(reply, "DROPPED", state.dropped_events);
    mt_control_add_number(reply, "ENDED_EARLY", state.ended_early);
    mt_control_add(reply, "BEGUN_BY", state.mode == MEMTAP_OFF ? "" : state.by_command ? "command" : mt_control_is_attached() ? "attach" : "program");
    mt_control_add(reply, "LISTEN", mt_ears_host(&port));
    mt_control_add_number(reply, "PORT", port);
}

static enum mt_control_status answer_hello(const struct mt_asked *asked, struct mt_control_text *reply)
{
    (void)asked;
    mt_control_add_number(reply, "PID", (uint64_t)mt_os_pid());
    mt_control_add(reply, "VERSION", MEMTAP_VERSION);
    mt_control_add_number(reply, "RSS", resident_bytes());
    mt_control_add_number(reply, "BEGAN_NS", mt_control_began_ns());
    add_state(reply);
    add_command(reply);
    return MT_CONTROL_IS_OK;
}

/* ---- what changes something ------------------------------------------------------------------------------------------ */

static enum mt_control_status answer_start(const struct mt_asked *asked, struct mt_control_text *reply)
{
    static const char asker[] = "MEMTAP_ASKER=";
    char *settings[SETTINGS_MAX + 2], own[sizeof asker + MT_DECIMAL_BYTES], digits[MT_DECIMAL_BYTES];
    size_t count = 0;
    for (const char *at = mt_control_next(asked->payload, asked->bytes, NULL); at != NULL && count < SETTINGS_MAX;
         at = mt_control_next(asked->payload, asked->bytes, at)) {
        if (strncmp(at, asker, sizeof asker - 1) != 0) { /* the kernel knows it */
            settings[count++] = (char *)(uintptr_t)at; /* is read only */
        }
    }
    const char *number = mt_decimal(asked->user, digits);
    memcpy(own, asker, sizeof asker);
    memcpy(own + sizeof asker - 1, number, strlen(number) + 1);
    settings[count++] = own;
    settings[count] = NULL;
    int code = memtap_agent_api()->attach(settings);
    mt_control_add_number(reply, "CODE", (uint64_t)code);
    add_state(reply);
    return status_of(code);
}

static enum mt_control_status answer_stop(const struct mt_asked *asked, struct mt_control_text *reply)
{
    bool disarm = mt_control_value(asked->payload, asked->bytes, "DISARM") != NULL;
    mt_asked_note("stop", asked->user);
    int code = disarm ? memtap_agent_api()->detach() : mt_control_end_attached();
    mt_control_add_number(reply, "CODE", (uint64_t)code);
    if (disarm && !mt_control_keeps_hooks()) {
        mt_control_add_number(reply, "LEAVES", 1);
    }
    add_state(reply);
    return status_of(code);
}

static bool parse_number(const char *text, uint64_t *ret)
{
    uint64_t value = 0;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at < '0' || *at > '9' || value > UINT64_MAX / 16) {
            return false;
        }
        value = value * 10 + (uint64_t)(*at - '0');
    }
    *ret = value;
    return *text != '\0';
}

static enum mt_control_status change_rate(const char *text, uint64_t user)
{
    uint64_t rate = 0;
    if (!parse_number(text, &rate)) {
        return MT_CONTROL_IS_BAD;
    }
    if (mt_engine_mode() != MT_MODE_OFF && mt_engine_mode() != MT_MODE_SAMPLE) {
        return MT_CONTROL_IS_RECORDING; /* every event: there is no rate */
    }
    enum mt_control_status status = status_of(rate == 0 ? memtap_agent_api()->pause() : memtap_agent_api()->resume(rate));
    if (status == MT_CONTROL_IS_OK) {
        char line[NOTE_BYTES] = "rate ", digits[MT_DECIMAL_BYTES];
        const char *number = mt_decimal(rate, digits);
        memcpy(line + strlen(line), number, strlen(number) + 1);
        mt_asked_note(rate == 0 ? "pause" : line, user);
    }
    return status;
}

static enum mt_control_status answer_config(const struct mt_asked *asked, struct mt_control_text *reply)
{
    const char *rate = mt_control_value(asked->payload, asked->bytes, "RATE");
    enum mt_control_status status = MT_CONTROL_IS_OK;
    for (const char *at = mt_control_next(asked->payload, asked->bytes, NULL); at != NULL; at = mt_control_next(asked->payload, asked->bytes, at)) {
        if (strncmp(at, "RATE=", 5) != 0) {
            return MT_CONTROL_IS_BAD; /* nothing else can change while a recording goes on */
        }
    }
    if (rate != NULL) {
        status = change_rate(rate, asked->user);
    }
    add_state(reply);
    return status;
}

static enum mt_control_status answer_snapshot(const struct mt_asked *asked, struct mt_control_text *reply)
{
    (void)asked;
    bool recording = mt_engine_mode() != MT_MODE_OFF;
    if (recording) {
        mt_engine_snapshot_now();
        mt_asked_note("snapshot", asked->user);
    }
    add_state(reply);
    return recording ? MT_CONTROL_IS_OK : MT_CONTROL_IS_IDLE;
}

static enum mt_control_status answer_memory(const struct mt_asked *asked, struct mt_control_text *reply)
{
    struct mt_allocator_statistics said;
    (void)asked;
    if (mt_allocator_ask(&said)) {
        mt_control_add(reply, "ALLOCATOR", said.name);
        mt_control_add_number(reply, "IN_USE", said.in_use_bytes);
        mt_control_add_number(reply, "OWN", said.own_bytes);
        mt_control_add_number(reply, "RESIDENT", said.resident_bytes);
        mt_control_add_number(reply, "GIVEN_BACK", said.given_back_bytes);
    }
    return MT_CONTROL_IS_OK;
}

enum mt_control_status mt_answer(const struct mt_asked *asked, struct mt_control_text *reply)
{
    if (asked->bytes > 0 && asked->payload[asked->bytes - 1] != '\0') {
        return MT_CONTROL_IS_BAD;
    }
    switch (asked->kind) {
    case MT_CONTROL_HELLO:
        return answer_hello(asked, reply);
    case MT_CONTROL_START:
        return answer_start(asked, reply);
    case MT_CONTROL_STOP:
        return answer_stop(asked, reply);
    case MT_CONTROL_CONFIG:
        return answer_config(asked, reply);
    case MT_CONTROL_MEMORY:
        return answer_memory(asked, reply);
    case MT_CONTROL_SNAPSHOT:
        return answer_snapshot(asked, reply);
    default:
        return MT_CONTROL_IS_UNKNOWN;
    }
}

bool mt_answer_apart(const struct mt_asked *asked, int fd, size_t mapped, enum mt_control_status *ret_status)
{
    return asked->kind == MT_CONTROL_EVAL && mt_apart_eval(asked, fd, mapped, ret_status);
}
