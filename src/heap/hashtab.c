/* hashtab.c: see hashtab.h. */
#include "heap/hashtab.h"

#include "base/atomic.h"
#include "base/os.h"
#include "heap/engine.h"

enum {
    FIRST_BYTES = 3 * 4096,
    PLACE_BYTES = sizeof(uint64_t) + sizeof(uint32_t),
    MOVED_AT_ONCE = 32 * 1024,         /* places */
    FOURFOLD_BYTES = 48 * 1024,        /* below them a table grows fourfold: each time all its keys are placed anew */
    DOUBLED_BYTES = 256 * 1024,        /* below them a table doubles */
    HUGE_PAGE_BYTES = 2 * 1024 * 1024,
    HUGE_BYTES = 4 * HUGE_PAGE_BYTES,  /* from here on a table is in huge pages */
};

/* Where the search for a key begins. */
static uint64_t place_of(const struct mt_hashtab_array *array, uint64_t key)
{
    return (uint64_t)((__uint128_t)key * array->capacity >> 64);
}

static uint64_t place_after(const struct mt_hashtab_array *array, uint64_t at)
{
    return at + 1 < array->capacity ? at + 1 : 0;
}

bool mt_hashtab_get(const struct mt_hashtab *t, uint64_t key, uint32_t *ret_value)
{
    const struct mt_hashtab_array *array = mt_load_acquire(&t->array); /* H2 */
    if (array == NULL) {
        return false;
    }
    uint64_t at = place_of(array, key);
    uint64_t found = mt_load_acquire(&array->keys[at]); /* H1 */
    while (found != key && found != 0) {
        at = place_after(array, at);
        found = mt_load_acquire(&array->keys[at]);
    }
    uint32_t value = found == key ? mt_load_relaxed(&array->values[at]) : 0;
    if (value == 0) {
        return false;
    }
    *ret_value = value;
    return true;
}

static void array_put(const struct mt_hashtab_array *array, uint64_t key, uint32_t value)
{
    uint64_t at = place_of(array, key);
    while (array->keys[at] != 0) {
        at = place_after(array, at);
    }
    mt_store_relaxed(&array->values[at], value);
    mt_store_release(&array->keys[at], key); /* H1 */
}

/* What memory of this size is taken and given back in. */
static uint64_t unit_of(uint64_t bytes)
{
    return bytes >= HUGE_BYTES ? HUGE_PAGE_BYTES : mt_os_page_bytes();
}

/* Gives back the whole units between *from and to. */
static void give_back(const struct mt_hashtab_array *array, uintptr_t *from, const void *to)
{
    uintptr_t end = (uintptr_t)to & ~(unit_of(array->bytes) - 1);
    if (end > *from) {
        mt_os_discard((void *)*from, end - *from);
        *from = end;
    }
}

/* Makes the units from *from on to the one of `to`: hashes reach every page, and read it before they write, which would be two
 * faults. */
static void have_pages(const struct mt_hashtab_array *array, uintptr_t *from, const void *to)
{
    uintptr_t unit = unit_of(array->bytes);
    uintptr_t end = ((uintptr_t)to + unit - 1) & ~(unit - 1);
    uintptr_t last = (uintptr_t)array->keys + array->bytes;
    end = end < last ? end : last;
    if (end > *from) {
        mt_os_populate((void *)*from, end - *from);
        *from = end;
    }
}

/* From front to back, in pieces: what has been moved is given back before memory is taken for the next. The unit that has the
 * last keys and the first values waits for the end. */
static void move_all(const struct mt_hashtab_array *to, const struct mt_hashtab_array *from)
{
    uintptr_t page = mt_os_page_bytes(), unit = unit_of(from->bytes);
    uintptr_t made_keys = (uintptr_t)to->keys, made_values = (uintptr_t)to->values & ~(page - 1);
    uintptr_t moved_keys = (uintptr_t)from->keys, moved_values = ((uintptr_t)from->values + unit - 1) & ~(unit - 1);
    for (uint64_t at = 0; at < from->capacity;) {
        uint64_t end = from->capacity - at > MOVED_AT_ONCE ? at + MOVED_AT_ONCE : from->capacity;
        uint64_t reached = (uint64_t)((__uint128_t)end * to->capacity / from->capacity);
        have_pages(to, &made_keys, &to->keys[reached]);
        have_pages(to, &made_values, &to->values[reached]);
        for (; at < end; at++) {
            if (from->keys[at] != 0) {
                array_put(to, from->keys[at], from->values[at]);
            }
        }
        give_back(from, &moved_keys, &from->keys[end]);
        give_back(from, &moved_values, &from->values[end]);
    }
}

static uint64_t next_bytes(const struct mt_hashtab_array *old)
{
    if (old == NULL) {
        return FIRST_BYTES;
    }
    uint64_t bytes = old->bytes < FOURFOLD_BYTES  ? old->bytes * 4
                     : old->bytes < DOUBLED_BYTES ? old->bytes * 2
                                                  : old->bytes + old->bytes / 4;
    return bytes & ~(unit_of(bytes) - 1);
}

/* Keys and, behind them, values. */
static bool map_array(uint64_t bytes, struct mt_hashtab_array *ret)
{
    void *base = NULL;
    if (mt_os_map_anonymous(bytes, &base) != MT_OK) {
        return false;
    }
    (void)(bytes >= HUGE_BYTES && mt_os_advise_hugepage(base, bytes));
    uint64_t capacity = bytes / PLACE_BYTES;
    uint64_t *keys = base;
    *ret = (struct mt_hashtab_array){ capacity, bytes, keys, (uint32_t *)(void *)&keys[capacity] };
    return true;
}

/* The moved array's memory: gone, or zeros for readers that are still in it. */
static void leave(const struct mt_hashtab *t, struct mt_hashtab_array *old)
{
    if (t->locked) {
        old->capacity = 0;
        mt_fence_compiler(); /* last: another thread may fork at any time, and the child clears the table */
        mt_os_unmap(old->keys, old->bytes);
    } else {
        mt_os_discard(old->keys, old->bytes);
    }
}

static bool grow(struct mt_hashtab *t)
{
    struct mt_hashtab_array *old = t->array;
    struct mt_hashtab_array *array = old == NULL ? t->arrays : old + 1;
    uint64_t from_ns = mt_engine_work_begins();
    if (array == t->arrays + MT_HASHTAB_GROWTHS || !map_array(next_bytes(old), array)) {
        return false;
    }
    if (old == NULL) {
        mt_os_populate(array->keys, array->bytes);
    } else {
        move_all(array, old);
    }
    mt_store_release(&t->array, array); /* H2 */
    if (old != NULL) {
        leave(t, old);
    }
    (void)mt_engine_work_ends(from_ns);
    return true;
}

bool mt_hashtab_put(struct mt_hashtab *t, uint64_t key, uint32_t value)
{
    if (t->array == NULL || t->count + 1 > t->array->capacity / 5 * 4) {
        if (!grow(t) && (t->array == NULL || t->count + 1 >= t->array->capacity)) {
            return false;
        }
    }
    array_put(t->array, key, value);
    t->count++;
    return true;
}

void mt_hashtab_clear(struct mt_hashtab *t)
{
    const struct mt_hashtab_array *last = t->array;
    t->array = NULL;
    t->count = 0;
    for (struct mt_hashtab_array *array = t->arrays; last != NULL && array <= last; array++) {
        if (array->capacity != 0) {
            mt_os_unmap(array->keys, array->bytes);
        }
    }
}
