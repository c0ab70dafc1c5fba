/* targets.h: what is served: recordings, each with a number.
 *
 * Decides: a target is a file, or a process that is recorded, whose file is found among its open ones; a folder stands for the traces in
 * it, and those that come. Each has one handle for questions and one for the page, so that a page that is being made keeps nobody
 * waiting. A number stands for one path for ever. There is room for a few dozen; when it is taken, a trace of a folder that is gone
 * gives its place to one that comes, which gets another number. Context: [tool], any thread.
 */
#ifndef MT_SERVE_TARGETS_H
#define MT_SERVE_TARGETS_H

#include "memtap/profile.h"
#include "util/error.h"
#include "util/strlist.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

enum { MT_TARGETS_MAX = 64 };

/* Which file it was, and how much of it. */
struct mt_target_version {
    dev_t device;
    ino_t inode;
    off_t bytes;
    struct timespec changed;
};

/* A recording that is open, and who asks it. */
struct mt_opened {
    struct mt_recording *recording;
    dev_t device;
    ino_t inode;
    size_t users;
    bool stale; /* the path leads to another file by now: the last user closes it */
};

struct mt_handle {
    pthread_mutex_t lock; /* around opening and closing */
    struct mt_opened *opened; /* NULL: not yet, or it could not be */
    size_t users;             /* of this one and of those that are stale */
    bool retired;             /* what is opened is closed by its last user */
};

enum mt_use { MT_USE_QUESTIONS, MT_USE_PAGE, MT_USE__COUNT };

struct mt_target {
    size_t number; /* its place, and a multiple of MT_TARGETS_MAX */
    bool named;    /* as an operand: it keeps its place */
    uint64_t retired_ns; /* another one has its place since then; 0: none */
    unsigned looks;      /* at the list since then */
    struct mt_target *next; /* of the retired */
    char *path;
    const char *name; /* the last part of it */
    struct mt_handle handles[MT_USE__COUNT];
};

struct mt_targets {
    pthread_mutex_t lock; /* around the list */
    struct mt_strlist folders;
    struct mt_target *items[MT_TARGETS_MAX];
    size_t count;
    struct mt_target *retired; /* somebody may still use them */
    bool full_said; /* that some of a folder are left out */
};

/* operands: none means this folder. MT_E_INVAL, MT_E_NOENT: one of them cannot be, or they are too many. */
mt_status mt_targets_init(struct mt_targets *targets, const struct mt_strlist *operands, struct mt_error *err) MT_CHECKED;
/* Looks into the folders again. */
void mt_targets_look(struct mt_targets *targets);
/* Places from 0 to the count are taken. */
size_t mt_targets_count(struct mt_targets *targets);
struct mt_target *mt_targets_in(struct mt_targets *targets, size_t place); /* NULL: nothing is there */
size_t mt_target_place(size_t number);
/* By number or name; text NULL: the first. NULL: none. */
struct mt_target *mt_targets_find(struct mt_targets *targets, const char *text);
/* The file as it is now, opened again when it is another one. *ret: for mt_target_close. */
int mt_target_open(struct mt_target *target, enum mt_use use, struct mt_opened **ret, struct mt_profile_failure *failure);
void mt_target_close(struct mt_target *target, enum mt_use use, struct mt_opened *opened);
/* False: there is no file. */
bool mt_target_version(const struct mt_target *target, struct mt_target_version *ret);

#endif
