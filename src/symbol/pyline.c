/* pyline.c: decoders for the three line-table encodings of CPython.
 *
 * Decides: which line an instruction belongs to. All three tables are lists of (range length, line change) in
 * instruction order, so a look-up is one pass. The line is kept in 64 bits and a result outside 1..2^31-1 counts as
 * "the table does not say": the bytes come from a file and may be anything.
 * Sources: Objects/lnotab_notes.txt of CPython 3.8-3.10 (lnotab; in 3.10 also PEP 626), Objects/locations.md of 3.11
 * and PEP 657. Invariant: never reads outside [table, table + table_bytes). Context: [tool].
 */
#include "symbol/pyline.h"

#include <stdbool.h>

enum { NO_LINE = -1, LINE_LIMIT = 0x7FFFFFFF, CODE_UNIT_BYTES = 2, NO_LINE_DELTA_310 = -128 };

/* Location codes of 3.11+, bits 3-6 of an entry's first byte. */
enum location_code {
    LOCATION_ONE_LINE_0 = 10, /* 0-9: short form, same line */
    LOCATION_ONE_LINE_2 = 12,
    LOCATION_NO_COLUMNS = 13,
    LOCATION_LONG = 14,
    LOCATION_NONE = 15,
};

/* Pairs (address step u8, line step s8): the line is that of the last pair whose address is not beyond lasti. */
static int64_t lookup_lnotab(const uint8_t *table, size_t table_bytes, int64_t line, int64_t lasti)
{
    int64_t address = 0;
    for (size_t i = 0; i + 1 < table_bytes; i += 2) {
        address += table[i];
        if (address > lasti) {
            break;
        }
        line += (int8_t)table[i + 1];
    }
    return line;
}

/* Pairs (range length u8, line step s8): the line of the range that holds lasti; -128: a range without a line. */
static int64_t lookup_310(const uint8_t *table, size_t table_bytes, int64_t line, int64_t lasti)
{
    int64_t end = 0;
    for (size_t i = 0; i + 1 < table_bytes; i += 2) {
        int8_t step = (int8_t)table[i + 1];
        end += table[i];
        line += step != NO_LINE_DELTA_310 ? step : 0;
        if (lasti < end) {
            return step != NO_LINE_DELTA_310 ? line : NO_LINE;
        }
    }
    return NO_LINE;
}

/* Signed variable-length integer: 6 bits a byte, least significant first, 0x40 = more follow, lowest bit the sign. */
static int64_t read_signed(const uint8_t *table, size_t table_bytes, size_t at)
{
    uint64_t value = 0;
    for (unsigned shift = 0; at < table_bytes && shift < 36; shift += 6) {
        uint8_t byte = table[at++];
        value |= (uint64_t)(byte & 0x3F) << shift;
        if ((byte & 0x40) == 0) {
            break;
        }
    }
    return (value & 1) != 0 ? -(int64_t)(value >> 1) : (int64_t)(value >> 1);
}

static int64_t line_step_311(const uint8_t *table, size_t table_bytes, size_t at)
{
    unsigned code = table[at] >> 3 & 15;
    if (code >= LOCATION_ONE_LINE_0 && code <= LOCATION_ONE_LINE_2) {
        return (int64_t)code - LOCATION_ONE_LINE_0;
    }
    bool stored = code == LOCATION_NO_COLUMNS || code == LOCATION_LONG;
    return stored ? read_signed(table, table_bytes, at + 1) : 0;
}

/* Entries begin with a byte >= 0x80: 1, code (4 bits), length in code units - 1 (3 bits); the rest is < 0x80. */
static int64_t lookup_311(const uint8_t *table, size_t table_bytes, int64_t line, int64_t lasti)
{
    int64_t end = 0;
    for (size_t i = 0; i < table_bytes; i++) {
        if (table[i] < 0x80) {
            continue;
        }
        end += ((table[i] & 7) + 1) * CODE_UNIT_BYTES;
        line += line_step_311(table, table_bytes, i);
        if (lasti < end) {
            return (table[i] >> 3 & 15) != LOCATION_NONE ? line : NO_LINE;
        }
    }
    return NO_LINE;
}

static int64_t lookup(uint32_t kind, const uint8_t *table, size_t table_bytes, int64_t first_line, int64_t lasti)
{
    switch (kind) {
    case MT_LINETABLE_LNOTAB:
        return lookup_lnotab(table, table_bytes, first_line, lasti);
    case MT_LINETABLE_310:
        return lookup_310(table, table_bytes, first_line, lasti);
    case MT_LINETABLE_311:
        return lookup_311(table, table_bytes, first_line, lasti);
    default:
        return NO_LINE;
    }
}

uint32_t mt_pyline_lookup(uint32_t kind, const uint8_t *table, size_t table_bytes, uint32_t first_line, int64_t lasti)
{
    if (lasti < 0) {
        return first_line;
    }
    int64_t line = lookup(kind, table, table_bytes, first_line, lasti);
    return line > 0 && line <= LINE_LIMIT ? (uint32_t)line : first_line;
}
