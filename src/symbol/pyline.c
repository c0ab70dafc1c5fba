/* pyline.c: decoders for the three line-table encodings of CPython.
 *
 * Decides: which line an instruction belongs to. All three tables are lists of (range length, line change) in
 * instruction order, so look-ups in that order are one pass. The line is kept in 64 bits and a result outside 1..2^31-1 counts as
 * "the table does not say": the bytes come from a file and may be anything.
 * Sources: Objects/lnotab_notes.txt of CPython 3.8-3.10 (lnotab; in 3.10 also PEP 626), Objects/locations.md of 3.11
 * and PEP 657. Invariant: never reads outside [table, table + table_bytes). Context: [tool].
 */
#include "symbol/pyline.h"

enum { NO_LINE = -1, LINE_LIMIT = 0x7FFFFFFF, CODE_UNIT_BYTES = 2, NO_LINE_DELTA_310 = -128 };

/* Location codes of 3.11+, bits 3-6 of an entry's first byte. */
enum location_code {
    LOCATION_ONE_LINE_0 = 10, /* 0-9: short form, same line */
    LOCATION_ONE_LINE_2 = 12,
    LOCATION_NO_COLUMNS = 13,
    LOCATION_LONG = 14,
    LOCATION_NONE = 15,
};

/* A pass over a table. */
struct pass {
    const uint8_t *table;
    size_t bytes, at;
    int64_t end;  /* of the range it is in, in bytes of code */
    int64_t line;
    bool says;    /* the range has a line */
};

/* Pairs (address step u8, line step s8): the line is that of the last pair whose address is not beyond lasti. */
static int64_t go_on_lnotab(struct pass *p, int64_t lasti)
{
    while (p->at + 1 < p->bytes && p->end + p->table[p->at] <= lasti) {
        p->end += p->table[p->at];
        p->line += (int8_t)p->table[p->at + 1];
        p->at += 2;
    }
    return p->line;
}

/* Pairs (range length u8, line step s8): the line of the range that holds lasti; -128: a range without a line. */
static int64_t go_on_310(struct pass *p, int64_t lasti)
{
    while (p->end <= lasti) {
        if (p->at + 1 >= p->bytes) {
            return NO_LINE;
        }
        int8_t step = (int8_t)p->table[p->at + 1];
        p->says = step != NO_LINE_DELTA_310;
        p->end += p->table[p->at];
        p->line += p->says ? step : 0;
        p->at += 2;
    }
    return p->says ? p->line : NO_LINE;
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
static int64_t go_on_311(struct pass *p, int64_t lasti)
{
    while (p->end <= lasti) {
        while (p->at < p->bytes && p->table[p->at] < 0x80) {
            p->at++;
        }
        if (p->at == p->bytes) {
            return NO_LINE;
        }
        uint8_t first = p->table[p->at];
        p->says = (first >> 3 & 15) != LOCATION_NONE;
        p->end += ((first & 7) + 1) * CODE_UNIT_BYTES;
        p->line += line_step_311(p->table, p->bytes, p->at);
        p->at++;
    }
    return p->says ? p->line : NO_LINE;
}

static int64_t no_table(struct pass *p, int64_t lasti)
{
    (void)p;
    (void)lasti;
    return NO_LINE;
}

typedef int64_t go_on(struct pass *p, int64_t lasti);

static go_on *go_on_of(uint32_t kind)
{
    switch (kind) {
    case MT_LINETABLE_LNOTAB:
        return go_on_lnotab;
    case MT_LINETABLE_310:
        return go_on_310;
    case MT_LINETABLE_311:
        return go_on_311;
    default:
        return no_table;
    }
}

static uint32_t shown(int64_t line, uint32_t first_line)
{
    return line > 0 && line <= LINE_LIMIT ? (uint32_t)line : first_line;
}

uint32_t mt_pyline_lookup(uint32_t kind, const uint8_t *table, size_t table_bytes, uint32_t first_line, int64_t lasti)
{
    struct pass p = { .table = table, .bytes = table_bytes, .line = first_line };
    return lasti < 0 ? first_line : shown(go_on_of(kind)(&p, lasti), first_line);
}

uint32_t mt_pyline_lookup_on(struct mt_pyline_place *place, uint32_t kind, const uint8_t *table, size_t table_bytes,
                             uint32_t first_line, int64_t lasti)
{
    if (lasti < 0) {
        return first_line;
    }
    if (!place->begun || lasti < place->lasti) {
        *place = (struct mt_pyline_place){ .begun = true, .line = first_line };
    }
    struct pass p = { table, table_bytes, place->at, place->end, place->line, place->says };
    int64_t line = go_on_of(kind)(&p, lasti);
    *place = (struct mt_pyline_place){ p.at, lasti, p.end, p.line, true, p.says };
    return shown(line, first_line);
}

void mt_pyline_lookup_all(uint32_t kind, const uint8_t *table, size_t table_bytes, uint32_t first_line,
                          const uint32_t *lasti, size_t count, uint32_t *ret_lines)
{
    struct pass p = { .table = table, .bytes = table_bytes, .line = first_line };
    go_on *next = go_on_of(kind);
    for (size_t i = 0; i < count; i++) {
        ret_lines[i] = shown(next(&p, lasti[i]), first_line);
    }
}
