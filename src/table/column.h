/* column.h: what a row is made of: columns with a name, a type, a unit and one sentence, at an offset in a struct.
 *
 * Decides: each table is written down once (tables.def), and every face reads it from there: JSON, CSV, text, SQL, Python. A
 * value that is not known has one representation a type: UINT64_MAX, INT64_MIN, NaN, NULL. Context: [tool], pure.
 */
#ifndef MT_TABLE_COLUMN_H
#define MT_TABLE_COLUMN_H

#include "util/json.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mt_column_type {
    MT_COLUMN_U64,
    MT_COLUMN_S64,
    MT_COLUMN_F64,
    MT_COLUMN_TEXT, /* const char *, NUL-terminated, from anywhere: not clean */
};

#define MT_NULL_U64 UINT64_MAX
#define MT_NULL_S64 INT64_MIN
#define MT_NULL_F64 ((double)NAN)

enum mt_column_flag {
    MT_COLUMN_OPTIONAL = 1u << 0, /* JSON and CSV leave it out where it is not known */
};

struct mt_column {
    const char *name;
    enum mt_column_type type;
    const char *unit; /* "bytes", "s", "ns" …; "" none */
    size_t offset;    /* in the row */
    unsigned flags;   /* enum mt_column_flag */
    const char *about; /* one sentence without its full stop */
};

struct mt_table {
    const char *name;
    const char *about;
    const struct mt_column *columns;
    size_t column_count;
    size_t row_bytes;
};

/* Is the value of this column known in that row? */
bool mt_column_is_known(const struct mt_column *column, const void *row);
/* The value of a column of one type. */
MT_INLINE uint64_t mt_column_u64(const struct mt_column *column, const void *row)
{
    return *(const uint64_t *)((const char *)row + column->offset);
}
MT_INLINE int64_t mt_column_s64(const struct mt_column *column, const void *row)
{
    return *(const int64_t *)((const char *)row + column->offset);
}
MT_INLINE double mt_column_f64(const struct mt_column *column, const void *row)
{
    return *(const double *)((const char *)row + column->offset);
}
MT_INLINE const char *mt_column_text(const struct mt_column *column, const void *row)
{
    return *(const char *const *)((const char *)row + column->offset);
}

/* As one member of an object, `"name": value`. */
void mt_column_put(struct mt_json *json, const struct mt_column *column, const void *row);
/* All members of a row, in the order of the table; the caller opens and closes the object. */
void mt_table_put(struct mt_json *json, const struct mt_table *table, const void *row);
/* The value as one field of CSV; nothing where it is not known. */
void mt_column_csv(struct mt_out *out, const struct mt_column *column, const void *row);
/* Lines of CSV: the names, and the values of one row. */
void mt_table_csv_names(struct mt_out *out, const struct mt_table *table);
void mt_table_csv_row(struct mt_out *out, const struct mt_table *table, const void *row);
/* A row as lines `name,value`. */
void mt_table_csv_pairs(struct mt_out *out, const struct mt_table *table, const void *row);
/* Rows that lie one behind the other: an array of objects, an object a line, CSV with its line of names. */
struct mt_rows {
    const struct mt_table *table;
    const void *data;
    size_t count;
};
void mt_rows_json(struct mt_out *out, const struct mt_rows *rows);
void mt_rows_ndjson(struct mt_out *out, const struct mt_rows *rows);
void mt_rows_csv(struct mt_out *out, const struct mt_rows *rows);

#endif
