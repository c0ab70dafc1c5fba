/* decimal.h: a number as text where there is no printf. Contexts: [any]. */
#ifndef MT_BASE_DECIMAL_H
#define MT_BASE_DECIMAL_H

#include <stdint.h>

/* The digits of any number, and a NUL. */
enum { MT_DECIMAL_BYTES = 21 };

/* Writes the number at the end of buf; returns where it begins. */
static inline const char *mt_decimal(uint64_t number, char buf[MT_DECIMAL_BYTES])
{
    char *at = buf + MT_DECIMAL_BYTES - 1;
    *at = '\0';
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return at;
}

#endif
