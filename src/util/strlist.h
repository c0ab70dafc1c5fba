/* strlist.h: a growing list of strings it owns. Context: [tool]. */
#ifndef MT_UTIL_STRLIST_H
#define MT_UTIL_STRLIST_H

#include <stddef.h>

/* All zero is an empty list. */
struct mt_strlist {
    char **items; /* each malloc'ed; items[count] is NULL once something was added */
    size_t count;
    size_t capacity;
};

/* Copies text. */
void mt_strlist_add(struct mt_strlist *list, const char *text);
/* Adds a sentence, clean (text.h). */
void mt_strlist_print(struct mt_strlist *list, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Sorts items[first …) by bytes. */
void mt_strlist_sort(struct mt_strlist *list, size_t first);
void mt_strlist_clear(struct mt_strlist *list);

#endif
