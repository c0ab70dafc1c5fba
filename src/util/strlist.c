/* strlist.c: a growing list of strings it owns. */
#include "util/strlist.h"

#include "util/memory.h"
#include "util/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void take(struct mt_strlist *list, char *text)
{
    list->items = mt_alloc_grow(list->items, &list->capacity, list->count + 2, sizeof *list->items);
    list->items[list->count++] = text;
    list->items[list->count] = NULL;
}

void mt_strlist_add(struct mt_strlist *list, const char *text)
{
    take(list, mt_strdup(text));
}

static void free_text(void *text, size_t bytes)
{
    (void)bytes;
    free(text);
}

void mt_strlist_print(struct mt_strlist *list, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int bytes = vasprintf(&text, format, args);
    va_end(args);
    if (bytes < 0) {
        take(list, mt_strdup(format));
        return;
    }
    mt_memory_hold(text, 0, free_text);
    take(list, mt_text_clean(text, (size_t)bytes));
    free(text);
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void mt_strlist_sort(struct mt_strlist *list, size_t first)
{
    if (list->count > first) {
        qsort(list->items + first, list->count - first, sizeof *list->items, compare);
    }
}

void mt_strlist_clear(struct mt_strlist *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i]);
    }
    free(list->items);
    *list = (struct mt_strlist){ 0 };
}
