/* dwarf_lines.c: the line table of one compilation unit (DWARF 2 to 5, section 6.2); see dwarf_unit.h.
 *
 * Decides: a row is kept when it changes file or line; of rows at one address the last counts, as the standard's state
 * machine has it; a sequence that does not start in code belongs to a function the linker dropped and is left out.
 * Why not dwarf_getsrclines: it joins compilation directory, directory and name for every file of every unit when the
 * table is opened, so that a 6 MB file can ask for a terabyte, and keeps 40 bytes a row until the whole file is closed.
 * Here names are joined when a frame shows them, and a row is 16 bytes.
 */
#include "symbol/dwarf_unit.h"

#include "symbol/line_reader.h"
#include "symbol/source_path.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

/* The state machine's registers (6.2.2) that matter here, and the sequence being read. */
struct machine {
    struct mt_dwarf *dwarf;
    struct mt_lines *lines;
    const struct mt_line_header *header;
    uint64_t address;
    uint64_t file;
    uint64_t line;
    size_t sequence_start; /* first row of the sequence */
    mt_status status;
};

static void restart(struct machine *m)
{
    m->address = 0;
    m->file = 1;
    m->line = 1;
    m->sequence_start = m->lines->row_count;
}

static uint32_t clamp32(uint64_t value)
{
    return value < UINT32_MAX ? (uint32_t)value : 0;
}

static void emit_row(struct machine *m)
{
    struct mt_lines *lines = m->lines;
    struct mt_line_row row = {.address = m->address, .file = clamp32(m->file), .line = clamp32(m->line)};
    struct mt_line_row *last = lines->row_count > m->sequence_start ? &lines->rows[lines->row_count - 1] : NULL;
    if (last != NULL && last->address == row.address) {
        *last = row;
        return;
    }
    if (last != NULL && (row.address < last->address || (last->file == row.file && last->line == row.line))) {
        return;
    }
    struct mt_line_row *rows = mt_array_reserve(lines->rows, lines->row_count, &lines->row_capacity, sizeof *rows);
    if (rows == NULL || !mt_dwarf_spend(m->dwarf, 1)) {
        m->status = rows == NULL ? MT_E_NOMEM : MT_E_FULL;
        lines->rows = rows != NULL ? rows : lines->rows;
        return;
    }
    lines->rows = rows;
    rows[lines->row_count++] = row;
}

static void end_sequence(struct machine *m)
{
    struct mt_lines *lines = m->lines;
    size_t first = m->sequence_start, count = lines->row_count - first;
    uint64_t low = count > 0 ? lines->rows[first].address : 0;
    if (count == 0 || m->address <= low || !mt_elf_is_code(m->dwarf->file, low)) {
        lines->row_count = first;
        restart(m);
        return;
    }
    struct mt_line_sequence *sequences =
        mt_array_reserve(lines->sequences, lines->sequence_count, &lines->sequence_capacity, sizeof *sequences);
    struct mt_interval range = {.low = low, .high = m->address, .value = (uint32_t)lines->sequence_count};
    if (sequences == NULL || lines->sequence_count >= MT_SEGMENT_NONE - 1 ||
        mt_intervals_add(&lines->ranges, range) != MT_OK) {
        lines->sequences = sequences != NULL ? sequences : lines->sequences;
        m->status = MT_E_NOMEM;
        return;
    }
    lines->sequences = sequences;
    sequences[lines->sequence_count++] = (struct mt_line_sequence){.first = first, .count = count};
    restart(m);
}

static void extended_opcode(struct machine *m, struct mt_line_cursor *at)
{
    struct mt_line_cursor body = mt_line_cursor_take(at, mt_line_cursor_uleb(at));
    switch (mt_line_cursor_fixed(&body, 1)) {
    case DW_LNE_end_sequence:
        end_sequence(m);
        break;
    case DW_LNE_set_address:
        m->address = mt_line_cursor_fixed(&body, mt_line_cursor_left(&body));
        break;
    case DW_LNE_define_file:
        m->status = mt_line_header_add_file(m->lines, &body);
        break;
    default:
        break;
    }
}

static void standard_opcode(struct machine *m, struct mt_line_cursor *at, uint8_t opcode)
{
    const struct mt_line_header *header = m->header;
    switch (opcode) {
    case DW_LNS_copy:
        emit_row(m);
        break;
    case DW_LNS_advance_pc:
        m->address += mt_line_cursor_uleb(at) * header->min_instruction_bytes;
        break;
    case DW_LNS_advance_line:
        m->line += (uint64_t)mt_line_cursor_sleb(at);
        break;
    case DW_LNS_set_file:
        m->file = mt_line_cursor_uleb(at);
        break;
    case DW_LNS_const_add_pc:
        m->address += (uint64_t)((255 - header->opcode_base) / header->line_range) * header->min_instruction_bytes;
        break;
    case DW_LNS_fixed_advance_pc:
        m->address += mt_line_cursor_fixed(at, 2);
        break;
    default:
        for (uint8_t i = 0; i < header->operand_counts[opcode - 1]; i++) {
            (void)mt_line_cursor_uleb(at);
        }
    }
}

static void special_opcode(struct machine *m, uint8_t opcode)
{
    const struct mt_line_header *header = m->header;
    unsigned adjusted = (unsigned)opcode - header->opcode_base;
    m->address += (uint64_t)(adjusted / header->line_range) * header->min_instruction_bytes;
    m->line += (uint64_t)(int64_t)(header->line_base + (int)(adjusted % header->line_range));
    emit_row(m);
}

static void run_program(struct machine *m, struct mt_line_cursor *at)
{
    restart(m);
    while (mt_line_cursor_left(at) > 0 && !at->failed && m->status == MT_OK) {
        uint8_t opcode = (uint8_t)mt_line_cursor_fixed(at, 1);
        if (opcode >= m->header->opcode_base) {
            special_opcode(m, opcode);
        } else if (opcode == 0) {
            extended_opcode(m, at);
        } else {
            standard_opcode(m, at, opcode);
        }
    }
    m->lines->row_count = m->sequence_start; /* an unfinished sequence has no end and cannot be used */
}

mt_status mt_lines_read(struct mt_dwarf *dwarf, struct mt_unit *unit, Dwarf_Die *root)
{
    Dwarf_Attribute attribute;
    Dwarf_Word offset = 0;
    if (dwarf_attr(root, DW_AT_stmt_list, &attribute) == NULL || dwarf_formudata(&attribute, &offset) != 0 ||
        offset >= dwarf->line.bytes) {
        return MT_OK;
    }
    struct mt_lines *lines = &unit->lines;
    lines->compilation_directory = mt_die_text(dwarf, root, DW_AT_comp_dir);
    struct mt_line_cursor at = {.at = dwarf->line.data + offset, .end = dwarf->line.data + dwarf->line.bytes};
    struct mt_line_header header;
    mt_status status = mt_line_header_read(dwarf, lines, &at, &header);
    if (status != MT_OK) {
        return status == MT_E_NOMEM ? status : MT_OK;
    }
    struct machine m = {.dwarf = dwarf, .lines = lines, .header = &header};
    run_program(&m, &at);
    status = mt_segments_build(&lines->ranges, &lines->index);
    mt_intervals_fini(&lines->ranges);
    return m.status == MT_E_NOMEM ? MT_E_NOMEM : status;
}

void mt_lines_fini(struct mt_lines *lines)
{
    free(lines->directories);
    free(lines->files);
    free(lines->rows);
    free(lines->sequences);
    mt_intervals_fini(&lines->ranges);
    mt_segments_fini(&lines->index);
    memset(lines, 0, sizeof *lines);
}

const struct mt_line_row *mt_lines_find(const struct mt_lines *lines, uint64_t vaddr)
{
    uint32_t number = mt_segments_find(&lines->index, vaddr);
    if (number == MT_SEGMENT_NONE) {
        return NULL;
    }
    const struct mt_line_sequence *sequence = &lines->sequences[number];
    size_t low = 0, high = sequence->count; /* the last row at or before vaddr; row 0 is one */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (lines->rows[sequence->first + middle].address <= vaddr) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return &lines->rows[sequence->first + low];
}

const char *mt_lines_file(struct mt_lines *lines, uint32_t number, struct mt_names *names)
{
    if (number >= lines->file_count || lines->files[number].name == NULL) {
        return NULL;
    }
    struct mt_line_file *file = &lines->files[number];
    if (file->joined == NULL) {
        file->joined = mt_source_path(names, lines->compilation_directory, file->directory, file->name);
    }
    return file->joined;
}
