/* agent.c: an agent of the hook layer and the fake engine, to be preloaded. FAKE_REPORT names the file that gets the books
 * at exit; FAKE_RATE bytes: sample mode; FAKE_GOT: patch slots instead of relying on symbol order; FAKE_PYTHON: 0 leaves
 * Python's allocators alone; FAKE_OFF: hooks without recording. */
#include "fakes/engine.h"
#include "hook/got.h"
#include "hook/hook.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char g_report[4096];
static int g_pid;

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

__attribute__((constructor)) static void fake_agent_start(void)
{
    const char *report = getenv("FAKE_REPORT");
    mt_engine_enter();
    g_pid = getpid();
    snprintf(g_report, sizeof g_report, "%s", report != NULL ? report : "");
    if (number("FAKE_OFF", 0) == 0) {
        fake_engine_start(number("FAKE_RATE", 0));
    }
    if (mt_hooks_install(number("FAKE_GOT", 0) != 0 ? MT_HOOK_GOT : MT_HOOK_PRELOAD, number("FAKE_PYTHON", 1) != 0) !=
        MT_OK) {
        fake_engine_stop();
    }
    mt_hooks_on_load(mt_hooks_python_arrived);
    mt_engine_leave();
}

#define ALLOCATOR_TEXT(name, value, text)                                                                              \
    dprintf(fd, "\"%s\": [%lu, %lu],\n", text, mt_g_fake.allocations[value], mt_g_fake.bytes[value]);

__attribute__((destructor)) static void fake_agent_end(void)
{
    if (g_report[0] == '\0' || getpid() != g_pid) {
        return;
    }
    mt_engine_enter();
    fake_engine_stop(); /* what is allocated for the report is not in it */
    char own[sizeof g_report + 16]; /* processes of a pipeline may end together: each report is whole, the last one stays */
    snprintf(own, sizeof own, "%s.%d", g_report, (int)getpid());
    int fd = open(own, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const struct fake_books *b = &mt_g_fake;
    dprintf(fd, "{\n");
    MT_ALLOCATOR_TABLE(ALLOCATOR_TEXT)
    dprintf(fd, "\"frees\": %lu, \"unknown_frees\": %lu, \"counted_twice\": %lu, \"twice_size\": %lu,\n", b->frees,
            b->unknown_frees, b->counted_twice, b->twice_size);
    dprintf(fd, "\"unbalanced\": %lu, \"bad_caller\": %lu, \"abandoned\": %lu, \"live\": %lu, \"live_bytes\": %lu,\n",
            b->unbalanced, b->bad_caller, b->abandoned, b->live, b->live_bytes);
    dprintf(fd, "\"maps\": [%lu, %lu, %lu, %lu, %lu, %lu], \"unmaps\": %lu, \"mapped_bytes\": %lu, \"unmapped_bytes\": %lu,\n",
            b->maps[0], b->maps[1], b->maps[2], b->maps[3], b->maps[4], b->maps[5], b->unmaps, b->mapped_bytes,
            b->unmapped_bytes);
    dprintf(fd, "\"thread_starts\": %lu, \"thread_exits\": %lu, \"forks\": %lu, \"refreshes\": %lu,\n", b->thread_starts,
            b->thread_exits, b->forks, b->refreshes);
    dprintf(fd, "\"patched\": %zu, \"unbanked\": %zu\n}\n", mt_got_patched_count(), mt_got_unbanked_count());
    close(fd);
    rename(own, g_report);
    mt_engine_leave();
}
