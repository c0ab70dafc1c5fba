/* unrecorded.h: processes of a run that leave no trace, as the recorded ones that started them told it.
 *
 * Decides: what is said of them, a sentence a program and reason with the first process that ran it; a build that runs a static
 * compiler a thousand times is one sentence. Context: [tool].
 */
#ifndef MT_LAUNCH_UNRECORDED_H
#define MT_LAUNCH_UNRECORDED_H

#include "util/strlist.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* All zero is empty. */
struct mt_unrecorded {
    struct mt_unrecorded_program {
        char *command; /* of the first process, as it was told */
        pid_t pid;     /* that process */
        uint32_t why;
        size_t processes;
    } * programs;
    size_t count, capacity;
    size_t others; /* processes of programs beyond the limit */
};

/* why: wire/ask.h. command may hold anything. */
void mt_unrecorded_add(struct mt_unrecorded *list, pid_t pid, uint32_t why, const char *command);
/* Appends the sentences. */
void mt_unrecorded_say(const struct mt_unrecorded *list, struct mt_strlist *ret);
void mt_unrecorded_clear(struct mt_unrecorded *list);

#endif
