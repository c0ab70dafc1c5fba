/* run.c: `memtap run`: options and order of events. The work is done in launch/. */
#include "base/os_socket.h"
#include "cli/command.h"
#include "launch/launch.h"
#include "launch/signal_name.h"
#include "util/human.h"
#include "util/interrupt.h"
#include "util/memory.h"
#include "util/program.h"
#include "util/say.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define FIELD(name) offsetof(struct mt_run_options, name)

static const char *const modes[] = { "exact", "sample", "aggregate", "off", NULL };
static const enum mt_engine_mode mode_numbers[] = { MT_MODE_EXACT, MT_MODE_SAMPLE, MT_MODE_AGGREGATE, MT_MODE_OFF };

static mt_status set_rate(void *values, const char *argument, struct mt_error *err)
{
    struct mt_run_options *chosen = values;
    if (!mt_parse_size(argument, &chosen->rate_bytes) || chosen->rate_bytes == 0) {
        return mt_error_set(err, MT_E_INVAL,
                            "--rate: \"%s\" is not a mean number of bytes between samples; give 1 or more, such as 512K, or "
                            "--mode exact for every allocation",
                            argument);
    }
    return MT_OK;
}

/* Millionths of "1%", "0.5 %" or "1"; 0: it is none. */
static uint64_t parts_of(const char *text)
{
    enum { PARTS_A_PERCENT = 10000, DIGITS_MAX = 4 };
    uint64_t parts = 0, unit = PARTS_A_PERCENT;
    size_t whole = strspn(text, "0123456789");
    if (whole == 0 || whole > DIGITS_MAX) {
        return 0;
    }
    parts = strtoull(text, NULL, 10) * unit;
    text += whole;
    if (*text == '.') {
        for (text++; *text >= '0' && *text <= '9'; text++) {
            unit /= 10;
            parts += (uint64_t)(*text - '0') * unit;
        }
    }
    text += strspn(text, " ");
    text += *text == '%';
    return *text == '\0' && parts <= 100 * PARTS_A_PERCENT ? parts : 0;
}

static mt_status set_budget(void *values, const char *argument, struct mt_error *err)
{
    struct mt_run_options *chosen = values;
    chosen->budget_parts = parts_of(argument);
    if (chosen->budget_parts == 0) {
        return mt_error_set(err, MT_E_INVAL,
                            "--budget: \"%s\" is not a share of the processor time; give more than 0 and at most 100, such as 1%% "
                            "or 0.5%%",
                            argument);
    }
    return MT_OK;
}

static mt_status set_duration(void *values, const char *argument, struct mt_error *err)
{
    struct mt_run_options *chosen = values;
    if (!mt_parse_duration(argument, &chosen->duration_ns) || chosen->duration_ns == 0) {
        return mt_error_set(err, MT_E_INVAL,
                            "--duration: \"%s\" is not a time to record; give more than 0, such as 10s or 250ms, or leave it "
                            "out to record to the end",
                            argument);
    }
    return MT_OK;
}

static mt_status set_snapshot_signal(void *values, const char *argument, struct mt_error *err)
{
    struct mt_run_options *chosen = values;
    if (!mt_signal_parse(argument, &chosen->snapshot_signal)) {
        return mt_error_set(err, MT_E_INVAL, "--snapshot-signal: \"%s\" is no signal that can ask for it; give USR1, USR2 or RTMIN+N",
                            argument);
    }
    return MT_OK;
}

static mt_status set_snapshot_at(void *values, const char *argument, struct mt_error *err)
{
    struct mt_run_options *chosen = values;
    size_t bytes = strlen(argument);
    bool percent = bytes > 0 && argument[bytes - 1] == '%';
    uint64_t parts = percent ? parts_of(argument) : 0;
    chosen->snapshot_at = (struct mt_snapshot_at){ .share = (double)parts / 1e6 };
    if (percent ? parts == 0 : !mt_parse_size(argument, &chosen->snapshot_at.bytes) || chosen->snapshot_at.bytes == 0) {
        return mt_error_set(err, MT_E_INVAL,
                            "--snapshot-at: \"%s\" is neither a size such as 500M nor a share of the memory limit such as 80%%", argument);
    }
    return MT_OK;
}

static const struct mt_option options[] = {
    { "output", 'o', MT_OPTION_TEXT, FIELD(output), NULL, NULL, 0, "FILE",
      "trace to write; default memtap-NAME.PID.mtap in the current folder" },
    { "force", 'f', MT_OPTION_FLAG, FIELD(force), NULL, NULL, 0, NULL,
      "replace FILE, and what an earlier run left in FILE.d; refused while it is being recorded" },
    { "mode", 0, MT_OPTION_CHOICE, FIELD(mode), modes, NULL, 0, "MODE",
      "exact: every event; sample: one allocation in about every RATE bytes, for long runs; aggregate: as --aggregate; off: "
      "nothing until somebody asks for it (attach, eval, config), at a socket (see --listen). Default exact" },
    { "listen", 0, MT_OPTION_TEXT, FIELD(listen), NULL, NULL, 0, "ADDRESS",
      "have a thread of memtap's in the program wait at a socket of its user's for list, eval, config and snapshot; 1: there alone; HOST:PORT: "
      "there too, which needs MEMTAP_TOKEN unless it is a loopback address. Default: none, with --mode off 1" },
    { "rate", 0, MT_OPTION_CALL, 0, NULL, set_rate, MT_ARGUMENT_REQUIRED, "SIZE",
      "mean bytes between samples in sample mode; default 512K" },
    { "budget", 0, MT_OPTION_CALL, 0, NULL, set_budget, MT_ARGUMENT_REQUIRED, "PERCENT",
      "of the processor time: in sample mode the rate changes so that recording takes no more (1%, 0.5%); stats -f json says which "
      "rates were in force when" },
    { "native", 0, MT_OPTION_SWITCH, FIELD(native), NULL, NULL, 0, NULL, "record native stacks; default on" },
    { "python-allocators", 0, MT_OPTION_SWITCH, FIELD(python_allocators), NULL, NULL, 0, NULL,
      "record Python objects one by one (pymalloc) instead of the arenas they live in; default on" },
    { "follow", 0, MT_OPTION_SWITCH, FIELD(follow), NULL, NULL, 0, NULL,
      "record children through fork and exec too; default on" },
    { "aggregate", 0, MT_OPTION_FLAG, FIELD(aggregate), NULL, NULL, 0, NULL,
      "totals a stack, peak and leaks only: the trace stays small however long the program runs" },
    { "duration", 0, MT_OPTION_CALL, 0, NULL, set_duration, MT_ARGUMENT_REQUIRED, "T",
      "stop recording after T (10s, 250ms, 2m; no unit: seconds); the program goes on" },
    { "max-file", 0, MT_OPTION_SIZE, FIELD(max_file_bytes), NULL, NULL, 0, "SIZE",
      "keep the trace of a process below SIZE on the disk: in sample mode what was freed long ago is given up for it and the recording "
      "goes on, in others it ends there; default no limit" },
    { "snapshot-signal", 0, MT_OPTION_CALL, 0, NULL, set_snapshot_signal, MT_ARGUMENT_REQUIRED, "SIGNAL",
      "mark what is alive when SIGNAL (USR2, RTMIN+1) is sent to memtap, of all processes of the run, or to one of them, of that "
      "one; FILE@mark is the last mark, also while the program goes on" },
    { "snapshot-at", 0, MT_OPTION_CALL, 0, NULL, set_snapshot_at, MT_ARGUMENT_REQUIRED, "SIZE|PERCENT",
      "mark what is alive each time the resident memory of a process of the run rises to SIZE, or to PERCENT of the limit of its control group "
      "(else of the machine's memory); FILE@mark:1 is the first. Near the limit memtap leaves such a mark anyway" },
    { "pack", 0, MT_OPTION_SWITCH, FIELD(pack), NULL, NULL, 0, NULL, "compress the traces at the end; default on" },
    { "quiet", 'q', MT_OPTION_FLAG, FIELD(quiet), NULL, NULL, 0, NULL, "no summary; problems are still reported" },
    { "module", 'm', MT_OPTION_TEXT_LAST, FIELD(module), NULL, NULL, 0, "MODULE",
      "run python3 -m MODULE; the rest is its" },
    { "code", 'c', MT_OPTION_TEXT_LAST, FIELD(code), NULL, NULL, 0, "CODE", "run python3 -c CODE; the rest is its" },
    { 0 },
};
static const struct mt_option *const tables[] = { options, NULL };

static const struct mt_command_doc doc = {
    .name = "run",
    .summary = "start a program and record its memory",
    .synopsis = "memtap run [OPTIONS] [--] PROGRAM [ARGS…]\n"
                "memtap run [OPTIONS] -m MODULE [ARGS…]\n"
                "memtap run [OPTIONS] -c CODE [ARGS…]",
    .description =
        "Starts PROGRAM with memtap's agent preloaded and records every allocation it makes, with the stack that made "
        "it. "
        "A PROGRAM ending in .py is given to the python3 that is first on PATH (MEMTAP_PYTHON names another; a "
        "launcher "
        "script such as pyenv's is asked for the interpreter it stands for); anything else is an executable looked up "
        "on "
        "PATH. What follows PROGRAM belongs to it.\n"
        "\n"
        "The program's input, output, signals, limits, folder and exit code are its own. Every signal that a process sends "
        "to memtap is passed on; Ctrl-C goes to the program from the terminal and memtap waits for it. "
        "The trace is complete up to the moment of death also when the program is killed.\n"
        "\n"
        "FILE is one file for all processes of the run. Until the run ends the others lie in the folder FILE.d, which "
        "every command takes along when it is given FILE.",
    .notes =
        "Cannot be recorded: statically linked, set-user-ID, 32-bit and musl programs; they run as they are and memtap says so. "
        "A full disk stops the recording, never the program.\n"
        "MEMTAP_AGENT names another agent library, MEMTAP_CGROUP_ROOT where control groups are mounted (/sys/fs/cgroup).",
    .exit_codes = "the program's own\n"
                  "128+N  the program died of signal N\n"
                  "127    PROGRAM was not found\n"
                  "126    PROGRAM is not executable\n"
                  "2      wrong usage, or the trace cannot be written there; nothing was started",
    .examples = "memtap run app.py --port 8000\n"
                "memtap run -o web.mtap -- gunicorn app:main\n"
                "memtap run --mode sample --rate 1M -m pytest -x\n"
                "memtap run --aggregate --no-native ./server\n"
                "memtap run --mode off ./server &        then: memtap attach PID, memtap eval PID …",
    .tables = tables,
    .stop_at_operand = true,
};

static int exit_code_of(int wait_status)
{
    return WIFSIGNALED(wait_status) ? MT_EXIT_SIGNAL_BASE + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

/* From here on the exit code is the program's. */
static int record(struct mt_run *run, int code)
{
    struct mt_error err = { 0 };
    if (mt_run_start(run, &code, &err) != MT_OK) {
        return mt_command_fail(&doc, code, &err);
    }
    if (mt_run_wait(run, &err) != MT_OK) {
        return mt_command_fail(&doc, MT_EXIT_FAILED, &err);
    }
    mt_interrupt_install();
    mt_run_finish(run);
    return exit_code_of(run->wait_status);
}

static mt_status settle_listen(struct mt_run_options *chosen, struct mt_error *err)
{
    struct mt_os_address address;
    const char *token = getenv("MEMTAP_TOKEN");
    if (chosen->listen == NULL) {
        chosen->listen = chosen->mode == MT_MODE_OFF ? "1" : "";
    }
    if (chosen->listen[0] == '\0' || strcmp(chosen->listen, "1") == 0 || strcmp(chosen->listen, "0") == 0) {
        return MT_OK;
    }
    if (!mt_os_address_host(chosen->listen, &address)) {
        return mt_error_set(err, MT_E_INVAL, "--listen: \"%s\" is no address; give 1, or such as 127.0.0.1:8000, [::1]:8000, 0.0.0.0:8000",
                            chosen->listen);
    }
    if (!mt_os_address_is_loopback(&address) && (token == NULL || token[0] == '\0')) {
        return mt_error_set(err, MT_E_INVAL, "--listen: whoever reaches %s could ask; set MEMTAP_TOKEN to a secret, or give a loopback address",
                            chosen->listen);
    }
    return MT_OK;
}

static mt_status settle_mode(struct mt_run_options *chosen, struct mt_error *err)
{
    if (mode_numbers[chosen->mode] == MT_MODE_OFF && (chosen->aggregate || chosen->output != NULL || chosen->duration_ns != 0)) {
        return mt_error_set(err, MT_E_INVAL, "--mode off records nothing: it goes with no other mode, no --output and no --duration");
    }
    if (chosen->aggregate && mode_numbers[chosen->mode] == MT_MODE_SAMPLE) {
        return mt_error_set(err, MT_E_INVAL, "--aggregate sums up every event and --mode sample takes some; give one of them");
    }
    chosen->mode = (int)(chosen->aggregate ? MT_MODE_AGGREGATE : mode_numbers[chosen->mode]);
    if (chosen->rate_bytes != 0 && chosen->mode != MT_MODE_SAMPLE && !chosen->quiet) {
        mt_say("memtap run: --rate has no effect without --mode sample");
    }
    if (chosen->budget_parts != 0 && chosen->mode != MT_MODE_SAMPLE) {
        return mt_error_set(err, MT_E_INVAL,
                            "--budget is kept by taking fewer samples, and only --mode sample takes some; give both or none");
    }
    chosen->rate_bytes = chosen->rate_bytes != 0 ? chosen->rate_bytes : MT_RATE_DEFAULT;
    return MT_OK;
}

/* The notes, with the Python that would be used. */
static char *notes_here(void)
{
    struct mt_error err = { 0 };
    char *python = NULL;
    bool found = mt_program_python(&python, NULL, &err) == MT_OK;
    char *notes = mt_format("Python here: %s\n%s", found ? python : mt_error_text(&err), doc.notes);
    free(python);
    return notes;
}

static int run_main(int argc, char **argv)
{
    struct mt_run run = { .others_fd = -1, .trace_fd = -1, .journal_fd = -1, .watch = MT_WATCH_CLOSED, .options = { .native = true, .python_allocators = true, .follow = true, .pack = true } };
    struct mt_operands operands;
    struct mt_error err = { 0 };
    int code;
    bool shown = argc > 1 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0);
    char *notes = shown ? notes_here() : NULL;
    struct mt_command_doc here = doc;
    here.notes = shown ? notes : doc.notes;
    if (!mt_command_options(&here, argc, argv, &run.options, &operands, &code)) {
        free(notes);
        return code;
    }
    if (settle_mode(&run.options, &err) != MT_OK || settle_listen(&run.options, &err) != MT_OK) {
        return mt_command_fail(&doc, MT_EXIT_USAGE, &err);
    }
    if (mt_run_prepare(&run, operands.items, operands.count, &code, &err) != MT_OK) {
        code = mt_command_fail(&doc, code, &err);
    } else if (run.options.mode == MT_MODE_OFF) {
        mt_run_become(&run, &code, &err);
        code = mt_command_fail(&doc, code, &err);
    } else {
        code = record(&run, code);
    }
    mt_run_release(&run);
    return code;
}

const struct mt_command mt_command_run = { &doc, run_main };
