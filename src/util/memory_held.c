/* memory_held.c: see memory_held.h. */
#include "util/memory_held.h"

#include <stdint.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 256 };

static size_t home(const struct mt_held_table *t, const void *what)
{
    return (size_t)(((uint64_t)(uintptr_t)what * 0x9E3779B97F4A7C15u) >> 32) & (t->capacity - 1);
}

static size_t find(const struct mt_held_table *t, const void *what)
{
    size_t at = home(t, what);
    while (t->slots[at].what != NULL && t->slots[at].what != what) {
        at = (at + 1) & (t->capacity - 1);
    }
    return at;
}

static bool grow(struct mt_held_table *t)
{
    struct mt_held_table grown = { .capacity = t->capacity > 0 ? 2 * t->capacity : FIRST_CAPACITY, .count = t->count };
    grown.slots = calloc(grown.capacity, sizeof *grown.slots);
    if (grown.slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < t->capacity; i++) {
        if (t->slots[i].what != NULL) {
            grown.slots[find(&grown, t->slots[i].what)] = t->slots[i];
        }
    }
    free(t->slots);
    *t = grown;
    return true;
}

bool mt_held_reserve(struct mt_held_table *t)
{
    return 2 * (t->count + 1) <= t->capacity || grow(t);
}

bool mt_held_add(struct mt_held_table *t, struct mt_held_item item)
{
    if (!mt_held_reserve(t)) {
        return false;
    }
    t->slots[find(t, item.what)] = item;
    t->count++;
    return true;
}

bool mt_held_remove(struct mt_held_table *t, const void *what)
{
    size_t hole = t->capacity > 0 ? find(t, what) : 0;
    if (t->capacity == 0 || t->slots[hole].what == NULL) {
        return false;
    }
    bool is_block = t->slots[hole].is_block;
    for (size_t at = hole;;) {
        at = (at + 1) & (t->capacity - 1);
        if (t->slots[at].what == NULL) {
            break;
        }
        size_t wanted = home(t, t->slots[at].what);
        if (((at - wanted) & (t->capacity - 1)) >= ((at - hole) & (t->capacity - 1))) {
            t->slots[hole] = t->slots[at];
            hole = at;
        }
    }
    t->slots[hole] = (struct mt_held_item){ 0 };
    t->count--;
    return is_block;
}

/* Undoing one may free others, and moves the table: it begins anew. */
static bool undo_one(struct mt_held_table *t)
{
    for (size_t i = 0; i < t->capacity; i++) {
        struct mt_held_item item = t->slots[i];
        if (item.what != NULL && item.undo != NULL) {
            t->slots[i].undo = NULL;
            if (!item.is_block) {
                (void)mt_held_remove(t, item.what);
            }
            item.undo(item.what, item.bytes);
            return true;
        }
    }
    return false;
}

void mt_held_undo(struct mt_held_table *t)
{
    while (undo_one(t)) {}
    for (size_t i = 0; i < t->capacity; i++) {
        free(t->slots[i].what);
    }
    t->count = 0;
}
