/* json.h: streaming JSON, one call a value, no tree in memory.
 *
 * Decides: RFC 8259 output that gives every name back: what a terminal must not get (text.h) is escaped by \u, a byte
 * that is not UTF-8 is \udcNN with that byte as NN (PEP 383; in Python, text.encode("utf-8", "surrogateescape") makes
 * the bytes again). Numbers are finite (NaN and infinities become null), doubles round-trip in the fewest digits.
 * Commas and nesting are kept by the writer; unbalanced use is a bug and asserts. Containers nested less deep than
 * `broken_lines` put each item on its own line, so that a report is readable and diffable; 0 gives one line (NDJSON).
 * Rejected: jansson and cJSON (twice the time, a tree in memory, a dependency). Context: [tool].
 */
#ifndef MT_UTIL_JSON_H
#define MT_UTIL_JSON_H

#include "util/out.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MT_JSON_DEPTH_MAX = 64 };

struct mt_json {
    struct mt_out *out; /* borrowed */
    unsigned broken_lines;
    unsigned depth;
    bool after_key;
    bool has_items[MT_JSON_DEPTH_MAX];
};

void mt_json_init(struct mt_json *json, struct mt_out *out, unsigned broken_lines);
void mt_json_object(struct mt_json *json);
void mt_json_object_end(struct mt_json *json);
void mt_json_array(struct mt_json *json);
void mt_json_array_end(struct mt_json *json);
/* key: ASCII, ours. Exactly one value follows. */
void mt_json_key(struct mt_json *json, const char *key);
/* As mt_json_key with a name that is escaped like a string value. */
void mt_json_key_text(struct mt_json *json, const char *key);

/* text NULL: null. */
void mt_json_text(struct mt_json *json, const char *text);
void mt_json_bytes(struct mt_json *json, const char *text, size_t bytes);
void mt_json_u64(struct mt_json *json, uint64_t value);
void mt_json_s64(struct mt_json *json, int64_t value);
void mt_json_double(struct mt_json *json, double value);
void mt_json_bool(struct mt_json *json, bool value);
void mt_json_null(struct mt_json *json);
/* A value that is JSON already. */
void mt_json_raw(struct mt_json *json, const char *text);

/* key and value in one call. */
void mt_json_put_text(struct mt_json *json, const char *key, const char *text);
void mt_json_put_u64(struct mt_json *json, const char *key, uint64_t value);
void mt_json_put_double(struct mt_json *json, const char *key, double value);
void mt_json_put_bool(struct mt_json *json, const char *key, bool value);

/* One CSV field (RFC 4180) of clean text (text.h), quoted only when it must be, also for what separates fields in other
 * locales. What a spreadsheet would take for a formula (= + - @ tab, return) gets a ' in front. Not for numbers. */
void mt_csv_field(struct mt_out *out, const char *text);

#endif
