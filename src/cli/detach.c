/* detach.c: `memtap detach`: ends what attach began. */
#include "cli/command.h"
#include "cli/join.h"
#include "cli/outcome.h"
#include "cli/target.h"
#include "export/report.h"
#include "util/say.h"

struct values {
    uint64_t max_stop_ns;
    uint64_t timeout_ns;
    bool quiet;
    int format;
};
#define FIELD(name) offsetof(struct values, name)

static const struct mt_option options[] = {
    { "max-stop", 0, MT_OPTION_DURATION, FIELD(max_stop_ns), NULL, NULL, 0, "T",
      "let a thread go that would be stopped for longer, and try again; default 20ms" },
    { "timeout", 0, MT_OPTION_DURATION, FIELD(timeout_ns), NULL, NULL, 0, "T", "of all tries together; default 5s" },
    { "quiet", 'q', MT_OPTION_FLAG, FIELD(quiet), NULL, NULL, 0, NULL, "only problems are reported" },
    MT_OUTCOME_OPTION(FIELD(format), MT_OUTCOME_ABOUT),
    { 0 },
};
static const struct mt_option *const tables[] = { options, NULL };

static const struct mt_command_doc doc = {
    .name = "detach",
    .summary = "end the recording that attach began",
    .synopsis = "memtap detach [OPTIONS] PID",
    .description = "Ends the recording that `memtap attach` began in process PID: the trace is complete, and the process calls its "
                   "allocator as it did before. The agent's library stays mapped and does nothing. A recording that was begun by "
                   "`memtap run` or by the program itself is left alone. Where nothing is recorded, nothing is done.\n"
                   "-f json is {pid, ended, trace, ended_early}: ended is false and trace null where nothing was recorded; ended_early says why "
                   "the recording had ended by itself before, else null.",
    .exit_codes = "0  ended, or nothing was recorded\n"
                  "1  what is recorded was not begun by attach\n"
                  "2  wrong usage\n"
                  "3  no such process, or it may not be joined; the message says what to do\n"
                  "4  no thread could be borrowed in time; the recording goes on",
    .examples = "memtap detach 1234",
    .tables = tables,
};

static int write_outcome(pid_t pid, const struct mt_injected *done)
{
    bool ended = done->code == MEMTAP_AGENT_OK;
    struct mt_outcome outcome;
    struct mt_error err = { 0 };
    if (mt_outcome_begin(&outcome, &err) != MT_OK) {
        return mt_command_fail(&doc, MT_EXIT_FAILED, &err);
    }
    mt_json_object(&outcome.json);
    mt_json_put_u64(&outcome.json, "pid", (uint64_t)pid);
    mt_json_put_bool(&outcome.json, "ended", ended);
    mt_json_put_text(&outcome.json, "trace", ended ? done->state.path : NULL);
    mt_json_put_text(&outcome.json, "ended_early", done->state.ended_early != 0 ? mt_report_end_reason(done->state.ended_early - 1) : NULL);
    mt_json_object_end(&outcome.json);
    return mt_outcome_end(&doc, &outcome);
}

static int report(const struct values *chosen, pid_t pid, const struct mt_injected *done)
{
    bool ended = done->code == MEMTAP_AGENT_OK;
    if (!ended && done->code != MEMTAP_AGENT_IDLE) {
        mt_say(done->code == MEMTAP_AGENT_FOREIGN ? "memtap detach: the recording of process %d, %s, was not begun by attach and goes on"
                                                  : "memtap detach: the recording of process %d, %s, could not be ended now; try again",
               (int)pid, done->state.path);
        return MT_EXIT_FAILED;
    }
    if (chosen->format == MT_OUTCOME_JSON) {
        return write_outcome(pid, done);
    }
    if (done->state.ended_early != 0) {
        mt_say("memtap: the recording of process %d, %s, had ended before because %s", (int)pid, done->state.path,
               mt_report_end_reason(done->state.ended_early - 1));
    } else if (!chosen->quiet) {
        mt_say(ended ? "memtap: process %d is not recorded any more; the trace is %s" : "memtap: nothing is recorded in process %d", (int)pid,
               done->state.path);
    }
    return MT_EXIT_OK;
}

static int detach_main(int argc, char **argv)
{
    struct values chosen = { .max_stop_ns = 20000000, .timeout_ns = 5000000000 };
    struct mt_operands operands;
    struct mt_injected done;
    struct mt_error err = { 0 };
    pid_t pid = 0;
    int code;
    if (!mt_command_options(&doc, argc, argv, &chosen, &operands, &code)) {
        return code;
    }
    if (mt_target_pid(&operands, &pid, &err) != MT_OK) {
        return mt_command_fail(&doc, MT_EXIT_USAGE, &err);
    }
    const struct mt_join how = { .max_stop_ns = chosen.max_stop_ns, .timeout_ns = chosen.timeout_ns };
    mt_status status = mt_join_end(&how, pid, &done, &code, &err);
    return status == MT_OK ? report(&chosen, pid, &done) : mt_command_fail(&doc, code, &err);
}

const struct mt_command mt_command_detach = { &doc, detach_main };
