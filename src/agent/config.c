/* config.c: see config.h. */
#include "agent/config.h"

#include <string.h>

void mt_agent_config_read(char *const *envp, struct mt_agent_config *ret)
{
    mt_config_read(envp, &ret->asked);
    ret->wanted = ret->asked.output[0] == '/';
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

void mt_agent_config_hide(char **envp)
{
    char **to = envp;
    for (; *envp != NULL; envp++) {
        bool keep = mt_config_field_of(*envp) == NULL;
        if (strncmp(*envp, "LD_PRELOAD=", 11) == 0) {
            keep = drop_first_preload(*envp);
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
    char digits[24];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    add(t, digits + at, sizeof digits - at);
}

/* Output without a trailing ".mtap". */
static void add_stem(struct text *t, const struct mt_agent_config *config)
{
    size_t length = strlen(config->asked.output);
    if (length > 5 && strcmp(config->asked.output + length - 5, ".mtap") == 0) {
        length -= 5;
    }
    add(t, config->asked.output, length);
}

void mt_agent_trace_path(const struct mt_agent_config *config, uint64_t pid, char *ret_path, size_t capacity)
{
    struct text path = { ret_path, capacity, 0 };
    if (pid == config->asked.root_pid) {
        add(&path, config->asked.output, strlen(config->asked.output));
        return;
    }
    add_stem(&path, config);
    add(&path, ".", 1);
    add_number(&path, pid);
    add(&path, ".mtap", 5);
}

void mt_agent_earlier_path(const struct mt_agent_config *config, uint64_t pid, unsigned n, char *ret_path,
                           size_t capacity)
{
    struct text path = { ret_path, capacity, 0 };
    add_stem(&path, config);
    add(&path, ".", 1);
    add_number(&path, pid);
    add(&path, ".", 1);
    add_number(&path, n);
    add(&path, ".mtap", 5);
}
