/* strings.c: see strings.h. Context: [tool]. */
#include "page/strings.h"

#include "util/json.h"
#include "util/memory.h"
#include "util/namemap.h"
#include "util/text.h"

#include <stdlib.h>
#include <string.h>

void mt_page_strings_init(struct mt_page_strings *s)
{
    *s = (struct mt_page_strings){ .numbers = mt_namemap_new() };
    (void)mt_page_string(s, "");
}

void mt_page_strings_fini(struct mt_page_strings *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->texts[i]);
    }
    free(s->texts);
    mt_namemap_free(s->numbers);
    *s = (struct mt_page_strings){ 0 };
}

uint32_t mt_page_string(struct mt_page_strings *s, const char *text)
{
    const char *given = text != NULL ? text : "";
    bool is_new;
    uint32_t number = mt_namemap_put(s->numbers, given, strlen(given), &is_new);
    if (is_new) {
        s->texts = mt_alloc_grow(s->texts, &s->capacity, s->count + 1, sizeof *s->texts);
        s->texts[s->count++] = mt_text_clean(given, strlen(given));
    }
    return number;
}

uint32_t mt_page_string_take(struct mt_page_strings *s, char *text)
{
    uint32_t number = mt_page_string(s, text);
    free(text);
    return number;
}

void mt_page_strings_put(const struct mt_page_strings *s, struct mt_json *json)
{
    mt_json_array(json);
    for (size_t i = 0; i < s->count; i++) {
        mt_json_text(json, s->texts[i]);
    }
    mt_json_array_end(json);
}
