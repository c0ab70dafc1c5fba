/* test_cfi_oracle.c: rows of every loaded library equal those of elfutils, an independent CFI interpreter. */
#include "harness.h"

#include "base/os.h"
#include "base/cfi.h"
#include "heap/modules.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct reference {
    int fd;
    Elf *elf;
    Dwarf_CFI *cfi;
};

static bool open_reference(const char *path, struct reference *ret_reference)
{
    elf_version(EV_CURRENT);
    ret_reference->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (ret_reference->fd < 0) {
        return false;
    }
    ret_reference->elf = elf_begin(ret_reference->fd, ELF_C_READ, NULL);
    ret_reference->cfi = dwarf_getcfi_elf(ret_reference->elf);
    return ret_reference->cfi != NULL;
}

static void close_reference(struct reference *reference)
{
    elf_end(reference->elf);
    close(reference->fd);
}

/* True when ops is what the row says the CFA is. */
static bool is_same_cfa(const struct mt_cfi_row *row, const Dwarf_Op *ops, size_t count)
{
    bool is_breg = ops[0].atom >= DW_OP_breg0 && ops[0].atom <= DW_OP_breg31;
    bool is_register = count == 1 && (ops[0].atom == DW_OP_bregx || is_breg);
    bool is_deref = count >= 2 && is_breg && ops[1].atom == DW_OP_deref && (int64_t)ops[0].number == row->offset;
uint64_t number = ops[0].atom == DW_OP_bregx ? ops[0].number : (uint64_t)ops[0].atom - DW_OP_breg0;
    int64_t offset = (int64_t)(ops[0].atom == DW_OP_bregx ? ops[0].number2 : ops[0].number);
    switch (row->kind) {
    case MT_ROW_RSP:
        return is_register && number == 7 && offset == row->offset;
    case MT_ROW_RBP:
        return is_register && number == 6 && offset == row->offset;
    case MT_ROW_R10:
        return is_register && number == 10 && offset == row->offset;
    case MT_ROW_RBP_DEREF:
        return is_deref && ops[0].atom == DW_OP_breg6;
    case MT_ROW_RSP_DEREF:
        return is_deref && ops[0].atom == DW_OP_breg7;
    case MT_ROW_PLT:
        return count == 9;
    case MT_ROW_SIGNAL:
        return count == 2 && ops[0].atom == DW_OP_breg7 && ops[0].number == 160;
    case MT_ROW_ABSENT:
    case MT_ROW_NONE:
    case MT_ROW_OTHER:
    case MT_ROW_END:
    default:
        return false;
    }
}

static bool is_same_bp(const struct mt_cfi_row *row, Dwarf_Frame *frame)
{
    Dwarf_Op memory[3];
    Dwarf_Op *ops;
    size_t count;
    if (dwarf_frame_register(frame, 6, memory, &ops, &count) != 0) {
        return false;
    }
    if (count == 0) { /* undefined or same value */
        return row->bp_rule == MT_BP_SAME;
    }
    if (count != 2 || ops[0].atom != DW_OP_call_frame_cfa) { /* elfutils pushes the CFA before every rule */
        return false;
    }
    if (row->bp_rule == MT_BP_AT_CFA) {
        return ops[1].atom == DW_OP_plus_uconst && (int64_t)ops[1].number == row->bp_offset;
    }
    return row->bp_rule == MT_BP_AT_BP && ops[1].atom == DW_OP_breg6 && ops[1].number == 0;
}

struct tally {
    uint64_t same;
    uint64_t other; /* rules no row can say */
    uint64_t outside;
};

/* Compares the row at one address; true when they agree. */
static bool agrees(const struct mt_cfi_image *image, uint64_t bias, Dwarf_CFI *cfi, uint64_t vaddr, struct tally *tally)
{
    Dwarf_Frame *frame = NULL;
    Dwarf_Op *ops = NULL;
    size_t count = 0;
    bool is_signal = false;
    Dwarf_Addr start;
    Dwarf_Addr end;
    struct mt_cfi_row row;
    mt_status status = mt_cfi_find_row(image, bias + vaddr, &row);
    bool known = dwarf_cfi_addrframe(cfi, vaddr, &frame) == 0;
    bool same;
    if (!known || status != MT_OK) {
        tally->outside++;
        same = !known && status == MT_E_NOENT;
    } else if (row.kind == MT_ROW_END) {
        Dwarf_Op memory[3];
        same = dwarf_frame_register(frame, 16, memory, &ops, &count) == 0 && count == 0;
    } else if (row.kind == MT_ROW_OTHER) {
        tally->other++;
        same = true;
    } else {
        same = dwarf_frame_cfa(frame, &ops, &count) == 0 && is_same_cfa(&row, ops, count) &&
               (row.kind == MT_ROW_SIGNAL || is_same_bp(&row, frame)) &&
               dwarf_frame_info(frame, &start, &end, &is_signal) >= 0 && is_signal == (row.kind == MT_ROW_SIGNAL);
        tally->same += same;
    }
    free(frame);
    return same;
}

static const struct mt_module_segment *segment_with(const struct mt_module *module, uint32_t flags, uint64_t address)
{
    for (uint32_t i = 0; i < module->segment_count; i++) {
        const struct mt_module_segment *segment = &module->segments[i];
        bool holds = address == 0 || address - module->bias - segment->vaddr < segment->bytes;
        if ((segment->flags & flags) == flags && holds) {
            return segment;
        }
    }
    return NULL;
}

static void compare_module(const struct mt_module *module)
{
    struct reference reference;
    struct tally tally = { 0, 0, 0 };
    const struct mt_module_segment *code = segment_with(module, 1, 0);
    const struct mt_module_segment *tables = segment_with(module, 4, module->eh_frame_hdr);
    if (module->path[0] != '/' || !open_reference(module->path, &reference)) {
        return;
    }
    assert_non_null(code);
    assert_non_null(tables);
    struct mt_cfi_image image = { .low = module->bias + tables->vaddr, .high = module->bias + tables->vaddr + tables->bytes,
                                  .hdr = module->eh_frame_hdr };
    uint64_t step = code->bytes / 40000 | 1;
    for (uint64_t vaddr = code->vaddr; vaddr < code->vaddr + code->bytes; vaddr += step) {
        if (!agrees(&image, module->bias, reference.cfi, vaddr, &tally)) {
            struct mt_cfi_row row = { .kind = MT_ROW_ABSENT };
            mt_status status = mt_cfi_find_row(&image, module->bias + vaddr, &row);
            fail_msg("%s: address 0x%llx differs: %s, kind %d, offset %d, rbp rule %d at %d", module->path,
                     (unsigned long long)vaddr, mt_status_text(status), (int)row.kind, row.offset, (int)row.bp_rule,
                     row.bp_offset);
        }
    }
    fprintf(stderr, "%s: %llu rows equal, %llu other, %llu without\n", module->path, (unsigned long long)tally.same,
            (unsigned long long)tally.other, (unsigned long long)tally.outside);
    assert_true(tally.other * 33 <= tally.same); /* ld.so has 1.9 %: the lazy resolver keeps its CFA in rbx */
    close_reference(&reference);
}

static void test_rows_of_real_libraries_equal_elfutils(void **state)
{
    (void)state;
    assert_int_equal(mt_modules_init(&(struct mt_module_sink){ compare_module, compare_module }), MT_OK);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_rows_of_real_libraries_equal_elfutils),
};

MT_TEST_MAIN(tests)
