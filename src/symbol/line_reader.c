/* line_reader.c: cursor and line-table headers; see line_reader.h. Every count in a header is checked against the bytes
 * left before anything is reserved for it: an entry is at least one byte. */
#include "symbol/line_reader.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

size_t mt_line_cursor_left(const struct mt_line_cursor *c)
{
    return c->failed ? 0 : (size_t)(c->end - c->at);
}

static bool need(struct mt_line_cursor *c, uint64_t bytes)
{
    c->failed = c->failed || bytes > (uint64_t)(c->end - c->at);
    return !c->failed;
}

uint64_t mt_line_cursor_fixed(struct mt_line_cursor *c, size_t bytes)
{
    uint64_t value = 0;
    if (bytes == 0 || bytes > 8 || !need(c, bytes)) {
        c->failed = true;
        return 0;
    }
    for (size_t i = 0; i < bytes; i++) {
        value |= (uint64_t)c->at[i] << (8 * i);
    }
    c->at += bytes;
    return value;
}

/* Groups of 7 bits; bits beyond 64 are dropped, as every consumer of DWARF does. */
static uint64_t leb(struct mt_line_cursor *c, unsigned *ret_shift, uint8_t *ret_last)
{
    uint64_t value = 0;
    unsigned shift = 0;
    uint8_t byte = 0x80;
    while ((byte & 0x80) != 0 && need(c, 1)) {
        byte = *c->at++;
        value |= shift < 64 ? (uint64_t)(byte & 0x7F) << shift : 0;
        shift += 7;
    }
    *ret_shift = shift;
    *ret_last = byte;
    return c->failed ? 0 : value;
}

uint64_t mt_line_cursor_uleb(struct mt_line_cursor *c)
{
    unsigned shift;
    uint8_t last;
    return leb(c, &shift, &last);
}

int64_t mt_line_cursor_sleb(struct mt_line_cursor *c)
{
    unsigned shift;
    uint8_t last;
    uint64_t value = leb(c, &shift, &last);
    if (!c->failed && shift < 64 && (last & 0x40) != 0) {
        value |= ~(uint64_t)0 << shift;
    }
    return (int64_t)value;
}

const char *mt_line_cursor_text(struct mt_line_cursor *c)
{
    const uint8_t *end = mt_line_cursor_left(c) > 0 ? memchr(c->at, '\0', mt_line_cursor_left(c)) : NULL;
    if (end == NULL) {
        c->failed = true;
        return "";
    }
    const char *text = (const char *)c->at;
    c->at = end + 1;
    return text;
}

struct mt_line_cursor mt_line_cursor_take(struct mt_line_cursor *c, uint64_t bytes)
{
    if (!need(c, bytes)) {
        return (struct mt_line_cursor){.at = c->at, .end = c->at, .failed = true};
    }
    struct mt_line_cursor taken = {.at = c->at, .end = c->at + bytes};
    c->at += bytes;
    return taken;
}

static mt_status add_directory(struct mt_lines *lines, const char *name)
{
    const char **items =
        mt_array_reserve(lines->directories, lines->directory_count, &lines->directory_capacity, sizeof *items);
    if (items == NULL) {
        return MT_E_NOMEM;
    }
    lines->directories = items;
    items[lines->directory_count++] = name;
    return MT_OK;
}

static mt_status add_file(struct mt_lines *lines, const char *name, uint64_t directory)
{
    struct mt_line_file *items =
        mt_array_reserve(lines->files, lines->file_count, &lines->file_capacity, sizeof *items);
    if (items == NULL) {
        return MT_E_NOMEM;
    }
    lines->files = items;
    items[lines->file_count++] = (struct mt_line_file){
        .directory = directory < lines->directory_count ? lines->directories[directory] : NULL,
        .name = name,
    };
    return MT_OK;
}

mt_status mt_line_header_add_file(struct mt_lines *lines, struct mt_line_cursor *at)
{
    const char *name = mt_line_cursor_text(at);
    uint64_t directory = mt_line_cursor_uleb(at);
    (void)mt_line_cursor_uleb(at); /* modification time */
    (void)mt_line_cursor_uleb(at); /* length */
    return at->failed ? MT_E_CORRUPT : add_file(lines, name, directory);
}

/* Versions 2 to 4: directories and files are numbered from 1; directory 0 is the compilation directory. */
static mt_status read_tables_v2(struct mt_lines *lines, struct mt_line_cursor *at)
{
    mt_status status = add_directory(lines, NULL);
    while (status == MT_OK && mt_line_cursor_left(at) > 0 && *at->at != 0) {
        status = add_directory(lines, mt_line_cursor_text(at));
    }
    (void)mt_line_cursor_fixed(at, 1);
    if (status == MT_OK) {
        status = add_file(lines, NULL, 0);
    }
    while (status == MT_OK && mt_line_cursor_left(at) > 0 && *at->at != 0) {
        status = mt_line_header_add_file(lines, at);
    }
    (void)mt_line_cursor_fixed(at, 1);
    return status;
}

enum { MAX_FORMATS = 16 };

struct entry_format {
    size_t count;
    struct {
        uint64_t content, form;
    } items[MAX_FORMATS];
};

static void read_format(struct mt_line_cursor *at, struct entry_format *format)
{
    format->count = mt_line_cursor_fixed(at, 1);
    if (format->count > MAX_FORMATS) {
        at->failed = true;
        format->count = 0;
    }
    for (size_t i = 0; i < format->count; i++) {
        format->items[i].content = mt_line_cursor_uleb(at);
        format->items[i].form = mt_line_cursor_uleb(at);
    }
}

static const char *text_in(const struct mt_section_bytes *section, uint64_t offset)
{
    if (offset >= section->bytes || memchr(section->data + offset, '\0', section->bytes - offset) == NULL) {
        return NULL;
    }
    return (const char *)section->data + offset;
}

struct form_value {
    const char *text;
    uint64_t number;
};

static struct form_value read_form(const struct mt_dwarf *dwarf, const struct mt_line_header *header,
                                   struct mt_line_cursor *at, uint64_t form)
{
    struct form_value value = {0};
    switch (form) {
    case DW_FORM_string:
        value.text = mt_line_cursor_text(at);
        break;
    case DW_FORM_line_strp:
        value.text = text_in(&dwarf->line_str, mt_line_cursor_fixed(at, header->offset_bytes));
        break;
    case DW_FORM_strp:
        value.text = text_in(&dwarf->str, mt_line_cursor_fixed(at, header->offset_bytes));
        break;
    case DW_FORM_udata:
        value.number = mt_line_cursor_uleb(at);
        break;
    case DW_FORM_data1:
        value.number = mt_line_cursor_fixed(at, 1);
        break;
    case DW_FORM_data2:
        value.number = mt_line_cursor_fixed(at, 2);
        break;
    case DW_FORM_data4:
        value.number = mt_line_cursor_fixed(at, 4);
        break;
    case DW_FORM_data8:
        value.number = mt_line_cursor_fixed(at, 8);
        break;
    case DW_FORM_data16:
        (void)mt_line_cursor_take(at, 16);
        break;
    case DW_FORM_block:
        (void)mt_line_cursor_take(at, mt_line_cursor_uleb(at));
        break;
    default: /* a form no producer writes here; its length is unknown */
        at->failed = true;
    }
    return value;
}

/* One table of version 5: directories, or files. Numbered from 0. */
static mt_status read_table_v5(const struct mt_dwarf *dwarf, const struct mt_line_header *header,
                               struct mt_lines *lines, struct mt_line_cursor *at, bool files)
{
    struct entry_format format;
    read_format(at, &format);
    uint64_t count = mt_line_cursor_uleb(at);
    if (at->failed || count > mt_line_cursor_left(at) || (format.count == 0 && count > 0)) {
        return MT_E_CORRUPT;
    }
    mt_status status = MT_OK;
    for (uint64_t i = 0; i < count && status == MT_OK && !at->failed; i++) {
        const char *path = NULL;
        uint64_t directory = 0;
        for (size_t f = 0; f < format.count; f++) {
            struct form_value value = read_form(dwarf, header, at, format.items[f].form);
            path = format.items[f].content == DW_LNCT_path ? value.text : path;
            directory = format.items[f].content == DW_LNCT_directory_index ? value.number : directory;
        }
        status = files ? add_file(lines, path, directory) : add_directory(lines, path);
    }
    return at->failed ? MT_E_CORRUPT : status;
}

static void read_unit_length(struct mt_line_cursor *at, struct mt_line_header *header)
{
    uint64_t bytes = mt_line_cursor_fixed(at, 4);
    header->offset_bytes = 4;
    if (bytes == 0xFFFFFFFF) {
        header->offset_bytes = 8;
        bytes = mt_line_cursor_fixed(at, 8);
    }
    *at = mt_line_cursor_take(at, bytes);
}

static void read_parameters(struct mt_line_cursor *at, struct mt_line_header *header)
{
    header->min_instruction_bytes = (uint8_t)mt_line_cursor_fixed(at, 1);
    if (header->version >= 4) {
        (void)mt_line_cursor_fixed(at, 1); /* operations an instruction: 1 but on VLIW machines */
    }
    (void)mt_line_cursor_fixed(at, 1); /* default_is_stmt */
    header->line_base = (int8_t)mt_line_cursor_fixed(at, 1);
    header->line_range = (uint8_t)mt_line_cursor_fixed(at, 1);
    header->opcode_base = (uint8_t)mt_line_cursor_fixed(at, 1);
    for (unsigned i = 0; i + 1 < header->opcode_base; i++) {
        header->operand_counts[i] = (uint8_t)mt_line_cursor_fixed(at, 1);
    }
}

mt_status mt_line_header_read(struct mt_dwarf *dwarf, struct mt_lines *lines, struct mt_line_cursor *at,
                              struct mt_line_header *ret)
{
    struct mt_line_header header = {0};
    read_unit_length(at, &header);
    header.version = (uint16_t)mt_line_cursor_fixed(at, 2);
    if (header.version < 2 || header.version > 5) {
        return MT_E_VERSION;
    }
    if (header.version == 5) {
        (void)mt_line_cursor_fixed(at, 2); /* address size, segment selector size */
    }
    struct mt_line_cursor tables = mt_line_cursor_take(at, mt_line_cursor_fixed(at, header.offset_bytes));
    read_parameters(&tables, &header);
    if (tables.failed || header.line_range == 0 || header.opcode_base == 0) {
        return MT_E_CORRUPT;
    }
    mt_status status;
    if (header.version < 5) {
        status = read_tables_v2(lines, &tables);
    } else {
        status = read_table_v5(dwarf, &header, lines, &tables, false);
        status = status == MT_OK ? read_table_v5(dwarf, &header, lines, &tables, true) : status;
    }
    if (status == MT_OK && !tables.failed) {
        *ret = header;
        return MT_OK;
    }
    return status != MT_OK ? status : MT_E_CORRUPT;
}
