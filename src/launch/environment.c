/* environment.c: the environment of the recorded program: its own, and what the agent reads. */
#include "launch/environment.h"

#include "util/memory.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void add_variable(struct mt_environment *env, char *text)
{
    env->items = mt_alloc_grow(env->items, &env->capacity, env->count + 2, sizeof *env->items);
    env->items[env->count++] = text;
    env->items[env->count] = NULL;
}

static bool is_agents(const char *variable)
{
    static const char *const names[] = {
        "MEMTAP_OUTPUT=", "MEMTAP_ROOT_PID=",          "MEMTAP_MODE=",     "MEMTAP_RATE=", "MEMTAP_NATIVE=",
        "MEMTAP_FOLLOW=", "MEMTAP_PYTHON_ALLOCATORS=", "MEMTAP_MAX_FILE=", "MEMTAP_TICK=", "MEMTAP_DURATION=",
        "MEMTAP_OWN_PYTHON=",
        "LD_PRELOAD=",
    };
    for (size_t i = 0; i < MT_COUNTOF(names); i++) {
        if (strncmp(variable, names[i], strlen(names[i])) == 0) {
            return true;
        }
    }
    return false;
}

static char *preload_variable(const char *agent)
{
    const char *old = getenv("LD_PRELOAD");
    return old != NULL && old[0] != '\0' ? mt_format("LD_PRELOAD=%s:%s", agent, old)
                                         : mt_format("LD_PRELOAD=%s", agent);
}

void mt_environment_build(const struct mt_run *run, struct mt_environment *env)
{
    static const char *const modes[] = { "exact", "sample", "aggregate" };
    const struct mt_run_options *o = &run->options;
    for (char **variable = environ; *variable != NULL; variable++) {
        if (!is_agents(*variable)) {
            add_variable(env, mt_strdup(*variable));
        }
    }
    add_variable(env, preload_variable(run->agent));
    add_variable(env, mt_format("MEMTAP_MODE=%s", modes[o->mode]));
    add_variable(env, mt_format("MEMTAP_RATE=%llu", (unsigned long long)o->rate_bytes));
    add_variable(env, mt_format("MEMTAP_NATIVE=%d", o->native ? 1 : 0));
    add_variable(env, mt_format("MEMTAP_PYTHON_ALLOCATORS=%d", o->python_allocators ? 1 : 0));
    add_variable(env, mt_format("MEMTAP_FOLLOW=%d", o->follow ? 1 : 0));
    add_variable(env, mt_format("MEMTAP_MAX_FILE=%llu", (unsigned long long)o->max_file_bytes));
    add_variable(env, mt_format("MEMTAP_DURATION=%llu", (unsigned long long)o->duration_ns));
    add_variable(env, mt_format("MEMTAP_TICK=%s", run->tick.path));
}

void mt_environment_add_process(const struct mt_run *run, pid_t pid, struct mt_environment *env)
{
    add_variable(env, mt_format("MEMTAP_OUTPUT=%s", run->output));
    add_variable(env, mt_format("MEMTAP_ROOT_PID=%d", (int)pid));
}

void mt_environment_clear(struct mt_environment *env)
{
    for (size_t i = 0; i < env->count; i++) {
        free(env->items[i]);
    }
    free(env->items);
    *env = (struct mt_environment){ 0 };
}
