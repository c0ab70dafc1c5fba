/* snapshot.c: `memtap snapshot`: a mark in the trace of an armed process, at which it can be read. */
#include "cli/command.h"
#include "cli/target.h"
#include "control/client.h"
#include "util/json.h"
#include "util/memory.h"
#include "util/out.h"
#include "util/say.h"
#include "util/text.h"

#include <stdlib.h>
#include <string.h>

struct values {
    uint64_t timeout_ns;
    int format;
};
#define FIELD(name) offsetof(struct values, name)

static const char *const formats[] = { "text", "json", NULL };
static const struct mt_option options[] = {
    { "timeout", 0, MT_OPTION_DURATION, FIELD(timeout_ns), NULL, NULL, 0, "T", "of the answer; default 5s" },
    { "format", 'f', MT_OPTION_CHOICE, FIELD(format), formats, NULL, 0, "FORMAT", "text (default) or json: {trace, mode}" },
    { 0 },
};
static const struct mt_option *const tables[] = { options, NULL };

static const struct mt_command_doc doc = {
    .name = "snapshot",
    .summary = "mark what is alive in an armed process now",
    .synopsis = "memtap snapshot [OPTIONS] TARGET",
    .description =
        "Leaves a mark in the trace that a process is writing, and prints where the trace is. What was alive then is shown by any report of "
        "FILE@mark (the last mark; FILE@mark:2 is the second), also while the process goes on; `memtap diff FILE@mark:1 FILE@mark:2` "
        "says what grew in between. Where nothing is recorded, `memtap attach` begins.\n"
        "\n"
        "TARGET is a process that listens (`memtap list`): a process id, host:port, [v6]:port or unix:/path; without one, MEMTAP_ENDPOINT. The "
        "trace is on the machine of the process.",
    .exit_codes = "0  done\n"
                  "1  nothing is recorded there\n"
                  "2  wrong usage\n"
                  "3  the process cannot be reached, or the token is wrong\n"
                  "4  no answer in time",
    .examples = "memtap snapshot 1234\n"
                "memtap -t 1234 snapshot -f json",
    .tables = tables,
};

/* A stranger's: made safe at a terminal, as it is for a program that opens it. */
static void put_path(struct mt_out *out, const char *path)
{
    char *clean = mt_out_is_terminal(out) ? mt_text_clean(path, strlen(path)) : mt_strdup(path);
    mt_out_print(out, "%s@mark\n", clean);
    free(clean);
}

static int show(const struct values *chosen, const struct mt_reply *reply)
{
    struct mt_error err = { 0 };
    struct mt_out *out;
    struct mt_json json;
    if (mt_out_open(NULL, &out, &err) != MT_OK) {
        return mt_command_fail(&doc, MT_EXIT_FAILED, &err);
    }
    if (chosen->format == 1) {
        mt_json_init(&json, out, 1);
        mt_json_object(&json);
        mt_json_put_text(&json, "trace", mt_reply_text(reply, "OUTPUT"));
        mt_json_put_text(&json, "mode", mt_reply_text(reply, "MODE"));
        mt_json_object_end(&json);
        mt_out_byte(out, '\n');
    } else {
        put_path(out, mt_reply_text(reply, "OUTPUT"));
    }
    return mt_out_commit(out, &err) == MT_OK ? MT_EXIT_OK : mt_command_fail(&doc, MT_EXIT_FAILED, &err);
}

static int ask(const struct values *chosen, struct mt_client *client)
{
    struct mt_error err = { 0 };
    struct mt_reply reply;
    mt_status status = mt_client_ask(client, MT_CONTROL_SNAPSHOT, NULL, chosen->timeout_ns, &reply, &err);
    if (status != MT_OK) {
        return mt_command_fail(&doc, mt_target_exit_code(status), &err);
    }
    int code = MT_EXIT_FAILED;
    if (reply.status == MT_CONTROL_IS_OK) {
        code = show(chosen, &reply);
    } else {
        mt_say("memtap snapshot: %s: %s%s", client->text, mt_control_status_text(reply.status),
               reply.status == MT_CONTROL_IS_IDLE ? "; `memtap attach` begins a recording" : "");
    }
    mt_reply_clear(&reply);
    return code;
}

static int snapshot_main(int argc, char **argv)
{
    struct values chosen = { .timeout_ns = 5000000000 };
    struct mt_operands operands;
    struct mt_endpoint where;
    struct mt_client client;
    struct mt_error err = { 0 };
    int code;
    if (!mt_command_options(&doc, argc, argv, &chosen, &operands, &code)) {
        return code;
    }
    if (operands.count > 1) {
        (void)mt_error_set(&err, MT_E_INVAL, "give one TARGET");
        return mt_command_fail(&doc, MT_EXIT_USAGE, &err);
    }
    if (mt_endpoint_parse(operands.count == 1 ? operands.items[0] : NULL, &where, &err) != MT_OK) {
        return mt_command_fail(&doc, MT_EXIT_USAGE, &err);
    }
    mt_status status = mt_client_open(&where, &client, &err);
    if (status != MT_OK) {
        return mt_command_fail(&doc, mt_target_exit_code(status), &err);
    }
    code = ask(&chosen, &client);
    mt_client_close(&client);
    return code;
}

const struct mt_command mt_command_snapshot = { &doc, snapshot_main };
