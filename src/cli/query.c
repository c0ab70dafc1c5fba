/* query.c: `memtap query` and `memtap tables`: SQL over traces. */
#include "cli/answer.h"
#include "cli/prompt.h"
#include "cli/query_session.h"
#include "cli/select.h"
#include "cli/target.h"
#include "cli/traces.h"
#include "control/endpoint.h"
#include "util/memory.h"
#include "util/progress.h"
#include "util/say.h"
#include "util/terminal.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct values {
    struct mt_select select; /* first */
    uint64_t timeout_ns;
    bool described; /* the query is MT_ANSWER_TABLES */
};

static const struct mt_option own[] = {
    { "timeout", 0, MT_OPTION_DURATION, offsetof(struct values, timeout_ns), NULL, NULL, 0, "T",
      "end the query when it has run so long (exit code 4); default: never" },
    { 0 },
};
static const struct mt_option *const query_tables[] = { mt_select_output, own, NULL };
static const struct mt_option *const tables_tables[] = { mt_select_output, NULL };

static const struct mt_command_doc query_doc = {
    .name = "query",
    .summary = "SQL over a process or a recording",
    .synopsis = "memtap query [OPTIONS] TARGET… \"SQL\"\n"
                "memtap query [OPTIONS] TARGET… < FILE.sql\n"
                "memtap query [OPTIONS] TARGET…",
    .description =
        "Answers one SELECT over the tables of one or several TARGETs. A TARGET is a recording, finished, growing or of processes that were killed; "
        "or a process: its number, unix:/PATH or HOST:PORT of one that listens. A process is asked through the trace it is being recorded into; "
        "of one that is not recorded there are process.memory and memory.smaps.\n"
        "Tables: "
        "memory.allocations (a row a block that is alive), memory.sites, memory.events, memory.timeline, memory.lifetimes, "
        "memory.stacks, process.memory and others: `memtap tables` lists them with their columns and units. They always exist; one "
        "of which nothing is known has no rows, and a note says why. The column process tells processes apart.\n"
        "Functions as tables: memory.live_at(t), memory.between(t0, t1), memory.diff(a, b), where a time is a number of seconds, "
        "'50%', 'peak', 'end', 'mark:1'. Functions of a stack_id: frame(id, n), has_frame(id, 'name'), and the aggregate "
        "flamegraph(id, bytes), whose text is lines for flamegraph.pl. leaks has the rows of `memtap leaks`, imports folded, in its order; views: growth, peak, slack.\n"
        "The language is SQLite's, with these differences: NULLs sort last, with DESC first; HAVING without GROUP BY and aggregates is a "
        "filter of what the select list gave, as QUALIFY is; stddev, var, median, percentile_cont and concat are there; SHOW TABLES, "
        "DESCRIBE TABLE and EXPLAIN as elsewhere. A quotient of integers is an integer. Nothing can be written.\n"
        "On a terminal without SQL there is a prompt: a query ends with ;, Tab completes tables, columns and keywords, up and down are the lines typed "
        "before, Ctrl-C ends the query that runs. .help says the rest.",
    .notes = "When standard output is a file named *.json, *.csv or *.ndjson, that is the default format.\n"
             "In a table a value that is not known is nil, in CSV it is empty, in JSON null.",
    .exit_codes = "0 done, 1 the query is wrong, 2 wrong usage, 3 no such process, or it may not be looked at, 4 --timeout was "
                  "reached",
    .examples = "memtap query app.mtap \"SELECT * FROM leaks LIMIT 10\"\n"
                "memtap query 1234 1235 \"SELECT process, sum(live_bytes) FROM memory.sites GROUP BY process\"\n"
                "memtap query app.mtap \"SELECT thread, sum(bytes) FROM memory.live_at(2.5) GROUP BY thread\"\n"
                "memtap query app.mtap \"SELECT flamegraph(stack_id, peak_bytes) FROM memory.sites\" -f csv\n"
                "memtap query app.mtap \"SELECT * FROM memory.diff(10, 'end') ORDER BY delta_bytes DESC\" -f json",
    .tables = query_tables,
};

static const struct mt_command_doc tables_doc = {
    .name = "tables",
    .summary = "the tables of `memtap query`, with columns and units",
    .synopsis = "memtap tables [OPTIONS] [FILE…]",
    .description = "Lists every table of `memtap query` with its columns: name, type, unit and one sentence. They are the same for every "
                   "recording.",
    .examples = "memtap tables app.mtap\n"
                "memtap tables -f json app.mtap | jq '.[] | select(.table_name == \"sites\")'",
    .tables = tables_tables,
};

/* ---- the query ---------------------------------------------------------------------------------------------------- */

/* Where the format is not said: by the name of the file that standard output is. */
static enum mt_format format_of(struct mt_select *select)
{
    char path[PATH_MAX];
    struct stat status;
    if (select->format >= 0 || select->output != NULL || fstat(STDOUT_FILENO, &status) != 0 || !S_ISREG(status.st_mode)) {
        return mt_select_format(select);
    }
    ssize_t bytes = readlink("/proc/self/fd/1", path, sizeof path - 1);
    path[bytes > 0 ? bytes : 0] = '\0';
    select->output = path;
    enum mt_format format = mt_select_format(select);
    select->output = NULL;
    return format;
}

static int exit_code(const struct mt_sql *sql, mt_status status)
{
    return status == MT_OK ? MT_EXIT_OK : status == MT_E_INTERRUPTED && mt_sql_timed_out(sql) ? MT_EXIT_TIMEOUT : MT_EXIT_FAILED;
}

static bool show_time(void *progress)
{
    mt_progress_update(progress, 0, 0);
    return false;
}

/* How long it has taken is shown until the first line is written where both are seen: that of a table, when its last row is there. */
static mt_status write_timed(struct mt_out *out, struct mt_sql *sql, struct mt_sql_rows *rows, enum mt_format format, bool quiet,
                             struct mt_error *err)
{
    struct mt_progress progress;
    bool seen = mt_out_is_terminal(out), held = seen && format == MT_FORMAT_TABLE;
    struct mt_out *table = mt_out_open_memory();
    mt_out_shown_at(table, STDOUT_FILENO);
    mt_progress_begin(&progress, "reading", quiet || (seen && !held));
    mt_sql_set_question(sql, show_time, &progress);
    mt_status status = mt_answer_write(held ? table : out, rows, format, err);
    mt_sql_set_question(sql, NULL, NULL);
    mt_progress_end(&progress);
    size_t bytes;
    const char *text = mt_out_text(table, &bytes);
    mt_out_write(out, text, bytes);
    mt_out_discard(table);
    return status;
}

/* Everything to one output, or nothing. */
static mt_status answer(struct mt_sql *sql, const char *text, struct values *values, struct mt_error *err)
{
    struct mt_select *select = &values->select;
    struct mt_sql_rows *rows;
    struct mt_out *out;
    mt_status status = mt_sql_ask(sql, text, &rows, err);
    if (status != MT_OK) {
        return status;
    }
    enum mt_format format = format_of(select);
    status = mt_out_open(select->output, &out, err);
    if (status == MT_OK) {
        status = values->described ? mt_answer_write_tables(out, rows, err)
                                   : write_timed(out, sql, rows, format, select->quiet_progress, err);
        if (status == MT_OK) {
            status = mt_out_commit(out, err);
        } else {
            mt_out_discard(out);
        }
    }
    mt_sql_rows_free(rows);
    return status;
}

static void print_warnings(struct mt_strlist *warnings)
{
    for (size_t i = 0; i < warnings->count; i++) {
        mt_say("memtap: note: %s", warnings->items[i]);
    }
    mt_strlist_clear(warnings);
}

static void print_notes(const struct mt_recording *recording)
{
    struct mt_strlist warnings = { 0 };
    mt_report_warnings(&recording->set, NULL, NULL, &warnings);
    print_warnings(&warnings);
}

/* ---- the command line --------------------------------------------------------------------------------------------- */

static bool has_blanks(const char *text)
{
    return strpbrk(text, " \t\r\n") != NULL;
}

/* Not a word that names a process, or a file that is there. */
static bool is_query(const char *text)
{
    struct mt_endpoint where;
    struct mt_error ignored = { 0 };
    return has_blanks(text) ? access(text, F_OK) != 0 : mt_endpoint_parse(text, &where, &ignored) != MT_OK;
}

/* The last operand, unless it is a target; NULL: there is none. */
static const char *take_query(struct mt_operands *operands)
{
    const char *last = operands->count > 0 ? operands->items[operands->count - 1] : NULL;
    if (last == NULL || !is_query(last) || (operands->count == 1 && !has_blanks(last))) {
        return NULL;
    }
    operands->count--;
    return last;
}

/* All of standard input; malloc'ed. */
static char *read_query(void)
{
    struct mt_out *out = mt_out_open_memory();
    char bytes[4096];
    size_t count;
    while ((count = fread(bytes, 1, sizeof bytes, stdin)) > 0) {
        mt_out_write(out, bytes, count);
    }
    char *text = mt_strdup(mt_out_text(out, NULL));
    mt_out_discard(out);
    return text;
}

/* text NULL: a prompt. */
static int ask(const struct mt_command_doc *doc, const struct mt_traces *traces, const char *text, struct values *values)
{
    struct mt_error err = { 0 };
    struct mt_query_session session;
    int code = MT_EXIT_FAILED;
    mt_status status = mt_query_session_open(&session, traces, values->timeout_ns, &err);
    if (status == MT_OK && text == NULL) {
        code = mt_prompt_run(&session, mt_select_format(&values->select));
    } else if (status == MT_OK) {
        status = answer(session.sql, text, values, &err);
        code = exit_code(session.sql, status);
        mt_query_session_say(&session);
    }
    code = status == MT_OK ? code : mt_command_fail(doc, code, &err);
    if (code == MT_EXIT_OK && text != NULL && session.recording->set.count > 0) {
        print_notes(session.recording);
    }
    mt_query_session_close(&session);
    return code;
}

static int query_targets(const struct mt_operands *operands, const char *text, struct values *values)
{
    struct mt_error err = { 0 };
    struct mt_traces traces;
    mt_status status = mt_traces_of(operands, &traces, &err);
    int code = status == MT_OK ? ask(&query_doc, &traces, text, values) : mt_command_fail(&query_doc, mt_target_exit_code(status), &err);
    mt_traces_fini(&traces);
    return code;
}

/* A query that begins with a comment is no option: "-- text", or anything of several words that does not begin as --name=… does. A blank
 * in front of it says so, and moves no place in a message: there is none in a comment. */
static void guard_comments(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strncmp(argv[i], "--", 2) == 0 && strcspn(argv[i], " \t\r\n") < strcspn(argv[i], "=")) {
            argv[i] = mt_format(" %s", argv[i]); /* as long as the process */
        }
    }
}

static int query_main(int argc, char **argv)
{
    struct values values = { .select = MT_SELECT_DEFAULTS };
    struct mt_operands operands;
    struct mt_error err = { 0 };
    int code;
    guard_comments(argc, argv);
    if (!mt_command_options(&query_doc, argc, argv, &values, &operands, &code)) {
        return code;
    }
    const char *text = take_query(&operands);
    bool prompt = text == NULL && mt_terminal_is_here() && values.select.output == NULL;
    if (operands.count == 0 || (text == NULL && !prompt && isatty(STDIN_FILENO) == 1)) {
        (void)mt_error_set(&err, MT_E_INVAL, operands.count == 0 ? "which target? give a FILE (*.mtap), a PID, several of them, or a folder, then the query"
                                                                 : "which query? memtap query TARGET \"SELECT …\"; `memtap tables` lists the tables");
        return mt_command_fail(&query_doc, MT_EXIT_USAGE, &err);
    }
    char *read = text == NULL && !prompt ? read_query() : NULL;
    code = query_targets(&operands, text != NULL ? text : read, &values);
    free(read);
    return code;
}

static int tables_main(int argc, char **argv)
{
    static const char text[] = "SELECT table_schema, table_name, column_name, data_type, unit, description FROM information_schema.columns";
    struct values values = { .select = MT_SELECT_DEFAULTS };
    struct mt_traces none = { 0 };
    struct mt_operands operands;
    int code;
    if (!mt_command_options(&tables_doc, argc, argv, &values, &operands, &code)) {
        return code;
    }
    values.described = format_of(&values.select) == MT_FORMAT_TABLE;
    return ask(&tables_doc, &none, values.described ? MT_ANSWER_TABLES : text, &values);
}

const struct mt_command mt_command_query = { &query_doc, query_main };
const struct mt_command mt_command_tables = { &tables_doc, tables_main };
