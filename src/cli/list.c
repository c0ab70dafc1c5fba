/* list.c: `memtap list`: the armed processes of this machine. */
#include "cli/list_rows.h"
#include "cli/outcome.h"
#include "util/grid.h"
#include "util/human.h"
#include "util/json.h"
#include "util/memory.h"
#include "util/out.h"

#include <stdlib.h>
#include <string.h>

struct values {
    bool verbose;
    int format;
};
#define FIELD(name) offsetof(struct values, name)

static const struct mt_option options[] = {
    { "verbose", 'v', MT_OPTION_FLAG, FIELD(verbose), NULL, NULL, 0, NULL, "also what is alive (of traces up to 32 MiB), the trace, the agent's version and addresses" },
    MT_OUTCOME_OPTION(FIELD(format), "table (default) or json"),
    { 0 },
};
static const struct mt_option *const tables[] = { options, NULL };

static const struct mt_command_doc doc = {
    .name = "list",
    .summary = "processes that memtap can talk to, or that are recorded",
    .synopsis = "memtap list [-v] [-f FORMAT]",
    .description =
        "Lists the processes of this machine that are armed: in which memtap's agent waits at a socket, because they were started by "
        "`memtap run --mode off` or with MEMTAP_LISTEN=1, called memtap.listen(), or `memtap attach` joined them; and those that are recorded "
        "without (armed: no), by `memtap run` or from inside, which `attach` arms. Of each: its process id, its command, what is recorded (off: "
        "nothing) and since when, the rate of a sampled recording, its resident memory, and how many events were dropped.\n"
        "\n"
        "Only processes of the same user are shown; root sees all, also those in containers.",
    .exit_codes = "0  listed; there may be none\n"
                  "2  wrong usage",
    .examples = "memtap list\n"
                "memtap list -v -f json",
    .tables = tables,
};

/* ---- what is shown -------------------------------------------------------------------------------------------------- */

static void write_row(struct mt_grid *grid, const struct mt_list_row *row)
{
    char *pid = mt_format("%d", (int)row->pid);
    mt_grid_cell(grid, pid);
    mt_grid_cell(grid, row->mode);
    mt_grid_cell(grid, row->rate_bytes != 0 ? mt_human_bytes((double)row->rate_bytes).text : "");
    mt_grid_cell(grid, row->armed ? "yes" : "no");
    mt_grid_cell(grid, mt_human_moment(row->began_unix_ns).text);
    mt_grid_cell(grid, mt_human_bytes((double)row->rss_bytes).text);
    mt_grid_cell(grid, mt_human_count((double)row->dropped_events).text);
    mt_grid_cell(grid, row->command);
    free(pid);
}

static void note_row(struct mt_grid *grid, const struct mt_list_row *row)
{
    char *version = row->version[0] != '\0' ? mt_format("memtap %s", row->version) : mt_strdup("does not listen");
    char *host = row->port != 0 ? mt_format(", listens at %s (port %llu)", row->listen, (unsigned long long)row->port) : mt_strdup("");
    char *heap = row->heap_bytes != UINT64_MAX ? mt_format(", %s alive of what is recorded", mt_human_bytes((double)row->heap_bytes).text) : mt_strdup("");
    char *text = mt_format("  %s%s%s%s%s", version, host, heap, row->trace[0] != '\0' ? ", trace " : "", row->trace);
    mt_grid_note(grid, text);
    free(text);
    free(heap);
    free(host);
    free(version);
}

static bool any_dropped(const struct mt_list_rows *rows)
{
    bool any = false;
    for (size_t i = 0; i < rows->count; i++) {
        any = any || rows->items[i].dropped_events > 0;
    }
    return any;
}

static void write_table(const struct mt_list_rows *rows, bool verbose, struct mt_out *out)
{
    enum { SPARE_LAST = 1, SPARE_SECOND, SPARE_FIRST };
    struct mt_grid *grid = mt_grid_new();
    mt_grid_column(grid, "pid", MT_ALIGN_RIGHT, false);
    mt_grid_column(grid, "mode", MT_ALIGN_LEFT, false);
    mt_grid_column(grid, "rate", MT_ALIGN_RIGHT, false);
    mt_grid_column_spare(grid, SPARE_SECOND);
    mt_grid_column(grid, "armed", MT_ALIGN_LEFT, false);
    mt_grid_column_spare(grid, SPARE_LAST);
    mt_grid_column(grid, "since", MT_ALIGN_LEFT, false);
    mt_grid_column(grid, "rss", MT_ALIGN_RIGHT, false);
    mt_grid_column(grid, "dropped", MT_ALIGN_RIGHT, false);
    mt_grid_column_spare(grid, any_dropped(rows) ? 0 : SPARE_FIRST);
    mt_grid_column_command(grid, "command");
    for (size_t i = 0; i < rows->count; i++) {
        write_row(grid, &rows->items[i]);
        if (verbose) {
            note_row(grid, &rows->items[i]);
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

static void write_json_row(struct mt_json *json, const struct mt_list_row *row)
{
    mt_json_object(json);
    mt_json_put_u64(json, "pid", (uint64_t)row->pid);
    mt_json_put_text(json, "command", row->command);
    mt_json_put_bool(json, "armed", row->armed);
    mt_json_put_text(json, "mode", row->mode);
    put_number_or_null(json, "rate_bytes", row->rate_bytes);
    put_number_or_null(json, "began_unix_ns", row->began_unix_ns);
    mt_json_put_u64(json, "rss_bytes", row->rss_bytes);
    put_number_or_null(json, "heap_bytes", row->heap_bytes != UINT64_MAX ? row->heap_bytes : 0);
    mt_json_put_u64(json, "dropped_events", row->dropped_events);
    put_text_or_null(json, "trace", row->trace);
    put_text_or_null(json, "begun_by", row->begun_by);
    put_text_or_null(json, "listen", row->listen);
    put_number_or_null(json, "port", row->port);
    put_text_or_null(json, "version", row->version);
    mt_json_object_end(json);
}

static void write_json(const struct mt_list_rows *rows, struct mt_out *out)
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

static int print(const struct mt_list_rows *rows, const struct values *chosen)
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
    struct mt_list_rows rows;
    int code;
    if (!mt_command_options(&doc, argc, argv, &chosen, &operands, &code)) {
        return code;
    }
    if (operands.count != 0) {
        (void)mt_error_set(&err, MT_E_INVAL, "takes no target; `memtap config TARGET` asks one process");
        return mt_command_fail(&doc, MT_EXIT_USAGE, &err);
    }
    mt_list_rows_read(chosen.verbose, &rows);
    code = print(&rows, &chosen);
    mt_list_rows_clear(&rows);
    return code;
}

const struct mt_command mt_command_list = { &doc, list_main };
