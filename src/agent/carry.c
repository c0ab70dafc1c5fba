/* carry.c: see carry.h. */
#include "agent/carry.h"

#include "agent/ask.h"
#include "base/os.h"
#include "heap/engine.h"
#include "hook/exec.h"

#include <string.h>

enum { TEXT_BYTES = 4 * (MT_CONFIG_PATH_BYTES + 64) };

static char g_text[TEXT_BYTES];
static size_t g_used;
static const char *g_settings[MT_CONFIG__COUNT];
static const struct mt_agent_config *g_config;
static bool g_failed;

static bool follows(void)
{
    return g_config->asked.follow || (uint64_t)mt_os_pid() == g_config->asked.root_pid;
}

static struct mt_exec_luggage g_luggage = { .settings = g_settings, .follows = follows, .tell = mt_ask_tell };

/* NULL: no room, which three paths of the largest size leave. */
static const char *keep(const char *text, size_t bytes)
{
    if (bytes >= sizeof g_text - g_used) {
        return NULL;
    }
    char *kept = g_text + g_used;
    memcpy(kept, text, bytes);
    kept[bytes] = '\0';
    g_used += bytes + 1;
    return kept;
}

static void keep_setting(const char *variable)
{
    const char *kept = keep(variable, strlen(variable));
    if (kept != NULL && g_luggage.count < MT_COUNTOF(g_settings)) {
        g_settings[g_luggage.count++] = kept;
    }
}

void mt_carry_begin(char *const *envp, const struct mt_agent_config *config)
{
    g_config = config;
    g_luggage.filters = config->asked.filters;
    mt_ask_configure(config->asked.helper);
    for (; *envp != NULL; envp++) {
        if (mt_config_field_of(*envp) != NULL) {
            keep_setting(*envp);
        }
    }
    mt_engine_enter();
    g_failed = !mt_exec_install(&g_luggage);
    mt_engine_leave();
}

void mt_carry_note(void)
{
    if (g_failed) {
        mt_engine_note("warning", "programs it started with a cleaned environment are not recorded: the C library's exec cannot "
                                  "be patched here");
    }
}
