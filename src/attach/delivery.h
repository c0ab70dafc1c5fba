/* delivery.h: bringing the agent's file to where the target can open it. Context: [tool]. */
#ifndef MT_ATTACH_DELIVERY_H
#define MT_ATTACH_DELIVERY_H

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct mt_delivery {
    char *bytes; /* the agent's file, malloc'ed */
    size_t count;
    char *copy;  /* a copy in the target's root, as we see it, to be removed; NULL: none */
};

mt_status mt_delivery_read(const char *agent, struct mt_delivery *ret, struct mt_error *err) MT_CHECKED;
/* Into a descriptor of the process. False: it cannot be reached. */
bool mt_delivery_fill(const struct mt_delivery *delivery, pid_t pid, int fd) MT_CHECKED;
/* A path by which the process can open it: where it is, or a copy in a folder of its root. */
mt_status mt_delivery_place(struct mt_delivery *delivery, pid_t pid, const char *agent, char *ret_path, size_t capacity,
                            struct mt_error *err) MT_CHECKED;
/* Removes the copy. */
void mt_delivery_clear(struct mt_delivery *delivery);

#endif
