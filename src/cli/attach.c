/* attach.c: `memtap attach`: options, the trace's name, and what is said. The work is done in attach/. */
#include "attach/inject.h"
#include "cli/command.h"
#include "cli/target.h"
#include "launch/environment.h"
#include "launch/helper.h"
#include "util/agentfile.h"
#include "util/human.h"
#include "util/memory.h"
#include "util/say.h"
#include "util/text.h"
#include "util/tracepath.h"
#include "wire/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct values {
    const char *output;
    int mode;
    uint64_t rate_bytes;
    uint64_t max_file_bytes;
    uint64_t max_stop_ns;
    uint64_t timeout_ns;
    bool native;
    bool python_allocators;
    bool quiet;
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
    { "max-stop", 0, MT_OPTION_DURATION, FIELD(max_stop_ns), NULL, NULL, 0, "T",
      "let a thread go that would be stopped for longer, and try again; default 20ms" },
    { "timeout", 0, MT_OPTION_DURATION, FIELD(timeout_ns), NULL, NULL, 0, "T", "of all tries together; default 5s" },
    { "quiet", 'q', MT_OPTION_FLAG, FIELD(quiet), NULL, NULL, 0, NULL, "only problems are reported" },
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
        "recording, which is not possible at the same time.",
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

/* ---- the trace ------------------------------------------------------------------------------------------------------ */

/* The script of a Python, else the program. malloc'ed. */
static char *name_of(pid_t pid)
{
    char words[4096] = "";
    char *path = mt_format("/proc/%d/cmdline", (int)pid);
    FILE *file = fopen(path, "re");
    size_t bytes = file != NULL ? fread(words, 1, sizeof words - 1, file) : 0;
    const char *name = words[0] != '\0' ? words : "process";
    for (const char *word = words; word < words + bytes; word += strlen(word) + 1) {
        size_t length = strlen(word);
        if (length > 3 && strcmp(word + length - 3, ".py") == 0) {
            name = word;
            break;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    free(path);
    return mt_strdup(mt_text_base_name(name));
}

static mt_status choose_output(const struct values *chosen, pid_t pid, struct mt_config *config, struct mt_error *err)
{
    char *name = name_of(pid), *absolute = NULL;
    char *file = chosen->output != NULL ? mt_strdup(chosen->output) : mt_tracepath_default(name, pid);
    mt_status status = mt_tracepath_absolute(file, &absolute, err);
    free(name);
    free(file);
    if (status != MT_OK) {
        return status;
    }
    if (strlen(absolute) + 64 > sizeof config->output) {
        status = mt_error_set(err, MT_E_INVAL, "the path %s is too long", absolute);
    } else if (chosen->output != NULL && access(absolute, F_OK) == 0) {
        status = mt_error_set(err, MT_E_EXIST, "%s exists; choose another name with -o", absolute);
    }
    (void)snprintf(config->output, sizeof config->output, "%s", absolute);
    free(absolute);
    return status;
}

/* A default name that is taken gets a number. */
static void avoid_taken_name(const struct values *chosen, struct mt_config *config)
{
    size_t stem = strlen(config->output) - strlen(".mtap");
    for (int n = 2; chosen->output == NULL && access(config->output, F_OK) == 0; n++) {
        (void)snprintf(config->output + stem, sizeof config->output - stem, ".%d.mtap", n);
    }
}

/* By its inode: the path may lead elsewhere in the process's root. */
static mt_status name_folder(struct mt_config *config, struct mt_error *err)
{
    struct stat info;
    char *folder = mt_strdup(config->output);
    *strrchr(folder, '/') = '\0';
    const char *path = folder[0] != '\0' ? folder : "/";
    mt_status status = MT_OK;
    if (stat(path, &info) != 0 || access(path, W_OK) != 0) {
        status = mt_error_set(err, MT_E_PERM, "cannot write a trace in %s (choose another place with -o)", path);
    } else {
        config->folder_device = info.st_dev;
        config->folder_inode = info.st_ino;
    }
    free(folder);
    return status;
}

static void free_settings(char **settings)
{
    for (size_t i = 0; i < MT_CONFIG__COUNT; i++) {
        free(settings[i]);
    }
}

/* ---- what is said --------------------------------------------------------------------------------------------------- */

static const char *failure_text(enum memtap_agent_code code)
{
    switch (code) {
    case MEMTAP_AGENT_NO_MEMORY:
        return "it has no memory left for the agent's tables";
    case MEMTAP_AGENT_NO_SPACE:
        return "there is no space left for the trace";
    case MEMTAP_AGENT_PERMISSION:
    case MEMTAP_AGENT_NO_FOLDER:
    case MEMTAP_AGENT_IO:
    case MEMTAP_AGENT_FILE_EXISTS:
        return "the trace cannot be written from there; choose another place with -o";
    case MEMTAP_AGENT_NO_HOOKS:
        return "it has no malloc that could be intercepted";
    case MEMTAP_AGENT_BUSY:
        return "another thread of it is starting or stopping a recording; try again";
    case MEMTAP_AGENT_OK:
    case MEMTAP_AGENT_ARGUMENT:
    case MEMTAP_AGENT_RECORDING:
    case MEMTAP_AGENT_IDLE:
    case MEMTAP_AGENT_FOREIGN:
    default:
        return "its agent does not understand this memtap";
    }
}

static void say_success(const struct values *chosen, pid_t pid, const struct mt_config *config, const struct mt_injected *done)
{
    if (chosen->quiet) {
        return;
    }
    if (config->mode == MT_MODE_SAMPLE) {
        mt_say("memtap: recording process %d, a sample about every %s, into %s", (int)pid,
               mt_human_bytes((double)config->rate_bytes).text, config->output);
    } else {
        mt_say("memtap: recording every allocation of process %d into %s", (int)pid, config->output);
    }
    mt_say("memtap: no thread was stopped for longer than %s; one was away for %s to load the agent",
           mt_human_duration(done->longest_stop_ns).text, mt_human_duration(done->away_ns).text);
    mt_say("memtap: `memtap leaks %s` reads it at any time, `memtap detach %d` ends it", mt_text_base_name(config->output), (int)pid);
}

static int report(const struct values *chosen, pid_t pid, const struct mt_config *config, const struct mt_injected *done)
{
    if (done->code == MEMTAP_AGENT_OK) {
        say_success(chosen, pid, config, done);
        return MT_EXIT_OK;
    }
    if (done->code != MEMTAP_AGENT_RECORDING) {
        mt_say("memtap attach: process %d is not recorded: %s", (int)pid, failure_text(done->code));
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

/* ---- doing it ------------------------------------------------------------------------------------------------------- */

struct company {
    struct mt_helper helper;
    struct mt_helper_place place;
};

static void serve(void *context)
{
    struct company *company = context;
    mt_helper_serve(&company->helper, &company->place);
}

static int inject(const struct values *chosen, struct mt_subject *subject, struct mt_config *config, const char *agent)
{
    char *settings[MT_CONFIG__COUNT + 1] = { NULL };
    struct company company = { .place = { .output = config->output, .root_pid = (uint64_t)subject->facts.pid } };
    struct mt_injected done;
    struct mt_error err = { 0 };
    mt_helper_open(&company.helper);
    mt_helper_text(&company.helper, config->helper, sizeof config->helper);
    for (size_t i = 0; i < MT_CONFIG__COUNT; i++) {
        settings[i] = mt_environment_setting(config, &mt_config_fields[i]);
    }
    const struct mt_injection how = {
        .task = MT_LANDING_ATTACH,
        .agent = agent,
        .settings = (const char *const *)settings,
        .max_stop_ns = chosen->max_stop_ns,
        .timeout_ns = chosen->timeout_ns,
        .meanwhile = serve,
        .context = &company,
    };
    mt_status status = mt_inject(subject, &how, &done, &err);
    int code = status == MT_OK ? report(chosen, subject->facts.pid, config, &done)
                               : mt_command_fail(&doc, mt_target_exit_code(status), &err);
    free_settings(settings);
    mt_helper_free(&company.helper);
    return code;
}

static mt_status configure(const struct values *chosen, pid_t pid, struct mt_config *config, struct mt_error *err)
{
    mt_config_default(config);
    config->root_pid = (uint64_t)pid;
    config->mode = mode_numbers[chosen->mode];
    config->rate_bytes = chosen->rate_bytes != 0 ? chosen->rate_bytes : MT_RATE_DEFAULT;
    config->native = chosen->native;
    config->python_allocators = chosen->python_allocators;
    config->max_file_bytes = chosen->max_file_bytes;
    config->follow = false;
    mt_status status = choose_output(chosen, pid, config, err);
    if (status == MT_OK) {
        avoid_taken_name(chosen, config);
        status = name_folder(config, err);
    }
    return status;
}

static int record_process(const struct mt_command_doc *asked, int argc, char **argv)
{
    struct values chosen = { .native = true, .python_allocators = true, .max_stop_ns = 20000000, .timeout_ns = 5000000000 };
    static struct mt_config config;
    struct mt_subject subject;
    struct mt_operands operands;
    struct mt_error err = { 0 };
    char *agent = NULL;
    pid_t pid = 0;
    int code;
    if (!mt_command_options(asked, argc, argv, &chosen, &operands, &code)) {
        return code;
    }
    if (mt_target_pid(&operands, &pid, &err) != MT_OK || configure(&chosen, pid, &config, &err) != MT_OK ||
        mt_agentfile_find(&agent, &err) != MT_OK) {
        return mt_command_fail(&doc, MT_EXIT_USAGE, &err);
    }
    if (mt_subject_open(pid, &subject, &err) != MT_OK) {
        code = mt_command_fail(&doc, MT_EXIT_UNREACHABLE, &err);
    } else {
        code = inject(&chosen, &subject, &config, agent);
        mt_subject_close(&subject);
    }
    free(agent);
    return code;
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
