/* paths.c: see paths.h. How many paths end with a tail is counted for every tail of every path, once a path. */
#include "export/paths.h"

#include "model/role.h"
#include "util/memory.h"
#include "util/text.h"
#include "util/namemap.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct mt_paths {
    bool full;
    struct mt_namemap *known; /* whole paths */
    struct mt_namemap *tails;
    uint32_t *counts; /* by number of a tail */
    size_t count, capacity;
};

struct mt_paths *mt_paths_new(bool full)
{
    struct mt_paths *p = mt_alloc_zero(1, sizeof *p);
    p->full = full;
    p->known = mt_namemap_new();
    p->tails = mt_namemap_new();
    return p;
}

void mt_paths_free(struct mt_paths *p)
{
    if (p != NULL) {
        mt_namemap_free(p->known);
        mt_namemap_free(p->tails);
        free(p->counts);
        free(p);
    }
}

/* The tail one component longer; path itself is the longest. */
static const char *longer(const char *path, const char *tail)
{
    if (tail - path < 2) {
        return path;
    }
    tail--; /* the slash before it */
    while (tail > path && tail[-1] != '/') {
        tail--;
    }
    return tail;
}

/* A file that is none, such as "<frozen importlib._bootstrap>", has no folders. */
static const char *last_name(const char *path)
{
    return path[0] != '<' ? mt_text_last_name(path) : path;
}

static void count_tail(struct mt_paths *p, const char *tail)
{
    uint32_t number = mt_namemap_put(p->tails, tail, strlen(tail), NULL);
    if (number >= p->count) {
        p->counts = mt_alloc_grow(p->counts, &p->capacity, (size_t)number + 1, sizeof *p->counts);
        memset(p->counts + p->count, 0, (number + 1 - p->count) * sizeof *p->counts);
        p->count = (size_t)number + 1;
    }
    p->counts[number]++;
}

enum { COMPONENTS_MAX = 64 }; /* of deeper paths the outermost are not looked at */

void mt_paths_add(struct mt_paths *p, const char *path)
{
    bool is_new;
    (void)mt_namemap_put(p->known, path, strlen(path), &is_new);
    if (!is_new || p->full) {
        return;
    }
    const char *tail = last_name(path);
    count_tail(p, tail);
    for (int i = 0; i < COMPONENTS_MAX && tail != path; i++) {
        tail = longer(path, tail);
        count_tail(p, tail);
    }
}

static bool is_alone(const struct mt_paths *p, const char *tail)
{
    uint32_t number = mt_namemap_put(p->tails, tail, strlen(tail), NULL);
    return number >= p->count || p->counts[number] <= 1;
}

const char *mt_paths_short(const struct mt_paths *p, const char *path)
{
    if (p->full) {
        return path;
    }
    const char *library = mt_role_library_path(path);
    const char *tail = library != NULL && *library != '\0' ? library : last_name(path);
    for (int i = 0; i < COMPONENTS_MAX && tail != path && !is_alone(p, tail); i++) {
        tail = longer(path, tail);
    }
    return tail;
}
