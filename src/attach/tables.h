/* tables.h: call frame information of the objects of another process, fetched page by page as it is looked at.
 *
 * Decides: what is read comes from the mapped object, as object.h has it, and of tables of tens of megabytes only the few pages that
 * a question needs: a thread is stopped meanwhile, and pages that are read become resident there. What has been fetched is kept for
 * the next thread. Context: [tool].
 */
#ifndef MT_ATTACH_TABLES_H
#define MT_ATTACH_TABLES_H

#include "attach/object.h"
#include "base/cfi.h"

struct mt_table_copy;

struct mt_tables {
    const struct mt_remote *remote;
    const struct mt_objects *objects;
    struct mt_table_copy **copies; /* one an object, NULL until it is asked for */
};

/* Borrows both. */
void mt_tables_open(const struct mt_remote *remote, const struct mt_objects *objects, struct mt_tables *ret);
void mt_tables_close(struct mt_tables *tables);
/* The rule in force at address, and where its function begins. Errors of mt_cfi_find_row; MT_E_NOENT also where no object is. */
mt_status mt_tables_row(struct mt_tables *tables, uint64_t address, struct mt_cfi_row *ret_row) MT_CHECKED;
mt_status mt_tables_start(struct mt_tables *tables, uint64_t address, uint64_t *ret_start) MT_CHECKED;

#endif
