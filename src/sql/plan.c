/* plan.c: see plan.h. */
#include "sql/plan.h"

#include <stdlib.h>
#include <string.h>

enum { BACKWARDS = 1, TEXT_MAX = 160 };

/* 0: nothing that this table can do. */
static char letter_of(const struct mt_sql_plan_of *of, const struct sqlite3_index_constraint *c)
{
    if (c->iColumn >= of->column_count) {
        return c->op == SQLITE_INDEX_CONSTRAINT_EQ ? (char)('0' + c->iColumn - of->column_count) : 0;
    }
    if (c->iColumn < 0 || c->iColumn != of->sorted) {
        return 0;
    }
    switch (c->op) {
    case SQLITE_INDEX_CONSTRAINT_EQ:
        return MT_PLAN_EQUAL;
    case SQLITE_INDEX_CONSTRAINT_GT:
        return MT_PLAN_ABOVE;
    case SQLITE_INDEX_CONSTRAINT_GE:
        return MT_PLAN_FROM;
    case SQLITE_INDEX_CONSTRAINT_LT:
        return MT_PLAN_BELOW;
    case SQLITE_INDEX_CONSTRAINT_LE:
        return MT_PLAN_TO;
    default:
        return 0;
    }
}

/* How many values the filter is given; *ret_arguments: bits of the arguments among them. */
static int take_constraints(const struct mt_sql_plan_of *of, sqlite3_index_info *info, char letters[MT_PLAN_VALUES_MAX + 1],
                            unsigned *ret_arguments)
{
    int count = 0;
    for (int i = 0; i < info->nConstraint && count < MT_PLAN_VALUES_MAX; i++) {
        char letter = letter_of(of, &info->aConstraint[i]);
        if (letter == 0 || !info->aConstraint[i].usable) {
            continue;
        }
        *ret_arguments |= letter >= '0' && letter < '0' + of->argument_count ? 1u << (letter - '0') : 0;
        letters[count++] = letter;
        info->aConstraintUsage[i].argvIndex = count;
        info->aConstraintUsage[i].omit = 1;
    }
    return count;
}

/* Columns of a GROUP BY or DISTINCT, as text; "": it is neither, or of something else than columns. */
static void plan_order(const struct mt_sql_plan_of *of, sqlite3_index_info *info, char text[TEXT_MAX])
{
    int how = sqlite3_vtab_distinct(info);
    text[0] = '\0';
    if (of->sorted >= 0 && info->nOrderBy == 1 && info->aOrderBy[0].iColumn == of->sorted) {
        info->orderByConsumed = 1;
        info->idxNum = info->aOrderBy[0].desc ? BACKWARDS : 0;
        return;
    }
    if ((how != 1 && how != 2) || info->nOrderBy < 1 || info->nOrderBy > MT_PLAN_GROUP_MAX) {
        return;
    }
    for (int i = 0; i < info->nOrderBy; i++) {
        if (info->aOrderBy[i].iColumn < 0 || info->aOrderBy[i].iColumn >= of->column_count) {
            text[0] = '\0';
            return;
        }
        (void)sqlite3_snprintf(TEXT_MAX - (int)strlen(text), text + strlen(text), ",%d", info->aOrderBy[i].iColumn);
    }
    info->orderByConsumed = 1;
}

int mt_sql_plan(const struct mt_sql_plan_of *of, sqlite3_index_info *info)
{
    char letters[MT_PLAN_VALUES_MAX + 1] = "", group[TEXT_MAX];
    unsigned arguments = 0;
    int count = take_constraints(of, info, letters, &arguments);
    if (arguments != (1u << of->argument_count) - 1) {
        return SQLITE_CONSTRAINT; /* a table function without its arguments, or not yet */
    }
    plan_order(of, info, group);
    double rows = count > of->argument_count ? of->rows / 10 + 1 : of->rows;
    info->estimatedRows = (sqlite3_int64)rows;
    info->estimatedCost = rows;
    info->idxStr = sqlite3_mprintf("%s,%llx%s", letters, (unsigned long long)info->colUsed, group);
    info->needToFreeIdxStr = 1;
    return info->idxStr != NULL ? SQLITE_OK : SQLITE_NOMEM;
}

void mt_sql_chosen_read(int number, const char *text, struct mt_sql_chosen *ret)
{
    size_t letters = strcspn(text, ",");
    char *at;
    *ret = (struct mt_sql_chosen){ .backwards = (number & BACKWARDS) != 0 };
    memcpy(ret->letters, text, letters < MT_PLAN_VALUES_MAX ? letters : MT_PLAN_VALUES_MAX);
    ret->used = strtoull(text + letters + 1, &at, 16);
    while (*at == ',' && ret->group_count < MT_PLAN_GROUP_MAX) {
        ret->group[ret->group_count++] = (int)strtol(at + 1, &at, 10);
    }
}
