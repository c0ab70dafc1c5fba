/* unrecorded.c: see unrecorded.h. */
#include "launch/unrecorded.h"

#include "util/memory.h"
#include "util/program.h"
#include "wire/ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROGRAMS_MAX = 20 };

static size_t program_bytes(const char *command)
{
    return strcspn(command, " ");
}

static bool same_program(const char *a, const char *b)
{
    size_t bytes = program_bytes(a);
    return bytes == program_bytes(b) && strncmp(a, b, bytes) == 0;
}

/* What valgrind itself is made of: the program it runs has the agent inside, and says so (hook/company.c). */
static bool is_valgrind_s_core(const char *command)
{
    const char *found = strstr(command, "/valgrind/");
    return found != NULL && found < command + program_bytes(command);
}

void mt_unrecorded_add(struct mt_unrecorded *list, pid_t pid, uint32_t why, const char *command)
{
    char *kept = mt_strdup(command);
    if (why == MT_PROGRAM_STATIC && is_valgrind_s_core(kept)) {
        free(kept);
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (list->programs[i].why == why && same_program(list->programs[i].command, kept)) {
            list->programs[i].processes++;
            free(kept);
            return;
        }
    }
    if (list->count == PROGRAMS_MAX) {
        list->others++;
        free(kept);
        return;
    }
    list->programs = mt_alloc_grow(list->programs, &list->capacity, list->count + 1, sizeof *list->programs);
    list->programs[list->count++] = (struct mt_unrecorded_program){ kept, pid, why, 1 };
}

static const char *reason(uint32_t why)
{
    switch (why) {
    case MT_ASK_WHY_NO_AGENT:
        return "the agent's file cannot be opened where it runs (another root, or a user who may not read it); put memtap where it "
               "can be read";
    case MT_ASK_WHY_NO_ROOM:
        return "its environment has no room for the agent's settings";
    case MT_ASK_WHY_FILTER:
        return "a seccomp filter that it inherits forbids calls that the agent makes";
    case MT_ASK_WHY_UNKNOWN_FILTER:
        return "it restricts its system calls with a seccomp filter that memtap does not know; what it starts inherits that, and is "
               "not recorded either";
    default:
        return why < MT_PROGRAM__COUNT ? mt_program_obstacle((enum mt_program_kind)why) : "the agent cannot be preloaded";
    }
}

void mt_unrecorded_say(const struct mt_unrecorded *list, struct mt_strlist *ret)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct mt_unrecorded_program *p = &list->programs[i];
        char more[64] = "";
        if (p->processes > 1) {
            (void)snprintf(more, sizeof more, ", nor %s %zu more of this program", p->processes == 2 ? "is" : "are",
                           p->processes - 1);
        }
        mt_strlist_print(ret, "process %d (%s) is not recorded%s: %s", (int)p->pid, p->command, more, reason(p->why));
    }
    if (list->others > 0) {
        mt_strlist_print(ret, "%zu processes of other programs are not recorded for such reasons", list->others);
    }
}

void mt_unrecorded_clear(struct mt_unrecorded *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->programs[i].command);
    }
    free(list->programs);
    *list = (struct mt_unrecorded){ 0 };
}
