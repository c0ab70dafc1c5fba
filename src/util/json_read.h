/* json_read.h: JSON from strangers, as a tree.
 *
 * Decides: RFC 8259 and nothing else: UTF-8, no comments, no trailing commas, nesting up to a limit; of members with the same name
 * the last one counts, as in Python. Numbers are doubles; one that is whole and fits is an integer too. Texts may have no NUL in them,
 * which nothing here has a use for. A mistake is a sentence with its place. Context: [tool].
 */
#ifndef MT_UTIL_JSON_READ_H
#define MT_UTIL_JSON_READ_H

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MT_JSON_READ_DEPTH_MAX = 32 };
enum mt_json_type { MT_JSON_NULL, MT_JSON_BOOL, MT_JSON_NUMBER, MT_JSON_TEXT, MT_JSON_ARRAY, MT_JSON_OBJECT };

struct mt_json_value {
    enum mt_json_type type;
    bool truth;
    double number;
    bool is_whole; /* then: */
    int64_t whole;
    char *text;
    char *name;                   /* of a member */
    struct mt_json_value *first;  /* of an array or object */
    struct mt_json_value *next;   /* beside this one */
};

/* MT_E_INVAL: it is no JSON. *ret to mt_json_value_free. */
mt_status mt_json_read(const char *text, size_t bytes, struct mt_json_value **ret, struct mt_error *err) MT_CHECKED;
void mt_json_value_free(struct mt_json_value *value); /* NULL is fine */
/* NULL: value is no object, or has no such member. */
const struct mt_json_value *mt_json_member(const struct mt_json_value *value, const char *name);

#endif
