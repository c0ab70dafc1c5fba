/* line_reader.h: bounds-checked reading of .debug_line: a cursor, and the header of a line table.
 *
 * Invariant: a cursor never passes its end; after the first failed read it is `failed` and every read gives 0, so that
 * callers check once. Layouts: DWARF 5 section 6.2.4, DWARF 4 section 6.2.4 (versions 2 to 4). Context: [tool].
 */
#ifndef MT_SYMBOL_LINE_READER_H
#define MT_SYMBOL_LINE_READER_H

#include "symbol/dwarf_unit.h"

struct mt_line_cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

size_t mt_line_cursor_left(const struct mt_line_cursor *c);
/* Little-endian unsigned of 1 to 8 bytes; fails on another count. */
uint64_t mt_line_cursor_fixed(struct mt_line_cursor *c, size_t bytes);
uint64_t mt_line_cursor_uleb(struct mt_line_cursor *c);
int64_t mt_line_cursor_sleb(struct mt_line_cursor *c);
/* A NUL-terminated string, borrowed; "" on failure. */
const char *mt_line_cursor_text(struct mt_line_cursor *c);
/* A cursor over the next bytes, which are passed. */
struct mt_line_cursor mt_line_cursor_take(struct mt_line_cursor *c, uint64_t bytes);

struct mt_line_header {
    uint16_t version;
    uint8_t offset_bytes; /* 4, or 8 in 64-bit DWARF */
    uint8_t min_instruction_bytes;
    int8_t line_base;
    uint8_t line_range; /* not 0 */
    uint8_t opcode_base; /* not 0 */
    uint8_t operand_counts[255]; /* by opcode - 1 */
};

/* Reads the header at the cursor, fills lines->files, and leaves the cursor over exactly the line program. MT_E_CORRUPT
 * when it cannot be used, MT_E_VERSION for unknown versions. */
mt_status mt_line_header_read(struct mt_dwarf *dwarf, struct mt_lines *lines, struct mt_line_cursor *at,
                              struct mt_line_header *ret) MT_CHECKED;
/* A file entry as versions 2 to 4 have it (also DW_LNE_define_file). */
mt_status mt_line_header_add_file(struct mt_lines *lines, struct mt_line_cursor *at) MT_CHECKED;

#endif
