/* agent.c: composition root of libmemtap-agent.so: reads the configuration, wires hooks, Python and engine together.
 *
 * Decides: when recording starts (constructor), what a fork child does, what happens when Python arrives late. There is no
 * agent thread in `memtap run`: the tool outside keeps the clock page, so the program's thread count is unchanged.
 * A failure anywhere leaves the program running unrecorded.
 */
#include "agent/config.h"
#include "base/os.h"
#include "hook/hook.h"
#include "pystack/pystack.h"

#include <string.h>

enum { COMMAND_BYTES = MT_TRACE_COMMAND_MAX, EARLIER_MAX = 10000 };

static struct {
    struct mt_agent_config config;
    char path[MT_PATH_MAX + 64];
    char command[COMMAND_BYTES];
    size_t command_bytes;
    const volatile uint64_t *tick;
    uint64_t pid;
} g_agent;

/* Name and version of the agent's interface, for tools that look into a process. */
MT_EXPORT const char *memtap_agent_version(void);
const char *memtap_agent_version(void)
{
    return MEMTAP_VERSION;
}

static void read_command(void)
{
    int fd = -1;
    g_agent.command_bytes = 0;
    if (mt_os_open("/proc/self/cmdline", MT_OPEN_READ, &fd) == MT_OK) {
        if (mt_os_read(fd, g_agent.command, sizeof g_agent.command, &g_agent.command_bytes) != MT_OK) {
            g_agent.command_bytes = 0;
        }
        mt_os_close(fd);
    }
}

static const volatile uint64_t *map_tick(const char *path)
{
    int fd = -1;
    void *page = NULL;
    if (path[0] == '\0' || mt_os_open(path, MT_OPEN_READ, &fd) != MT_OK) {
        return NULL;
    }
    mt_status status = mt_os_map_file(fd, 0, mt_os_page_bytes(), false, &page);
    mt_os_close(fd);
    if (status != MT_OK) {
        return NULL;
    }
    const volatile uint64_t *tick = page;
    if (tick[MT_TICK_CLOCK] == 0) {
        mt_os_unmap(page, mt_os_page_bytes());
        return NULL;
    }
    return tick;
}

static bool exists(const char *path)
{
    int fd = -1;
    if (mt_os_open(path, MT_OPEN_READ, &fd) != MT_OK) {
        return false;
    }
    mt_os_close(fd);
    return true;
}

/* A trace at our path was written by an earlier image of this process (exec) or, long ago, by another process with this
 * pid: mark it as ended by exec and move it aside. */
static void set_aside(const char *path)
{
    int fd = -1;
    uint64_t pid = 0;
    uint32_t state = 0;
    size_t got = 0;
    if (mt_os_open(path, MT_OPEN_READ_WRITE, &fd) != MT_OK) {
        return;
    }
    bool readable = mt_os_read_at(fd, &pid, sizeof pid, offsetof(struct mt_trace_header, pid), &got) == MT_OK &&
                    mt_os_read_at(fd, &state, sizeof state, offsetof(struct mt_trace_header, state), &got) == MT_OK;
    if (readable && pid == g_agent.pid && state == MT_STATE_RECORDING) {
        state = MT_STATE_EXEC;
        (void)(mt_os_write_at(fd, &state, sizeof state, offsetof(struct mt_trace_header, state)) == MT_OK);
    }
    mt_os_close(fd);
    char earlier[MT_PATH_MAX + 64];
    for (unsigned n = 1; n < EARLIER_MAX; n++) {
        mt_agent_earlier_path(&g_agent.config, g_agent.pid, n, earlier, sizeof earlier);
        if (!exists(earlier)) {
            (void)(mt_os_rename(path, earlier) == MT_OK);
            return;
        }
    }
}

static void start_recording(bool fork_child, uint64_t parent_pid)
{
    const struct mt_agent_config *config = &g_agent.config;
    g_agent.pid = (uint64_t)mt_os_pid();
    mt_agent_trace_path(config, g_agent.pid, g_agent.path, sizeof g_agent.path);
    read_command();
    struct mt_engine_config engine = {
        .mode = config->mode,
        .rate_bytes = config->rate_bytes,
        .native = config->native,
        .python_frames = true,
        .python_allocators = config->python_allocators,
        .max_file_bytes = config->max_file_bytes,
        .path = g_agent.path,
        .command = g_agent.command,
        .command_bytes = g_agent.command_bytes,
        .tick = g_agent.tick,
        .parent_pid = parent_pid,
        .fork_child = fork_child,
        .seed = config->seed,
    };
    mt_status status = mt_engine_start(&engine);
    if (status == MT_E_EXIST) {
        set_aside(g_agent.path);
        status = mt_engine_start(&engine);
    }
    if (status == MT_OK) {
        mt_engine_note("agent.version", MEMTAP_VERSION);
    }
}

static void restart_in_fork_child(void)
{
    start_recording(true, g_agent.pid);
}

/* Python may be in the process from the start or arrive with a library. */
static void look_for_python(void)
{
    struct mt_python_info info;
    if (mt_pystack_info() != NULL || !mt_pystack_detect(mt_elf_lookup, &info)) {
        return;
    }
    mt_pystack_enable(&info);
    mt_engine_python_found();
    mt_hooks_python_arrived();
}

/* With --no-follow only the process memtap started is recorded, through any exec (wrapper scripts). A child passes through
 * and takes the agent out of its environment, so that its own children are as they would be. */
static void leave_child_alone(char **envp)
{
    if (g_agent.config.wanted && !g_agent.config.follow && (uint64_t)mt_os_pid() != g_agent.config.root_pid) {
        g_agent.config.wanted = false;
        mt_agent_config_hide(envp);
    }
}

__attribute__((constructor)) static void agent_start(int argc, char **argv, char **envp)
{
    (void)argc;
    (void)argv;
    mt_engine_enter();
    mt_agent_config_read(envp, &g_agent.config);
    leave_child_alone(envp);
    if (mt_hooks_install(MT_HOOK_PRELOAD, g_agent.config.wanted && g_agent.config.python_allocators) == MT_OK &&
        g_agent.config.wanted) {
        g_agent.tick = map_tick(g_agent.config.tick);
        if (g_agent.config.follow) {
            mt_engine_on_fork(restart_in_fork_child);
        }
        start_recording(false, 0);
        look_for_python();
        mt_hooks_on_load(look_for_python);
    }
    if (mt_engine_mode() == MT_MODE_OFF) {
        mt_engine_stop(MT_STATE_STOPPED); /* hooks become pass-through */
    }
    mt_engine_leave();
}

__attribute__((destructor)) static void agent_end(void)
{
    mt_engine_exit_seen();
}
