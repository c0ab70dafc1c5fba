/* trace_names.c: what the trace writer has numbered already. Open addressing, linear probing, at most three quarters full. */
#include "base/hash.h"
#include "base/os.h"
#include "tracker/trace.h"

#include <stdbool.h>

enum { FIRST_ROWS = 1024 };

static size_t rows_bytes(uint32_t mask)
{
    return mask == 0 ? 0 : ((size_t)mask + 1) * sizeof(struct mt_tracenames_row);
}

void mt_tracenames_fini(struct mt_trace_names *names)
{
    mt_os_unmap(names->rows, rows_bytes(names->mask));
    *names = (struct mt_trace_names){ 0 };
}

static struct mt_tracenames_row *find(const struct mt_trace_names *names, enum mt_meta_tag what, uint64_t a, uint64_t b)
{
    uint32_t at = (uint32_t)mt_hash_pair(a ^ (uint64_t)what << 56, b) & names->mask;
    for (;; at = (at + 1) & names->mask) {
        struct mt_tracenames_row *row = &names->rows[at];
        if (row->what == 0 || (row->what == (uint32_t)what && row->a == a && row->b == b)) {
            return row;
        }
    }
}

static bool grow(struct mt_trace_names *names)
{
    struct mt_trace_names bigger = *names;
    uint32_t rows = names->mask == 0 ? FIRST_ROWS : (names->mask + 1) * 2;
    void *memory = NULL;
    if (mt_os_map_anonymous(rows * sizeof(struct mt_tracenames_row), &memory) != MT_OK) {
        return false;
    }
    bigger.rows = memory;
    bigger.mask = rows - 1;
    for (uint32_t i = 0; names->mask != 0 && i <= names->mask; i++) {
        const struct mt_tracenames_row *row = &names->rows[i];
        if (row->what != 0) {
            *find(&bigger, (enum mt_meta_tag)row->what, row->a, row->b) = *row;
        }
    }
    mt_os_unmap(names->rows, rows_bytes(names->mask));
    *names = bigger;
    return true;
}

uint32_t mt_tracenames_number(struct mt_trace_names *names, enum mt_meta_tag what, uint64_t a, uint64_t b, bool *ret_new)
{
    *ret_new = false;
    if (names->used >= names->mask - names->mask / 4 && !grow(names)) {
        return 0;
    }
    struct mt_tracenames_row *row = find(names, what, a, b);
    if (row->what == 0) {
        *row = (struct mt_tracenames_row){ .a = a, .b = b, .what = (uint32_t)what, .number = ++names->numbers[what] };
        names->used++;
        *ret_new = true;
    }
    return row->number;
}
