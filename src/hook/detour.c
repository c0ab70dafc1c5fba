/* detour.c: see detour.h. */
#include "hook/detour.h"

#include "hook/x86.h"

#include <string.h>

static const uint8_t ENDBR64[] = { 0xF3, 0x0F, 0x1E, 0xFA };

/* A plan under construction. */
struct plan {
    const uint8_t *code;
    uint64_t entry;
    size_t bytes;       /* of the function */
    size_t readable;    /* with the space behind it */
    size_t start, at;   /* offsets: of what moves, and of the instruction that is looked at */
    bool ended;         /* the one before `at` goes elsewhere: what follows it is not reached from the new place */
    uint64_t moved_to;
    struct mt_detour *out;
};

static bool fits(int64_t distance)
{
    return distance >= INT32_MIN && distance <= INT32_MAX;
}

static bool put(struct plan *p, const uint8_t *from, size_t bytes)
{
    struct mt_detour *out = p->out;
    if (bytes > MT_DETOUR_MOVED_MAX - out->moved_bytes) {
        return false;
    }
    memcpy(out->moved + out->moved_bytes, from, bytes);
    out->moved_bytes += bytes;
    return true;
}

/* An instruction that ends in a 4-byte distance to target. */
static bool put_with_distance(struct plan *p, const uint8_t *opcode, size_t opcode_bytes, uint64_t target)
{
    uint64_t end = p->moved_to + p->out->moved_bytes + opcode_bytes + sizeof(int32_t);
    int64_t distance = (int64_t)(target - end);
    int32_t encoded = (int32_t)distance;
    return fits(distance) && put(p, opcode, opcode_bytes) && put(p, (const uint8_t *)&encoded, sizeof encoded);
}

/* As it is; an operand relative to the instruction keeps meaning the same address. */
static bool copy(struct plan *p, const uint8_t *insn_code, const struct mt_x86_insn *insn)
{
    uint8_t bytes[MT_X86_LENGTH_MAX];
    memcpy(bytes, insn_code, insn->length);
    if (insn->rip_at != 0) {
        int32_t distance;
        memcpy(&distance, bytes + insn->rip_at, sizeof distance);
        uint64_t target = p->entry + p->at + insn->length + (uint64_t)(int64_t)distance;
        int64_t now = (int64_t)(target - (p->moved_to + p->out->moved_bytes + insn->length));
        if (!fits(now)) {
            return false;
        }
        distance = (int32_t)now;
        memcpy(bytes + insn->rip_at, &distance, sizeof distance);
    }
    return put(p, bytes, insn->length);
}

static uint64_t target_of(const struct plan *p, const struct mt_x86_insn *insn)
{
    return p->entry + p->at + insn->length + (uint64_t)mt_x86_relative(p->code + p->at, insn);
}

/* push of the address behind the call, without a flag or a register changed: lea -8(%rsp),%rsp; movl, movl. */
static bool put_return_address(struct plan *p, uint64_t address)
{
    uint8_t push[] = { 0x48, 0x8D, 0x64, 0x24, 0xF8, 0xC7, 0x04, 0x24, 0, 0, 0, 0, 0xC7, 0x44, 0x24, 4, 0, 0, 0, 0 };
    uint32_t low = (uint32_t)address;
    uint32_t high = (uint32_t)(address >> 32);
    memcpy(push + 8, &low, sizeof low);
    memcpy(push + 16, &high, sizeof high);
    return put(p, push, sizeof push);
}

/* A call of an address, or through a word near the code; the rest of the function goes on at its old place. */
static bool move_call(struct plan *p, const struct mt_x86_insn *insn)
{
    static const uint8_t jump[] = { 0xE9 };
    static const uint8_t jump_through[] = { 0xFF, 0x25 };
    uint64_t behind = p->entry + p->at + insn->length;
    bool through = insn->rip_at != 0;
    p->ended = true;
    if (p->at + insn->length < p->start + MT_DETOUR_JUMP_BYTES || (!through && insn->relative_at == 0) ||
        !put_return_address(p, behind)) {
        return false;
    }
    if (!through) {
        return put_with_distance(p, jump, sizeof jump, target_of(p, insn));
    }
    int32_t distance;
    memcpy(&distance, p->code + p->at + insn->rip_at, sizeof distance);
    return put_with_distance(p, jump_through, sizeof jump_through, behind + (uint64_t)(int64_t)distance);
}

static bool move_one(struct plan *p, const struct mt_x86_insn *insn)
{
    const uint8_t *code = p->code + p->at;
    const uint8_t jump[] = { 0xE9 };
    const uint8_t branch[] = { 0x0F, (uint8_t)(0x80 | (code[insn->opcode_at] & 0x0F)) };
    switch (insn->flow) {
    case MT_X86_PLAIN:
        return copy(p, code, insn);
    case MT_X86_RETURN:
    case MT_X86_INDIRECT:
        p->ended = true;
        return copy(p, code, insn);
    case MT_X86_JUMP:
        p->ended = true;
        return put_with_distance(p, jump, sizeof jump, target_of(p, insn));
    case MT_X86_BRANCH:
        return put_with_distance(p, branch, sizeof branch, target_of(p, insn));
    case MT_X86_CALL:
        return move_call(p, insn);
    case MT_X86_LOOP:
    case MT_X86_TRAP:
    default:
        return false;
    }
}

/* What lies at p->at: the next instruction, or padding behind the end of the function. */
static bool take_one(struct plan *p)
{
    struct mt_x86_insn insn;
    bool behind = p->at >= p->bytes;
    size_t available = (behind ? p->readable : p->bytes) - p->at;
    if (!mt_x86_decode(p->code + p->at, available, &insn)) {
        return false;
    }
    bool is_padding = mt_x86_is_padding(p->code + p->at, &insn);
    if (p->ended || behind) {
        if (!p->ended || !is_padding) {
            return false;
        }
    } else if (!move_one(p, &insn)) {
        return false;
    }
    p->at += insn.length;
    return true;
}

/* True when no instruction of the function jumps behind the first of those that move. To the first is a call anew. */
static bool nobody_jumps_back(struct plan *p)
{
    size_t end = p->at;
    struct mt_x86_insn insn;
    for (p->at = p->start; p->at < p->bytes; p->at += insn.length) {
        if (!mt_x86_decode(p->code + p->at, p->bytes - p->at, &insn)) {
            return false;
        }
        if (insn.relative_at != 0) {
            uint64_t offset = target_of(p, &insn) - p->entry;
            if (offset > p->start && offset < end) {
                return false;
            }
        }
    }
    p->at = end;
    return true;
}

static size_t behind_endbr64(const uint8_t *code, size_t bytes)
{
    return bytes >= sizeof ENDBR64 && memcmp(code, ENDBR64, sizeof ENDBR64) == 0 ? sizeof ENDBR64 : 0;
}

bool mt_detour_is_empty(const uint8_t *code, size_t bytes)
{
    size_t start = behind_endbr64(code, bytes);
    struct mt_x86_insn insn;
    return mt_x86_decode(code + start, bytes - start, &insn) && insn.flow == MT_X86_RETURN;
}

bool mt_detour_plan(const uint8_t *code, uint64_t entry, size_t bytes, uint64_t moved_to, struct mt_detour *ret)
{
    static const uint8_t jump[] = { 0xE9 };
    struct plan p = { .code = code, .entry = entry, .bytes = bytes, .moved_to = moved_to, .out = ret };
    ret->moved_bytes = 0;
    p.readable = bytes + (size_t)(-(entry + bytes) & 15);
    p.start = behind_endbr64(code, bytes);
    ret->place = entry + p.start;
    for (p.at = p.start; p.at < p.start + MT_DETOUR_JUMP_BYTES;) {
        if (!take_one(&p)) {
            return false;
        }
    }
    return nobody_jumps_back(&p) && (p.ended || put_with_distance(&p, jump, sizeof jump, entry + p.at));
}

bool mt_detour_jump(uint64_t from, uint64_t to, uint8_t ret_jump[MT_DETOUR_JUMP_BYTES])
{
    int64_t distance = (int64_t)(to - (from + MT_DETOUR_JUMP_BYTES));
    int32_t encoded = (int32_t)distance;
    ret_jump[0] = 0xE9;
    memcpy(ret_jump + 1, &encoded, sizeof encoded);
    return fits(distance);
}
