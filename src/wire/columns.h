/* columns.h: event records by field instead of by record, which is how they compress well.
 *
 * Decides: the payload of a block with codec MT_CODEC_COLUMNS (docs/formats/trace.md section 3.2): the same bytes as the
 * records, sorted into a column for each kind of field. Nothing is decoded: tags say which fields follow, a field goes to
 * its column as it is, and joining puts every byte back in its place. Programs repeat themselves, but never with the same
 * addresses: between two rounds of a loop, sizes, stacks and tags are equal as columns and nothing is as records.
 * Invariant: never reads or writes outside what it is given, whatever the bytes say. Context: [tool].
 */
#ifndef MT_WIRE_COLUMNS_H
#define MT_WIRE_COLUMNS_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mt_column {
    MT_COLUMN_TAG,
    MT_COLUMN_CLOCK, /* varints after tags with MT_TAG_CLOCK */
    MT_COLUMN_ADDR,  /* ALLOC, REALLOC_NEW */
    MT_COLUMN_FREED, /* FREE, REALLOC_OLD with nibble 0 */
    MT_COLUMN_SIZE,
    MT_COLUMN_STACK,
    MT_COLUMN_RANGE, /* all fields of MAP and UNMAP */
    MT_COLUMN_EXT,   /* lengths and payloads of EXT */
    MT_COLUMN__COUNT
};

enum {
    MT_COLUMNS_HEAD_BYTES = 4 * MT_COLUMN__COUNT, /* bytes of each column, u32, before the columns */
    MT_COLUMNS_SLACK = 64,                        /* readable behind the columns, writable behind the rows */
};

/* Columns as they grow; all zero at first. */
struct mt_columns {
    uint8_t *data[MT_COLUMN__COUNT];
    size_t used[MT_COLUMN__COUNT], capacity[MT_COLUMN__COUNT];
    size_t bytes; /* of all columns: of the rows they make */
};
void mt_columns_clear(struct mt_columns *c);
void mt_columns_fini(struct mt_columns *c);

/* Appends the records of a block. When others are there already, a RESTART record with this block's clock_first goes
 * between. MT_E_CORRUPT: not whole records from end to end, nothing was appended. MT_E_NOMEM. */
mt_status mt_columns_add(struct mt_columns *c, uint64_t clock_first, const uint8_t *rows, size_t bytes) MT_CHECKED;

/* A head is a u32 for each column with its bytes; the columns follow one after the other. Puts column i at `at`, and says so in
 * the head; returns the end. */
uint8_t *mt_columns_put(uint8_t *head, size_t i, uint8_t *at, const uint8_t *data, size_t bytes);
/* Where each of `count` columns begins and ends; false when they are not what the head says. */
bool mt_columns_find(const uint8_t *head, size_t bytes, size_t count, const uint8_t *ret_begin[],
                     const uint8_t *ret_end[]) MT_CHECKED;

/* Writes head and columns, MT_COLUMNS_HEAD_BYTES + c->bytes bytes; they may be joined when MT_COLUMNS_SLACK follow. */
void mt_columns_gather(const struct mt_columns *c, uint8_t *to);

/* Makes rows of head and columns, `bytes` together: row_bytes of them, with room for MT_COLUMNS_SLACK more. False: the
 * columns are not those of so many bytes; what rows holds is of no use then. */
bool mt_columns_join(const uint8_t *columns, size_t bytes, uint8_t *rows, size_t row_bytes) MT_CHECKED;

#endif
