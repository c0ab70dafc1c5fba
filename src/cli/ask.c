/* ask.c: `memtap ask leak|rss|peak TARGET`: a question, answered in sentences. */
#include "cli/ask_chain.h"
#include "cli/command.h"
#include "cli/target.h"
#include "util/json.h"
#include "util/memory.h"
#include "util/out.h"
#include "util/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct values {
    uint64_t timeout_ns;
    int format;
};
#define FIELD(name) offsetof(struct values, name)

static const char *const formats[] = { "text", "json", NULL };
static const struct mt_option options[] = {
    { "format", 'f', MT_OPTION_CHOICE, FIELD(format), formats, NULL, 0, "FORMAT", "text (default), or json: with each query that was asked and its answer" },
    { "timeout", 0, MT_OPTION_DURATION, FIELD(timeout_ns), NULL, NULL, 0, "T", "of each query (exit code 4); default: none" },
    { 0 },
};
static const struct mt_option *const tables[] = { options, NULL };

static const struct mt_command_doc doc = {
    .name = "ask",
    .summary = "what leaks, what the RSS is, what the peak was: in sentences",
    .synopsis = "memtap ask [OPTIONS] leak TARGET\n"
                "memtap ask [OPTIONS] rss TARGET\n"
                "memtap ask [OPTIONS] peak TARGET",
    .description =
        "Puts a chain of queries to a TARGET, a recording or a process that runs (as in `memtap query`), and says in a few sentences what they found. The "
        "first sentence names the cause and the line of the program.\n"
        "\n"
        "leak: what grows. A line whose memory is hardly ever freed, a cache that has filled and stays, or, in a live Python process that is armed, a garbage "
        "collector that is off.\n"
        "rss: what the resident set is. Blocks in use, mappings of the program's own, tensors of torch, memory that was freed and that the allocator keeps "
        "between blocks in use, stacks of threads, files; or little, beside address space that is only reserved. Of a process that runs its allocator's "
        "structures are read, as `memtap memory PID` does; of a recording the moment counts at which its RSS was measured last.\n"
        "peak: who held the heap when it was largest, and whether that is still there.",
    .notes = "-f json has question, cause (leak, cache, gc_off, held; heap, mmap, tensor, fragmentation, stacks, reservation, files, shared, static, unexplained; "
             "peak; none), function, file, line, bytes, sentences[], steps[] with sql and row.",
    .exit_codes = "0 done, 1 the target cannot be read, 2 wrong usage, 3 no such process, or it may not be looked at, 4 --timeout was reached",
    .examples = "memtap ask leak app.mtap\n"
                "memtap ask rss 1234\n"
                "memtap ask -f json peak app.mtap | jq -r '.file + \":\" + (.line | tostring)'",
    .tables = tables,
};

static const struct question {
    const char *name;
    void (*ask)(struct mt_ask *ask);
    bool needs_trace;
} questions[] = { { "leak", mt_ask_leak, true }, { "rss", mt_ask_rss, false }, { "peak", mt_ask_peak, true } };

/* ---- output ------------------------------------------------------------------------------------------------------- */

static size_t columns_of_output(void)
{
    struct winsize size;
    return isatty(STDOUT_FILENO) == 1 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20 ? size.ws_col : SIZE_MAX;
}

static void write_text(struct mt_out *out, const struct mt_ask *ask)
{
    size_t columns = columns_of_output();
    for (size_t i = 0; i < ask->sentences.count; i++) {
        for (const char *at = ask->sentences.items[i]; *at != '\0';) {
            size_t bytes = mt_text_line(at, columns);
            mt_out_write(out, at, bytes);
            mt_out_byte(out, '\n');
            at += bytes;
            at += strspn(at, " ");
        }
    }
}

static void write_json(struct mt_out *out, const struct mt_ask *ask, const struct question *question)
{
    struct mt_json json;
    mt_json_init(&json, out, 2);
    mt_json_object(&json);
    mt_json_put_text(&json, "question", question->name);
    mt_json_put_text(&json, "cause", ask->cause);
    mt_json_put_text(&json, "function", ask->function);
    mt_json_put_text(&json, "file", ask->file);
    mt_json_key(&json, "line");
    if (ask->line > 0) {
        mt_json_u64(&json, ask->line);
    } else {
        mt_json_null(&json);
    }
    mt_json_put_double(&json, "bytes", ask->bytes);
    mt_json_key(&json, "sentences");
    mt_json_array(&json);
    for (size_t i = 0; i < ask->sentences.count; i++) {
        mt_json_text(&json, ask->sentences.items[i]);
    }
    mt_json_array_end(&json);
    mt_json_key(&json, "steps");
    mt_json_array(&json);
    for (size_t i = 0; i < ask->step_count; i++) {
        mt_json_object(&json);
        mt_json_put_text(&json, "sql", ask->steps[i].sql);
        mt_json_key(&json, "row");
        mt_json_raw(&json, ask->steps[i].row_json != NULL ? ask->steps[i].row_json : "null");
        mt_json_object_end(&json);
    }
    mt_json_array_end(&json);
    mt_json_object_end(&json);
    mt_out_byte(out, '\n');
}

static mt_status write_answer(const struct values *values, const struct mt_ask *ask, const struct question *question, struct mt_error *err)
{
    struct mt_out *out;
    mt_status status = mt_out_open(NULL, &out, err);
    if (status != MT_OK) {
        return status;
    }
    if (values->format == 1) {
        write_json(out, ask, question);
    } else {
        write_text(out, ask);
    }
    return mt_out_commit(out, err);
}

/* ---- the command line --------------------------------------------------------------------------------------------- */

static int ask_traces(const struct values *values, const struct question *question, const struct mt_traces *traces)
{
    struct mt_error err = { 0 };
    struct mt_query_session session;
    struct mt_ask ask = { .session = &session };
    int code = MT_EXIT_OK;
    mt_status status = mt_query_session_open(&session, traces, values->timeout_ns, &err);
    if (status == MT_OK) {
        question->ask(&ask);
        status = ask.err.status;
        err = ask.err;
        mt_query_session_say(&session);
    }
    if (status == MT_OK) {
        status = write_answer(values, &ask, question, &err);
    }
    if (status != MT_OK) {
        bool opened = session.sql != NULL;
        code = opened && mt_sql_timed_out(session.sql)                     ? MT_EXIT_TIMEOUT
               : opened && (status == MT_E_PERM || status == MT_E_NOENT) ? MT_EXIT_UNREACHABLE
                                                                           : MT_EXIT_FAILED;
        code = mt_command_fail(&doc, code, &err);
    }
    mt_ask_fini(&ask);
    mt_query_session_close(&session);
    return code;
}

static int ask_targets(const struct values *values, const struct question *question, const struct mt_operands *operands)
{
    struct mt_error err = { 0 };
    struct mt_traces traces;
    mt_status status = mt_traces_of(operands, &traces, &err);
    if (status == MT_OK && question->needs_trace) {
        status = mt_traces_check_recorded(&traces, &err);
    }
    int code = status == MT_OK ? ask_traces(values, question, &traces) : mt_command_fail(&doc, mt_target_exit_code(status), &err);
    mt_traces_fini(&traces);
    return code;
}

static int ask_main(int argc, char **argv)
{
    struct values values = { 0 };
    struct mt_operands operands;
    struct mt_error err = { 0 };
    int code;
    if (!mt_command_options(&doc, argc, argv, &values, &operands, &code)) {
        return code;
    }
    for (int word = 0; operands.count >= 2 && word < operands.count; word += operands.count - 1) { /* first or, `memtap TARGET ask leak`, last */
        for (size_t i = 0; i < MT_COUNTOF(questions); i++) {
            if (strcmp(operands.items[word], questions[i].name) == 0) {
                struct mt_operands targets = operands;
                targets.items += word == 0;
                targets.count--;
                return ask_targets(&values, &questions[i], &targets);
            }
        }
    }
    (void)mt_error_set(&err, MT_E_INVAL, "which question? memtap ask leak TARGET, memtap ask rss TARGET or memtap ask peak TARGET");
    return mt_command_fail(&doc, MT_EXIT_USAGE, &err);
}

const struct mt_command mt_command_ask = { &doc, ask_main };
