/* config.c: `memtap config`: what is in force in an armed process, and changing it while it runs. */
#include "cli/command.h"
#include "cli/target.h"
#include "control/client.h"
#include "util/grid.h"
#include "util/human.h"
#include "util/json.h"
#include "util/memory.h"
#include "util/out.h"
#include "util/say.h"
#include "wire/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct values {
    uint64_t timeout_ns;
    int format;
};
#define FIELD(name) offsetof(struct values, name)

static const char *const formats[] = { "table", "json", NULL };
static const struct mt_option options[] = {
    { "timeout", 0, MT_OPTION_DURATION, FIELD(timeout_ns), NULL, NULL, 0, "T", "of the answer; default 5s" },
    { "format", 'f', MT_OPTION_CHOICE, FIELD(format), formats, NULL, 0, "FORMAT", "table (default) or json" },
    { 0 },
};
static const struct mt_option *const tables[] = { options, NULL };

static const struct mt_command_doc doc = {
    .name = "config",
    .summary = "read or change what an armed process does",
    .synopsis = "memtap config [OPTIONS] TARGET [KEY | KEY=VALUE]…",
    .description =
        "Shows what is in force in a process that listens (`memtap list` names those), all of it or the KEYs that are named, and "
        "changes what has a VALUE:\n"
        "\n"
        "mode=off ends the recording that attach began. mode=sample, exact or aggregate begins one, as `memtap attach --mode` does, into a "
        "file in the current folder; for another file, or another rate from the start, use attach. One recording at a time.\n"
        "rate=SIZE changes the mean number of bytes between samples of a sampled recording; rate=0 pauses it: frees are still seen.\n"
        "\n"
        "In the table sizes have their unit, as they are given to options; -f json has bytes. The other keys can only be read: trace, begun_by, live_samples, dropped, listen, port, command, version, pid, rss. The token "
        "of a process is never shown.\n"
        "\n"
        "TARGET is a process id, host:port, [v6]:port or unix:/path; without one, MEMTAP_ENDPOINT. Over TCP MEMTAP_TOKEN is presented.",
    .exit_codes = "0  done\n"
                  "1  it cannot be changed now\n"
                  "2  wrong usage\n"
                  "3  the process cannot be reached, or the token is wrong\n"
                  "4  no answer in time",
    .examples = "memtap config 1234\n"
                "memtap config 1234 rate=64K\n"
                "memtap config 1234 mode=off",
    .tables = tables,
};

/* How a key is called on the wire. */
static const struct key {
    const char *name, *wire;
    bool number;
} keys[] = {
    { "mode", "MODE", false },          { "rate", "RATE", true },       { "trace", "OUTPUT", false },
    { "begun_by", "BEGUN_BY", false },  { "live_samples", "LIVE_SAMPLES", true }, { "dropped", "DROPPED", true },
    { "listen", "LISTEN", false },      { "port", "PORT", true },       { "command", "COMMAND", false },
    { "version", "VERSION", false },    { "pid", "PID", true },         { "rss", "RSS", true },
};

static const struct key *key_of(const char *word)
{
    size_t length = strcspn(word, "=");
    for (size_t i = 0; i < MT_COUNTOF(keys); i++) {
        if (strlen(keys[i].name) == length && strncmp(word, keys[i].name, length) == 0) {
            return &keys[i];
        }
    }
    return NULL;
}

/* ---- changing ------------------------------------------------------------------------------------------------------- */

struct session {
    const struct values *chosen;
    struct mt_client client;
    int code; /* MT_EXIT_OK so far */
};

static void fail(struct session *s, mt_status status, const struct mt_error *err)
{
    s->code = mt_command_fail(&doc, status == MT_E_INVAL ? MT_EXIT_USAGE : mt_target_exit_code(status), err);
}

/* One request; an answer that is no is a failure. */
static void change(struct session *s, enum mt_control_kind kind, const struct mt_control_text *text, const char *what)
{
    struct mt_error err = { 0 };
    struct mt_reply reply;
    mt_status status = mt_client_ask(&s->client, kind, text, s->chosen->timeout_ns, &reply, &err);
    if (status != MT_OK) {
        fail(s, status, &err);
        return;
    }
    if (reply.status != MT_CONTROL_IS_OK) {
        (void)mt_error_set(&err, MT_E_BUSY, "%s: %s: %s", s->client.text, what, mt_control_status_text(reply.status));
        s->code = mt_command_fail(&doc, reply.status == MT_CONTROL_IS_DENIED ? MT_EXIT_UNREACHABLE : MT_EXIT_FAILED, &err);
    }
    mt_reply_clear(&reply);
}

static void change_rate(struct session *s, const char *value)
{
    char words[64];
    struct mt_control_text text = { .buf = words, .capacity = sizeof words };
    struct mt_error err = { 0 };
    uint64_t rate = 0;
    if (!mt_parse_size(value, &rate) || rate > MT_RATE_MAX) {
        fail(s, mt_error_set(&err, MT_E_INVAL, "rate=%s: give bytes between samples, such as 512K, or 0 to pause", value), &err);
        return;
    }
    mt_control_add_number(&text, "RATE", rate);
    change(s, MT_CONTROL_CONFIG, &text, "rate");
}

/* A recording needs a file, and help with it: attach knows how. */
static void begin_recording(struct session *s, const char *mode)
{
    char name[] = "attach", quiet[] = "-q", pid[24];
    char *option = mt_format("--mode=%s", mode);
    (void)snprintf(pid, sizeof pid, "%d", (int)s->client.pid);
    char *argv[] = { name, quiet, option, pid, NULL };
    s->code = mt_command_attach.run(4, argv);
    free(option);
}

static void change_mode(struct session *s, const char *value)
{
    struct mt_error err = { 0 };
    bool known = false;
    for (unsigned i = 0; mt_mode_word(i) != NULL; i++) {
        known = known || strcmp(value, mt_mode_word(i)) == 0;
    }
    if (!known) {
        fail(s, mt_error_set(&err, MT_E_INVAL, "mode=%s: give off, sample, exact or aggregate", value), &err);
    } else if (strcmp(value, "off") == 0) {
        change(s, MT_CONTROL_STOP, NULL, "mode=off");
    } else if (s->client.pid == 0) {
        fail(s, mt_error_set(&err, MT_E_INVAL, "mode=%s: a recording can only be begun from the machine where the process is", value), &err);
    } else {
        begin_recording(s, value);
    }
}

/* False: it is nothing that can be asked for. */
static bool check_word(const char *word, struct mt_error *err)
{
    const struct key *key = key_of(word);
    if (key == NULL) {
        (void)mt_error_set(err, MT_E_INVAL, "there is no key \"%s\"; `memtap config -h` lists them", word);
    } else if (strchr(word, '=') != NULL && strcmp(key->name, "rate") != 0 && strcmp(key->name, "mode") != 0) {
        (void)mt_error_set(err, MT_E_INVAL, "%s can only be read; mode and rate can be changed", key->name);
    }
    return err->status == MT_OK;
}

static void change_all(struct session *s, char **words, int count)
{
    for (int i = 0; i < count && s->code == MT_EXIT_OK; i++) {
        const char *equals = strchr(words[i], '=');
        if (equals != NULL) {
            if (words[i][0] == 'm') {
                change_mode(s, equals + 1);
            } else {
                change_rate(s, equals + 1);
            }
        }
    }
}

/* ---- showing -------------------------------------------------------------------------------------------------------- */

static bool is_asked_for(const struct key *key, char **words, int count)
{
    bool named = false;
    for (int i = 0; i < count; i++) {
        named = named || key_of(words[i]) == key;
    }
    return named || count == 0;
}

static void write_json(const struct mt_reply *reply, char **words, int count, struct mt_out *out)
{
    struct mt_json json;
    mt_json_init(&json, out, 1);
    mt_json_object(&json);
    for (size_t i = 0; i < MT_COUNTOF(keys); i++) {
        if (is_asked_for(&keys[i], words, count)) {
            const char *text = mt_reply_text(reply, keys[i].wire);
            mt_json_key(&json, keys[i].name);
            if (keys[i].number) {
                mt_json_u64(&json, mt_reply_number(reply, keys[i].wire));
            } else {
                mt_json_text(&json, text[0] != '\0' ? text : NULL);
            }
        }
    }
    mt_json_object_end(&json);
    mt_out_byte(out, '\n');
}

/* As options are written: sizes with their unit; what is not known or not there is a dash. malloc'ed. */
static char *shown(const struct mt_reply *reply, const struct key *key)
{
    const char *text = mt_reply_text(reply, key->wire);
    uint64_t number = key->number ? mt_reply_number(reply, key->wire) : 0;
    bool off = strcmp(mt_reply_text(reply, "MODE"), "off") == 0, sampled = strcmp(mt_reply_text(reply, "MODE"), "sample") == 0;
    if (strcmp(key->name, "rate") == 0) {
        return off ? mt_strdup("—") : !sampled ? mt_strdup("every allocation") : number == 0 ? mt_strdup("0 (paused)") : mt_strdup(mt_human_bytes((double)number).text);
    }
    if (strcmp(key->name, "rss") == 0) {
        return mt_strdup(mt_human_bytes((double)number).text);
    }
    if (text[0] == '\0' || (strcmp(key->name, "port") == 0 && number == 0)) {
        return mt_strdup("—");
    }
    bool counted = strcmp(key->name, "live_samples") == 0 || strcmp(key->name, "dropped") == 0;
    return counted ? mt_strdup(mt_human_count((double)number).text) : mt_strdup(text);
}

static void write_table(const struct mt_reply *reply, char **words, int count, struct mt_out *out)
{
    struct mt_grid *grid = mt_grid_new();
    mt_grid_column(grid, "key", MT_ALIGN_LEFT, false);
    mt_grid_column(grid, "value", MT_ALIGN_LEFT, true);
    for (size_t i = 0; i < MT_COUNTOF(keys); i++) {
        if (is_asked_for(&keys[i], words, count)) {
            mt_grid_cell(grid, keys[i].name);
            char *value = shown(reply, &keys[i]);
            mt_grid_cell(grid, value);
            free(value);
        }
    }
    mt_grid_print(grid, out);
    mt_grid_free(grid);
}

static void show(struct session *s, char **words, int count)
{
    struct mt_error err = { 0 };
    struct mt_reply reply;
    struct mt_out *out;
    mt_status status = mt_client_ask(&s->client, MT_CONTROL_HELLO, NULL, s->chosen->timeout_ns, &reply, &err);
    if (status != MT_OK) {
        fail(s, status, &err);
        return;
    }
    if (mt_out_open(NULL, &out, &err) == MT_OK) {
        (s->chosen->format == 1 ? write_json : write_table)(&reply, words, count, out);
        if (mt_out_commit(out, &err) == MT_OK) {
            mt_reply_clear(&reply);
            return;
        }
    }
    s->code = mt_command_fail(&doc, MT_EXIT_FAILED, &err);
    mt_reply_clear(&reply);
}

static int config_main(int argc, char **argv)
{
    struct values chosen = { .timeout_ns = 5000000000 };
    struct mt_operands operands;
    struct mt_endpoint where;
    struct mt_error err = { 0 };
    struct session session = { .chosen = &chosen };
    int code;
    if (!mt_command_options(&doc, argc, argv, &chosen, &operands, &code)) {
        return code;
    }
    bool named = operands.count > 0 && key_of(operands.items[0]) == NULL;
    char **words = operands.items + named;
    int count = operands.count - named;
    mt_status status = mt_endpoint_parse(named ? operands.items[0] : NULL, &where, &err);
    for (int i = 0; status == MT_OK && i < count; i++) {
        status = check_word(words[i], &err) ? MT_OK : MT_E_INVAL;
    }
    if (status != MT_OK) {
        return mt_command_fail(&doc, MT_EXIT_USAGE, &err);
    }
    status = mt_client_open(&where, &session.client, &err);
    if (status != MT_OK) {
        return mt_command_fail(&doc, mt_target_exit_code(status), &err);
    }
    change_all(&session, words, count);
    if (session.code == MT_EXIT_OK) {
        show(&session, words, count);
    }
    mt_client_close(&session.client);
    return session.code;
}

const struct mt_command mt_command_config = { &doc, config_main };
