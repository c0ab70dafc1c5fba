/* tables.c: see tables.h. */
#include "attach/tables.h"

#include "util/memory.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { PAGE_BYTES = 4096 };
static const uint64_t SEGMENT_BYTES_MAX = (uint64_t)4 << 30;

/* Of one segment; pages that have not been fetched cost nothing. */
struct mt_table_copy {
    const struct mt_remote *remote;
    uint64_t there, bytes; /* page-aligned below */
    uint64_t hdr;
    char *here;
    unsigned char *fetched; /* a bit a page */
};

static bool fetch_page(struct mt_table_copy *copy, uint64_t page)
{
    unsigned char bit = (unsigned char)(1u << page % 8);
    uint64_t offset = page * PAGE_BYTES;
    size_t bytes = copy->bytes - offset < PAGE_BYTES ? (size_t)(copy->bytes - offset) : PAGE_BYTES;
    if ((copy->fetched[page / 8] & bit) != 0) {
        return true;
    }
    if (!mt_remote_read(copy->remote, copy->there + offset, copy->here + offset, bytes)) {
        return false;
    }
    copy->fetched[page / 8] |= bit;
    return true;
}

/* As mt_cfi_image.fill. */
static bool fill(void *context, uint64_t at, uint64_t bytes)
{
    struct mt_table_copy *copy = context;
    uint64_t offset = at - (uint64_t)(uintptr_t)copy->here;
    if (offset >= copy->bytes || bytes > copy->bytes - offset) {
        return false;
    }
    bool good = true;
    for (uint64_t page = offset / PAGE_BYTES; good && page * PAGE_BYTES < offset + bytes; page++) {
        good = fetch_page(copy, page);
    }
    return good;
}

/* NULL: it has no tables. */
static struct mt_table_copy *new_copy(const struct mt_remote *remote, const struct mt_object *object)
{
    uint64_t there = object->unwind_low & ~(uint64_t)(PAGE_BYTES - 1);
    uint64_t bytes = object->unwind_high - there;
    if (object->unwind == 0 || object->unwind_high <= there || bytes > SEGMENT_BYTES_MAX) {
        return NULL;
    }
    void *here = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (here == MAP_FAILED) {
        return NULL;
    }
    struct mt_table_copy *copy = mt_alloc_zero(1, sizeof *copy);
    *copy = (struct mt_table_copy){ .remote = remote, .there = there, .bytes = bytes, .hdr = object->unwind, .here = here };
    copy->fetched = mt_alloc_zero(bytes / PAGE_BYTES / 8 + 1, 1);
    return copy;
}

static struct mt_table_copy *copy_at(struct mt_tables *tables, uint64_t address)
{
    const struct mt_object *object = mt_objects_at(tables->objects, address);
    if (object == NULL) {
        return NULL;
    }
    struct mt_table_copy **copy = &tables->copies[object - tables->objects->items];
    *copy = *copy != NULL ? *copy : new_copy(tables->remote, object);
    return *copy;
}

/* All is moved by as much: the tables, and the address that is asked for. */
static uint64_t moved_by(const struct mt_table_copy *copy)
{
    return (uint64_t)(uintptr_t)copy->here - copy->there;
}

static struct mt_cfi_image image_of(struct mt_table_copy *copy)
{
    uint64_t low = (uint64_t)(uintptr_t)copy->here;
    return (struct mt_cfi_image){ .low = low, .high = low + copy->bytes, .hdr = copy->hdr + moved_by(copy), .fill = fill, .context = copy };
}

void mt_tables_open(const struct mt_remote *remote, const struct mt_objects *objects, struct mt_tables *ret)
{
    *ret = (struct mt_tables){ remote, objects, mt_alloc_zero(objects->count + 1, sizeof *ret->copies) };
}

void mt_tables_close(struct mt_tables *tables)
{
    for (size_t i = 0; tables->copies != NULL && i < tables->objects->count; i++) {
        if (tables->copies[i] != NULL) {
            (void)munmap(tables->copies[i]->here, tables->copies[i]->bytes);
            free(tables->copies[i]->fetched);
            free(tables->copies[i]);
        }
    }
    free(tables->copies);
    tables->copies = NULL;
}

mt_status mt_tables_row(struct mt_tables *tables, uint64_t address, struct mt_cfi_row *ret_row)
{
    struct mt_table_copy *copy = copy_at(tables, address);
    if (copy == NULL) {
        return MT_E_NOENT;
    }
    struct mt_cfi_image image = image_of(copy);
    return mt_cfi_find_row(&image, address + moved_by(copy), ret_row);
}

mt_status mt_tables_start(struct mt_tables *tables, uint64_t address, uint64_t *ret_start)
{
    struct mt_table_copy *copy = copy_at(tables, address);
    if (copy == NULL) {
        return MT_E_NOENT;
    }
    struct mt_cfi_image image = image_of(copy);
    uint64_t start = 0;
    mt_status status = mt_cfi_find_start(&image, address + moved_by(copy), &start);
    if (status == MT_OK) {
        *ret_start = start - moved_by(copy);
    }
    return status;
}
