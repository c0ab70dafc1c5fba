/* exec.c: see exec.h. */
#include "hook/exec.h"

#include "base/executable.h"
#include "base/objects.h"
#include "base/os.h"
#include "heap/engine.h"
#include "hook/elf.h"
#include "hook/environment.h"
#include "hook/patch.h"
#include "wire/ask.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* ---- the three functions ------------------------------------------------------------------------------------------ */

static int enter_execve(const char *path, char *const *argv, char *const *envp);
static int enter_execveat(int folder, const char *path, char *const *argv, char *const *envp, int flags);
static int enter_fexecve(int fd, char *const *argv, char *const *envp);

enum function { EXECVE, EXECVEAT, FEXECVE, FUNCTIONS };

static const struct {
    char name[12];
    void (*enter)(void);
} g_functions[FUNCTIONS] = {
    [EXECVE] = { "execve", (void (*)(void))enter_execve },
    [EXECVEAT] = { "execveat", (void (*)(void))enter_execveat }, /* from glibc 2.34 on */
    [FEXECVE] = { "fexecve", (void (*)(void))enter_fexecve },
};

static struct {
    const struct mt_exec_luggage *luggage;
    const uint8_t *slots; /* a slot a function */
    char agent[4096];     /* its file, as the loader was told; it may not be the first in LD_PRELOAD (valgrind puts its own there) */
} g_exec;

struct call {
    enum function function;
    int folder; /* fexecve: the program */
    const char *path;
    char *const *argv;
    char *const *envp;
    int flags;
};

/* The function's own code, at its new place. */
static const void *moved(enum function function)
{
    return g_exec.slots + function * MT_PATCH_SLOT_BYTES + MT_PATCH_MOVED_AT;
}

static int execute(const struct call *call, char *const *envp)
{
    union {
        const void *code;
        int (*execve)(const char *, char *const *, char *const *);
        int (*execveat)(int, const char *, char *const *, char *const *, int);
        int (*fexecve)(int, char *const *, char *const *);
    } real = { moved(call->function) };
    switch (call->function) {
    case EXECVEAT:
        return real.execveat(call->folder, call->path, call->argv, envp, call->flags);
    case FEXECVE:
        return real.fexecve(call->folder, call->argv, envp);
    case EXECVE:
    case FUNCTIONS:
    default:
        return real.execve(call->path, call->argv, envp);
    }
}

/* ---- what is executed --------------------------------------------------------------------------------------------- */

/* /proc/self/fd/N */
static void name_descriptor(int fd, char ret_path[32])
{
    static const char head[] = "/proc/self/fd/";
    char digits[12];
    size_t count = 0;
    memcpy(ret_path, head, sizeof head);
    do {
        digits[count++] = (char)('0' + fd % 10);
    } while ((fd /= 10) > 0);
    char *at = ret_path + sizeof head - 1;
    while (count > 0) {
        *at++ = digits[--count];
    }
    *at = '\0';
}

static uint32_t kind_of(int folder, const char *path)
{
    struct mt_executable file;
    char interpreter[sizeof file.interpreter];
    mt_executable_look(folder, path, &file);
    for (int depth = 1; depth < MT_SCRIPT_DEPTH_MAX && file.interpreter[0] != '\0'; depth++) {
        memcpy(interpreter, file.interpreter, sizeof interpreter);
        mt_executable_look(AT_FDCWD, interpreter, &file);
    }
    return file.kind;
}

static bool agent_is_there(void)
{
    int fd = -1;
    mt_status status = mt_os_open_at(AT_FDCWD, g_exec.agent, &fd);
    mt_os_close(fd);
    return status != MT_E_NOENT && status != MT_E_PERM; /* others, as a full table of descriptors, pass with the exec */
}

/* What keeps the program from being recorded; MT_PROGRAM_DYNAMIC: nothing that is known. */
static uint32_t obstacle(int folder, const char *path)
{
    if (!mt_os_filters_let_start()) {
        return MT_ASK_WHY_FILTER;
    }
    uint32_t kind = kind_of(folder, path);
    if (kind == MT_PROGRAM_NOT_ELF || kind == MT_PROGRAM_UNREADABLE) {
        kind = MT_PROGRAM_DYNAMIC; /* it fails, or somebody knows what to do with it */
    }
    return kind == MT_PROGRAM_DYNAMIC && !agent_is_there() ? (uint32_t)MT_ASK_WHY_NO_AGENT : kind;
}

/* Its loader would end, or print that it cannot load the agent; or the agent would be its end. */
static bool loader_minds(uint32_t why)
{
    return why == MT_PROGRAM_MUSL || why == MT_PROGRAM_OTHER_ARCH || why == MT_ASK_WHY_NO_AGENT || why == MT_ASK_WHY_FILTER;
}

/* ---- with another environment --------------------------------------------------------------------------------------- */

/* Stacks are small: of a child of posix_spawn 32 KiB are its own. */
enum { FEW = 200, MANY = 1500, SHORT_BYTES = 1024, LONG_BYTES = 6 * 1024 };

/* False: no room, nothing was executed. */
static bool execute_with(const struct call *call, const struct mt_env_change *change, const struct mt_env_room *room, int *ret)
{
    if (!mt_env_build(call->envp, change, room)) {
        return false;
    }
    *ret = execute(call, room->items);
    return *ret == 0 || errno != E2BIG || change->drop_agent;
}

static MT_NOINLINE bool execute_small(const struct call *call, const struct mt_env_change *change, int *ret)
{
    char *items[FEW];
    char text[SHORT_BYTES];
    const struct mt_env_room room = { items, FEW, text, sizeof text };
    return execute_with(call, change, &room, ret);
}

static MT_NOINLINE bool execute_large(const struct call *call, const struct mt_env_change *change, int *ret)
{
    char *items[MANY];
    char text[LONG_BYTES];
    const struct mt_env_room room = { items, MANY, text, sizeof text };
    return execute_with(call, change, &room, ret);
}

static int execute_changed(const struct call *call, const struct mt_env_change *change, const char *path)
{
    int result = -1;
    if (execute_small(call, change, &result) || execute_large(call, change, &result)) {
        return result;
    }
    if (!change->drop_agent) {
        g_exec.luggage->tell(MT_ASK_WHY_NO_ROOM, path, call->argv);
    }
    return execute(call, call->envp);
}

static int become(const struct call *call, int folder, const char *path)
{
    struct mt_env_change change = { .agent = g_exec.agent };
    if (mt_os_filter_count() > g_exec.luggage->filters + mt_os_filters_added()) {
        mt_engine_filter_unknown(); /* nothing may be called; what follows finds that out too */
        return execute(call, call->envp);
    }
    bool follows = g_exec.luggage->follows();
    if (!mt_env_look(call->envp, &change) || (!follows && !change.has_agent)) {
        return execute(call, call->envp);
    }
    if (follows) {
        mt_engine_exec_seen();
    }
    uint32_t why = obstacle(folder, path);
    if (follows && why != MT_PROGRAM_DYNAMIC) {
        g_exec.luggage->tell(why, path, call->argv);
    }
    change.drop_agent = loader_minds(why);
    change.settings = g_exec.luggage->settings;
    change.count = g_exec.luggage->count;
    change.filters = mt_os_is_restricted() ? g_exec.luggage->filters + mt_os_filters_added() : 0;
    bool as_it_is = change.drop_agent ? !change.has_agent : !follows || why == MT_PROGRAM_SETID || mt_env_is_complete(&change);
    return as_it_is ? execute(call, call->envp) : execute_changed(call, &change, path);
}

/* Returns only when it failed. */
static int follow(const struct call *call, int folder, const char *path)
{
    int result = become(call, folder, path);
    mt_engine_exec_failed();
    return result;
}

/* ---- entries ---------------------------------------------------------------------------------------------------------- */

static int enter_execve(const char *path, char *const *argv, char *const *envp)
{
    const struct call call = { EXECVE, AT_FDCWD, path, argv, envp, 0 };
    return follow(&call, AT_FDCWD, path);
}

static int enter_execveat(int folder, const char *path, char *const *argv, char *const *envp, int flags)
{
    const struct call call = { EXECVEAT, folder, path, argv, envp, flags };
    char descriptor[32];
    if ((flags & AT_EMPTY_PATH) != 0 && folder >= 0 && mt_os_is_mapped((uint64_t)(uintptr_t)path) && path[0] == '\0') {
        name_descriptor(folder, descriptor);
        return follow(&call, AT_FDCWD, descriptor);
    }
    return follow(&call, folder, path);
}

static int enter_fexecve(int fd, char *const *argv, char *const *envp)
{
    const struct call call = { FEXECVE, fd, NULL, argv, envp, 0 };
    char descriptor[32];
    if (fd < 0) {
        return execute(&call, envp);
    }
    name_descriptor(fd, descriptor);
    return follow(&call, AT_FDCWD, descriptor);
}

/* ---- patching --------------------------------------------------------------------------------------------------------- */

/* libc is who defines this; others may define functions of the names above in front of it, and call them. */
static const char LIBC_SIGN[] = "gnu_get_libc_version";

static void write_stub(uint8_t *slot, void (*enter)(void))
{
    static const uint8_t jump_to_next_word[] = { 0xFF, 0x25, 0, 0, 0, 0 };
    memcpy(slot, jump_to_next_word, sizeof jump_to_next_word);
    memcpy(slot + sizeof jump_to_next_word, &enter, sizeof enter);
}

/* Plans the patch of each function that this libc has; false when one cannot be moved. */
static bool plan_all(const struct mt_elf_object *libc, uint8_t *slots, struct mt_patch *ret, size_t *ret_count)
{
    *ret_count = 0;
    for (size_t i = 0; i < FUNCTIONS; i++) {
        uint32_t symbol = mt_elf_find(libc, g_functions[i].name, mt_elf_gnu_hash(g_functions[i].name));
        uint8_t *slot = slots + i * MT_PATCH_SLOT_BYTES;
        if (symbol == 0) {
            continue;
        }
        if (!mt_patch_plan(mt_elf_address(libc, symbol), libc->symbols[symbol].st_size, slot, &ret[*ret_count])) {
            return false;
        }
        write_stub(slot, g_functions[i].enter);
        (*ret_count)++;
    }
    return *ret_count > 0;
}

static bool patch(const struct dl_phdr_info *info, const struct mt_elf_object *libc)
{
    struct mt_patch patches[FUNCTIONS];
    size_t count = 0;
    size_t bytes = FUNCTIONS * MT_PATCH_SLOT_BYTES;
    uint8_t *slots = mt_patch_map_near(info, bytes);
    if (slots == NULL) {
        return false;
    }
    g_exec.slots = slots;
    if (!plan_all(libc, slots, patches, &count) || !mt_os_make_executable(slots, bytes) || !mt_patch_write(patches, count)) {
        mt_os_unmap(slots, bytes);
        return false;
    }
    return true;
}

static int visit(struct dl_phdr_info *info, size_t bytes, void *context)
{
    (void)bytes;
    bool *patched = context;
    struct mt_elf_object object;
    if (mt_elf_info_is_self(info)) {
        size_t length = strlen(info->dlpi_name);
        memcpy(g_exec.agent, info->dlpi_name, length < sizeof g_exec.agent ? length + 1 : 0);
    }
    if (!mt_elf_from_phdr(info, &object) || mt_elf_find(&object, LIBC_SIGN, mt_elf_gnu_hash(LIBC_SIGN)) == 0) {
        return 0;
    }
    *patched = g_exec.agent[0] != '\0' && patch(info, &object);
    return 1;
}

bool mt_exec_install(const struct mt_exec_luggage *luggage)
{
    bool patched = false;
    g_exec.luggage = luggage;
    return mt_objects_walk(visit, &patched) && patched;
}
