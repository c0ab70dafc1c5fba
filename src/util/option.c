/* option.c: table-driven options on getopt_long. Each option becomes one or two getopt entries whose val encodes its
 * position in the flattened tables, so that one switch-free lookup finds it again. */
#include "util/option.h"

#include "util/human.h"
#include "util/memory.h"
#include "util/option_walk.h"
#include "util/text.h"

#include <ctype.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_MAX = 64, VAL_BASE = 256, VAL_HELP = 255 };

struct parser {
    const struct mt_command_doc *doc;
    const struct mt_option *all[OPTIONS_MAX];
    size_t count;
    struct option longs[2 * OPTIONS_MAX + 2];
    char shorts[3 * OPTIONS_MAX + 8];
    char *negated[OPTIONS_MAX]; /* "no-x" strings to free */
};

/* As getopt says it. */
static int argument_of(const struct mt_option *option)
{
    enum mt_option_argument takes = mt_option_takes(option);
    return takes == MT_ARGUMENT_REQUIRED ? required_argument : takes == MT_ARGUMENT_OPTIONAL ? optional_argument : no_argument;
}

static void add_option(struct parser *p, const struct mt_option *option, size_t *longs, size_t *shorts)
{
    int argument = argument_of(option);
    int val = VAL_BASE + (int)p->count * 2;
    p->longs[(*longs)++] = (struct option){ option->name, argument, NULL, val };
    if (option->kind == MT_OPTION_SWITCH) {
        p->negated[p->count] = mt_format("no-%s", option->name);
        p->longs[(*longs)++] = (struct option){ p->negated[p->count], no_argument, NULL, val + 1 };
    }
    if (option->letter != 0) {
        p->shorts[(*shorts)++] = option->letter;
        for (int i = 0; i < argument; i++) {
            p->shorts[(*shorts)++] = ':'; /* ':' required, '::' optional, as getopt's constants count */
        }
    }
    p->all[p->count++] = option;
}

static void build(struct parser *p, const struct mt_command_doc *doc)
{
    size_t longs = 0;
    size_t shorts = 0;
    *p = (struct parser){ .doc = doc };
    if (doc->stop_at_operand) {
        p->shorts[shorts++] = '+';
    }
    p->shorts[shorts++] = ':';
    p->shorts[shorts++] = 'h';
    p->longs[longs++] = (struct option){ "help", no_argument, NULL, VAL_HELP };
    for (const struct mt_option *const *table = doc->tables; table != NULL && *table != NULL; table++) {
        for (const struct mt_option *option = *table; option->name != NULL && p->count < OPTIONS_MAX; option++) {
            add_option(p, option, &longs, &shorts);
        }
    }
}

static void release(struct parser *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->negated[i]);
    }
}

static mt_status bad_value(const struct mt_option *option, const char *argument, const char *wanted,
                           struct mt_error *err)
{
    return mt_error_set(err, MT_E_INVAL, "--%s: \"%s\" is not %s", option->name, argument, wanted);
}

static mt_status set_choice(const struct mt_option *option, const char *argument, int *field, struct mt_error *err)
{
    char list[256] = "";
    size_t used = 0;
    for (int i = 0; option->choices[i] != NULL; i++) {
        if (strcmp(option->choices[i], argument) == 0) {
            *field = i;
            return MT_OK;
        }
        int more = snprintf(list + used, sizeof list - used, "%s%s", i > 0 ? ", " : "", option->choices[i]);
        used += more > 0 && (size_t)more < sizeof list - used ? (size_t)more : 0;
    }
    return mt_error_set(err, MT_E_INVAL, "--%s: \"%s\" is not one of %s", option->name, argument, list);
}

/* Stores one option; negated: the --no-x form. */
static mt_status assign(const struct mt_option *option, bool negated, const char *argument, void *values,
                        struct mt_error *err)
{
    void *field = (char *)values + option->offset;
    switch (option->kind) {
    case MT_OPTION_FLAG:
    case MT_OPTION_SWITCH:
        *(bool *)field = !negated;
        return MT_OK;
    case MT_OPTION_TEXT:
    case MT_OPTION_TEXT_LAST:
        *(const char **)field = argument;
        return MT_OK;
    case MT_OPTION_SIZE:
        return mt_parse_size(argument, field) ? MT_OK : bad_value(option, argument, "a size such as 512K or 1.5M", err);
    case MT_OPTION_DURATION:
        return mt_parse_duration(argument, field) ? MT_OK
                                                  : bad_value(option, argument, "a duration such as 10s or 250ms", err);
    case MT_OPTION_COUNT:
        return mt_parse_count(argument, field) ? MT_OK : bad_value(option, argument, "a whole number", err);
    case MT_OPTION_CHOICE:
        return set_choice(option, argument, field, err);
    case MT_OPTION_CALL:
        return option->set(values, argument, err);
    default:
        return MT_E_INVAL;
    }
}

static void environment_name(const struct mt_option *option, char ret[64])
{
    size_t used = (size_t)snprintf(ret, 64, "MEMTAP_");
    for (const char *from = option->name; *from != '\0' && used < 63; from++) {
        ret[used++] = *from == '-' ? '_' : (char)toupper((unsigned char)*from);
    }
    ret[used] = '\0';
}

static mt_status assign_from_environment(const struct mt_option *option, const char *value, void *values,
                                         struct mt_error *err)
{
    bool on = true;
    if (argument_of(option) == no_argument) {
        if (!mt_parse_bool(value, &on)) {
            return mt_error_set(err, MT_E_INVAL, "\"%s\" is not 0 or 1", value);
        }
        if (!on && option->kind != MT_OPTION_SWITCH) {
            return MT_OK;
        }
    }
    return assign(option, !on, argument_of(option) == no_argument ? NULL : value, values, err);
}

static mt_status apply_environment(const struct parser *p, void *values, struct mt_error *err)
{
    if (getenv("MEMTAP_ROOT_PID") != NULL) {
        return MT_OK; /* inside a recorded program: these variables are the agent's */
    }
    for (size_t i = 0; i < p->count; i++) {
        char name[64];
        environment_name(p->all[i], name);
        const char *value = p->all[i]->kind == MT_OPTION_TEXT_LAST ? NULL : getenv(name);
        if (value == NULL || value[0] == '\0') {
            continue;
        }
        mt_status status = assign_from_environment(p->all[i], value, values, err);
        if (status != MT_OK) {
            (void)mt_error_prefix(err, "environment variable %s", name);
            return status;
        }
    }
    return MT_OK;
}

static mt_status unknown_option(const struct parser *p, const char *word, struct mt_error *err)
{
    const char *names[2 * OPTIONS_MAX + 2];
    size_t count = 0;
    char stem[64];
    (void)snprintf(stem, sizeof stem, "%.*s", (int)strcspn(word, "="), word);
    for (const struct option *o = p->longs; o->name != NULL; o++) {
        names[count++] = o->name;
    }
    names[count] = NULL;
    const char *nearest = strncmp(stem, "--", 2) == 0 ? mt_text_nearest(stem + 2, names) : NULL;
    char *clean = mt_text_clean(stem, strlen(stem));
    mt_status status =
        nearest != NULL
            ? mt_error_set(err, MT_E_INVAL, "unknown option %s; did you mean --%s?", clean, nearest)
            : mt_error_set(err, MT_E_INVAL, "unknown option %s; `memtap %s -h` lists them", clean, p->doc->name);
    free(clean);
    return status;
}

/* getopt said '?' or ':'. word is the argument it was looking at. */
static mt_status explain(const struct parser *p, int what, const char *word, struct mt_error *err)
{
    if (optopt >= VAL_BASE) {
        const char *name = p->all[(optopt - VAL_BASE) / 2]->name;
        return what == ':' ? mt_error_set(err, MT_E_INVAL, "--%s needs a value", name)
                           : mt_error_set(err, MT_E_INVAL, "--%s takes no value", name);
    }
    if (optopt != 0 && what == ':') {
        return mt_error_set(err, MT_E_INVAL, "-%c needs a value", optopt);
    }
    if (optopt > 0x20 && optopt < 0x7F) {
        return mt_error_set(err, MT_E_INVAL, "unknown option -%c; `memtap %s -h` lists them", optopt, p->doc->name);
    }
    return unknown_option(p, word, err);
}

static const struct mt_option *option_of(const struct parser *p, int val, bool *ret_negated)
{
    *ret_negated = false;
    if (val >= VAL_BASE) {
        *ret_negated = (val & 1) != 0;
        return p->all[(val - VAL_BASE) / 2];
    }
    for (size_t i = 0; i < p->count; i++) {
        if (p->all[i]->letter == val) {
            return p->all[i];
        }
    }
    return NULL;
}

static bool is_one_of(const struct mt_command_doc *doc, const char *name)
{
    for (const char *const *one = doc->one_of; one != NULL && *one != NULL; one++) {
        if (strcmp(*one, name) == 0) {
            return true;
        }
    }
    return false;
}

/* *chosen: the option of doc->one_of that was given before, NULL: none. */
static mt_status check_only_one(const struct mt_command_doc *doc, const struct mt_option *option, const char **chosen,
                                struct mt_error *err)
{
    if (!is_one_of(doc, option->name)) {
        return MT_OK;
    }
    if (*chosen != NULL && strcmp(*chosen, option->name) != 0) {
        return mt_error_set(err, MT_E_INVAL, "--%s and --%s say different things; give one of them", *chosen, option->name);
    }
    *chosen = option->name;
    return MT_OK;
}

static mt_status parse_arguments(const struct parser *p, int argc, char **argv, void *values, struct mt_operands *ret,
                                 struct mt_error *err)
{
    const char *chosen = NULL;
    opterr = 0;
    optind = 0; /* glibc: start over, with the flags of this option string */
    for (;;) {
        optopt = 0;
        int val = getopt_long(argc, argv, p->shorts, p->longs, NULL);
        bool negated;
        if (val == -1) {
            break;
        }
        if (val == VAL_HELP || val == 'h') {
            ret->help = true;
            return MT_OK;
        }
        if (val == '?' || val == ':') {
            return explain(p, val, optind > 0 && optind <= argc ? argv[optind - 1] : "", err);
        }
        const struct mt_option *option = option_of(p, val, &negated);
        mt_status status = option == NULL ? MT_E_INVAL : check_only_one(p->doc, option, &chosen, err);
        status = status == MT_OK ? assign(option, negated, optarg, values, err) : status;
        if (status != MT_OK) {
            return status;
        }
        if (option->kind == MT_OPTION_TEXT_LAST) {
            break;
        }
    }
    ret->items = argv + optind;
    ret->count = argc - optind;
    return MT_OK;
}

mt_status mt_options_parse(const struct mt_command_doc *doc, int argc, char **argv, void *values,
                           struct mt_operands *ret, struct mt_error *err)
{
    struct parser p;
    struct mt_operands operands = { 0 };
    build(&p, doc);
    mt_status status = apply_environment(&p, values, err);
    if (status == MT_OK) {
        status = parse_arguments(&p, argc, argv, values, &operands, err);
    }
    release(&p);
    if (status == MT_OK) {
        *ret = operands;
    }
    return status;
}
