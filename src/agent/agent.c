/* agent.c: composition root of libmemtap-agent.so: reads the configuration, wires hooks, Python and engine together.
 *
 * Decides: when recording starts (before any code of the program, or later by include/memtap/agent.h: control.c), what a
 * fork child does. The agent is linked with -z initfirst: the loader runs its constructor before those of libraries and
 * before .preinit_array, once all objects are relocated. One object has this place, the one mapped last of those that ask
 * (libpthread before glibc 2.34): without it, the first hooked call of a constructor starts the agent. See
 * docs/decisions/0018.
 * There is no agent thread, unless the process is armed (listen.h): under `memtap run` the tool outside keeps the clock page, so the
 * program's thread count is unchanged.
 * A failure anywhere leaves the program running unrecorded.
 */
#include "agent/carry.h"
#include "agent/control.h"
#include "agent/listen.h"
#include "agent/recording.h"
#include "agent/snapshot.h"
#include "base/os.h"
#include "hook/hook.h"

extern void *__libc_stack_end __attribute__((weak)); /* ld.so: where the kernel put the program's arguments */

/* ThreadSanitizer stands in front of functions of libc that we call, and must have begun before that. Its own call, which is
 * the first of .preinit_array, comes next and finds it done. */
MT_EXPORT extern void __tsan_init(void) __attribute__((weak));

static struct mt_agent_config g_config;
static uint64_t g_pid;

/* Name and version of the agent's interface, for tools that look into a process. */
MT_EXPORT const char *memtap_agent_version(void);
const char *memtap_agent_version(void)
{
    return MEMTAP_VERSION;
}

static void start_configured(bool fork_child)
{
    uint64_t parent = fork_child ? g_pid : 0;
    g_pid = (uint64_t)mt_os_pid();
    mt_recording_start_configured(&g_config, fork_child, parent);
}

/* More filters are in force than the agent knows, or was told of. */
static bool is_unknown_filter_in_force(void)
{
    return mt_os_filter_count() > g_config.asked.filters + mt_os_filters_added();
}

/* Whatever beginning a trace takes, an inherited filter may kill the child for it. */
static void restart_in_fork_child(void)
{
    if (is_unknown_filter_in_force()) {
        int pid = mt_os_pid();
        (void)mt_os_filter_add(NULL); /* from here on nothing is called */
        mt_engine_child_is_left_out(pid, true);
        return;
    }
    start_configured(true);
    if (mt_engine_mode() == MT_MODE_OFF && mt_os_is_restricted()) {
        mt_engine_child_is_left_out(mt_os_pid(), false);
    }
}

/* With --no-follow only the process memtap started is recorded, through any exec (wrapper scripts). A child passes through
 * and takes the agent out of its environment, so that its own children are as they would be. */
static void leave_child_alone(char **envp)
{
    bool armed = g_config.asked.listen[0] != '\0';
    if ((g_config.wanted || armed) && !g_config.asked.follow && (uint64_t)mt_os_pid() != g_config.asked.root_pid) {
        g_config.wanted = false;
        g_config.asked.listen[0] = '\0';
        mt_agent_config_hide(envp);
    }
}

/* A filter that nobody has told us of came with exec: any call of ours may be forbidden on pain of death. */
static void obey_unknown_filters(void)
{
    if ((g_config.wanted || g_config.asked.listen[0] != '\0') && is_unknown_filter_in_force()) {
        g_config.wanted = false;
        g_config.asked.listen[0] = '\0';
        (void)mt_os_filter_add(NULL); /* from here on nothing is called */
    }
}

static void start_preloaded(char **envp)
{
    if (g_config.wanted) {
        mt_hooks_patch_own_allocators();
        mt_carry_begin(envp, &g_config);
        if (mt_agent_config_is_carried(envp)) {
            mt_agent_config_hide(envp);
        }
    }
    bool hooked = mt_hooks_install(MT_HOOK_PRELOAD, g_config.wanted && g_config.asked.python_allocators) == MT_OK;
    mt_control_set_preloaded(hooked && g_config.wanted);
    if (!hooked || !g_config.wanted) {
        return;
    }
    if (g_config.asked.follow) {
        mt_engine_on_fork(restart_in_fork_child);
    }
    start_configured(false);
    mt_agent_snapshot_arm((int)g_config.asked.snapshot_signal);
    mt_recording_look_for_python();
    mt_hooks_on_load(mt_recording_look_for_python);
}

extern char **environ;

static bool arm_later(const struct mt_agent_config *config, bool by_attach)
{
    return mt_listen_arm(config, environ, by_attach);
}

/* False: it was started before. */
static bool start(char **envp)
{
    static bool started;
    if (started) {
        return false;
    }
    static const struct mt_control_arming arming = { .arm = arm_later, .disarm = mt_listen_disarm };
    started = true;
    mt_control_on_arming(&arming);
    if (&__tsan_init != NULL) {
        __tsan_init();
    }
    mt_engine_enter();
    bool preloaded = mt_hooks_are_preloaded();
    if (preloaded) {
        mt_agent_config_read(envp, &g_config);
        obey_unknown_filters();
        leave_child_alone(envp);
        start_preloaded(envp);
    }
    if (mt_engine_mode() == MT_MODE_OFF) {
        mt_engine_stop(MT_STATE_STOPPED); /* hooks become pass-through */
    }
    if (!g_config.wanted) {
        mt_engine_may_restart();
    }
    if (preloaded) {
        (void)mt_listen_arm(&g_config, envp, false);
    }
    mt_engine_leave();
    return true;
}

/* The environment as the kernel left it: argument count, arguments, NULL, environment. environ is not set yet. */
bool mt_hooks_first_call(void)
{
    if (&__libc_stack_end == NULL) {
        return false;
    }
    uint64_t *stack = __libc_stack_end;
    return start((char **)(stack + 1 + stack[0] + 1));
}

__attribute__((constructor)) static void agent_start(int argc, char **argv, char **envp)
{
    (void)argc;
    (void)argv;
    (void)start(envp);
}

__attribute__((destructor)) static void agent_end(void)
{
    mt_agent_snapshot_settle();
    mt_listen_close();
    mt_engine_exit_seen();
}
