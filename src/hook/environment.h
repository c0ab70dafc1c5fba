/* environment.h: what an environment says of the agent, and another one that says more or less. Internal to hook/ (exec.c).
 *
 * Decides: what is missing. The settings are there or not as one: where MEMTAP_OUTPUT is, somebody has set them (this run, or
 * another memtap that starts a program of its own). Of LD_PRELOAD and ASAN_OPTIONS what the program says itself is kept.
 * Nothing of what is looked at is written. Context: any, async-signal safe, a vfork child too.
 */
#ifndef MT_HOOK_ENVIRONMENT_H
#define MT_HOOK_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fill agent before the look; settings and count before building with them. */
struct mt_env_change {
    const char *agent;
    const char *const *settings;
    size_t count;
    uint64_t filters; /* not 0: the setting of that name has this value now */
    bool drop_agent; /* take the agent out, and nothing else; else add what is missing */
    /* What was found. */
    bool has_agent, has_settings, has_asan_option;
    const char *preload, *asan_options; /* the last such variable's value, NULL: none */
};

/* Where a new environment is built. */
struct mt_env_room {
    char **items;
    size_t capacity;
    char *text;
    size_t text_bytes;
};

/* False: it cannot be read (the kernel will refuse it too). envp may be NULL: empty. */
bool mt_env_look(char *const *envp, struct mt_env_change *change);
bool mt_env_is_complete(const struct mt_env_change *change);
/* False: there is no room. */
bool mt_env_build(char *const *envp, const struct mt_env_change *change, const struct mt_env_room *room);

#endif
