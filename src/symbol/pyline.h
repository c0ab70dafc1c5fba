/* pyline.h: line numbers of Python code objects from their line tables.
 *
 * Decides: how an instruction offset becomes a line, for the three encodings CPython has had: co_lnotab (<= 3.9,
 * Objects/lnotab_notes.txt), co_linetable (3.10, PEP 626), location table (3.11+, Objects/locations.md, PEP 657).
 * Bounds checked: the bytes come from a trace. Context: [tool].
 */
#ifndef MT_SYMBOL_PYLINE_H
#define MT_SYMBOL_PYLINE_H

#include "wire/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How far one table has been read. All zero: not at all. Fields are private. */
struct mt_pyline_place {
    size_t at;
    int64_t lasti, end, line;
    bool begun, says;
};

/* Line of the instruction at byte offset lasti; first_line when lasti < 0 or the table does not say. */
uint32_t mt_pyline_lookup(uint32_t kind, const uint8_t *table, size_t table_bytes, uint32_t first_line, int64_t lasti);
/* The same, from where the last look-up in this table came to, unless that was further on: nodes of one code object mostly come in the
 * order in which it ran, and the table of a module is long. */
uint32_t mt_pyline_lookup_on(struct mt_pyline_place *place, uint32_t kind, const uint8_t *table, size_t table_bytes,
                             uint32_t first_line, int64_t lasti);
/* The same for many, which ascend: the table is read once. */
void mt_pyline_lookup_all(uint32_t kind, const uint8_t *table, size_t table_bytes, uint32_t first_line,
                          const uint32_t *lasti, size_t count, uint32_t *ret_lines);

#endif
