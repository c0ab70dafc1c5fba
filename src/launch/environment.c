/* environment.c: the environment of the recorded program: its own, and what the agent reads. */
#include "launch/environment.h"

#include "base/os.h"
#include "util/memory.h"
#include "util/tracepath.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void add_variable(struct mt_environment *env, char *text)
{
    env->items = mt_alloc_grow(env->items, &env->capacity, env->count + 2, sizeof *env->items);
    env->items[env->count++] = text;
    env->items[env->count] = NULL;
}

/* What is said anew to the program, and what is memtap's own affair. */
static bool is_replaced(const char *variable)
{
    static const char *const others[] = { "LD_PRELOAD=", "ASAN_OPTIONS=", "MEMTAP_OWN_PYTHON=", MT_CONFIG_CARRIED };
    for (size_t i = 0; i < MT_COUNTOF(others); i++) {
        if (strncmp(variable, others[i], strlen(others[i])) == 0) {
            return true;
        }
    }
    return mt_config_field_of(variable) != NULL;
}

static char *preload_variable(const char *agent)
{
    const char *old = getenv("LD_PRELOAD");
    return old != NULL && old[0] != '\0' ? mt_format("LD_PRELOAD=%s:%s", agent, old)
                                         : mt_format("LD_PRELOAD=%s", agent);
}

/* For every program: what is started by a script is not known here. Of an option given twice the last one counts. */
static char *asan_variable(void)
{
    const char *old = getenv("ASAN_OPTIONS");
    return old != NULL && old[0] != '\0' ? mt_format("ASAN_OPTIONS=%s:" MT_CONFIG_ASAN_OPTION, old)
                                         : mt_strdup("ASAN_OPTIONS=" MT_CONFIG_ASAN_OPTION);
}

char *mt_environment_setting(const struct mt_config *config, const struct mt_config_field *field)
{
    unsigned long long number = mt_config_number(config, field);
    switch (field->kind) {
    case MT_CONFIG_PATH:
        return mt_format(MT_CONFIG_PREFIX "%s=%s", field->name, (const char *)config + field->offset);
    case MT_CONFIG_MODE:
        return mt_format(MT_CONFIG_PREFIX "%s=%s", field->name, mt_mode_word((unsigned)number));
    case MT_CONFIG_NUMBER:
    case MT_CONFIG_SWITCH:
    default:
        return mt_format(MT_CONFIG_PREFIX "%s=%llu", field->name, number);
    }
}

void mt_environment_build(const struct mt_run *run, struct mt_environment *env)
{
    for (char **variable = environ; *variable != NULL; variable++) {
        if (run->alone || !is_replaced(*variable)) {
            add_variable(env, mt_strdup(*variable));
        }
    }
    if (run->alone) {
        return;
    }
    add_variable(env, preload_variable(run->agent));
    add_variable(env, asan_variable());
}

/* Names FILE.d by its inode: a path leads elsewhere in another root. */
static void name_folder(const struct mt_run *run, struct mt_config *ret)
{
    struct stat info;
    char *folder = mt_tracepath_folder(run->output);
    if (lstat(folder, &info) == 0 && S_ISDIR(info.st_mode)) {
        ret->folder_device = info.st_dev;
        ret->folder_inode = info.st_ino;
    }
    free(folder);
}

/* run's options in the agent's words. */
static void configure(const struct mt_run *run, pid_t pid, struct mt_config *ret)
{
    const struct mt_run_options *o = &run->options;
    mt_config_read(environ, ret); /* MEMTAP_SEED has no option */
    (void)snprintf(ret->output, sizeof ret->output, "%s", run->output); /* empty: nothing is recorded */
    (void)snprintf(ret->tick, sizeof ret->tick, "%s", run->tick.path);
    mt_helper_text(&run->helper, ret->helper, sizeof ret->helper);
    if (run->output[0] != '\0') {
        name_folder(run, ret);
    }
    ret->root_pid = (uint64_t)pid;
    ret->mode = o->mode != MT_MODE_OFF ? (enum mt_engine_mode)o->mode : MT_MODE_EXACT;
    ret->rate_bytes = o->rate_bytes;
    ret->budget_parts = o->budget_parts;
    ret->native = o->native;
    ret->python_allocators = o->python_allocators;
    ret->follow = o->follow;
    ret->max_file_bytes = o->max_file_bytes;
    ret->snapshot_signal = (uint64_t)o->snapshot_signal;
    (void)snprintf(ret->listen, sizeof ret->listen, "%s", o->listen != NULL ? o->listen : "");
    ret->filters = mt_os_filter_count(); /* memtap works under these */
}

void mt_environment_add_settings(const struct mt_run *run, pid_t pid, struct mt_environment *env)
{
    struct mt_config config;
    if (run->alone) {
        return;
    }
    configure(run, pid, &config);
    for (size_t i = 0; i < MT_CONFIG__COUNT; i++) {
        add_variable(env, mt_environment_setting(&config, &mt_config_fields[i]));
    }
}

void mt_environment_clear(struct mt_environment *env)
{
    for (size_t i = 0; i < env->count; i++) {
        free(env->items[i]);
    }
    free(env->items);
    *env = (struct mt_environment){ 0 };
}
