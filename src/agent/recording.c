/* recording.c: see recording.h. */
#include "agent/recording.h"

#include "agent/ask.h"
#include "agent/carry.h"
#include "base/os.h"
#include "base/tick.h"
#include "hook/hook.h"
#include "pystack/pystack.h"
#include "wire/journal_path.h"

#include <string.h>

enum { COMMAND_BYTES = MT_TRACE_COMMAND_MAX, IMAGES_MAX = 10000 };

static struct {
    char path[MT_CONFIG_PATH_BYTES + 64];
    char command[COMMAND_BYTES];
    size_t command_bytes;
    const volatile uint64_t *tick;
    uint64_t pid;
} g_recording;

const char *mt_recording_path(void)
{
    return g_recording.path;
}

static void read_command(void)
{
    int fd = -1;
    g_recording.command_bytes = 0;
    if (mt_os_open("/proc/self/cmdline", MT_OPEN_READ, &fd) == MT_OK) {
        if (mt_os_read(fd, g_recording.command, sizeof g_recording.command, &g_recording.command_bytes) != MT_OK) {
            g_recording.command_bytes = 0;
        }
        mt_os_close(fd);
    }
}

/* How the events of the trace open at fd are ordered, as its journal says. MT_CLOCK_UNKNOWN: that cannot be read. */
static uint32_t clock_kind_of(const char *path, int fd)
{
    static char journal[MT_CONFIG_PATH_BYTES + 128]; /* too large for a small stack; one start at a time */
    uint64_t number = 0;
    uint32_t kind = MT_CLOCK_UNKNOWN;
    size_t got = 0;
    int live = fd;
    if (mt_os_read_at(fd, &number, sizeof number, offsetof(struct mt_trace_header, journal), &got) != MT_OK ||
        (number != 0 && (!mt_journal_path(path, number, journal, sizeof journal) ||
                         mt_os_open(journal, MT_OPEN_READ_WRITE, &live) != MT_OK))) {
        return MT_CLOCK_UNKNOWN;
    }
    if (mt_os_read_at(live, &kind, sizeof kind, offsetof(struct mt_trace_header, clock_kind), &got) != MT_OK) {
        kind = MT_CLOCK_UNKNOWN;
    }
    if (live != fd) {
        mt_os_close(live);
    }
    return kind;
}

/* A trace with our name was written by an earlier image of this process (exec) or, long ago, by another process with this
 * pid. The earlier image is marked as ended by exec. True when its events had to be ordered: it may have left children. */
static bool end_earlier_image(const char *path)
{
    int fd = -1;
    uint64_t pid = 0;
    uint32_t state = 0;
    size_t got = 0;
    if (mt_os_open(path, MT_OPEN_READ_WRITE, &fd) != MT_OK) {
        return true;
    }
    bool readable = mt_os_read_at(fd, &pid, sizeof pid, offsetof(struct mt_trace_header, pid), &got) == MT_OK &&
                    mt_os_read_at(fd, &state, sizeof state, offsetof(struct mt_trace_header, state), &got) == MT_OK;
    if (readable && pid == g_recording.pid && state == MT_STATE_RECORDING) {
        state = MT_STATE_EXEC;
        (void)(mt_os_write_at(fd, &state, sizeof state, offsetof(struct mt_trace_header, state)) == MT_OK);
    }
    uint32_t kind = clock_kind_of(path, fd);
    mt_os_close(fd);
    return kind != MT_CLOCK_TICK;
}

/* The tool's memfd and nothing else: what the path of a process leads to may be a pipe that never answers, and an ordinary file may
 * become shorter while it is mapped. */
static mt_status open_tick(const char *path, int *ret_fd)
{
    static const char wanted[] = "/memfd:" MT_TICK_NAME " ";
    char target[64];
    mt_status status = MT_E_REPLACED;
    if (path[0] == '\0') {
        return MT_E_NOENT; /* there is no tool */
    }
    if (mt_os_readlink(path, target, sizeof target) >= sizeof wanted - 1 && memcmp(target, wanted, sizeof wanted - 1) == 0) {
        status = mt_os_open(path, MT_OPEN_READ, ret_fd);
    }
    return status == MT_OK ? MT_OK : mt_ask_for_tick(ret_fd); /* another user, root or /proc */
}

static const volatile uint64_t *map_tick(const char *path)
{
    int fd = -1;
    void *page = NULL;
    if (open_tick(path, &fd) != MT_OK) {
        return NULL;
    }
    mt_status status = mt_os_is_sealed(fd, MT_TICK_BYTES) ? mt_os_map_file(fd, 0, MT_TICK_BYTES, false, &page) : MT_E_REPLACED;
    mt_os_close(fd);
    if (status != MT_OK) {
        return NULL;
    }
    const volatile uint64_t *tick = page;
    if (tick[MT_TICK_CLOCK] == 0) {
        mt_os_unmap(page, MT_TICK_BYTES);
        return NULL;
    }
    return tick;
}

static mt_status start_engine(struct mt_engine_config *engine)
{
    engine->python_frames = true;
    engine->path = g_recording.path;
    engine->command = g_recording.command;
    engine->command_bytes = g_recording.command_bytes;
    return mt_engine_start(engine);
}

static void note_process(void)
{
    mt_engine_note("agent.version", MEMTAP_VERSION);
    mt_hooks_note_own_allocators();
    mt_hooks_note_company();
    mt_hooks_note_python();
    mt_carry_note();
}

/* The tool may have rights that this process has not, or stand in another root. A full disk is full for it too. */
static bool may_be_helped(mt_status status)
{
    return status == MT_E_PERM || status == MT_E_NOENT || status == MT_E_READONLY || status == MT_E_EXIST || status == MT_E_IO;
}

/* In another root, or behind another mount, the path of the trace may lead to a stranger's folder. FILE.d, which the tool made and
 * names by its inode, tells. */
static bool is_where_the_tool_is(const struct mt_agent_config *config)
{
    struct mt_os_file folder;
    if (config->asked.folder_inode == 0) {
        return true;
    }
    mt_agent_folder_path(config, g_recording.path, sizeof g_recording.path);
    return mt_os_identify_folder(g_recording.path, &folder) == MT_OK && folder.inode == config->asked.folder_inode &&
           folder.device == config->asked.folder_device;
}

static bool is_taken(const struct mt_agent_config *config, unsigned n)
{
    mt_agent_trace_path(config, g_recording.pid, n, g_recording.path, sizeof g_recording.path);
    return mt_os_exists(g_recording.path);
}

/* Images of one process take their names in order, so the first free one is searched for: a shell that executes itself
 * a thousand times does not look at the traces of all its earlier images each time. */
static unsigned first_free_name(const struct mt_agent_config *config)
{
    unsigned free = 0, taken, step = 1;
    if (!is_taken(config, 0)) {
        return 0;
    }
    for (taken = 0, free = 1; free < IMAGES_MAX && is_taken(config, free); free += step) {
        taken = free;
        step *= 2;
    }
    while (free - taken > 1) {
        unsigned middle = taken + (free - taken) / 2;
        if (is_taken(config, middle)) {
            taken = middle;
        } else {
            free = middle;
        }
    }
    return free;
}

/* By its path, under the first name that is free. Had an earlier image ordered its events, so has the one before us. */
static mt_status start_by_path(const struct mt_agent_config *config, struct mt_engine_config *engine)
{
    mt_status status = MT_E_EXIST;
    for (unsigned n = first_free_name(config); status == MT_E_EXIST && n < IMAGES_MAX; n++) {
        if (n > 0) {
            mt_agent_trace_path(config, g_recording.pid, n - 1, g_recording.path, sizeof g_recording.path);
            engine->among_others = end_earlier_image(g_recording.path) || engine->among_others;
        }
        mt_agent_trace_path(config, g_recording.pid, n, g_recording.path, sizeof g_recording.path);
        status = start_engine(engine);
    }
    return status;
}

void mt_recording_start_configured(const struct mt_agent_config *config, bool fork_child, uint64_t parent_pid)
{
    mt_ask_configure(config->asked.helper);
    mt_ask_about(g_recording.path);
    if (g_recording.tick == NULL) {
        g_recording.tick = map_tick(config->asked.tick);
    }
    g_recording.pid = (uint64_t)mt_os_pid();
    struct mt_engine_config engine = {
        .mode = config->asked.mode,
        .rate_bytes = config->asked.rate_bytes,
        .budget_parts = config->asked.budget_parts,
        .native = config->asked.native,
        .python_allocators = config->asked.python_allocators,
        .max_file_bytes = config->asked.max_file_bytes,
        .tick = g_recording.tick,
        .parent_pid = parent_pid,
        .fork_child = fork_child,
        .among_others = g_recording.pid != config->asked.root_pid,
        .seed = config->asked.seed,
        .open_again = mt_ask_for_again,
        .make_journal = mt_ask_for_journal,
    };
    mt_status status = MT_E_NOENT;
    read_command();
    if (is_where_the_tool_is(config)) {
        status = start_by_path(config, &engine);
    } else {
        mt_agent_trace_path(config, g_recording.pid, 0, g_recording.path, sizeof g_recording.path);
    }
    if (may_be_helped(status) && mt_ask_for_new(&engine.fd) == MT_OK) {
        status = start_engine(&engine);
    }
    if (status == MT_OK) {
        note_process();
    }
}

mt_status mt_recording_start(struct mt_engine_config wanted)
{
    size_t length = strlen(wanted.path);
    if (length >= MT_CONFIG_PATH_BYTES || wanted.path[0] != '/') {
        return MT_E_INVAL;
    }
    g_recording.pid = (uint64_t)mt_os_pid();
    memcpy(g_recording.path, wanted.path, length + 1);
    read_command();
    mt_status status = start_engine(&wanted);
    if (status == MT_OK) {
        note_process();
    } else if (status == MT_E_NOSPACE || status == MT_E_TOO_LARGE || status == MT_E_SIZE || status == MT_E_NOMEM) {
        (void)(mt_os_unlink(g_recording.path) == MT_OK); /* made, but nothing is in it */
    }
    return status;
}

/* Does the path of the trace lead into the folder that the tool means? In another root it may lead to a stranger's. */
static bool is_in_folder_meant(const struct mt_agent_config *config)
{
    struct mt_os_file folder;
    char *slash = strrchr(g_recording.path, '/');
    char first = slash[1];
    slash[slash == g_recording.path] = '\0'; /* the root keeps its slash */
    bool same = mt_os_identify_folder(g_recording.path, &folder) == MT_OK && folder.inode == config->asked.folder_inode &&
                folder.device == config->asked.folder_device;
    slash[0] = '/';
    slash[1] = first;
    return same;
}

mt_status mt_recording_start_attached(const struct mt_agent_config *config)
{
    const struct mt_config *asked = &config->asked;
    struct mt_engine_config engine = {
        .mode = asked->mode,
        .rate_bytes = asked->rate_bytes,
        .native = asked->native,
        .python_allocators = asked->python_allocators,
        .max_file_bytes = asked->max_file_bytes,
        .late = true,
        .seed = asked->seed,
        .make_journal = mt_ask_for_journal,
    };
    mt_status status = MT_E_NOENT;
    g_recording.pid = (uint64_t)mt_os_pid();
    memcpy(g_recording.path, asked->output, strlen(asked->output) + 1);
    mt_ask_configure(asked->helper);
    mt_ask_about(g_recording.path);
    read_command();
    if (is_in_folder_meant(config)) {
        status = start_engine(&engine);
    }
    if (may_be_helped(status) && mt_ask_for_new(&engine.fd) == MT_OK) {
        status = start_engine(&engine);
    }
    if (status == MT_OK) {
        note_process();
        mt_engine_note("recording.began", "attach");
    }
    return status;
}

void mt_recording_look_for_python(void)
{
    struct mt_python_info info;
    if (mt_pystack_info() != NULL || !mt_pystack_detect(mt_elf_lookup, &info)) {
        return;
    }
    mt_pystack_enable(&info);
    mt_engine_python_found();
    mt_hooks_python_arrived();
}
