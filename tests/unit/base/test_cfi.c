/* test_cfi.c: the CFI interpreter on tables made by hand and on damaged ones, and the packing and caching of rows. */
#include "harness.h"

#include "base/os.h"
#include "base/cfi.h"
#include "heap/rowcache.h"

#include <dwarf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* ---- tables made by hand
 * ------------------------------------------------------------------------------------------ */

enum { HDR = 0, HDR_BYTES = 12 + 8, CIE = 64, FDE = 160, IMAGE_BYTES = 512 };
#define CODE 0x10000000u /* distance of the function from the image */

struct maker {
    uint8_t *bytes; /* IMAGE_BYTES */
    size_t at;
};

static void put(struct maker *m, uint64_t value, size_t bytes)
{
    memcpy(m->bytes + m->at, &value, bytes);
    m->at += bytes;
}

static void put_relative(struct maker *m, uint64_t target)
{
    put(m, target - (uint64_t)(uintptr_t)(m->bytes + m->at), 4);
}

static uint64_t base_of(const struct maker *m)
{
    return (uint64_t)(uintptr_t)m->bytes;
}

/* Fills in the length of the entry that began at start, and pads it. */
static void close_entry(struct maker *m, size_t start)
{
    while (m->at % 8 != 4) {
        m->bytes[m->at++] = DW_CFA_nop;
    }
    uint32_t length = (uint32_t)(m->at - start - 4);
    memcpy(m->bytes + start, &length, 4);
}

struct program {
    const char *augmentation; /* "zR" or "zRS" or "zPLR" */
    const uint8_t *cie;
    size_t cie_bytes;
    const uint8_t *fde;
    size_t fde_bytes;
};

static const uint8_t g_usual_cie[] = { DW_CFA_def_cfa, 7, 8, DW_CFA_offset | 16, 1 };

static void make(uint8_t *bytes, const struct program *program)
{
    struct maker m = { bytes, HDR };
    bool has_personality = strchr(program->augmentation, 'P') != NULL;
    uint64_t code = base_of(&m) + CODE;
    memset(bytes, 0, IMAGE_BYTES);
    put(&m, 0x3B031B01, 4); /* version 1, pcrel sdata4, udata4, datarel sdata4 */
    put_relative(&m, base_of(&m) + CIE);
    put(&m, 1, 4);
    put(&m, CODE, 4);
    put(&m, FDE, 4);
    m.at = CIE + 4;
    put(&m, 0, 4);
    put(&m, 1, 1);
    memcpy(m.bytes + m.at, program->augmentation, strlen(program->augmentation) + 1);
    m.at += strlen(program->augmentation) + 1;
    put(&m, 1, 1);    /* code alignment */
    put(&m, 0x78, 1); /* data alignment -8 */
    put(&m, 16, 1);   /* return address */
    put(&m, has_personality ? 7 : 1, 1);
    if (has_personality) {
        put(&m, 0x9B, 1); /* indirect pcrel sdata4 */
        put(&m, 0x1234, 4);
        put(&m, 0x1B, 1);
    }
    put(&m, 0x1B, 1); /* R: pcrel sdata4 */
    memcpy(m.bytes + m.at, program->cie, program->cie_bytes);
    m.at += program->cie_bytes;
    close_entry(&m, CIE);
    m.at = FDE + 4;
    put(&m, m.at - CIE, 4);
    put_relative(&m, code);
    put(&m, 256, 4);
    put(&m, has_personality ? 4 : 0, 1);
    m.at += has_personality ? 4 : 0;
    memcpy(m.bytes + m.at, program->fde, program->fde_bytes);
    m.at += program->fde_bytes;
    close_entry(&m, FDE);
}

static struct mt_cfi_image image_of(const uint8_t *bytes)
{
    uint64_t low = (uint64_t)(uintptr_t)bytes;
    return (struct mt_cfi_image){ .low = low, .high = low + IMAGE_BYTES, .hdr = low + HDR };
}

static mt_status find(const uint8_t *bytes, uint64_t offset, struct mt_cfi_row *ret_row)
{
    struct mt_cfi_image image = image_of(bytes);
    return mt_cfi_find_row(&image, image.low + CODE + offset, ret_row);
}

static struct mt_cfi_row row_at(const struct program *program, uint64_t offset)
{
    uint8_t bytes[IMAGE_BYTES] __attribute__((aligned(8)));
    struct mt_cfi_row row = { .kind = MT_ROW_ABSENT };
    make(bytes, program);
    assert_int_equal(find(bytes, offset, &row), MT_OK);
    return row;
}

static struct mt_cfi_row row_of_fde(const uint8_t *fde, size_t bytes, uint64_t offset)
{
    struct program program = { "zR", g_usual_cie, sizeof g_usual_cie, fde, bytes };
    return row_at(&program, offset);
}
#define ROW(offset, ...)                                                                                               \
    row_of_fde((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }), (offset))

static void assert_row(struct mt_cfi_row row, enum mt_row_kind kind, int offset, enum mt_bp_rule bp_rule, int bp_offset)
{
    assert_int_equal(row.kind, kind);
    assert_int_equal(row.offset, offset);
    assert_int_equal(row.bp_rule, bp_rule);
    assert_int_equal(row.bp_offset, bp_offset);
}

static void test_rows_follow_the_instructions_up_to_the_address(void **state)
{
    (void)state;
    for (uint64_t at = 0; at < 12; at++) {
        struct mt_cfi_row row = ROW(at, DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16, DW_CFA_offset | 6, 2,
                                    DW_CFA_advance_loc | 3, DW_CFA_def_cfa_register, 6, DW_CFA_advance_loc1, 6,
                                    DW_CFA_restore | 6, DW_CFA_def_cfa, 7, 8);
        if (at < 1) {
            assert_row(row, MT_ROW_RSP, 8, MT_BP_SAME, 0);
        } else if (at < 4) {
            assert_row(row, MT_ROW_RSP, 16, MT_BP_AT_CFA, -16);
        } else if (at < 10) {
            assert_row(row, MT_ROW_RBP, 16, MT_BP_AT_CFA, -16);
        } else {
            assert_row(row, MT_ROW_RSP, 8, MT_BP_SAME, 0);
        }
    }
}

static void test_wide_advances_and_offsets(void **state)
{
    (void)state;
    struct mt_cfi_row row = ROW(200, DW_CFA_advance_loc2, 100, 0, DW_CFA_def_cfa_offset, 0x80, 0x80, 0x04,
                                DW_CFA_advance_loc4, 50, 0, 0, 0, DW_CFA_offset_extended, 6, 3, DW_CFA_nop);
    assert_row(row, MT_ROW_RSP, 65536, MT_BP_AT_CFA, -24);
    row = ROW(0, DW_CFA_def_cfa_sf, 6, 0x7E, DW_CFA_offset_extended_sf, 6, 4);
    assert_row(row, MT_ROW_RBP, 16, MT_BP_AT_CFA, -32);
    row = ROW(0, DW_CFA_def_cfa_offset_sf, 0x7D, 0x2F /* GNU_negative_offset_extended */, 3, 1);
    assert_row(row, MT_ROW_RSP, 24, MT_BP_SAME, 0);
}

static void test_states_are_remembered_and_restored(void **state)
{
    (void)state;
    struct mt_cfi_row row = ROW(9, DW_CFA_def_cfa_offset, 16, DW_CFA_offset | 6, 2, DW_CFA_remember_state,
                                DW_CFA_advance_loc | 2, DW_CFA_def_cfa_offset, 8, DW_CFA_restore | 6,
                                DW_CFA_remember_state, DW_CFA_def_cfa_offset, 80, DW_CFA_restore_state,
                                DW_CFA_advance_loc | 2, DW_CFA_restore_state);
    assert_row(row, MT_ROW_RSP, 16, MT_BP_AT_CFA, -16);
    row = ROW(3, DW_CFA_def_cfa_offset, 16, DW_CFA_remember_state, DW_CFA_advance_loc | 2, DW_CFA_def_cfa_offset, 8,
              DW_CFA_advance_loc | 2, DW_CFA_restore_state);
    assert_row(row, MT_ROW_RSP, 8, MT_BP_SAME, 0);
}

static void test_instructions_about_other_registers_are_skipped(void **state)
{
    (void)state;
    struct mt_cfi_row row = ROW(0, DW_CFA_offset | 3, 5, DW_CFA_register, 12, 13, DW_CFA_val_offset, 14, 2,
                                DW_CFA_expression, 15, 2, DW_OP_breg6, 0x70, DW_CFA_val_expression, 3, 1, DW_OP_lit0,
                                DW_CFA_GNU_args_size, 32, DW_CFA_undefined, 3, DW_CFA_same_value, 12,
                                DW_CFA_restore_extended, 13, DW_CFA_def_cfa_offset, 40);
    assert_row(row, MT_ROW_RSP, 40, MT_BP_SAME, 0);
}

static void test_realigned_frames_have_rows(void **state)
{
    (void)state;
    struct mt_cfi_row row = ROW(0, DW_CFA_def_cfa_expression, 3, DW_OP_breg6, 0x78, DW_OP_deref, DW_CFA_expression, 6,
                                2, DW_OP_breg6, 0);
    assert_row(row, MT_ROW_RBP_DEREF, -8, MT_BP_AT_BP, 0);
    assert_int_equal(row.addend, 0);
    row = ROW(0, DW_CFA_def_cfa_expression, 5, DW_OP_breg7, 0x10, DW_OP_deref, DW_OP_plus_uconst, 8);
    assert_row(row, MT_ROW_RSP_DEREF, 16, MT_BP_SAME, 0);
    assert_int_equal(row.addend, 8);
    row = ROW(0, DW_CFA_def_cfa, 10, 0);
    assert_row(row, MT_ROW_R10, 0, MT_BP_SAME, 0);
}

static void test_plt_expression_has_a_row(void **state)
{
    (void)state;
    struct mt_cfi_row row = ROW(3, DW_CFA_def_cfa_expression, 11, DW_OP_breg7, 8, DW_OP_breg16, 0, DW_OP_lit15,
                                DW_OP_and, DW_OP_lit11, DW_OP_ge, DW_OP_lit3, DW_OP_shl, DW_OP_plus);
    assert_row(row, MT_ROW_PLT, 11, MT_BP_SAME, 0);
}

static void test_undefined_return_address_is_the_end(void **state)
{
    (void)state;
    struct mt_cfi_row row = ROW(0, DW_CFA_undefined, 16);
    assert_int_equal(row.kind, MT_ROW_END);
}

static void test_rules_without_a_row_are_other(void **state)
{
    (void)state;
    assert_int_equal(ROW(0, DW_CFA_def_cfa, 3, 16).kind, MT_ROW_OTHER);
    assert_int_equal(ROW(0, DW_CFA_register, 16, 2).kind, MT_ROW_OTHER);
    assert_int_equal(ROW(0, DW_CFA_offset | 16, 2).kind, MT_ROW_OTHER);
    assert_int_equal(ROW(0, DW_CFA_def_cfa_offset, 20).kind, MT_ROW_OTHER);
    assert_int_equal(ROW(0, DW_CFA_val_offset, 6, 2).kind, MT_ROW_OTHER);
    assert_int_equal(ROW(0, DW_CFA_def_cfa_expression, 2, DW_OP_breg7, 8).kind, MT_ROW_OTHER);
    assert_int_equal(ROW(0, DW_CFA_def_cfa_expression, 4, DW_OP_breg7, 8, DW_OP_deref, DW_OP_deref).kind, MT_ROW_OTHER);
    assert_int_equal(ROW(0, DW_CFA_expression, 6, 2, DW_OP_breg6, 8).kind, MT_ROW_OTHER);
}

static void test_signal_frames_have_their_own_row(void **state)
{
    static const uint8_t restorer[] = { DW_CFA_def_cfa_expression, 4, DW_OP_breg7, 0xA0, 0x01, DW_OP_deref,
                                        DW_CFA_expression, 16, 3, DW_OP_breg7, 0xA8, 0x01,
                                        DW_CFA_expression, 6, 3, DW_OP_breg7, 0xF8, 0x00 };
    struct program program = { "zRS", g_usual_cie, sizeof g_usual_cie, restorer, sizeof restorer };
    (void)state;
    struct mt_cfi_row row = row_at(&program, 0);
    assert_int_equal(row.kind, MT_ROW_SIGNAL);
    assert_int_equal(row.offset, 160);
    assert_int_equal(row.addend, 168);
    assert_int_equal(row.bp_offset, 120);
}

static void test_personality_and_lsda_are_skipped(void **state)
{
    static const uint8_t fde[] = { DW_CFA_def_cfa_offset, 48 };
    struct program program = { "zPLR", g_usual_cie, sizeof g_usual_cie, fde, sizeof fde };
    (void)state;
    assert_row(row_at(&program, 0), MT_ROW_RSP, 48, MT_BP_SAME, 0);
}

static void test_addresses_outside_every_entry_are_not_found(void **state)
{
    static const uint8_t fde[] = { DW_CFA_def_cfa_offset, 48 };
    struct program program = { "zR", g_usual_cie, sizeof g_usual_cie, fde, sizeof fde };
    uint8_t bytes[IMAGE_BYTES] __attribute__((aligned(8)));
    struct mt_cfi_row row;
    (void)state;
    make(bytes, &program);
    assert_int_equal(find(bytes, 255, &row), MT_OK);
    assert_int_equal(find(bytes, 256, &row), MT_E_NOENT);
    assert_int_equal(find(bytes, (uint64_t)-1, &row), MT_E_NOENT);
}

/* Every cut and every flipped bit: a status or a row, and no read outside the image, which ends at a guard page. */
static void test_damaged_tables_never_read_outside_the_image(void **state)
{
    static const uint8_t fde[] = { DW_CFA_advance_loc | 1, DW_CFA_def_cfa_expression, 3, DW_OP_breg6, 0x78, DW_OP_deref,
                                   DW_CFA_expression, 6, 2, DW_OP_breg6, 0, DW_CFA_remember_state,
                                   DW_CFA_advance_loc2, 9, 0, DW_CFA_restore_state };
    struct program program = { "zPLR", g_usual_cie, sizeof g_usual_cie, fde, sizeof fde };
    uint8_t *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint8_t *bytes = pages + 4096 - IMAGE_BYTES;
    uint8_t sound[IMAGE_BYTES];
    struct mt_cfi_row row;
    uint64_t found = 0;
    (void)state;
    assert_int_equal(mprotect(pages + 4096, 4096, PROT_NONE), 0);
    make(bytes, &program);
    memcpy(sound, bytes, sizeof sound);
    for (size_t bit = 0; bit < IMAGE_BYTES * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        for (uint64_t offset = 0; offset < 20; offset += 5) {
            found += find(bytes, offset, &row) == MT_OK;
        }
        memcpy(bytes, sound, sizeof sound);
    }
    assert_true(found > 0);
    for (size_t cut = 0; cut < IMAGE_BYTES; cut++) { /* the image begins where it did and ends at the guard page */
        uint8_t *moved = pages + 4096 - cut;
        memcpy(moved, sound, cut);
        struct mt_cfi_image image = { .low = (uint64_t)(uintptr_t)moved, .high = (uint64_t)(uintptr_t)moved + cut,
                                      .hdr = (uint64_t)(uintptr_t)moved };
        assert_true(mt_cfi_find_row(&image, image.low + CODE + 2, &row) < MT_STATUS__COUNT);
    }
    munmap(pages, 8192);
}

static void test_random_bytes_never_read_outside_the_image(void **state)
{
    uint8_t *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint8_t *bytes = pages + 4096 - IMAGE_BYTES;
    const char *text = getenv("MT_TEST_SEED");
    unsigned seed = text != NULL ? (unsigned)strtoul(text, NULL, 0) : (unsigned)mt_os_random();
    struct mt_cfi_row row;
    (void)state;
    fprintf(stderr, "seed: MT_TEST_SEED=%u\n", seed);
    assert_int_equal(mprotect(pages + 4096, 4096, PROT_NONE), 0);
    for (int round = 0; round < 100000; round++) {
        struct program program = { "zR", g_usual_cie, sizeof g_usual_cie, bytes, 0 };
        uint8_t fde[200];
        for (size_t i = 0; i < sizeof fde; i++) {
            fde[i] = (uint8_t)(rand_r(&seed) >> 7);
        }
        program.fde = fde;
        program.fde_bytes = 8 + (size_t)rand_r(&seed) % 190;
        make(bytes, &program);
        (void)find(bytes, (uint64_t)rand_r(&seed) % 256, &row);
    }
    munmap(pages, 8192);
}

/* ---- copies that are filled as they are read
 * --------------------------------------------------------------------------------------------------- */

struct copy {
    const uint8_t *from;
    uint8_t to[IMAGE_BYTES] __attribute__((aligned(8)));
    uint64_t filled, most; /* bytes; more than most cannot be had */
};

static bool fill_copy(void *context, uint64_t at, uint64_t bytes)
{
    struct copy *copy = context;
    uint64_t offset = at - (uint64_t)(uintptr_t)copy->to;
    assert_true(offset < IMAGE_BYTES && bytes <= IMAGE_BYTES - offset);
    copy->filled += bytes;
    memcpy(copy->to + offset, copy->from + offset, bytes);
    return copy->filled <= copy->most;
}

static void test_a_copy_elsewhere_is_filled_as_far_as_it_is_read(void **state)
{
    static const uint8_t fde[] = { DW_CFA_advance_loc | 4, DW_CFA_def_cfa_offset, 16 };
    struct program program = { "zR", g_usual_cie, sizeof g_usual_cie, fde, sizeof fde };
    uint8_t bytes[IMAGE_BYTES] __attribute__((aligned(8)));
    struct copy copy = { .from = bytes, .most = IMAGE_BYTES };
    struct mt_cfi_image image = image_of(copy.to);
    struct mt_cfi_row row = { .kind = MT_ROW_ABSENT };
    uint64_t start = 0;
    (void)state;
    image.fill = fill_copy;
    image.context = &copy;
    make(bytes, &program);
    assert_int_equal(mt_cfi_find_row(&image, image.low + CODE + 4, &row), MT_OK);
    assert_row(row, MT_ROW_RSP, 16, MT_BP_SAME, 0);
    uint64_t enough = copy.filled;
    assert_true(enough < IMAGE_BYTES);
    assert_int_equal(mt_cfi_find_start(&image, image.low + CODE + 4, &start), MT_OK);
    assert_int_equal(start, image.low + CODE);
    assert_int_equal(mt_cfi_find_start(&image, image.low + CODE - 1, &start), MT_E_NOENT);
    for (copy.most = 0; copy.most < enough; copy.most++) { /* each part in turn cannot be had */
        copy.filled = 0;
        memset(copy.to, 0, sizeof copy.to);
        assert_int_not_equal(mt_cfi_find_row(&image, image.low + CODE + 4, &row), MT_OK);
    }
}

/* ---- packed rows
 * --------------------------------------------------------------------------------------------------- */

static void test_packed_rows_unpack_to_themselves(void **state)
{
    static const struct mt_cfi_row rows[] = {
        { MT_ROW_RSP, MT_BP_SAME, 8, 0, 0 },
        { MT_ROW_RSP, MT_BP_AT_CFA, 200000, -16, 0 },
        { MT_ROW_RBP, MT_BP_AT_CFA, 16, -16, 0 },
        { MT_ROW_RBP, MT_BP_AT_CFA, -8000, -16 * 1000, 0 },
        { MT_ROW_RBP_DEREF, MT_BP_AT_BP, -8, 0, 0 },
        { MT_ROW_RSP_DEREF, MT_BP_AT_CFA, 2048, -64, 56 },
        { MT_ROW_PLT, MT_BP_SAME, 11, 0, 0 },
        { MT_ROW_R10, MT_BP_SAME, 0, 0, 0 },
        { MT_ROW_SIGNAL, MT_BP_SAME, 160, 120, 168 },
        { MT_ROW_END, MT_BP_SAME, 0, 0, 0 },
        { MT_ROW_OTHER, MT_BP_SAME, 0, 0, 0 },
    };
    (void)state;
    for (size_t i = 0; i < MT_COUNTOF(rows); i++) {
        bool is_complete = false;
        struct mt_cfi_row row = mt_row_unpack(mt_row_pack(&rows[i], &is_complete));
        assert_true(is_complete);
        assert_int_equal(memcmp(&row, &rows[i], sizeof row), 0);
    }
}

static void test_cache_gives_back_what_was_put_under_the_same_key_only(void **state)
{
    const struct mt_cfi_row row = { MT_ROW_RSP, MT_BP_AT_CFA, 96, -16, 0 };
    bool is_complete;
    uint32_t packed = mt_row_pack(&row, &is_complete);
    (void)state;
    for (uint64_t key = 0x7F0012345000; key < 0x7F0012345000 + (1u << 20); key += 4093) {
        mt_rowcache_put(key, packed);
        assert_true(mt_rowcache_is_for(mt_rowcache_entry(key), key));
        assert_false(mt_rowcache_is_for(mt_rowcache_entry(key + 1), key + 1));
        for (unsigned bit = 0; bit < 64; bit++) {
            uint64_t other = key ^ (uint64_t)1 << bit;
            assert_false(mt_rowcache_is_for(mt_rowcache_entry(other), other));
        }
        mt_rowcache_forget(key, key + 100); /* the address of a key is one less */
        assert_true(mt_rowcache_is_for(mt_rowcache_entry(key), key));
        mt_rowcache_forget(key - 1, key);
        assert_false(mt_rowcache_is_for(mt_rowcache_entry(key), key));
    }
    assert_false(mt_rowcache_is_for(mt_rowcache_entry(0), 0));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_rows_follow_the_instructions_up_to_the_address),
    cmocka_unit_test(test_wide_advances_and_offsets),
    cmocka_unit_test(test_states_are_remembered_and_restored),
    cmocka_unit_test(test_instructions_about_other_registers_are_skipped),
    cmocka_unit_test(test_realigned_frames_have_rows),
    cmocka_unit_test(test_plt_expression_has_a_row),
    cmocka_unit_test(test_undefined_return_address_is_the_end),
    cmocka_unit_test(test_rules_without_a_row_are_other),
    cmocka_unit_test(test_signal_frames_have_their_own_row),
    cmocka_unit_test(test_personality_and_lsda_are_skipped),
    cmocka_unit_test(test_addresses_outside_every_entry_are_not_found),
    cmocka_unit_test(test_damaged_tables_never_read_outside_the_image),
    cmocka_unit_test(test_random_bytes_never_read_outside_the_image),
    cmocka_unit_test(test_a_copy_elsewhere_is_filled_as_far_as_it_is_read),
    cmocka_unit_test(test_packed_rows_unpack_to_themselves),
    cmocka_unit_test(test_cache_gives_back_what_was_put_under_the_same_key_only),
};

MT_TEST_MAIN(tests)
