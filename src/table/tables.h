/* tables.h: the rows of tables.def as structs, and their descriptors. Context: [tool], pure. */
#ifndef MT_TABLE_TABLES_H
#define MT_TABLE_TABLES_H

#include "table/column.h"

typedef uint64_t mt_cell_U64;
typedef int64_t mt_cell_S64;
typedef double mt_cell_F64;
typedef const char *mt_cell_TEXT;

/* struct mt_row_ID and mt_table_ID() of each. */
#define MT_TABLE(id, name, about)                                                                                      \
    const struct mt_table *mt_table_##id(void);                                                                        \
    struct mt_row_##id {
#define MT_COLUMN(type, member, unit, about) mt_cell_##type member;
#define MT_TABLE_END(id)                                                                                               \
    }                                                                                                                  \
    ;
#include "table/tables.def"

#endif
