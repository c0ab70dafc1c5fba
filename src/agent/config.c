/* config.c: see config.h. */
#include "agent/config.h"

#include <string.h>

/* Value of NAME in envp, or NULL. */
static const char *value_of(char *const *envp, const char *name)
{
    size_t length = strlen(name);
    for (; envp != NULL && *envp != NULL; envp++) {
        if (strncmp(*envp, name, length) == 0 && (*envp)[length] == '=') {
            return *envp + length + 1;
        }
    }
    return NULL;
}

static uint64_t number_or(const char *text, uint64_t otherwise)
{
    uint64_t value = 0;
    if (text == NULL || *text == '\0') {
        return otherwise;
    }
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || value > UINT64_MAX / 10 - 10) {
            return otherwise;
        }
        value = value * 10 + (uint64_t)(*text - '0');
    }
    return value;
}

static enum mt_engine_mode mode_of(const char *text)
{
    if (text != NULL && strcmp(text, "sample") == 0) {
        return MT_MODE_SAMPLE;
    }
    if (text != NULL && strcmp(text, "aggregate") == 0) {
        return MT_MODE_AGGREGATE;
    }
    return MT_MODE_EXACT;
}

static void copy_text(const char *from, char *to, size_t capacity)
{
    size_t length = from == NULL ? 0 : strlen(from);
    if (length >= capacity) {
        length = 0; /* a cut path would name another file */
    }
    if (length > 0) {
        memcpy(to, from, length);
    }
    to[length] = '\0';
}

void mt_agent_config_read(char *const *envp, struct mt_agent_config *ret)
{
    copy_text(value_of(envp, "MEMTAP_OUTPUT"), ret->output, sizeof ret->output);
    copy_text(value_of(envp, "MEMTAP_TICK"), ret->tick, sizeof ret->tick);
    ret->wanted = ret->output[0] == '/';
    ret->mode = mode_of(value_of(envp, "MEMTAP_MODE"));
    ret->rate_bytes = number_or(value_of(envp, "MEMTAP_RATE"), 512 * 1024);
    if (ret->rate_bytes == 0) {
        ret->rate_bytes = 1;
    }
    ret->native = number_or(value_of(envp, "MEMTAP_NATIVE"), 1) != 0;
    ret->python_allocators = number_or(value_of(envp, "MEMTAP_PYTHON_ALLOCATORS"), 1) != 0;
    ret->follow = number_or(value_of(envp, "MEMTAP_FOLLOW"), 1) != 0;
    ret->max_file_bytes = number_or(value_of(envp, "MEMTAP_MAX_FILE"), 0);
    ret->root_pid = number_or(value_of(envp, "MEMTAP_ROOT_PID"), 0);
    ret->seed = number_or(value_of(envp, "MEMTAP_SEED"), 0);
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
        bool keep = strncmp(*envp, "MEMTAP_", 7) != 0;
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
    size_t length = strlen(config->output);
    if (length > 5 && strcmp(config->output + length - 5, ".mtap") == 0) {
        length -= 5;
    }
    add(t, config->output, length);
}

void mt_agent_trace_path(const struct mt_agent_config *config, uint64_t pid, char *ret_path, size_t capacity)
{
    struct text path = { ret_path, capacity, 0 };
    if (pid == config->root_pid) {
        add(&path, config->output, strlen(config->output));
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
