/* tables.c: the descriptors of tables.def. A function a table, so that its columns know the struct they lie in. Context: [tool], pure. */
#include "table/tables.h"

#define DESCRIBED(type, member, unit, flags, about)                                                                    \
    { #member, MT_COLUMN_##type, unit, offsetof(struct_of_rows, member), flags, about },

#define MT_TABLE(id, name, about)                                                                                      \
    const struct mt_table *mt_table_##id(void)                                                                         \
    {                                                                                                                  \
        typedef struct mt_row_##id struct_of_rows;                                                                     \
        static const char table_name[] = name, table_about[] = about;                                                  \
        static const struct mt_column columns[] = {
#define MT_COLUMN(type, member, unit, about) DESCRIBED(type, member, unit, 0, about)
#define MT_COLUMN_MAYBE(type, member, unit, about) DESCRIBED(type, member, unit, MT_COLUMN_OPTIONAL, about)
#define MT_TABLE_END(id)                                                                                               \
        };                                                                                                             \
        static const struct mt_table table = { table_name, table_about, columns, MT_COUNTOF(columns),                  \
                                               sizeof(struct_of_rows) };                                               \
        return &table;                                                                                                 \
    }
#include "table/tables.def"
