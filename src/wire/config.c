/* config.c: see config.h. */
#include "wire/config.h"

#include "base/status.h"

#include <string.h>

const struct mt_config_field mt_config_fields[MT_CONFIG__COUNT] = {
#define MT_CONFIG(kind, member, name, otherwise, least, most, text)                                                    \
    { #name, MT_CONFIG_##kind, offsetof(struct mt_config, member), otherwise, least, most },
#include "wire/config.def"
};

static const char g_modes[MT_MODE__COUNT][16] = {
#define MT_MODE_WORD(name, word) word,
    MT_MODE_TABLE(MT_MODE_WORD)
#undef MT_MODE_WORD
};

const char *mt_mode_word(unsigned mode)
{
    return mode < MT_MODE__COUNT ? g_modes[mode] : NULL;
}

static bool parse_number(const char *text, uint64_t *ret)
{
    uint64_t value = 0;
    if (*text == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        uint64_t digit = (uint64_t)(*text - '0');
        if (*text < '0' || *text > '9' || value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *ret = value;
    return true;
}

static bool parse_mode(const char *text, uint64_t *ret)
{
    for (unsigned mode = 0; mode < MT_MODE__COUNT; mode++) {
        if (strcmp(text, g_modes[mode]) == 0) {
            *ret = mode;
            return true;
        }
    }
    return false;
}

static void put_number(struct mt_config *config, const struct mt_config_field *field, uint64_t value)
{
    char *at = (char *)config + field->offset;
    switch (field->kind) {
    case MT_CONFIG_NUMBER:
        memcpy(at, &value, sizeof value);
        break;
    case MT_CONFIG_SWITCH:
        memcpy(at, &(bool){ value != 0 }, sizeof(bool));
        break;
    case MT_CONFIG_MODE:
        memcpy(at, &(enum mt_engine_mode){ (enum mt_engine_mode)value }, sizeof(enum mt_engine_mode));
        break;
    case MT_CONFIG_PATH:
    default:
        *at = '\0';
        break;
    }
}

uint64_t mt_config_number(const struct mt_config *config, const struct mt_config_field *field)
{
    const char *at = (const char *)config + field->offset;
    uint64_t number = 0;
    bool on = false;
    enum mt_engine_mode mode = MT_MODE_OFF;
    switch (field->kind) {
    case MT_CONFIG_NUMBER:
        memcpy(&number, at, sizeof number);
        return number;
    case MT_CONFIG_SWITCH:
        memcpy(&on, at, sizeof on);
        return on;
    case MT_CONFIG_MODE:
        memcpy(&mode, at, sizeof mode);
        return mode;
    case MT_CONFIG_PATH:
    default:
        return 0;
    }
}

static void put_path(struct mt_config *config, const struct mt_config_field *field, const char *text)
{
    size_t length = strlen(text);
    if (length < MT_CONFIG_PATH_BYTES) { /* a cut path would name another file */
        memcpy((char *)config + field->offset, text, length + 1);
    }
}

static void put_text(struct mt_config *config, const struct mt_config_field *field, const char *text)
{
    uint64_t value = 0;
    if (field->kind == MT_CONFIG_PATH) {
        put_path(config, field, text);
        return;
    }
    bool parsed = field->kind == MT_CONFIG_MODE ? parse_mode(text, &value) : parse_number(text, &value);
    if (parsed && value >= field->least && value <= field->most) {
        put_number(config, field, value);
    }
}

const struct mt_config_field *mt_config_field_of(const char *variable)
{
    static const char prefix[] = MT_CONFIG_PREFIX;
    if (strncmp(variable, prefix, sizeof prefix - 1) != 0) {
        return NULL;
    }
    variable += sizeof prefix - 1;
    for (size_t i = 0; i < MT_CONFIG__COUNT; i++) {
        size_t length = strlen(mt_config_fields[i].name);
        if (strncmp(variable, mt_config_fields[i].name, length) == 0 && variable[length] == '=') {
            return &mt_config_fields[i];
        }
    }
    return NULL;
}

void mt_config_default(struct mt_config *ret)
{
    for (size_t i = 0; i < MT_CONFIG__COUNT; i++) {
        put_number(ret, &mt_config_fields[i], mt_config_fields[i].otherwise);
    }
}

void mt_config_read(char *const *envp, struct mt_config *ret)
{
    mt_config_default(ret);
    for (; envp != NULL && *envp != NULL; envp++) {
        const struct mt_config_field *field = mt_config_field_of(*envp);
        if (field != NULL) {
            put_text(ret, field, strchr(*envp, '=') + 1);
        }
    }
}
