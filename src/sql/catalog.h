/* catalog.h: which tables there are, and how each gets its rows. Private to sql/.
 *
 * Decides: a table of SQL is a descriptor of table/tables.def and a function that makes its rows. Columns that cost much (names of
 * functions, which open binaries; amounts, which read all events) are only filled when a query uses them: a loader gets the set of
 * used columns. Rows of one table lie one behind the other, a cell 8 bytes. Context: [tool].
 */
#ifndef MT_SQL_CATALOG_H
#define MT_SQL_CATALOG_H

#include "sql/session.h"
#include "table/tables.h"

enum { MT_SQL_ARGUMENTS_MAX = 2 };

/* Rows as they were made. */
struct mt_sql_batch {
    void *rows;
    size_t count, capacity;
};

struct mt_sql_table;
struct mt_sql_view;

/* What a loader is asked for. */
struct mt_sql_load {
    struct mt_sql *sql;
    const struct mt_sql_table *tables; /* the catalog */
    const struct mt_sql_view *views;
    uint64_t used;   /* bit of each column of the descriptor */
    uint64_t filled; /* what the loader fills: all, unless it says less */
    const char *arguments[MT_SQL_ARGUMENTS_MAX]; /* of a table function, as text */
    struct mt_sql_batch *batch;
    size_t row_bytes;
    struct mt_error *err;
};

/* Where rows come from; said where a table has none. */
enum mt_sql_source {
    MT_SQL_OF_TRACE,
    MT_SQL_OF_PROCESS, /* what the system says of a process that runs, recorded or not */
    MT_SQL_OF_NOBODY,  /* the machine's, or memtap's own */
};

struct mt_sql_table {
    const struct mt_table *(*describe)(void);
    const char *schema, *name;
    const char *arguments[MT_SQL_ARGUMENTS_MAX]; /* of a table function: their names */
    const char *sorted; /* column that rows are in order of, within the whole table; NULL: none */
    mt_status (*load)(struct mt_sql_load *load);
    const char *about; /* NULL: what the descriptor says */
    enum mt_sql_source source;
};

extern const struct mt_sql_table mt_sql_tables[]; /* describe NULL ends */

const char *mt_sql_about(const struct mt_sql_table *table);

/* A view that comes with memtap. */
struct mt_sql_view {
    const char *schema, *name, *about, *select;
};
extern const struct mt_sql_view mt_sql_views[]; /* name NULL ends */

/* A new row, zeroed; until the next one. */
void *mt_sql_add_row(struct mt_sql_load *load);
/* Does the query use a column? of: a member of struct mt_row_ID. */
#define MT_SQL_USES(load, id, member)                                                                                  \
    (((load)->used >> (offsetof(struct mt_row_##id, member) / sizeof(uint64_t)) & 1) != 0)

/* load_*.c */
mt_status mt_sql_load_sites(struct mt_sql_load *load);
mt_status mt_sql_load_leaks(struct mt_sql_load *load);
mt_status mt_sql_load_timeline(struct mt_sql_load *load);
mt_status mt_sql_load_threads(struct mt_sql_load *load);
mt_status mt_sql_load_snapshots(struct mt_sql_load *load);
mt_status mt_sql_load_allocations(struct mt_sql_load *load);
mt_status mt_sql_load_live_at(struct mt_sql_load *load);
mt_status mt_sql_load_between(struct mt_sql_load *load);
mt_status mt_sql_load_diff(struct mt_sql_load *load);
mt_status mt_sql_load_events(struct mt_sql_load *load);
mt_status mt_sql_load_lifetimes(struct mt_sql_load *load);
mt_status mt_sql_load_stacks(struct mt_sql_load *load);
mt_status mt_sql_load_modules(struct mt_sql_load *load);
mt_status mt_sql_load_process_memory(struct mt_sql_load *load);
mt_status mt_sql_load_smaps(struct mt_sql_load *load);
mt_status mt_sql_load_gc(struct mt_sql_load *load);
mt_status mt_sql_load_tensors(struct mt_sql_load *load);
mt_status mt_sql_load_objects(struct mt_sql_load *load);
mt_status mt_sql_load_oom_events(struct mt_sql_load *load);
mt_status mt_sql_load_gpu_utilization(struct mt_sql_load *load);
mt_status mt_sql_load_gpu_devices(struct mt_sql_load *load);
mt_status mt_sql_load_torch(struct mt_sql_load *load);
mt_status mt_sql_load_described_tables(struct mt_sql_load *load);
mt_status mt_sql_load_described_columns(struct mt_sql_load *load);

#endif
