/* config.c: see config.h. */
#include "agent/config.h"

#include "base/decimal.h"

#include <string.h>

void mt_agent_config_read(char *const *envp, struct mt_agent_config *ret)
{
    mt_config_read(envp, &ret->asked);
    ret->wanted = ret->asked.output[0] == '/';
}

bool mt_agent_config_is_carried(char *const *envp)
{
    while (*envp != NULL && strcmp(*envp, MT_CONFIG_CARRIED) != 0) {
        envp++;
    }
    return *envp != NULL;
}

/* LD_PRELOAD=agent:others becomes LD_PRELOAD=others; false: nothing is left of the variable. */
static bool drop_first_preload(char *variable)
{
    char *value = variable + sizeof "LD_PRELOAD=" - 1;
    const char *rest = value + strcspn(value, ": ");
    if (*rest == '\0') {
        return false;
    }
    memmove(value, rest + 1, strlen(rest));
    return true;
}

/* ASAN_OPTIONS=others:ours becomes ASAN_OPTIONS=others; false: nothing is left of the variable. */
static bool drop_last_asan_option(char *variable)
{
    static const char ours[] = MT_CONFIG_ASAN_OPTION;
    size_t length = strlen(variable);
    char *last = variable + length - (sizeof ours - 1);
    if (length < sizeof "ASAN_OPTIONS=" - 1 + sizeof ours - 1 || strcmp(last, ours) != 0) {
        return true;
    }
    if (last[-1] == ':') {
        last[-1] = '\0';
        return true;
    }
    return false;
}

void mt_agent_config_hide(char **envp)
{
    char **to = envp;
    for (; *envp != NULL; envp++) {
        bool keep = strncmp(*envp, MT_CONFIG_PREFIX, sizeof MT_CONFIG_PREFIX - 1) != 0;
        if (strncmp(*envp, "LD_PRELOAD=", 11) == 0) {
            keep = drop_first_preload(*envp);
        } else if (strncmp(*envp, "ASAN_OPTIONS=", 13) == 0) {
            keep = drop_last_asan_option(*envp);
        }
        if (keep) {
            *to++ = *envp;
        }
    }
    *to = NULL;
}

/* A bounded text under construction. */
struct text {
    char *buf;
    size_t capacity, length;
};

static void add(struct text *t, const char *from, size_t bytes)
{
    if (bytes < t->capacity - t->length) {
        memcpy(t->buf + t->length, from, bytes);
        t->length += bytes;
    }
    t->buf[t->length] = '\0';
}

static void add_number(struct text *t, uint64_t value)
{
    char digits[MT_DECIMAL_BYTES];
    const char *text = mt_decimal(value, digits);
    add(t, text, strlen(text));
}

void mt_agent_folder_path(const struct mt_agent_config *config, char *ret_path, size_t capacity)
{
    struct text path = { ret_path, capacity, 0 };
    add(&path, config->asked.output, strlen(config->asked.output));
    add(&path, ".d", 2);
}

void mt_agent_trace_path(const struct mt_agent_config *config, uint64_t pid, unsigned n, char *ret_path, size_t capacity)
{
    struct text path = { ret_path, capacity, 0 };
    add(&path, config->asked.output, strlen(config->asked.output));
    if (pid == config->asked.root_pid && n == 0) {
        return;
    }
    add(&path, ".d/", 3);
    add_number(&path, pid);
    if (n > 0) {
        add(&path, ".", 1);
        add_number(&path, n);
    }
    add(&path, ".mtap", 5);
}
