/* test_x86.c: lengths against another decoder, objdump of binutils, over the code of real libraries; and by hand what no
 * compiler writes.
 * Link: memtap_hooks
 */
#include "harness.h"

#include "hook/x86.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 1024, BYTES_MAX = MT_X86_LENGTH_MAX + 1 };

/* Code by value, with zeros behind it. */
struct code {
    uint8_t bytes[2 * MT_X86_LENGTH_MAX];
};
#define CODE(...) ((struct code){ { __VA_ARGS__ } })

static size_t length_of(struct code code)
{
    struct mt_x86_insn insn;
    return mt_x86_decode(code.bytes, sizeof code.bytes, &insn) ? insn.length : 0;
}

static enum mt_x86_flow flow_of(struct code code)
{
    struct mt_x86_insn insn;
    assert_true(mt_x86_decode(code.bytes, sizeof code.bytes, &insn));
    return insn.flow;
}

/* ---- another decoder ---------------------------------------------------------------------------------------------------- */

/* The bytes in a line of `objdump -dw`: "  address:\tbytes \tmnemonic". */
static size_t parse_bytes(const char *line, uint8_t *ret_bytes, const char **ret_mnemonic)
{
    const char *at = strstr(line, ":\t");
    size_t count = 0;
    if (line[0] != ' ' || at == NULL) {
        return 0;
    }
    for (at += 2; count < BYTES_MAX && *at != ' ' && *at != '\t' && *at != '\n'; at += *at == ' ') {
        char *end = NULL;
        ret_bytes[count++] = (uint8_t)strtoul(at, &end, 16);
        at = end;
    }
    *ret_mnemonic = at + strspn(at, " \t");
    return count;
}

/* Data between functions gives lines that are no instruction, and a prefix without its instruction. fwait and what follows it
 * are one line and two instructions. */
static bool is_instruction(const uint8_t *bytes, size_t count, const char *mnemonic)
{
    static const char *const ALONE[] = { "rex", ".byte", "data16\n", "ds\n", "cs\n", "es\n", "ss\n", "fs\n", "gs\n", "lock\n",
                                         "lock rex", "addr32 rex", "repz rex", "repnz rex", "ds rex", "cs rex", "ss rex",
                                         "es rex", "fs rex", "gs rex", "data16 rex" };
    if (count == 0 || strstr(mnemonic, "(bad)") != NULL || (bytes[0] == 0x9B && count > 1)) {
        return false;
    }
    for (size_t i = 0; i < sizeof ALONE / sizeof ALONE[0]; i++) {
        if (strncmp(mnemonic, ALONE[i], strlen(ALONE[i])) == 0) {
            return false;
        }
    }
    return true;
}

static void assert_same_as_objdump(const char *path, size_t at_least)
{
    char command[LINE_BYTES];
    char line[LINE_BYTES];
    size_t compared = 0;
    snprintf(command, sizeof command, "objdump -dw -j .text %s", path);
    FILE *dump = popen(command, "r");
    assert_non_null(dump);
    while (fgets(line, sizeof line, dump) != NULL) {
        struct code code = CODE(0);
        const char *mnemonic = NULL;
        size_t count = parse_bytes(line, code.bytes, &mnemonic);
        if (count != 0 && is_instruction(code.bytes, count, mnemonic)) {
            if (length_of(code) != count) {
                print_message("%s", line);
            }
            assert_int_equal(length_of(code), count);
            compared++;
        }
    }
    assert_int_equal(pclose(dump), 0);
    assert_true(compared >= at_least);
}

static void test_lengths_in_the_c_library_are_those_of_objdump(void **state)
{
    (void)state;
    assert_same_as_objdump("/lib/x86_64-linux-gnu/libc.so.6", 200000);
}

static void test_lengths_in_the_mathematical_library_are_those_of_objdump(void **state)
{
    (void)state;
    assert_same_as_objdump("/lib/x86_64-linux-gnu/libm.so.6", 50000); /* AVX, AVX512, x87 */
}

static void test_lengths_in_the_cxx_library_are_those_of_objdump(void **state)
{
    (void)state;
    assert_same_as_objdump("/lib/x86_64-linux-gnu/libstdc++.so.6", 200000);
}

/* ---- by hand --------------------------------------------------------------------------------------------------------- */

static void test_immediates_follow_the_prefixes(void **state)
{
    (void)state;
    assert_int_equal(length_of(CODE(0xB8, 1, 2, 3, 4)), 5);                            /* mov $imm32, %eax */
    assert_int_equal(length_of(CODE(0x66, 0xB8, 1, 2)), 4);                            /* mov $imm16, %ax */
    assert_int_equal(length_of(CODE(0x48, 0xB8, 1, 2, 3, 4, 5, 6, 7, 8)), 10);         /* movabs */
    assert_int_equal(length_of(CODE(0x66, 0x48, 0x05, 1, 2, 3, 4)), 7);                /* REX.W is stronger than 66 */
    assert_int_equal(length_of(CODE(0xA1, 1, 2, 3, 4, 5, 6, 7, 8)), 9);                /* mov moffs64, %eax */
    assert_int_equal(length_of(CODE(0x67, 0xA1, 1, 2, 3, 4)), 6);
    assert_int_equal(length_of(CODE(0xC8, 1, 2, 3)), 4);                               /* enter */
    assert_int_equal(length_of(CODE(0xF6, 0xC0, 1)), 3);                               /* test $imm8, %al */
    assert_int_equal(length_of(CODE(0xF6, 0xD0)), 2);                                  /* not %al */
    assert_int_equal(length_of(CODE(0x66, 0x0F, 0x78, 0xC0, 1, 2)), 6);                /* extrq */
    assert_int_equal(length_of(CODE(0x8F, 0xE8, 0x78, 0xC0, 0xC1, 1)), 6);             /* XOP vprotb $imm8 */
    assert_int_equal(length_of(CODE(0x62, 0xF3, 0x7D, 0x48, 0x1D, 0xC0, 1)), 7);       /* EVEX vcvtps2ph */
}

static void test_what_64_bit_mode_does_not_have_is_refused(void **state)
{
    (void)state;
    assert_int_equal(length_of(CODE(0x06)), 0);             /* push %es */
    assert_int_equal(length_of(CODE(0xEA, 1, 2, 3, 4)), 0); /* far jmp */
    assert_int_equal(length_of(CODE(0xD5, 0x10, 0x50)), 0); /* REX2 of APX */
    assert_int_equal(length_of(CODE(0x66, 0xE9, 1, 2)), 0); /* two readings */
}

static void test_an_instruction_that_is_cut_is_refused(void **state)
{
    (void)state;
    const uint8_t code[] = { 0x48, 0x8B, 0x05, 1, 2, 3, 4 };
    struct mt_x86_insn insn;
    for (size_t i = 0; i < sizeof code; i++) {
        assert_false(mt_x86_decode(code, i, &insn));
    }
    assert_true(mt_x86_decode(code, sizeof code, &insn));
}

static void test_no_instruction_is_longer_than_15_bytes(void **state)
{
    (void)state;
    struct code code = CODE(0);
    memset(code.bytes, 0x66, MT_X86_LENGTH_MAX);
    code.bytes[MT_X86_LENGTH_MAX] = 0x90;
    assert_int_equal(length_of(code), 0);
    code.bytes[MT_X86_LENGTH_MAX - 1] = 0x90;
    assert_int_equal(length_of(code), MT_X86_LENGTH_MAX);
}

static void test_flow_is_told(void **state)
{
    (void)state;
    assert_int_equal(flow_of(CODE(0xC3)), MT_X86_RETURN);
    assert_int_equal(flow_of(CODE(0xF3, 0xC3)), MT_X86_RETURN);
    assert_int_equal(flow_of(CODE(0xEB, 5)), MT_X86_JUMP);
    assert_int_equal(flow_of(CODE(0x0F, 0x84, 1, 2, 3, 4)), MT_X86_BRANCH);
    assert_int_equal(flow_of(CODE(0x74, 5)), MT_X86_BRANCH);
    assert_int_equal(flow_of(CODE(0xE3, 5)), MT_X86_LOOP);
    assert_int_equal(flow_of(CODE(0xE8, 1, 2, 3, 4)), MT_X86_CALL);
    assert_int_equal(flow_of(CODE(0xFF, 0xD0)), MT_X86_CALL);
    assert_int_equal(flow_of(CODE(0xFF, 0x25, 1, 2, 3, 4)), MT_X86_INDIRECT);
    assert_int_equal(flow_of(CODE(0xFF, 0x35, 1, 2, 3, 4)), MT_X86_PLAIN); /* push */
    assert_int_equal(flow_of(CODE(0xCC)), MT_X86_TRAP);
    assert_int_equal(flow_of(CODE(0x0F, 0x0B)), MT_X86_TRAP);
    assert_int_equal(flow_of(CODE(0xC5, 0xF8, 0x77)), MT_X86_PLAIN); /* vzeroupper */
}

static void test_operands_relative_to_the_instruction_are_found(void **state)
{
    (void)state;
    struct mt_x86_insn insn;
    struct code load = CODE(0x48, 0x8B, 0x05, 4, 3, 2, 1);
    assert_true(mt_x86_decode(load.bytes, sizeof load.bytes, &insn));
    assert_int_equal(insn.rip_at, 3);
    struct code compare = CODE(0x80, 0x3D, 4, 3, 2, 1, 9); /* cmpb $9, rel(%rip): an immediate follows */
    assert_true(mt_x86_decode(compare.bytes, sizeof compare.bytes, &insn));
    assert_int_equal(insn.rip_at, 2);
    assert_int_equal(insn.length, 7);
    struct code absolute = CODE(0x8B, 0x04, 0x25, 4, 3, 2, 1); /* by SIB: not relative */
    assert_true(mt_x86_decode(absolute.bytes, sizeof absolute.bytes, &insn));
    assert_int_equal(insn.rip_at, 0);
    struct code back = CODE(0x75, 0xFE);
    assert_true(mt_x86_decode(back.bytes, sizeof back.bytes, &insn));
    assert_int_equal(mt_x86_relative(back.bytes, &insn), -2);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_lengths_in_the_c_library_are_those_of_objdump),
    cmocka_unit_test(test_lengths_in_the_mathematical_library_are_those_of_objdump),
    cmocka_unit_test(test_lengths_in_the_cxx_library_are_those_of_objdump),
    cmocka_unit_test(test_immediates_follow_the_prefixes),
    cmocka_unit_test(test_what_64_bit_mode_does_not_have_is_refused),
    cmocka_unit_test(test_an_instruction_that_is_cut_is_refused),
    cmocka_unit_test(test_no_instruction_is_longer_than_15_bytes),
    cmocka_unit_test(test_flow_is_told),
    cmocka_unit_test(test_operands_relative_to_the_instruction_are_found),
};
MT_TEST_MAIN(tests)
