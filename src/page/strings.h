/* strings.h: the texts of a page, each once.
 *
 * Decides: number 0 is the empty text; a text is made clean (util/text.h) before it gets its number. Context: [tool].
 */
#ifndef MT_PAGE_STRINGS_H
#define MT_PAGE_STRINGS_H

#include <stddef.h>
#include <stdint.h>

struct mt_json;
struct mt_namemap;

struct mt_page_strings {
    struct mt_namemap *numbers;
    char **texts;
    size_t count, capacity;
};

void mt_page_strings_init(struct mt_page_strings *s);
void mt_page_strings_fini(struct mt_page_strings *s);
/* NULL is the empty text. */
uint32_t mt_page_string(struct mt_page_strings *s, const char *text);
/* The same of a malloc'ed text, which is freed. */
uint32_t mt_page_string_take(struct mt_page_strings *s, char *text);
/* An array of all. */
void mt_page_strings_put(const struct mt_page_strings *s, struct mt_json *json);

#endif
