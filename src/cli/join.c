/* join.c: see join.h. */
#include "cli/join.h"

#include "base/os.h"
#include "cli/join_armed.h"
#include "cli/target.h"
#include "launch/environment.h"
#include "launch/helper.h"
#include "util/agentfile.h"
#include "util/exitcode.h"
#include "util/memory.h"
#include "util/process.h"
#include "util/text.h"
#include "util/tracepath.h"
#include "wire/journal_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SEVERAL = 2 /* images that a process has executed */ };

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

static mt_status choose_output(const struct mt_join *how, pid_t pid, struct mt_config *config, struct mt_error *err)
{
    char *name = name_of(pid), *absolute = NULL;
    char *file = how->output != NULL ? mt_strdup(how->output) : mt_tracepath_default(name, pid);
    mt_status status = mt_tracepath_absolute(file, &absolute, err);
    free(name);
    free(file);
    if (status != MT_OK) {
        return status;
    }
    if (strlen(absolute) + 64 > sizeof config->output) {
        status = mt_error_set(err, MT_E_INVAL, "the path %s is too long", absolute);
    } else if (how->output != NULL && access(absolute, F_OK) == 0) {
        status = mt_error_set(err, MT_E_EXIST, "%s exists; choose another name with -o", absolute);
    }
    (void)snprintf(config->output, sizeof config->output, "%s", absolute);
    free(absolute);
    return status;
}

/* A default name that is taken gets a number. */
static void avoid_taken_name(const struct mt_join *how, struct mt_config *config)
{
    size_t stem = strlen(config->output) - strlen(".mtap");
    for (int n = 2; how->output == NULL && access(config->output, F_OK) == 0; n++) {
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

static mt_status configure(const struct mt_join *how, pid_t pid, struct mt_config *config, struct mt_error *err)
{
    mt_config_default(config);
    config->root_pid = (uint64_t)pid;
    config->asker = (uint64_t)geteuid();
    config->mode = how->mode;
    config->rate_bytes = how->rate_bytes;
    config->native = how->native;
    config->python_allocators = how->python_allocators;
    config->max_file_bytes = how->max_file_bytes;
    config->follow = false;
    (void)snprintf(config->listen, sizeof config->listen, "%s", how->listen ? "1" : "");
    mt_status status = choose_output(how, pid, config, err);
    if (status == MT_OK) {
        avoid_taken_name(how, config);
        status = name_folder(config, err);
    }
    return status;
}

static mt_status check_times(const struct mt_join *how, struct mt_error *err)
{
    return how->timeout_ns == 0    ? mt_error_set(err, MT_E_INVAL, "--timeout 0 leaves no time for a single try; give one, such as 5s")
           : how->max_stop_ns == 0 ? mt_error_set(err, MT_E_INVAL, "--max-stop 0 lets no thread be stopped at all; give a time, such as 20ms")
                                   : MT_OK;
}

static mt_status check(const struct mt_join *how, struct mt_error *err)
{
    if (how->rate_bytes == 0 || how->rate_bytes > MT_RATE_MAX) {
        return mt_error_set(err, MT_E_INVAL, "--rate: give 1 byte or more between samples (2^50 at most), such as 512K, or use --mode exact");
    }
    return check_times(how, err);
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

/* subject NULL: by the socket of `armed`. */
static mt_status inject(const struct mt_join *how, pid_t pid, struct mt_subject *subject, struct mt_client *armed, struct mt_config *config,
                        const char *agent, struct mt_injected *ret, struct mt_error *err)
{
    char *settings[MT_CONFIG__COUNT + 1] = { NULL };
    struct company company = { .place = { .output = config->output, .root_pid = config->root_pid } };
    mt_helper_open(&company.helper, pid);
    mt_helper_text(&company.helper, config->helper, sizeof config->helper);
    for (size_t i = 0; i < MT_CONFIG__COUNT; i++) {
        settings[i] = mt_environment_setting(config, &mt_config_fields[i]);
    }
    const struct mt_injection injection = {
        .task = MT_LANDING_ATTACH,
        .agent = agent,
        .settings = (const char *const *)settings,
        .max_stop_ns = how->max_stop_ns,
        .timeout_ns = how->timeout_ns,
        .meanwhile = serve,
        .context = &company,
    };
    mt_status status = subject != NULL ? mt_inject(subject, &injection, ret, err) : mt_join_armed(armed, &injection, ret, err);
    free_settings(settings);
    mt_helper_free(&company.helper);
    return status;
}

static mt_status begin_once(const struct mt_join *how, pid_t pid, struct mt_config *config, const char *agent, struct mt_injected *ret,
                            int *ret_code, struct mt_error *err)
{
    struct mt_subject subject;
    struct mt_client armed;
    *ret_code = MT_EXIT_UNREACHABLE;
    if (mt_join_reach_armed(pid, &armed)) {
        mt_status status = inject(how, pid, NULL, &armed, config, agent, ret, err);
        mt_client_close(&armed);
        *ret_code = mt_target_exit_code(status);
        if (status != MT_E_NOENT) {
            return status;
        }
        *err = (struct mt_error){ 0 }; /* its thread was on its way out: detach has just been */
        *ret_code = MT_EXIT_UNREACHABLE;
    }
    mt_status status = mt_subject_open(pid, &subject, err);
    if (status == MT_OK) {
        status = inject(how, pid, &subject, NULL, config, agent, ret, err);
        *ret_code = mt_target_exit_code(status);
        mt_subject_close(&subject);
    }
    return status;
}

/* Again while it fails because the process is only being started, or executes another image meanwhile. */
static mt_status begin(const struct mt_join *how, pid_t pid, struct mt_config *config, const char *agent, struct mt_injected *ret,
                       int *ret_code, struct mt_error *err)
{
    const struct timespec pause = { 0, 1000000 };
    uint64_t start = mt_os_monotonic_ns();
    struct mt_error last = { 0 };
    unsigned images = 0;
    bool again = true;
    mt_status status = MT_OK;
    while (again) {
        uint64_t before = mt_process_image(pid);
        last = (struct mt_error){ 0 };
        status = begin_once(how, pid, config, agent, ret, ret_code, &last);
        bool busy = status == MT_OK && ret->code == MEMTAP_AGENT_BUSY;
        if (status == MT_OK && (!busy || mt_os_monotonic_ns() - start >= how->timeout_ns)) {
            return MT_OK;
        }
        (void)nanosleep(&pause, NULL);
        bool changed = mt_process_image(pid) != before;
        images += changed;
        again = (busy || changed || status == MT_E_INTERRUPTED) && !mt_process_has_ended(pid) && mt_os_monotonic_ns() - start < how->timeout_ns;
    }
    if (status == MT_OK) { /* busy to the end */
        return MT_OK;
    }
    if (images < SEVERAL || mt_process_has_ended(pid)) {
        return mt_error_set(err, status, "%s", mt_error_text(&last));
    }
    *ret_code = MT_EXIT_TIMEOUT;
    return mt_error_set(err, MT_E_BUSY,
                        "process %d keeps executing new images (exec; %u while memtap tried): attach when it stays with one, or start it "
                        "under `memtap run`, which records them all",
                        (int)pid, images);
}

mt_status mt_join_begin(const struct mt_join *how, pid_t pid, struct mt_config *ret_config, struct mt_injected *ret, int *ret_code,
                        struct mt_error *err)
{
    char *agent = NULL;
    *ret_code = MT_EXIT_USAGE;
    mt_status status = check(how, err);
    status = status == MT_OK ? configure(how, pid, ret_config, err) : status;
    status = status == MT_OK ? mt_agentfile_find(&agent, err) : status;
    status = status == MT_OK ? begin(how, pid, ret_config, agent, ret, ret_code, err) : status;
    free(agent);
    return status;
}

static mt_status end_once(pid_t pid, const struct mt_injection *injection, struct mt_injected *ret, int *ret_code, struct mt_error *err)
{
    struct mt_client armed;
    struct mt_subject subject;
    mt_status status;
    if (mt_join_reach_armed(pid, &armed)) {
        status = mt_join_armed(&armed, injection, ret, err);
        mt_client_close(&armed);
        *ret_code = mt_target_exit_code(status);
        if (status != MT_E_NOENT) {
            return status;
        }
        *err = (struct mt_error){ 0 }; /* its thread was on its way out */
        *ret_code = MT_EXIT_UNREACHABLE;
    }
    status = mt_subject_open(pid, &subject, err);
    if (status == MT_OK) {
        status = mt_inject(&subject, injection, ret, err);
        *ret_code = mt_target_exit_code(status);
        mt_subject_close(&subject);
    }
    return status;
}

/* Again while a thread of the process is starting or stopping a recording: one that a killed memtap has borrowed is not back yet. */
mt_status mt_join_end(const struct mt_join *how, pid_t pid, struct mt_injected *ret, int *ret_code, struct mt_error *err)
{
    const struct timespec pause = { 0, 1000000 };
    uint64_t start = mt_os_monotonic_ns();
    char *agent = NULL;
    struct mt_injection injection = { .task = MT_LANDING_DETACH, .max_stop_ns = how->max_stop_ns, .timeout_ns = how->timeout_ns };
    *ret_code = MT_EXIT_USAGE;
    mt_status status = check_times(how, err);
    status = status == MT_OK ? mt_agentfile_find(&agent, err) : status;
    if (status != MT_OK) {
        return status;
    }
    injection.agent = agent;
    *ret_code = MT_EXIT_UNREACHABLE;
    status = end_once(pid, &injection, ret, ret_code, err);
    while (status == MT_OK && ret->code == MEMTAP_AGENT_BUSY && mt_os_monotonic_ns() - start < how->timeout_ns) {
        (void)nanosleep(&pause, NULL);
        status = end_once(pid, &injection, ret, ret_code, err);
    }
    if (status == MT_OK && ret->code == MEMTAP_AGENT_OK) {
        mt_journal_remove_left(ret->state.path);
    }
    free(agent);
    return status;
}

bool mt_join_leaves_journal(const struct mt_config *config, const struct mt_injected *done)
{
    struct stat info;
    char *folder = mt_strdup(config->output);
    *strrchr(folder, '/') = '\0';
    bool has_our_rights = done->user <= 0 || done->user == (long)geteuid();
    bool is_open = stat(folder[0] != '\0' ? folder : "/", &info) == 0 &&
                   ((long)info.st_uid == done->user || (info.st_mode & (S_IWOTH | S_ISVTX)) == S_IWOTH);
    free(folder);
    return !has_our_rights && !is_open;
}

const char *mt_join_failure(enum memtap_agent_code code)
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
