/* hashtab.c: see hashtab.h. */
#include "heap/hashtab.h"

#include "base/atomic.h"
#include "base/os.h"

struct entry {
    uint64_t key;
    uint32_t value;
    uint32_t pad;
};

struct mt_hashtab_array {
    uint64_t mask; /* capacity - 1, power of two */
    uint64_t bytes; /* of the mapping */
    struct mt_hashtab_array *older;
    uint64_t pad;
    struct entry entries[];
};

enum { FIRST_CAPACITY = 1024 };

bool mt_hashtab_get(const struct mt_hashtab *t, uint64_t key, uint32_t *ret_value)
{
    const struct mt_hashtab_array *array = mt_load_acquire(&t->array); /* H2 */
    if (array == NULL) {
        return false;
    }
    for (uint64_t at = key & array->mask;; at = (at + 1) & array->mask) {
        uint64_t found = mt_load_acquire(&array->entries[at].key); /* H1 */
        if (found == key) {
            *ret_value = mt_load_relaxed(&array->entries[at].value);
            return true;
        }
        if (found == 0) {
            return false;
        }
    }
}

static void array_put(struct mt_hashtab_array *array, uint64_t key, uint32_t value)
{
    uint64_t at = key & array->mask;
    while (array->entries[at].key != 0) {
        at = (at + 1) & array->mask;
    }
    mt_store_relaxed(&array->entries[at].value, value);
    mt_store_release(&array->entries[at].key, key); /* H1 */
}

static bool grow(struct mt_hashtab *t)
{
    struct mt_hashtab_array *old = t->array;
    uint64_t capacity = old == NULL ? FIRST_CAPACITY : (old->mask + 1) * 2;
    uint64_t bytes = sizeof(struct mt_hashtab_array) + capacity * sizeof(struct entry);
    void *base = NULL;
    if (mt_os_map_anonymous_now(bytes, &base) != MT_OK) { /* hashes reach every page, and read it before they write */
        return false;
    }
    (void)mt_os_advise_nohugepage(base, bytes);
    struct mt_hashtab_array *array = base;
    array->mask = capacity - 1;
    array->bytes = bytes;
    array->older = old;
    for (uint64_t i = 0; old != NULL && i <= old->mask; i++) {
        if (old->entries[i].key != 0) {
            array_put(array, old->entries[i].key, old->entries[i].value);
        }
    }
    mt_store_release(&t->array, array); /* H2 */
    return true;
}

bool mt_hashtab_put(struct mt_hashtab *t, uint64_t key, uint32_t value)
{
    if (t->array == NULL || t->count + 1 > (t->array->mask + 1) / 4 * 3) {
        if (!grow(t) && (t->array == NULL || t->count >= t->array->mask)) {
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
