/* human.h: numbers as people write and read them.
 *
 * Decides: sizes are powers of 1024 and are called KiB, MiB, GiB; three significant digits; counts get thousands
 * commas; durations pick the unit. Parsing accepts what people type: 512K, 1.5 MiB, 24 MB (also 1024-based: nobody who
 * types "24 MB" to a memory tool means 24,000,000), 250ms, 2m, 1h. The text functions return a small struct by value so
 * that they can stand in a printf argument: mt_human_bytes(n).text. Context: [tool].
 */
#ifndef MT_UTIL_HUMAN_H
#define MT_UTIL_HUMAN_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

struct mt_human {
    char text[40];
};
struct mt_counted {
    char text[96];
};

/* "0 B", "512 B", "1.50 KiB", "24.0 MiB", "-3.00 GiB". Takes a double because estimates are not whole. */
struct mt_human mt_human_bytes(double bytes);
/* The same in the unit of another amount, so that a column has one; its own where nothing would be left to see. */
struct mt_human mt_human_bytes_like(double bytes, double like);
/* A rate is given for what was seen: 60 (a minute) from a minute on, else 1 (a second). */
double mt_human_rate_unit_s(double seen_s);
/* "463 ms", "7.2 s", "4:55", "2:05:10", "3 d 02:05": a time that stands in a column. */
struct mt_human mt_human_clock(double seconds);
/* "1,234,567"; rounded to the nearest whole number. */
struct mt_human mt_human_count(double count);
/* "1 process", "1,234 processes": a count with its noun. */
struct mt_counted mt_human_counted(double count, const char *one, const char *many);
/* "812 ns", "1.23 ms", "4.56 s", "3 min 07 s", "2 h 05 min". */
struct mt_human mt_human_duration(uint64_t duration_ns);
/* A moment since the epoch, in local time to the second; "" for 0. */
struct mt_human mt_human_moment(uint64_t realtime_ns);
/* "12.3%"; "0.0%" when whole is 0. */
struct mt_human mt_human_percent(double part, double whole);

/* A number and an optional unit: B K KB KiB M MB MiB G GB GiB T TB TiB, any case, a space between allowed. False (and
 * ret untouched) for anything else, negative numbers and values over 2^63. */
bool mt_parse_size(const char *text, uint64_t *ret_bytes) MT_CHECKED;
/* A number and an optional unit: ns us ms s m min h d; no unit: seconds. */
bool mt_parse_duration(const char *text, uint64_t *ret_ns) MT_CHECKED;
/* Decimal digits only. */
bool mt_parse_count(const char *text, uint64_t *ret_count) MT_CHECKED;
/* 1 yes true on / 0 no false off, any case. */
bool mt_parse_bool(const char *text, bool *ret_value) MT_CHECKED;

#endif
