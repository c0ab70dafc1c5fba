/* records_json.h: lines of `memtap parse` as JSON.
 *
 * Decides: a line is {"record": its first word, "fields": [the others in their order]}: decimal numbers as numbers, all else as text, what
 * stands between quotes without them. So JSON says what the text says, and a record that is added is there by itself. Context: [tool].
 */
#ifndef MT_EXPORT_RECORDS_JSON_H
#define MT_EXPORT_RECORDS_JSON_H

#include "util/json.h"

/* Lines that records.c wrote, each with its line break; a value a line. */
void mt_records_json_lines(struct mt_json *json, const char *lines);

#endif
