/* load_described.c: what the catalog says of itself. Context: [tool]. */
#include "sql/catalog.h"

mt_status mt_sql_load_described_tables(struct mt_sql_load *load)
{
    for (const struct mt_sql_table *t = load->tables; t->describe != NULL; t++) {
        struct mt_row_described_tables *row = mt_sql_add_row(load);
        *row = (struct mt_row_described_tables){ "memtap", t->schema, t->name, t->arguments[0] != NULL ? "FUNCTION" : "TABLE",
                                                 mt_sql_about(t) };
    }
    for (const struct mt_sql_view *v = load->views; v->name != NULL; v++) {
        struct mt_row_described_tables *row = mt_sql_add_row(load);
        *row = (struct mt_row_described_tables){ "memtap", v->schema, v->name, "VIEW", v->about };
    }
    return MT_OK;
}

static void describe_column(struct mt_sql_load *load, const struct mt_sql_table *t, size_t i)
{
    static const char *const types[] = { "INTEGER", "INTEGER", "REAL", "TEXT" };
    const struct mt_column *column = &t->describe()->columns[i];
    struct mt_row_described_columns *row = mt_sql_add_row(load);
    *row = (struct mt_row_described_columns){ "memtap", t->schema, t->name, column->name, i + 1, types[column->type],
                                              column->unit[0] != '\0' ? column->unit : NULL, column->about };
}

mt_status mt_sql_load_described_columns(struct mt_sql_load *load)
{
    for (const struct mt_sql_table *t = load->tables; t->describe != NULL; t++) {
        for (size_t i = 0; i < t->describe()->column_count; i++) {
            describe_column(load, t, i);
        }
    }
    return MT_OK;
}
