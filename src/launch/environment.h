/* environment.h: the environment of the recorded program. Internal to launch/. Context: [tool], also after fork. */
#ifndef MT_LAUNCH_ENVIRONMENT_H
#define MT_LAUNCH_ENVIRONMENT_H

#include "launch/launch.h"

/* All zero is an empty one. Owns its strings. */
struct mt_environment {
    char **items; /* NAME=VALUE, NULL-terminated */
    size_t count;
    size_t capacity;
};

/* memtap's own environment with the agent preloaded; the settings are still missing. */
void mt_environment_build(const struct mt_run *run, struct mt_environment *ret);
/* What the agent is to do in the program, whose process has this pid. */
void mt_environment_add_settings(const struct mt_run *run, pid_t pid, struct mt_environment *env);
/* MEMTAP_NAME=VALUE of one setting, malloc'ed. */
char *mt_environment_setting(const struct mt_config *config, const struct mt_config_field *field);
void mt_environment_clear(struct mt_environment *env);

#endif
