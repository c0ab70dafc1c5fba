/* hashtab.c: see hashtab.h. */
#include "heap/hashtab.h"

#include "base/atomic.h"
#include "base/os.h"

struct mt_hashtab_array {
    uint64_t capacity; /* in places */
    uint64_t bytes;    /* of the mapping */
    struct mt_hashtab_array *older;
    uint32_t *values; /* behind the keys */
    uint64_t pad[4];
    uint64_t keys[];
};

enum {
    FIRST_BYTES = 3 * 4096,
    PLACE_BYTES = sizeof(uint64_t) + sizeof(uint32_t),
    MOVED_AT_ONCE = 32 * 1024, /* places */
    DOUBLED_BYTES = 64 * 1024, /* below them a table doubles */
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

static void array_put(struct mt_hashtab_array *array, uint64_t key, uint32_t value)
{
    uint64_t at = place_of(array, key);
    while (array->keys[at] != 0) {
        at = place_after(array, at);
    }
    mt_store_relaxed(&array->values[at], value);
    mt_store_release(&array->keys[at], key); /* H1 */
}

/* The whole pages of [from, to) but the first page of the array, which says what the array is. */
static void give_back(struct mt_hashtab_array *array, const void *from, const void *to)
{
    uintptr_t page = mt_os_page_bytes();
    uintptr_t second = (uintptr_t)array + page;
    uintptr_t begin = ((uintptr_t)from + page - 1) & ~(page - 1);
    uintptr_t end = (uintptr_t)to & ~(page - 1);
    begin = begin > second ? begin : second;
    if (begin < end) {
        mt_os_discard((void *)begin, end - begin);
    }
}

/* Pages for the places [from, to): hashes reach every page of them, and read it before they write, which would be two faults. */
static void have_pages(struct mt_hashtab_array *array, uint64_t from, uint64_t to)
{
    uintptr_t page = mt_os_page_bytes();
    uintptr_t keys = (uintptr_t)&array->keys[from] & ~(page - 1);
    uintptr_t values = (uintptr_t)&array->values[from] & ~(page - 1);
    mt_os_populate((void *)keys, (uintptr_t)&array->keys[to] - keys);
    mt_os_populate((void *)values, (uintptr_t)&array->values[to] - values);
}

/* From front to back, in pieces: what has been moved is given back before memory is taken for the next. */
static void move_all(struct mt_hashtab_array *to, struct mt_hashtab_array *from)
{
    uint64_t has_pages = 0;
    for (uint64_t at = 0; at < from->capacity;) {
        uint64_t first = at;
        uint64_t end = from->capacity - at > MOVED_AT_ONCE ? at + MOVED_AT_ONCE : from->capacity;
        uint64_t pages_to = (uint64_t)((__uint128_t)end * to->capacity / from->capacity);
        have_pages(to, has_pages, pages_to);
        has_pages = pages_to;
        for (; at < end; at++) {
            if (from->keys[at] != 0) {
                array_put(to, from->keys[at], from->values[at]);
            }
        }
        give_back(from, &from->keys[first], &from->keys[end]);
        give_back(from, &from->values[first], &from->values[end]);
    }
}

static struct mt_hashtab_array *new_array(uint64_t bytes)
{
    void *base = NULL;
    if (mt_os_map_anonymous(bytes, &base) != MT_OK) {
        return NULL;
    }
    (void)mt_os_advise_nohugepage(base, bytes);
    struct mt_hashtab_array *array = base;
    array->bytes = bytes;
    array->capacity = (bytes - sizeof *array) / PLACE_BYTES;
    array->values = (uint32_t *)(void *)&array->keys[array->capacity];
    return array;
}

static uint64_t next_bytes(const struct mt_hashtab_array *old)
{
    uint64_t page = mt_os_page_bytes();
    if (old == NULL) {
        return FIRST_BYTES;
    }
    return old->bytes < DOUBLED_BYTES ? old->bytes * 2 : (old->bytes + old->bytes / 4) & ~(page - 1);
}

static bool grow(struct mt_hashtab *t)
{
    struct mt_hashtab_array *old = t->array;
    struct mt_hashtab_array *array = new_array(next_bytes(old));
    if (array == NULL) {
        return false;
    }
    if (old == NULL) {
        have_pages(array, 0, array->capacity);
    } else {
        move_all(array, old);
        array->older = t->locked ? NULL : old;
    }
    mt_store_release(&t->array, array); /* H2 */
    if (t->locked && old != NULL) {
        mt_os_unmap(old, old->bytes);
    }
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
    struct mt_hashtab_array *array = t->array;
    t->array = NULL;
    t->count = 0;
    while (array != NULL) {
        struct mt_hashtab_array *older = array->older;
        mt_os_unmap(array, array->bytes);
        array = older;
    }
}
