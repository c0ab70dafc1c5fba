/* list.c: `memtap list`: the armed processes of this machine. */
#include "cli/outcome.h"
#include "control/client.h"
#include "control/found.h"
#include "util/grid.h"
#include "util/human.h"
#include "util/json.h"
#include "util/memory.h"
#include "util/out.h"

#include <stdlib.h>
#include <string.h>

static const uint64_t PATIENCE_NS = 2000000000;

struct values {
    bool verbose;
    int format;
};
#define FIELD(name) offsetof(struct values, name)

static const struct mt_option options[] = {
    { "verbose", 'v', MT_OPTION_FLAG, FIELD(verbose), NULL, NULL, 0, NULL, "also the trace, the agent's version and addresses" },
    MT_OUTCOME_OPTION(FIELD(format), "table (default) or json"),
    { 0 },
};
static const struct mt_option *const tables[] = { options, NULL };

static const struct mt_command_doc doc = {
    .name = "list",
    .summary = "processes that memtap can talk to",
    .synopsis = "memtap list [-v] [-f FORMAT]",
    .description =
        "Lists the processes of this machine that are armed: in which memtap's agent waits at a socket, because they were started by "
        "`memtap run --mode off` or with MEMTAP_LISTEN=1, called memtap.listen(), or `memtap attach` joined them. Of each: its process "
        "id, its command, what is recorded (off: nothing) and since when, the rate of a sampled recording, its resident memory, and how "
        "many events were dropped.\n"
        "\n"
        "Only processes of the same user are shown; root sees all, also those in containers.",
    .exit_codes = "0  listed; there may be none\n"
                  "2  wrong usage",
    .examples = "memtap list\n"
                "memtap list -v -f json",
    .tables = tables,
};

struct row {
    struct mt_reply reply;
    pid_t pid;
};

struct rows {
    struct row *items;
    size_t count, capacity;
};

static bool is_known(const struct rows *rows, pid_t pid)
{
    for (size_t i = 0; i < rows->count; i++) {
        if (rows->items[i].pid == pid) {
            return true;
        }
    }
    return false;
}

/* One that does not answer is none: its process is stopped, or ends. */
static void ask(struct rows *rows, struct mt_client *client)
{
    struct mt_error err = { 0 };
    struct mt_reply reply;
    if (is_known(rows, client->pid) || mt_client_ask(client, MT_CONTROL_HELLO, NULL, PATIENCE_NS, &reply, &err) != MT_OK) {
        return;
    }
    rows->items = mt_alloc_grow(rows->items, &rows->capacity, rows->count + 1, sizeof *rows->items);
    rows->items[rows->count++] = (struct row){ .reply = reply, .pid = client->pid };
}

static int by_pid(const void *a, const void *b)
{
    const struct row *left = a, *right = b;
    return (left->pid > right->pid) - (left->pid < right->pid);
}

static void collect(struct rows *rows)
{
    struct mt_found_list found = { 0 };
    struct mt_client client;
    struct mt_error err;
    mt_found_sockets(&found);
    for (size_t i = 0; i < found.count; i++) {
        if (mt_client_open_found(&found.items[i], &client, &err) == MT_OK) {
            ask(rows, &client);
            mt_client_close(&client);
        }
    }
    mt_found_clear(&found);
    if (rows->count > 1) {
        qsort(rows->items, rows->count, sizeof *rows->items, by_pid);
    }
}

/* ---- what is shown -------------------------------------------------------------------------------------------------- */

static bool is_recording(const struct mt_reply *reply)
{
    return strcmp(mt_reply_text(reply, "MODE"), "off") != 0;
}

static void write_row(struct mt_grid *grid, const struct row *row)
{
    const struct mt_reply *reply = &row->reply;
    char *pid = mt_format("%d", (int)row->pid);
    uint64_t rate = mt_reply_number(reply, "RATE");
    mt_grid_cell(grid, pid);
    mt_grid_cell(grid, mt_reply_text(reply, "MODE"));
    mt_grid_cell(grid, rate != 0 ? mt_human_bytes((double)rate).text : "");
    mt_grid_cell(grid, mt_human_moment(is_recording(reply) ? mt_reply_number(reply, "BEGAN_NS") : 0).text);
    mt_grid_cell(grid, mt_human_bytes((double)mt_reply_number(reply, "RSS")).text);
    mt_grid_cell(grid, mt_human_count((double)mt_reply_number(reply, "DROPPED")).text);
    mt_grid_cell(grid, mt_reply_text(reply, "COMMAND"));
    free(pid);
}

static void note_row(struct mt_grid *grid, const struct mt_reply *reply)
{
    uint64_t port = mt_reply_number(reply, "PORT");
    char *host = port != 0 ? mt_format(", listens at %s (port %llu)", mt_reply_text(reply, "LISTEN"), (unsigned long long)port) : mt_strdup("");
    char *text = mt_format("  memtap %s%s%s%s", mt_reply_text(reply, "VERSION"), host, mt_reply_text(reply, "OUTPUT")[0] != '\0' ? ", trace " : "",
                           mt_reply_text(reply, "OUTPUT"));
    mt_grid_note(grid, text);
    free(text);
    free(host);
}

static void write_table(const struct rows *rows, bool verbose, struct mt_out *out)
{
    struct mt_grid *grid = mt_grid_new();
    mt_grid_column(grid, "pid", MT_ALIGN_RIGHT, false);
    mt_grid_column(grid, "mode", MT_ALIGN_LEFT, false);
    mt_grid_column(grid, "rate", MT_ALIGN_RIGHT, false);
    mt_grid_column(grid, "since", MT_ALIGN_LEFT, false);
    mt_grid_column(grid, "rss", MT_ALIGN_RIGHT, false);
    mt_grid_column(grid, "dropped", MT_ALIGN_RIGHT, false);
    mt_grid_column_command(grid, "command");
    for (size_t i = 0; i < rows->count; i++) {
        write_row(grid, &rows->items[i]);
        if (verbose) {
            note_row(grid, &rows->items[i].reply);
        }
    }
    mt_grid_print(grid, out);
    mt_grid_free(grid);
}

static void put_number_or_null(struct mt_json *json, const char *key, uint64_t value)
{
    mt_json_key(json, key);
    if (value != 0) {
        mt_json_u64(json, value);
    } else {
        mt_json_null(json);
    }
}

static void put_text_or_null(struct mt_json *json, const char *key, const char *text)
{
    mt_json_put_text(json, key, text[0] != '\0' ? text : NULL);
}

static void write_json_row(struct mt_json *json, const struct row *row)
{
    const struct mt_reply *reply = &row->reply;
    mt_json_object(json);
    mt_json_put_u64(json, "pid", (uint64_t)row->pid);
    mt_json_put_text(json, "command", mt_reply_text(reply, "COMMAND"));
    mt_json_put_text(json, "mode", mt_reply_text(reply, "MODE"));
    put_number_or_null(json, "rate_bytes", mt_reply_number(reply, "RATE"));
    put_number_or_null(json, "began_unix_ns", is_recording(reply) ? mt_reply_number(reply, "BEGAN_NS") : 0);
    mt_json_put_u64(json, "rss_bytes", mt_reply_number(reply, "RSS"));
    mt_json_put_u64(json, "dropped_events", mt_reply_number(reply, "DROPPED"));
    put_text_or_null(json, "trace", mt_reply_text(reply, "OUTPUT"));
    put_text_or_null(json, "begun_by", mt_reply_text(reply, "BEGUN_BY"));
    put_text_or_null(json, "listen", mt_reply_text(reply, "LISTEN"));
    put_number_or_null(json, "port", mt_reply_number(reply, "PORT"));
    mt_json_put_text(json, "version", mt_reply_text(reply, "VERSION"));
    mt_json_object_end(json);
}

static void write_json(const struct rows *rows, struct mt_out *out)
{
    struct mt_json json;
    mt_json_init(&json, out, 1);
    mt_json_array(&json);
    for (size_t i = 0; i < rows->count; i++) {
        write_json_row(&json, &rows->items[i]);
    }
    mt_json_array_end(&json);
    mt_out_byte(out, '\n');
}

static int print(const struct rows *rows, const struct values *chosen)
{
    struct mt_error err = { 0 };
    struct mt_out *out;
    if (mt_out_open(NULL, &out, &err) != MT_OK) {
        return mt_command_fail(&doc, MT_EXIT_FAILED, &err);
    }
    if (chosen->format == MT_OUTCOME_JSON) {
        write_json(rows, out);
    } else {
        write_table(rows, chosen->verbose, out);
    }
    return mt_out_commit(out, &err) == MT_OK ? MT_EXIT_OK : mt_command_fail(&doc, MT_EXIT_FAILED, &err);
}

static int list_main(int argc, char **argv)
{
    struct values chosen = { 0 };
    struct mt_operands operands;
    struct mt_error err = { 0 };
    struct rows rows = { 0 };
    int code;
    if (!mt_command_options(&doc, argc, argv, &chosen, &operands, &code)) {
        return code;
    }
    if (operands.count != 0) {
        (void)mt_error_set(&err, MT_E_INVAL, "takes no target; `memtap config TARGET` asks one process");
        return mt_command_fail(&doc, MT_EXIT_USAGE, &err);
    }
    collect(&rows);
    code = print(&rows, &chosen);
    for (size_t i = 0; i < rows.count; i++) {
        mt_reply_clear(&rows.items[i].reply);
    }
    free(rows.items);
    return code;
}

const struct mt_command mt_command_list = { &doc, list_main };
