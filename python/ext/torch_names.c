/* torch_names.c: see torch.h. Open addressing; what has died leaves when its place is wanted or the table is made anew. */
#include "torch.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_PLACES = 256 };

static struct {
    struct mt_py_torch_known *places;
    size_t capacity, used; /* a power of two; at most half of it used */
} g_known;

static size_t home(const void *object, size_t capacity)
{
    return (size_t)(((uint64_t)(uintptr_t)object >> 4) * 0x9E3779B97F4A7C15u >> 32) & (capacity - 1);
}

static bool is_alive(const struct mt_py_torch_known *known)
{
    return PyWeakref_GetObject(known->reference) == known->object;
}

/* The place of an object, or a free one for it. */
static struct mt_py_torch_known *place_of(struct mt_py_torch_known *places, size_t capacity, const void *object)
{
    size_t at = home(object, capacity);
    while (places[at].object != NULL && places[at].object != object) {
        at = (at + 1) & (capacity - 1);
    }
    return &places[at];
}

struct mt_py_torch_known *mt_py_torch_known(const void *object)
{
    if (g_known.capacity == 0) {
        return NULL;
    }
    struct mt_py_torch_known *known = place_of(g_known.places, g_known.capacity, object);
    return known->object != NULL && is_alive(known) ? known : NULL;
}

static void give_back(struct mt_py_torch_known *known)
{
    Py_CLEAR(known->reference);
    free(known->name);
    known->name = NULL;
}

static size_t count_alive(void)
{
    size_t alive = 0;
    for (size_t i = 0; i < g_known.capacity; i++) {
        alive += g_known.places[i].object != NULL && is_alive(&g_known.places[i]);
    }
    return alive;
}

/* Anew without the dead, a quarter full at most. False: no memory. */
static bool renew(void)
{
    size_t capacity = FIRST_PLACES;
    for (size_t alive = count_alive(); capacity < 4 * (alive + 1);) {
        capacity *= 2;
    }
    struct mt_py_torch_known *places = calloc(capacity, sizeof *places);
    if (places == NULL) {
        return false;
    }
    g_known.used = 0;
    for (size_t i = 0; i < g_known.capacity; i++) {
        struct mt_py_torch_known *known = &g_known.places[i];
        if (known->object != NULL && is_alive(known)) {
            *place_of(places, capacity, known->object) = *known;
            g_known.used++;
        } else if (known->object != NULL) {
            give_back(known);
        }
    }
    free(g_known.places);
    g_known.places = places;
    g_known.capacity = capacity;
    return true;
}

static char *copy(const char *name, size_t bytes)
{
    char *text = malloc(bytes + 1);
    if (text != NULL) {
        memcpy(text, name, bytes);
        text[bytes] = '\0';
    }
    return text;
}

struct mt_py_torch_known *mt_py_torch_name(PyObject *object, const char *name, size_t bytes)
{
    if (2 * (g_known.used + 1) > g_known.capacity && !renew()) {
        return NULL;
    }
    PyObject *reference = PyWeakref_NewRef(object, NULL);
    char *text = reference != NULL ? copy(name, bytes) : NULL;
    if (text == NULL) {
        PyErr_Clear();
        Py_XDECREF(reference);
        return NULL;
    }
    struct mt_py_torch_known *known = place_of(g_known.places, g_known.capacity, object);
    bool same = known->object != NULL && is_alive(known);
    uint64_t calls = same ? known->calls : 0, called_in = same ? known->called_in : 0;
    g_known.used += known->object == NULL;
    give_back(known);
    *known = (struct mt_py_torch_known){ object, reference, text, calls, called_in };
    return known;
}

void mt_py_torch_forget_all(void)
{
    for (size_t i = 0; i < g_known.capacity; i++) {
        give_back(&g_known.places[i]);
    }
    free(g_known.places);
    g_known.places = NULL;
    g_known.capacity = g_known.used = 0;
}
