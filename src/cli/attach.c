/* attach.c: `memtap attach`: options, and what is said. The work is done in join.c and attach/. */
#include "cli/command.h"
#include "cli/join.h"
#include "cli/outcome.h"
#include "cli/target.h"
#include "export/report.h"
#include "util/human.h"
#include "util/say.h"
#include "util/text.h"

struct values {
    const char *output;
    int mode;
    uint64_t rate_bytes;
    uint64_t max_file_bytes;
    uint64_t max_stop_ns;
    uint64_t timeout_ns;
    bool native;
    bool python_allocators;
    bool listen;
    bool quiet;
    int format;
};
#define FIELD(name) offsetof(struct values, name)

static const char *const modes[] = { "sample", "exact", "aggregate", NULL };
static const enum mt_engine_mode mode_numbers[] = { MT_MODE_SAMPLE, MT_MODE_EXACT, MT_MODE_AGGREGATE };

static const struct mt_option options[] = {
    { "output", 'o', MT_OPTION_TEXT, FIELD(output), NULL, NULL, 0, "FILE",
      "trace to write; default memtap-NAME.PID.mtap in the current folder" },
    { "mode", 0, MT_OPTION_CHOICE, FIELD(mode), modes, NULL, 0, "MODE",
      "sample: one allocation in about every RATE bytes; exact: every event; aggregate: totals a stack. Default sample" },
    { "rate", 0, MT_OPTION_SIZE, FIELD(rate_bytes), NULL, NULL, 0, "SIZE", "mean bytes between samples; default 512K" },
    { "native", 0, MT_OPTION_SWITCH, FIELD(native), NULL, NULL, 0, NULL, "record native stacks; default on" },
    { "python-allocators", 0, MT_OPTION_SWITCH, FIELD(python_allocators), NULL, NULL, 0, NULL,
      "record Python objects one by one (pymalloc) instead of the arenas they live in; default on" },
    { "max-file", 0, MT_OPTION_SIZE, FIELD(max_file_bytes), NULL, NULL, 0, "SIZE",
      "keep the trace below SIZE on the disk: in sample mode what was freed long ago is given up for it and the recording goes on, in "
      "others it ends there; default no limit" },
    { "listen", 0, MT_OPTION_SWITCH, FIELD(listen), NULL, NULL, 0, NULL,
      "leave a thread in it that waits at a socket, for eval, config and snapshot, until detach; default on" },
    { "max-stop", 0, MT_OPTION_DURATION, FIELD(max_stop_ns), NULL, NULL, 0, "T",
      "let a thread go that would be stopped for longer, and try again; default 20ms" },
    { "timeout", 0, MT_OPTION_DURATION, FIELD(timeout_ns), NULL, NULL, 0, "T", "of all tries together; default 5s" },
    { "quiet", 'q', MT_OPTION_FLAG, FIELD(quiet), NULL, NULL, 0, NULL, "only problems are reported" },
    MT_OUTCOME_OPTION(FIELD(format), MT_OUTCOME_ABOUT),
    { 0 },
};
static const struct mt_option *const tables[] = { options, NULL };

static const struct mt_command_doc doc = {
    .name = "attach",
    .summary = "record a process that runs already",
    .synopsis = "memtap attach [OPTIONS] PID\n"
                "memtap PID",
    .description =
        "Puts memtap's agent into process PID and begins to record it. Nothing has to be installed where PID runs, and it need not "
        "do anything: one thread, at a point where it holds no lock of the allocator or the loader, is stopped for a moment and sent "
        "to load the agent on a stack of its own. It comes back by itself; if memtap dies meanwhile, the process goes on as it was.\n"
        "\n"
        "From the moment attach returns every thread is recorded. Blocks that were allocated before are not known; when they are "
        "freed, nothing is counted. Children are not recorded. FILE can be read while it grows. `memtap detach PID` ends the "
        "recording. A process that is recorded already stays as it is: that is no failure, unless -o asks for one more "
        "recording, which is not possible at the same time.\n"
        "-f json is {pid, begun, trace} and, where begun is true, mode, rate_bytes, longest_stop_s and away_s.",
    .notes = "Needs the right to trace PID: its user with kernel.yama.ptrace_scope 0, or CAP_SYS_PTRACE (sudo; in a container "
             "--cap-add SYS_PTRACE). Cannot be joined, and is not touched: 32-bit, statically linked and musl programs, programs under "
             "sanitizers, with a shadow stack, or with seccomp filters of their own. `memtap doctor PID` says what it is.",
    .exit_codes = "0  recorded\n"
                  "1  the agent could not begin; the process goes on\n"
                  "2  wrong usage, or FILE cannot be written\n"
                  "3  no such process, or it may not or cannot be joined; the message says what to do\n"
                  "4  no thread could be borrowed in time; nothing has changed in the process",
    .examples = "memtap attach 1234\n"
                "memtap attach --mode exact -o /tmp/now.mtap 1234\n"
                "sudo memtap 1234",
    .tables = tables,
};

static const struct mt_command_doc inject_doc = {
    .name = "inject",
    .summary = "the same as attach",
    .synopsis = "memtap inject [OPTIONS] PID",
    .description = "The same as `memtap attach`, whose page says all of it.",
    .examples = "memtap inject 1234",
    .tables = tables,
};

static const char *mode_word(enum mt_engine_mode mode)
{
    size_t i = 0;
    while (i + 1 < MT_COUNTOF(mode_numbers) && mode_numbers[i] != mode) {
        i++;
    }
    return modes[i];
}

/* ---- what is said --------------------------------------------------------------------------------------------------- */

static void say_success(pid_t pid, const struct mt_config *config, const struct mt_injected *done)
{
    if (config->mode == MT_MODE_SAMPLE) {
        mt_say("memtap: recording process %d, a sample about every %s, into %s", (int)pid,
               mt_human_bytes((double)config->rate_bytes).text, config->output);
    } else {
        mt_say("memtap: recording every allocation of process %d into %s", (int)pid, config->output);
    }
    if (done->away_ns == 0) {
        mt_say("memtap: it was asked at its socket; no thread was stopped");
    } else {
        mt_say("memtap: no thread was stopped for longer than %s; one was away for %s to load the agent",
               mt_human_duration(done->longest_stop_ns).text, mt_human_duration(done->away_ns).text);
    }
    if (mt_join_leaves_journal(config, done)) {
        mt_say("memtap: user %ld may not remove the hidden journal beside the trace: `memtap detach %d` does, or `memtap pack` when the "
               "process has ended",
               done->user, (int)pid);
    }
    mt_say("memtap: `memtap leaks %s` reads it at any time, `memtap detach %d` ends it", mt_text_base_name(config->output), (int)pid);
}

/* Of one that was recorded before, how is not known. */
static int write_outcome(pid_t pid, const struct mt_config *config, const struct mt_injected *done)
{
    struct mt_outcome outcome;
    struct mt_error err = { 0 };
    bool begun = done->code == MEMTAP_AGENT_OK;
    if (mt_outcome_begin(&outcome, &err) != MT_OK) {
        return mt_command_fail(&doc, MT_EXIT_FAILED, &err);
    }
    struct mt_json *json = &outcome.json;
    mt_json_object(json);
    mt_json_put_u64(json, "pid", (uint64_t)pid);
    mt_json_put_bool(json, "begun", begun);
    mt_json_put_text(json, "trace", begun ? config->output : done->state.path);
    if (begun) {
        mt_json_put_text(json, "mode", mode_word(config->mode));
        mt_json_put_u64(json, "rate_bytes", config->mode == MT_MODE_SAMPLE ? config->rate_bytes : 0);
        mt_json_put_double(json, "longest_stop_s", (double)done->longest_stop_ns / 1e9);
        mt_json_put_double(json, "away_s", (double)done->away_ns / 1e9);
    }
    mt_json_object_end(json);
    return mt_outcome_end(&doc, &outcome);
}

static int report(const struct values *chosen, pid_t pid, const struct mt_config *config, const struct mt_injected *done)
{
    if (done->code == MEMTAP_AGENT_OK && done->state.ended_early != 0) {
        mt_say("memtap: the recording before had ended because %s; a new one begins", mt_report_end_reason(done->state.ended_early - 1));
    }
    bool recorded = done->code == MEMTAP_AGENT_OK || (done->code == MEMTAP_AGENT_RECORDING && chosen->output == NULL);
    if (recorded && chosen->format == MT_OUTCOME_JSON) {
        return write_outcome(pid, config, done);
    }
    if (done->code == MEMTAP_AGENT_OK) {
        if (!chosen->quiet) {
            say_success(pid, config, done);
        }
        return MT_EXIT_OK;
    }
    if (done->code != MEMTAP_AGENT_RECORDING) {
        mt_say("memtap attach: process %d is not recorded: %s", (int)pid, mt_join_failure(done->code));
        return MT_EXIT_FAILED;
    }
    if (chosen->output != NULL) {
        mt_say("memtap attach: process %d is recorded already, into %s, and can be recorded once at a time: `memtap detach %d` ends what "
               "attach began",
               (int)pid, done->state.path, (int)pid);
        return MT_EXIT_FAILED;
    }
    if (!chosen->quiet) {
        mt_say("memtap: process %d is recorded already, into %s", (int)pid, done->state.path);
    }
    return MT_EXIT_OK;
}

static int record_process(const struct mt_command_doc *asked, int argc, char **argv)
{
    struct values chosen = { .rate_bytes = MT_RATE_DEFAULT, .native = true, .python_allocators = true, .max_stop_ns = 20000000, .timeout_ns = 5000000000, .listen = true };
    static struct mt_config config;
    struct mt_injected done;
    struct mt_operands operands;
    struct mt_error err = { 0 };
    pid_t pid = 0;
    int code;
    if (!mt_command_options(asked, argc, argv, &chosen, &operands, &code)) {
        return code;
    }
    const struct mt_join how = {
        .output = chosen.output,
        .mode = mode_numbers[chosen.mode],
        .rate_bytes = chosen.rate_bytes,
        .max_file_bytes = chosen.max_file_bytes,
        .max_stop_ns = chosen.max_stop_ns,
        .timeout_ns = chosen.timeout_ns,
        .native = chosen.native,
        .python_allocators = chosen.python_allocators,
        .listen = chosen.listen,
    };
    if (mt_target_pid(&operands, &pid, &err) != MT_OK) {
        return mt_command_fail(&doc, MT_EXIT_USAGE, &err);
    }
    mt_status status = mt_join_begin(&how, pid, &config, &done, &code, &err);
    return status == MT_OK ? report(&chosen, pid, &config, &done) : mt_command_fail(&doc, code, &err);
}

static int attach_main(int argc, char **argv)
{
    return record_process(&doc, argc, argv);
}

static int inject_main(int argc, char **argv)
{
    return record_process(&inject_doc, argc, argv);
}

const struct mt_command mt_command_attach = { &doc, attach_main };
const struct mt_command mt_command_inject = { &inject_doc, inject_main };
