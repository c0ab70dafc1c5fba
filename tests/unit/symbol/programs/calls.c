/* A C program for the symbolizer's tests: static and inlined functions, recursion, a function in another section, an
 * alias, and code in an included file. It is resolved, never run. */
#include "calls_body.h"

#include <stdlib.h>
#include <string.h>

static inline int scale(int value)
{
    volatile int factor = 3;
    return value * factor;
}

static inline int twice(int value)
{
    return scale(value) + scale(value + 1);
}

static int recurse(int depth, char *text)
{
    char local[64];
    if (depth <= 0) {
        return twice((int)strlen(text));
    }
    memcpy(local, text, sizeof local);
    return recurse(depth - 1, local) + twice(depth);
}

__attribute__((noinline, section(".text.elsewhere"))) int elsewhere(int value)
{
    return from_header(value) + twice(value);
}

__attribute__((noinline)) int public_name(int value)
{
    return elsewhere(value) - from_header(value + 2);
}

int __short(int value) __attribute__((alias("public_name")));

static int compare(const void *left, const void *right)
{
    const int *a = left, *b = right;
    return twice(*a) - twice(*b);
}

int main(int argc, char **argv)
{
    int values[16];
    for (int i = 0; i < 16; i++) {
        values[i] = public_name(i * argc);
    }
    qsort(values, 16, sizeof values[0], compare);
    return recurse(argc, argv[0]) + values[3];
}
