/* x86.c: see x86.h. One table entry an opcode: has it a ModRM byte, and which immediate follows. */
#include "hook/x86.h"

#include <string.h>

/* Operands of an opcode. */
enum {
    NONE = 0,
    BYTE = 1,   /* 1 byte */
    WORD = 2,   /* 2 bytes */
    FULL = 3,   /* 4 bytes, 2 with an operand-size prefix */
    ENTER = 4,  /* 2 bytes and 1 */
    ADDRESS = 5, /* 8 bytes, 4 with an address-size prefix */
    WIDE = 6,   /* as FULL, 8 with REX.W */
    BAD = 7,
    IMMEDIATE = 7, /* mask of the above */
    M = 8,         /* ModRM */
    MB = M | BYTE,
    MF = M | FULL,
};

/* Eight opcodes a row. */
static const uint8_t ONE_BYTE[256] = {
    M, M, M, M, BYTE, FULL, BAD, BAD, M, M, M, M, BYTE, FULL, BAD, BAD,         /* 00; 0f is the escape */
    M, M, M, M, BYTE, FULL, BAD, BAD, M, M, M, M, BYTE, FULL, BAD, BAD,         /* 10 */
    M, M, M, M, BYTE, FULL, BAD, BAD, M, M, M, M, BYTE, FULL, BAD, BAD,         /* 20; 26, 2e are prefixes */
    M, M, M, M, BYTE, FULL, BAD, BAD, M, M, M, M, BYTE, FULL, BAD, BAD,         /* 30; 36, 3e are prefixes */
    BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, /* 40: REX */
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,                             /* 50 */
    BAD, BAD, BAD, M, BAD, BAD, BAD, BAD, FULL, MF, BYTE, MB, 0, 0, 0, 0,       /* 60; 62 is EVEX */
    BYTE, BYTE, BYTE, BYTE, BYTE, BYTE, BYTE, BYTE, BYTE, BYTE, BYTE, BYTE, BYTE, BYTE, BYTE, BYTE, /* 70 */
    MB, MF, BAD, MB, M, M, M, M, M, M, M, M, M, M, M, M,                        /* 80; 8f may be XOP */
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, BAD, 0, 0, 0, 0, 0,                           /* 90 */
    ADDRESS, ADDRESS, ADDRESS, ADDRESS, 0, 0, 0, 0, BYTE, FULL, 0, 0, 0, 0, 0, 0, /* a0 */
    BYTE, BYTE, BYTE, BYTE, BYTE, BYTE, BYTE, BYTE, WIDE, WIDE, WIDE, WIDE, WIDE, WIDE, WIDE, WIDE, /* b0 */
    MB, MB, WORD, 0, BAD, BAD, MB, MF, ENTER, 0, WORD, 0, 0, BYTE, BAD, 0,      /* c0; c4, c5 are VEX */
    M, M, M, M, BAD, BAD, BAD, 0, M, M, M, M, M, M, M, M,                       /* d0 */
    BYTE, BYTE, BYTE, BYTE, BYTE, BYTE, BYTE, BYTE, FULL, FULL, BAD, BYTE, 0, 0, 0, 0, /* e0 */
    BAD, 0, BAD, BAD, 0, 0, M, M, 0, 0, 0, 0, 0, 0, M, M,                       /* f0; f6, f7: see immediate_of */
};

/* After 0f. */
static const uint8_t TWO_BYTES[256] = {
    M, M, M, M, BAD, 0, 0, 0, 0, 0, BAD, 0, BAD, M, 0, MB,  /* 00; 0f: 3DNow */
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,         /* 10 */
    M, M, M, M, BAD, BAD, BAD, BAD, M, M, M, M, M, M, M, M, /* 20 */
    0, 0, 0, 0, 0, 0, BAD, 0, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, /* 30; 38, 3a are escapes */
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,         /* 40 */
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,         /* 50 */
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,         /* 60 */
    MB, MB, MB, MB, M, M, M, 0, M, M, M, M, M, M, M, M,     /* 70; 78: see immediate_of */
    FULL, FULL, FULL, FULL, FULL, FULL, FULL, FULL, FULL, FULL, FULL, FULL, FULL, FULL, FULL, FULL, /* 80 */
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,         /* 90 */
    0, 0, 0, M, MB, M, M, M, 0, 0, 0, M, MB, M, M, M,       /* a0 */
    M, M, M, M, M, M, M, M, M, M, MB, M, M, M, M, M,        /* b0 */
    M, M, MB, M, MB, MB, MB, M, 0, 0, 0, 0, 0, 0, 0, 0,     /* c0 */
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,         /* d0 */
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,         /* e0 */
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,         /* f0 */
};

/* Opcode maps, as VEX, EVEX and XOP number them. */
enum map { MAP_ONE = 0, MAP_0F = 1, MAP_0F38 = 2, MAP_0F3A = 3, MAP_5 = 5, MAP_6 = 6, MAP_8 = 8, MAP_9 = 9, MAP_A = 10 };

struct decoder {
    const uint8_t *code;
    size_t available, at;
    bool operand16, address32, wide, repne; /* prefixes */
    bool vector;                            /* VEX, EVEX or XOP */
    enum map map;
    uint8_t opcode, modrm;
};

static bool next(struct decoder *d, uint8_t *ret)
{
    if (d->at >= d->available || d->at >= MT_X86_LENGTH_MAX) {
        return false;
    }
    *ret = d->code[d->at++];
    return true;
}

/* Takes legacy prefixes and a REX prefix; leaves the first opcode byte in d->opcode. */
static bool take_prefixes(struct decoder *d)
{
    bool again = true;
    while (again) {
        if (!next(d, &d->opcode)) {
            return false;
        }
        switch (d->opcode) {
        case 0x66:
            d->operand16 = true;
            break;
        case 0x67:
            d->address32 = true;
            break;
        case 0xF2:
            d->repne = true;
            break;
        case 0xF0:
        case 0xF3:
        case 0x26:
        case 0x2E:
        case 0x36:
        case 0x3E:
        case 0x64:
        case 0x65:
            break;
        default:
            again = false;
            break;
        }
    }
    if ((d->opcode & 0xF0) == 0x40) {
        d->wide = (d->opcode & 8) != 0;
        return next(d, &d->opcode);
    }
    return true;
}

static bool take_escape(struct decoder *d)
{
    d->map = MAP_0F;
    if (!next(d, &d->opcode)) {
        return false;
    }
    if (d->opcode == 0x38 || d->opcode == 0x3A) {
        d->map = d->opcode == 0x38 ? MAP_0F38 : MAP_0F3A;
        return next(d, &d->opcode);
    }
    return true;
}

/* bytes: of the prefix, behind its first. The first of them names the map in its low bits (mask); c5 has none. */
static bool take_vector_prefix(struct decoder *d, unsigned bytes, uint8_t mask)
{
    uint8_t first = 0;
    uint8_t rest = 0;
    bool whole = next(d, &first);
    for (unsigned i = 1; whole && i < bytes; i++) {
        whole = next(d, &rest);
    }
    d->vector = true;
    d->map = mask != 0 ? (enum map)(first & mask) : MAP_0F;
    return whole && next(d, &d->opcode);
}

static bool take_opcode(struct decoder *d)
{
    if (!take_prefixes(d)) {
        return false;
    }
    uint8_t second = d->at < d->available ? d->code[d->at] : 0;
    switch (d->opcode) {
    case 0x0F:
        return take_escape(d);
    case 0xC5:
        return take_vector_prefix(d, 1, 0);
    case 0xC4:
        return take_vector_prefix(d, 2, 0x1F);
    case 0x62:
        return take_vector_prefix(d, 3, 0x07);
    case 0x8F:
        return (second & 0x1F) < MAP_8 || take_vector_prefix(d, 2, 0x1F);
    default:
        return true;
    }
}

/* The entry of the tables above for the opcode; maps with one kind of operands need none. */
static uint8_t operands_of(const struct decoder *d)
{
    switch (d->map) {
    case MAP_ONE:
        return d->vector ? BAD : ONE_BYTE[d->opcode];
    case MAP_0F:
        return TWO_BYTES[d->opcode];
    case MAP_0F38:
    case MAP_9:
        return M;
    case MAP_5:
    case MAP_6:
        return d->vector ? M : BAD;
    case MAP_0F3A:
    case MAP_8:
        return MB;
    case MAP_A:
        return MF;
    default:
        return BAD;
    }
}

/* ModRM, SIB and displacement. */
static bool take_modrm(struct decoder *d, struct mt_x86_insn *insn)
{
    uint8_t sib = 0;
    if (!next(d, &d->modrm)) {
        return false;
    }
    unsigned mod = d->modrm >> 6;
    unsigned rm = d->modrm & 7;
    if (mod == 3) {
        return true;
    }
    if (rm == 4 && !next(d, &sib)) {
        return false;
    }
    if (mod == 0 && rm == 5) {
        insn->rip_at = (uint8_t)d->at;
    }
    bool based = mod != 0 || !(rm == 5 || (rm == 4 && (sib & 7) == 5));
    d->at += mod == 1 ? 1 : mod == 2 || !based ? 4 : 0;
    return !(insn->rip_at != 0 && d->address32);
}

static size_t full_bytes(const struct decoder *d)
{
    return d->operand16 && !d->wide ? 2 : 4;
}

/* Bytes of the immediate operand. */
static size_t immediate_bytes(const struct decoder *d, uint8_t operands)
{
    bool tests = d->map == MAP_ONE && (d->opcode == 0xF6 || d->opcode == 0xF7) && (d->modrm & 0x30) == 0;
    if (tests) {
        return d->opcode == 0xF6 ? 1 : full_bytes(d);
    }
    if (d->map == MAP_0F && d->opcode == 0x78 && !d->vector && (d->operand16 || d->repne)) {
        return 2; /* extrq, insertq */
    }
    switch (operands & IMMEDIATE) {
    case BYTE:
        return 1;
    case WORD:
        return 2;
    case FULL:
        return d->map == MAP_A ? 4 : full_bytes(d);
    case ENTER:
        return 3;
    case ADDRESS:
        return d->address32 ? 4 : 8;
    case WIDE:
        return d->wide ? 8 : full_bytes(d);
    default:
        return 0;
    }
}

static enum mt_x86_flow flow_of_one_byte(const struct decoder *d)
{
    unsigned reg = (d->modrm >> 3) & 7;
    switch (d->opcode) {
    case 0xE9:
    case 0xEB:
        return MT_X86_JUMP;
    case 0xE8:
        return MT_X86_CALL;
    case 0xE0:
    case 0xE1:
    case 0xE2:
    case 0xE3:
        return MT_X86_LOOP;
    case 0xC7:
        return d->modrm == 0xF8 ? MT_X86_LOOP : MT_X86_PLAIN; /* xbegin */
    case 0xC2:
    case 0xC3:
    case 0xCA:
    case 0xCB:
    case 0xCF:
        return MT_X86_RETURN;
    case 0xCC:
    case 0xCD:
    case 0xF1:
    case 0xF4:
        return MT_X86_TRAP;
    case 0xFF:
        return reg == 2 || reg == 3 ? MT_X86_CALL : reg == 4 || reg == 5 ? MT_X86_INDIRECT : MT_X86_PLAIN;
    default:
        return (d->opcode & 0xF0) == 0x70 ? MT_X86_BRANCH : MT_X86_PLAIN;
    }
}

static enum mt_x86_flow flow_of(const struct decoder *d)
{
    if (d->vector) {
        return MT_X86_PLAIN;
    }
    if (d->map == MAP_ONE) {
        return flow_of_one_byte(d);
    }
    if (d->map != MAP_0F) {
        return MT_X86_PLAIN;
    }
    bool undefined = d->opcode == 0x0B || d->opcode == 0xB9 || d->opcode == 0xFF;
    return (d->opcode & 0xF0) == 0x80 ? MT_X86_BRANCH : undefined ? MT_X86_TRAP : MT_X86_PLAIN;
}

static bool is_relative(const struct mt_x86_insn *insn, uint8_t opcode)
{
    return insn->flow == MT_X86_JUMP || insn->flow == MT_X86_BRANCH || insn->flow == MT_X86_LOOP ||
           (insn->flow == MT_X86_CALL && opcode == 0xE8);
}

bool mt_x86_decode(const uint8_t *code, size_t available, struct mt_x86_insn *ret)
{
    struct decoder d = { .code = code, .available = available };
    struct mt_x86_insn insn = { .length = 0 };
    if (!take_opcode(&d)) {
        return false;
    }
    insn.opcode_at = (uint8_t)(d.at - 1);
    uint8_t operands = operands_of(&d);
    if (operands == BAD || ((operands & M) != 0 && !take_modrm(&d, &insn))) {
        return false;
    }
    size_t immediate = immediate_bytes(&d, operands);
    insn.flow = flow_of(&d);
    if (is_relative(&insn, d.opcode)) {
        if (immediate == 2) {
            return false; /* a relative operand of two bytes means one thing to Intel's processors, another to AMD's */
        }
        insn.relative_at = (uint8_t)d.at;
        insn.relative_bytes = (uint8_t)immediate;
    }
    d.at += immediate;
    if (d.at > available || d.at > MT_X86_LENGTH_MAX) {
        return false;
    }
    insn.length = (uint8_t)d.at;
    *ret = insn;
    return true;
}

int64_t mt_x86_relative(const uint8_t *code, const struct mt_x86_insn *insn)
{
    int32_t value;
    if (insn->relative_bytes == 1) {
        return (int8_t)code[insn->relative_at];
    }
    memcpy(&value, code + insn->relative_at, sizeof value);
    return value;
}

bool mt_x86_is_padding(const uint8_t *code, const struct mt_x86_insn *insn)
{
    uint8_t opcode = code[insn->opcode_at];
    bool escaped = insn->opcode_at > 0 && code[insn->opcode_at - 1] == 0x0F;
    return escaped ? opcode == 0x1F : (opcode == 0x90 || (insn->length == 1 && opcode == 0xCC));
}
