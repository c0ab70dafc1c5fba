/* monitor_settings.c: see monitor_settings.h. */
#include "serve/monitor_settings.h"

#include "util/human.h"
#include "util/json_read.h"
#include "util/memory.h"
#include "util/say.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum kind { KIND_BOOL, KIND_WHOLE, KIND_NUMBER };

struct setting {
    const char *name;
    enum kind kind;
    size_t offset;
    double usual, least, most;
    bool shown;
};

static const struct setting settings_known[] = {
#define X(name, kind, usual, least, most, shown) { #name, KIND_##kind, offsetof(struct mt_monitor_settings, name), usual, least, most, shown },
    MT_MONITOR_SETTINGS(X)
#undef X
};

static double *field(struct mt_monitor_settings *settings, const struct setting *setting)
{
    return (double *)(void *)((char *)settings + setting->offset);
}

static bool fits(const struct setting *setting, double value)
{
    return isfinite(value) && value >= setting->least && value <= setting->most && (setting->kind == KIND_NUMBER || value == floor(value));
}

static void print_wanted(const struct setting *setting, char *ret, size_t capacity)
{
    if (setting->kind == KIND_BOOL) {
        (void)snprintf(ret, capacity, "true or false");
    } else {
        (void)snprintf(ret, capacity, "%s, %g to %g", setting->kind == KIND_WHOLE ? "a whole number" : "a number", setting->least, setting->most);
    }
}

static bool read_text(const struct setting *setting, const char *text, double *ret)
{
    char *end;
    bool truth;
    if (setting->kind == KIND_BOOL) {
        bool good = text[0] == '\0' || mt_parse_bool(text, &truth);
        *ret = good && text[0] != '\0' && truth;
        return good;
    }
    *ret = strtod(text, &end);
    return end != text && *end == '\0' && fits(setting, *ret);
}

void mt_monitor_settings_read(struct mt_monitor_settings *ret)
{
    for (size_t i = 0; i < MT_COUNTOF(settings_known); i++) {
        const struct setting *setting = &settings_known[i];
        char name[64], wanted[64];
        double value;
        (void)snprintf(name, sizeof name, "MONITORING_%s", setting->name);
        for (char *at = name; *at != '\0'; at++) {
            *at = (char)toupper((unsigned char)*at);
        }
        const char *text = getenv(name);
        *field(ret, setting) = setting->usual;
        if (text != NULL && read_text(setting, text, &value)) {
            *field(ret, setting) = value;
        } else if (text != NULL) {
            print_wanted(setting, wanted, sizeof wanted);
            mt_say("memtap serve: %s must be %s; the default is taken: %g", name, wanted, setting->usual);
        }
    }
}

static const struct setting *find(const char *name)
{
    for (size_t i = 0; i < MT_COUNTOF(settings_known); i++) {
        if (strcmp(settings_known[i].name, name) == 0) {
            return &settings_known[i];
        }
    }
    return NULL;
}

static mt_status change(struct mt_monitor_settings *settings, const struct mt_json_value *value, struct mt_error *err)
{
    const struct setting *setting = find(value->name);
    char wanted[64];
    if (setting == NULL) {
        return mt_error_set(err, MT_E_INVAL, "no setting is called \"%s\"; GET …/monitoring/config lists them", value->name);
    }
    bool is_bool = setting->kind == KIND_BOOL;
    double number = value->type == MT_JSON_BOOL ? value->truth : value->number;
    if (value->type != (is_bool ? MT_JSON_BOOL : MT_JSON_NUMBER) || !fits(setting, number)) {
        print_wanted(setting, wanted, sizeof wanted);
        return mt_error_set(err, MT_E_INVAL, "%s must be %s", setting->name, wanted);
    }
    *field(settings, setting) = number;
    return MT_OK;
}

mt_status mt_monitor_settings_change(struct mt_monitor_settings *settings, const struct mt_json_value *changes, struct mt_error *err)
{
    struct mt_monitor_settings now = *settings;
    if (changes->type != MT_JSON_OBJECT) {
        return mt_error_set(err, MT_E_INVAL, "the body must be a JSON object");
    }
    for (const struct mt_json_value *at = changes->first; at != NULL; at = at->next) {
        mt_status status = change(&now, at, err);
        if (status != MT_OK) {
            return status;
        }
    }
    *settings = now;
    return MT_OK;
}

void mt_monitor_settings_put(struct mt_json *json, const struct mt_monitor_settings *settings, bool all)
{
    mt_json_object(json);
    for (size_t i = 0; i < MT_COUNTOF(settings_known); i++) {
        const struct setting *setting = &settings_known[i];
        double value;
        memcpy(&value, (const char *)settings + setting->offset, sizeof value);
        if (!all && !setting->shown) {
            continue;
        }
        if (setting->kind == KIND_BOOL) {
            mt_json_put_bool(json, setting->name, value != 0);
        } else if (setting->kind == KIND_WHOLE) {
            mt_json_put_u64(json, setting->name, (uint64_t)value);
        } else {
            mt_json_put_double(json, setting->name, value);
        }
    }
    mt_json_object_end(json);
}
