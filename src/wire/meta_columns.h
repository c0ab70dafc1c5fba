/* meta_columns.h: metadata records by field, as columns.h has events.
 *
 * Decides: the payload of a metadata block with codec MT_CODEC_COLUMNS (docs/formats/trace.md section 3.3). A node says how
 * far back its parent is, nearly always a step; a stack how far back its nodes are; a pc, of which programs have few, its
 * place among those before. Records of other kinds, and any that would not come out byte by byte as they went in, are kept
 * whole. Invariant: never reads or writes outside what it is given, whatever the bytes say. Context: [tool].
 */
#ifndef MT_WIRE_META_COLUMNS_H
#define MT_WIRE_META_COLUMNS_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mt_meta_column {
    MT_META_COLUMN_BASE,   /* varint native, varint python nodes before this block */
    MT_META_COLUMN_TAG,    /* a tag; MT_META_WHOLE is set in those of records kept whole that could be taken apart */
    MT_META_COLUMN_PARENT, /* of nodes: own number - 1 - parent */
    MT_META_COLUMN_PC,     /* 1 + place in the list of pcs; 0: the next of MT_META_COLUMN_NEW_PC, which joins the list */
    MT_META_COLUMN_NEW_PC, /* svarint pc - the new one before */
    MT_META_COLUMN_CODE,
    MT_META_COLUMN_OFFSET,
    MT_META_COLUMN_FLAGS,
    MT_META_COLUMN_NATIVE, /* of stacks: native nodes so far - native node */
    MT_META_COLUMN_PYTHON,
    MT_META_COLUMN_COUNT,  /* of anchors */
    MT_META_COLUMN_ANCHOR, /* svarint anchor - the one before */
    MT_META_COLUMN_LENGTH, /* of records kept whole */
    MT_META_COLUMN_TEXT,   /* payloads of STRING */
    MT_META_COLUMN_WHOLE,  /* other payloads */
    MT_META_COLUMN__COUNT
};

enum {
    MT_META_COLUMNS_HEAD_BYTES = 4 * MT_META_COLUMN__COUNT, /* bytes of each column, u32, before the columns */
    MT_META_WHOLE = 0x80,
};

/* How many nodes there are: goes on from block to block. All zero at first. */
struct mt_meta_count {
    uint32_t native, python;
};

/* Makes head and columns of whole records: malloc'ed, for the caller to free. *ret_row_bytes: what they join to, the records
 * with their lengths in the shortest form. MT_E_CORRUPT: not whole records, or a tag of 128 and more. MT_E_NOMEM. */
mt_status mt_meta_columns_split(const uint8_t *rows, size_t bytes, struct mt_meta_count *count, uint8_t **ret_columns,
                                size_t *ret_bytes, size_t *ret_row_bytes) MT_CHECKED;

/* Makes records of head and columns, exactly row_bytes. MT_E_CORRUPT: they are not columns of so many bytes; what rows
 * holds is of no use then. MT_E_NOMEM. */
mt_status mt_meta_columns_join(const uint8_t *columns, size_t bytes, uint8_t *rows, size_t row_bytes) MT_CHECKED;

#endif
