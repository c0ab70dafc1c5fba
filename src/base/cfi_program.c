/* cfi_program.c: the call frame instructions (DWARF 5, section 6.4.2 and 7.24) and their reading as rows.
 *
 * Only three registers are followed; the others are skipped over. Expressions are not executed in general: the shapes
 * that compilers, glibc and hand-written assembly really use are recognised and become row kinds, so that the hot path
 * has no interpreter. Measured share of call sites with another shape: 0 in libtorch_cpu, libstdc++, libx265.
 */
#include "base/cfi_program.h"

enum { REGISTER_BP = 6, REGISTER_SP = 7, REGISTER_R10 = 10, REGISTER_RA = 16 };

enum { REMEMBER_DEPTH = 8 };

enum {
    CFA_NOP = 0x00,
    CFA_SET_LOC = 0x01,
    CFA_ADVANCE_LOC1 = 0x02,
    CFA_ADVANCE_LOC2 = 0x03,
    CFA_ADVANCE_LOC4 = 0x04,
    CFA_OFFSET_EXTENDED = 0x05,
    CFA_RESTORE_EXTENDED = 0x06,
    CFA_UNDEFINED = 0x07,
    CFA_SAME_VALUE = 0x08,
    CFA_REGISTER = 0x09,
    CFA_REMEMBER_STATE = 0x0A,
    CFA_RESTORE_STATE = 0x0B,
    CFA_DEF_CFA = 0x0C,
    CFA_DEF_CFA_REGISTER = 0x0D,
    CFA_DEF_CFA_OFFSET = 0x0E,
    CFA_DEF_CFA_EXPRESSION = 0x0F,
    CFA_EXPRESSION = 0x10,
    CFA_OFFSET_EXTENDED_SF = 0x11,
    CFA_DEF_CFA_SF = 0x12,
    CFA_DEF_CFA_OFFSET_SF = 0x13,
    CFA_VAL_OFFSET = 0x14,
    CFA_VAL_OFFSET_SF = 0x15,
    CFA_VAL_EXPRESSION = 0x16,
    CFA_GNU_ARGS_SIZE = 0x2E,
    CFA_GNU_NEGATIVE_OFFSET_EXTENDED = 0x2F,
    CFA_ADVANCE_LOC = 0x40, /* high two bits; the low six are the operand */
    CFA_OFFSET = 0x80,
    CFA_RESTORE = 0xC0,
};

enum {
    OP_DEREF = 0x06,
    OP_AND = 0x1A,
    OP_PLUS = 0x22,
    OP_PLUS_UCONST = 0x23,
    OP_SHL = 0x24,
    OP_GE = 0x2A,
    OP_LIT0 = 0x30,
    OP_BREG0 = 0x70,
};

struct machine {
    const struct mt_cfi_common *common;
    struct mt_cfi_state *now;
    struct mt_cfi_state initial; /* after the CIE, for DW_CFA_restore */
    struct mt_cfi_state remembered[REMEMBER_DEPTH];
    uint32_t depth;
    uint64_t location;
    uint64_t address;
    bool unsupported;
    bool done;
};

/* The followed register of a DWARF number, or MT_CFI__TRACKED. */
static enum mt_cfi_tracked tracked(uint64_t number)
{
    switch (number) {
    case REGISTER_BP:
        return MT_CFI_BP;
    case REGISTER_SP:
        return MT_CFI_SP;
    case REGISTER_RA:
        return MT_CFI_RA;
    default:
        return MT_CFI__TRACKED;
    }
}

static void set_rule(struct machine *m, uint64_t number, enum mt_cfi_rule_kind kind, int64_t offset)
{
    enum mt_cfi_tracked which = tracked(number);
    if (which != MT_CFI__TRACKED) {
        m->now->rules[which] = (struct mt_cfi_rule){ .kind = kind, .offset = offset };
    }
}

static void restore_rule(struct machine *m, uint64_t number)
{
    enum mt_cfi_tracked which = tracked(number);
    if (which != MT_CFI__TRACKED) {
        m->now->rules[which] = m->initial.rules[which];
    }
}

static int64_t scaled(const struct machine *m, uint64_t factor)
{
    return (int64_t)(factor * (uint64_t)m->common->data_align);
}

static struct mt_cfi_reader take_expression(struct mt_cfi_reader *r)
{
    uint64_t bytes = mt_cfi_uleb(r);
    struct mt_cfi_reader expression = *r;
    mt_cfi_skip(r, bytes);
    expression.end = r->bad ? expression.at : r->at;
    expression.bad = r->bad;
    return expression;
}

static void advance(struct machine *m, uint64_t delta)
{
    m->location += delta * m->common->code_align;
    m->done = m->location > m->address;
}

static void remember(struct machine *m)
{
    if (m->depth == REMEMBER_DEPTH) {
        m->unsupported = true;
        return;
    }
    m->remembered[m->depth++] = *m->now;
}

static void restore_state(struct machine *m)
{
    if (m->depth == 0) {
        m->unsupported = true;
        return;
    }
    *m->now = m->remembered[--m->depth];
}

static void define_cfa(struct machine *m, uint64_t number, int64_t offset)
{
    m->now->cfa_is_expression = false;
    m->now->cfa_register = number;
    m->now->cfa_offset = offset;
}

/* Instructions that set the CFA rule; false when op is not one. */
static bool step_cfa(struct machine *m, uint8_t op, struct mt_cfi_reader *r)
{
    uint64_t number;
    switch (op) {
    case CFA_DEF_CFA:
        number = mt_cfi_uleb(r);
        define_cfa(m, number, (int64_t)mt_cfi_uleb(r));
        return true;
    case CFA_DEF_CFA_SF:
        number = mt_cfi_uleb(r);
        define_cfa(m, number, scaled(m, (uint64_t)mt_cfi_sleb(r)));
        return true;
    case CFA_DEF_CFA_REGISTER:
        define_cfa(m, mt_cfi_uleb(r), m->now->cfa_offset);
        return true;
    case CFA_DEF_CFA_OFFSET:
        define_cfa(m, m->now->cfa_register, (int64_t)mt_cfi_uleb(r));
        return true;
    case CFA_DEF_CFA_OFFSET_SF:
        define_cfa(m, m->now->cfa_register, scaled(m, (uint64_t)mt_cfi_sleb(r)));
        return true;
    case CFA_DEF_CFA_EXPRESSION:
        m->now->cfa_is_expression = true;
        m->now->cfa_expression = take_expression(r);
        return true;
    default:
        return false;
    }
}

/* Instructions about one register; false when op is not one. */
static bool step_register(struct machine *m, uint8_t op, struct mt_cfi_reader *r)
{
    if (op < CFA_OFFSET_EXTENDED || op == CFA_REMEMBER_STATE || op == CFA_RESTORE_STATE || op == CFA_GNU_ARGS_SIZE) {
        return false;
    }
    uint64_t number = mt_cfi_uleb(r);
    enum mt_cfi_tracked which = tracked(number);
    switch (op) {
    case CFA_OFFSET_EXTENDED:
        set_rule(m, number, MT_RULE_OFFSET, scaled(m, mt_cfi_uleb(r)));
        return true;
    case CFA_OFFSET_EXTENDED_SF:
        set_rule(m, number, MT_RULE_OFFSET, scaled(m, (uint64_t)mt_cfi_sleb(r)));
        return true;
    case CFA_GNU_NEGATIVE_OFFSET_EXTENDED:
        set_rule(m, number, MT_RULE_OFFSET, -scaled(m, mt_cfi_uleb(r)));
        return true;
    case CFA_RESTORE_EXTENDED:
        restore_rule(m, number);
        return true;
    case CFA_UNDEFINED:
        set_rule(m, number, MT_RULE_UNDEFINED, 0);
        return true;
    case CFA_SAME_VALUE:
        set_rule(m, number, MT_RULE_SAME, 0);
        return true;
    case CFA_REGISTER:
    case CFA_VAL_OFFSET:
    case CFA_VAL_OFFSET_SF: /* an sleb is as long as a uleb */
        set_rule(m, number, MT_RULE_OTHER, 0);
        (void)mt_cfi_sleb(r);
        return true;
    case CFA_EXPRESSION:
    case CFA_VAL_EXPRESSION:
        set_rule(m, number, op == CFA_EXPRESSION ? MT_RULE_EXPRESSION : MT_RULE_OTHER, 0);
        {
            struct mt_cfi_reader expression = take_expression(r);
            if (which != MT_CFI__TRACKED) {
                m->now->rules[which].expression = expression;
            }
        }
        return true;
    default:
        return false;
    }
}

static void step_other(struct machine *m, uint8_t op, struct mt_cfi_reader *r)
{
    switch (op) {
    case CFA_NOP:
        break;
    case CFA_SET_LOC:
        m->location = mt_cfi_encoded_address(r, m->common->address_encoding, 0);
        m->done = m->location > m->address;
        break;
    case CFA_ADVANCE_LOC1:
        advance(m, mt_cfi_fixed(r, 1));
        break;
    case CFA_ADVANCE_LOC2:
        advance(m, mt_cfi_fixed(r, 2));
        break;
    case CFA_ADVANCE_LOC4:
        advance(m, mt_cfi_fixed(r, 4));
        break;
    case CFA_REMEMBER_STATE:
        remember(m);
        break;
    case CFA_RESTORE_STATE:
        restore_state(m);
        break;
    case CFA_GNU_ARGS_SIZE:
        (void)mt_cfi_uleb(r);
        break;
    default:
        m->unsupported = true;
        break;
    }
}

static void step(struct machine *m, struct mt_cfi_reader *r)
{
    uint8_t op = mt_cfi_u8(r);
    uint8_t low = op & 0x3F;
    switch (op & 0xC0) {
    case CFA_ADVANCE_LOC:
        advance(m, low);
        return;
    case CFA_OFFSET:
        set_rule(m, low, MT_RULE_OFFSET, scaled(m, mt_cfi_uleb(r)));
        return;
    case CFA_RESTORE:
        restore_rule(m, low);
        return;
    default:
        break;
    }
    bool is_cfa = op >= CFA_DEF_CFA && step_cfa(m, op, r);
    if (!is_cfa && !step_register(m, op, r)) {
        step_other(m, op, r);
    }
}

static mt_status run(struct machine *m, struct mt_cfi_reader program)
{
    while (mt_cfi_left(&program) > 0 && !m->done && !m->unsupported) {
        step(m, &program);
    }
    if (program.bad) {
        return MT_E_CORRUPT;
    }
    return m->unsupported ? MT_E_UNSUPPORTED : MT_OK;
}

mt_status mt_cfi_run(const struct mt_cfi_common *common, struct mt_cfi_reader program, uint64_t start, uint64_t address,
                     struct mt_cfi_state *ret_state)
{
    struct machine m;
    memset(ret_state, 0, sizeof *ret_state);
    m.common = common;
    m.now = ret_state;
    memset(&m.initial, 0, sizeof m.initial);
    m.depth = 0;
    m.location = start;
    m.address = address;
    m.unsupported = false;
    m.done = false;
    mt_status status = run(&m, common->program);
    if (status == MT_OK) {
        m.initial = *ret_state;
        m.depth = 0;
        m.done = false;
        m.location = start;
        status = run(&m, program);
    }
    return status;
}

/* ---- states as rows ---------------------------------------------------------------------------------------------- */

static bool fits(int64_t offset)
{
    return offset >= -(1 << 28) && offset <= 1 << 28 && (offset & 7) == 0;
}

/* Reads `DW_OP_breg<number> <offset>`. */
static bool take_breg(struct mt_cfi_reader *r, uint64_t *ret_number, int64_t *ret_offset)
{
    uint8_t op = mt_cfi_u8(r);
    int64_t offset = mt_cfi_sleb(r);
    if (r->bad || op < OP_BREG0 || op > OP_BREG0 + 31) {
        return false;
    }
    *ret_number = (uint64_t)(op - OP_BREG0);
    *ret_offset = offset;
    return true;
}

/* `breg<number> offset` and nothing else. */
static bool is_breg(struct mt_cfi_reader r, uint64_t number, int64_t *ret_offset)
{
    uint64_t found;
    return take_breg(&r, &found, ret_offset) && found == number && mt_cfi_left(&r) == 0 && fits(*ret_offset);
}

/* `breg7 8; breg16 0; lit15; and; lit<n>; ge; lit3; shl; plus`: what every linker writes for .plt. */
static bool parse_plt(struct mt_cfi_reader r, struct mt_cfi_row *row)
{
    uint64_t sp;
    uint64_t pc;
    int64_t sp_offset;
    int64_t pc_offset;
    if (!take_breg(&r, &sp, &sp_offset) || !take_breg(&r, &pc, &pc_offset) || mt_cfi_left(&r) != 7) {
        return false;
    }
    const uint8_t *op = r.at;
    bool is_plt = sp == REGISTER_SP && sp_offset == 8 && pc == REGISTER_RA && pc_offset == 0 &&
                  op[0] == OP_LIT0 + 15 && op[1] == OP_AND && op[2] >= OP_LIT0 && op[2] <= OP_LIT0 + 15 &&
                  op[3] == OP_GE && op[4] == OP_LIT0 + 3 && op[5] == OP_SHL && op[6] == OP_PLUS;
    if (is_plt) {
        row->kind = MT_ROW_PLT;
        row->offset = op[2] - OP_LIT0;
    }
    return is_plt;
}

/* `breg6|7 offset; deref` with an optional `plus_uconst n`. */
static bool parse_deref(struct mt_cfi_reader r, struct mt_cfi_row *row)
{
    uint64_t number;
    int64_t offset;
    int64_t addend = 0;
    if (!take_breg(&r, &number, &offset) || mt_cfi_u8(&r) != OP_DEREF || !fits(offset)) {
        return false;
    }
    if (mt_cfi_left(&r) > 0) {
        bool plus = mt_cfi_u8(&r) == OP_PLUS_UCONST;
        addend = (int64_t)mt_cfi_uleb(&r);
        if (!plus || r.bad || mt_cfi_left(&r) > 0 || !fits(addend) || addend < 0) {
            return false;
        }
    }
    if (number != REGISTER_SP && number != REGISTER_BP) {
        return false;
    }
    row->kind = number == REGISTER_SP ? MT_ROW_RSP_DEREF : MT_ROW_RBP_DEREF;
    row->offset = (int32_t)offset;
    row->addend = (int32_t)addend;
    return true;
}

static bool set_cfa(const struct mt_cfi_state *state, struct mt_cfi_row *row)
{
    if (state->cfa_is_expression) {
        return parse_plt(state->cfa_expression, row) || parse_deref(state->cfa_expression, row);
    }
    row->offset = fits(state->cfa_offset) ? (int32_t)state->cfa_offset : 0;
    switch (state->cfa_register) {
    case REGISTER_SP:
        row->kind = MT_ROW_RSP;
        break;
    case REGISTER_BP:
        row->kind = MT_ROW_RBP;
        break;
    case REGISTER_R10:
        row->kind = MT_ROW_R10;
        break;
    default:
        return false;
    }
    return fits(state->cfa_offset);
}

static bool set_bp(const struct mt_cfi_rule *rule, struct mt_cfi_row *row)
{
    int64_t offset = 0;
    switch (rule->kind) {
    case MT_RULE_UNSET:
    case MT_RULE_UNDEFINED:
    case MT_RULE_SAME:
        row->bp_rule = MT_BP_SAME;
        return true;
    case MT_RULE_OFFSET:
        row->bp_rule = MT_BP_AT_CFA;
        row->bp_offset = (int32_t)rule->offset;
        return fits(rule->offset) && rule->offset < 0;
    case MT_RULE_EXPRESSION:
        row->bp_rule = MT_BP_AT_BP;
        return is_breg(rule->expression, REGISTER_BP, &offset) && offset == 0;
    case MT_RULE_OTHER:
    default:
        return false;
    }
}

/* glibc's __restore_rt: the registers lie in the ucontext, found from rsp; the CFA is the interrupted rsp. */
static bool set_signal(const struct mt_cfi_state *state, struct mt_cfi_row *row)
{
    const struct mt_cfi_rule *rules = state->rules;
    int64_t ra;
    int64_t bp;
    bool is_signal = state->cfa_is_expression && parse_deref(state->cfa_expression, row) &&
                     row->kind == MT_ROW_RSP_DEREF && row->addend == 0 && rules[MT_CFI_RA].kind == MT_RULE_EXPRESSION &&
                     is_breg(rules[MT_CFI_RA].expression, REGISTER_SP, &ra) &&
                     rules[MT_CFI_BP].kind == MT_RULE_EXPRESSION &&
                     is_breg(rules[MT_CFI_BP].expression, REGISTER_SP, &bp);
    if (is_signal) {
        row->kind = MT_ROW_SIGNAL;
        row->addend = (int32_t)ra;
        row->bp_offset = (int32_t)bp;
    }
    return is_signal;
}

struct mt_cfi_row mt_cfi_row_of_state(const struct mt_cfi_state *state, bool signal_frame)
{
    static const struct mt_cfi_row other = { .kind = MT_ROW_OTHER };
    struct mt_cfi_row row = other;
    const struct mt_cfi_rule *ra = &state->rules[MT_CFI_RA];
    if (ra->kind == MT_RULE_UNDEFINED) {
        row.kind = MT_ROW_END;
        return row;
    }
    if (signal_frame) {
        return set_signal(state, &row) ? row : other;
    }
    bool usual = ra->kind == MT_RULE_OFFSET && ra->offset == -8 && set_cfa(state, &row) &&
                 set_bp(&state->rules[MT_CFI_BP], &row);
    return usual ? row : other;
}
