/* x86.h: lengths of x86-64 instructions, and what moving them takes.
 *
 * Decides: where an instruction ends, whether it refers to an address relative to itself, and whether it sends the
 * program elsewhere. Nothing is said about what an instruction does. Tables: Intel SDM volume 2, appendix A; AMD64 manual
 * volume 3 for 3DNow, SSE4A and XOP. Instructions of APX are unknown.
 * Context: any. Only the bytes that are given are read.
 */
#ifndef MT_HOOK_X86_H
#define MT_HOOK_X86_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MT_X86_LENGTH_MAX = 15 };

enum mt_x86_flow {
    MT_X86_PLAIN,    /* the next instruction follows */
    MT_X86_JUMP,     /* jmp to a relative address */
    MT_X86_BRANCH,   /* jcc to a relative address, or on */
    MT_X86_LOOP,     /* loop, jrcxz, xbegin: relative, with no longer form to put in its place */
    MT_X86_CALL,     /* any call */
    MT_X86_INDIRECT, /* jmp to where a register or memory says */
    MT_X86_RETURN,
    MT_X86_TRAP, /* int3, int n, ud2, hlt */
};

struct mt_x86_insn {
    uint8_t length;      /* bytes, at most MT_X86_LENGTH_MAX */
    uint8_t opcode_at;   /* offset of the last opcode byte */
    uint8_t rip_at;      /* offset of a 4-byte displacement relative to the end of the instruction; 0: none */
    uint8_t relative_at; /* offset of a relative target, relative_bytes long; 0: none */
    uint8_t relative_bytes;
    enum mt_x86_flow flow;
};

/* Decodes the instruction at code, of which `available` bytes may be read. False: unknown, invalid in 64-bit mode, or cut. */
bool mt_x86_decode(const uint8_t *code, size_t available, struct mt_x86_insn *ret);
/* The relative operand of an instruction at code, sign extended. Only where there is one. */
int64_t mt_x86_relative(const uint8_t *code, const struct mt_x86_insn *insn);
/* True for what fills the space between two functions: nop in all its lengths, and int3. */
bool mt_x86_is_padding(const uint8_t *code, const struct mt_x86_insn *insn);

#endif
