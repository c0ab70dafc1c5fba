/* load.c: what every loader needs. Context: [tool]. */
#include "sql/catalog.h"

#include "util/memory.h"

#include <string.h>

const char *mt_sql_about(const struct mt_sql_table *table)
{
    return table->about != NULL ? table->about : table->describe()->about;
}

void *mt_sql_add_row(struct mt_sql_load *load)
{
    struct mt_sql_batch *batch = load->batch;
    batch->rows = mt_alloc_grow(batch->rows, &batch->capacity, batch->count + 1, load->row_bytes);
    void *row = (char *)batch->rows + batch->count++ * load->row_bytes;
    memset(row, 0, load->row_bytes);
    return row;
}
