/* human.c: numbers as people write and read them. Always the C locale: reports are read by programs too, and a decimal
 * comma would split a CSV field. The tools never call setlocale, so printf and strtod use a point. */
#include "util/human.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static const char *const g_units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };

static size_t unit_of(double bytes)
{
    double size = fabs(bytes);
    size_t unit = 0;
    while (size >= (unit == 0 ? 1023.5 : 999.5) && unit + 1 < MT_COUNTOF(g_units)) {
        size /= 1024;
        unit++;
    }
    return unit;
}

static struct mt_human in_unit(double bytes, size_t unit)
{
    struct mt_human human;
    double size = ldexp(fabs(bytes), -10 * (int)unit);
    int digits = unit == 0 || size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
    (void)snprintf(human.text, sizeof human.text, "%s%.*f %s", bytes < 0 ? "-" : "", digits, size, g_units[unit]);
    return human;
}

struct mt_human mt_human_bytes(double bytes)
{
    return in_unit(bytes, unit_of(bytes));
}

struct mt_human mt_human_bytes_like(double bytes, double like)
{
    size_t own = unit_of(bytes), unit = unit_of(like);
    bool visible = ldexp(fabs(bytes), -10 * (int)unit) >= 0.1;
    return in_unit(bytes, own < unit && visible ? unit : own);
}

double mt_human_rate_unit_s(double seen_s)
{
    return seen_s >= 60 ? 60 : 1;
}

struct mt_human mt_human_clock(double seconds)
{
    struct mt_human human;
    uint64_t whole = seconds > 0 && seconds < 1e15 ? (uint64_t)seconds : 0;
    unsigned s = (unsigned)(whole % 60), m = (unsigned)(whole / 60 % 60), h = (unsigned)(whole / 3600 % 24);
    if (seconds < 1) {
        (void)snprintf(human.text, sizeof human.text, "%.0f ms", fmax(seconds, 0) * 1e3);
    } else if (whole < 60) {
        (void)snprintf(human.text, sizeof human.text, "%.1f s", seconds);
    } else if (whole < 3600) {
        (void)snprintf(human.text, sizeof human.text, "%u:%02u", m, s);
    } else if (whole < 86400) {
        (void)snprintf(human.text, sizeof human.text, "%u:%02u:%02u", h, m, s);
    } else {
        (void)snprintf(human.text, sizeof human.text, "%llu d %02u:%02u", (unsigned long long)(whole / 86400), h, m);
    }
    return human;
}

struct mt_human mt_human_count(double count)
{
    char digits[32];
    struct mt_human human;
    double limited = fmin(fabs(round(count)), 1e18);
    int length = snprintf(digits, sizeof digits, "%.0f", limited);
    char *to = human.text;
    if (count < 0 && limited > 0) {
        *to++ = '-';
    }
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) {
            *to++ = ',';
        }
        *to++ = digits[i];
    }
    *to = '\0';
    return human;
}

struct mt_counted mt_human_counted(double count, const char *one, const char *many)
{
    struct mt_counted counted;
    struct mt_human number = mt_human_count(count);
    (void)snprintf(counted.text, sizeof counted.text, "%s %s", number.text, strcmp(number.text, "1") == 0 ? one : many);
    return counted;
}

struct mt_human mt_human_duration(uint64_t duration_ns)
{
    struct mt_human human;
    double seconds = (double)duration_ns / 1e9;
    if (duration_ns < 1000) {
        (void)snprintf(human.text, sizeof human.text, "%u ns", (unsigned)duration_ns);
    } else if (duration_ns < 1000000) {
        (void)snprintf(human.text, sizeof human.text, "%.3g us", seconds * 1e6);
    } else if (duration_ns < 1000000000) {
        (void)snprintf(human.text, sizeof human.text, "%.3g ms", seconds * 1e3);
    } else if (seconds < 120) {
        (void)snprintf(human.text, sizeof human.text, "%.2f s", seconds);
    } else if (seconds < 7200) {
        (void)snprintf(human.text, sizeof human.text, "%.0f min %02.0f s", floor(seconds / 60),
                       fmod(floor(seconds), 60));
    } else {
        (void)snprintf(human.text, sizeof human.text, "%.0f h %02.0f min", floor(seconds / 3600),
                       fmod(floor(seconds / 60), 60));
    }
    return human;
}

struct mt_human mt_human_moment(uint64_t realtime_ns)
{
    struct mt_human human = { "" };
    time_t seconds = (time_t)(realtime_ns / 1000000000);
    struct tm parts;
    if (realtime_ns != 0 && localtime_r(&seconds, &parts) != NULL) {
        (void)strftime(human.text, sizeof human.text, "%Y-%m-%d %H:%M:%S", &parts);
    }
    return human;
}

struct mt_human mt_human_percent(double part, double whole)
{
    struct mt_human human;
    (void)snprintf(human.text, sizeof human.text, "%.1f%%", whole != 0 ? 100 * part / whole : 0.0);
    return human;
}

struct unit {
    const char *name;
    double factor;
};

/* number [space] [unit]; result must fit 63 bits. */
static bool parse_with_unit(const char *text, const struct unit *units, uint64_t *ret)
{
    while (isspace((unsigned char)*text)) {
        text++;
    }
    if (!isdigit((unsigned char)*text) && *text != '.') {
        return false; /* no sign, no "inf", no "nan" */
    }
    char *end;
    double number = strtod(text, &end);
    if (end == text || (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))) {
        return false;
    }
    while (isspace((unsigned char)*end)) {
        end++;
    }
    for (const struct unit *unit = units; unit->name != NULL; unit++) {
        if (strcasecmp(end, unit->name) == 0) {
            double value = round(number * unit->factor);
            if (!(value < 0x1p63)) {
                return false;
            }
            *ret = (uint64_t)value;
            return true;
        }
    }
    return false;
}

bool mt_parse_size(const char *text, uint64_t *ret_bytes)
{
    static const struct unit units[] = {
        { "", 1 },         { "B", 1 },       { "K", 0x1p10 },   { "KB", 0x1p10 },  { "KiB", 0x1p10 },
        { "M", 0x1p20 },   { "MB", 0x1p20 }, { "MiB", 0x1p20 }, { "G", 0x1p30 },   { "GB", 0x1p30 },
        { "GiB", 0x1p30 }, { "T", 0x1p40 },  { "TB", 0x1p40 },  { "TiB", 0x1p40 }, { NULL, 0 },
    };
    return parse_with_unit(text, units, ret_bytes);
}

bool mt_parse_duration(const char *text, uint64_t *ret_ns)
{
    static const struct unit units[] = {
        { "", 1e9 },   { "s", 1e9 },    { "sec", 1e9 },  { "ns", 1 },      { "us", 1e3 }, { "ms", 1e6 },
        { "m", 60e9 }, { "min", 60e9 }, { "h", 3600e9 }, { "d", 86400e9 }, { NULL, 0 },
    };
    return parse_with_unit(text, units, ret_ns);
}

bool mt_parse_count(const char *text, uint64_t *ret_count)
{
    uint64_t value = 0;
    if (*text == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        uint64_t digit = (uint64_t)(*text - '0');
        if (digit > 9 || __builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, digit, &value)) {
            return false;
        }
    }
    *ret_count = value;
    return true;
}

bool mt_parse_bool(const char *text, bool *ret_value)
{
    static const char *const words[][2] = { { "0", "1" }, { "no", "yes" }, { "false", "true" }, { "off", "on" } };
    for (size_t i = 0; i < MT_COUNTOF(words); i++) {
        for (int value = 0; value < 2; value++) {
            if (strcasecmp(text, words[i][value]) == 0) {
                *ret_value = value == 1;
                return true;
            }
        }
    }
    return false;
}
