/* memory.c: allocation that ends the tool, or the attempt it is part of, instead of returning NULL. */
#include "util/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static __thread jmp_buf *t_attempt; /* of the innermost mt_memory_try of this thread */

bool mt_memory_try(void (*body)(void *context), void *context)
{
    jmp_buf here;
    jmp_buf *volatile outer = t_attempt;
    t_attempt = &here;
    if (setjmp(here) != 0) {
        t_attempt = outer;
        return false;
    }
    body(context);
    t_attempt = outer;
    return true;
}

static MT_COLD MT_NORETURN void out_of_memory(size_t bytes)
{
    if (t_attempt != NULL) {
        longjmp(*t_attempt, 1);
    }
    (void)fprintf(stderr, "memtap: out of memory (%zu bytes wanted): raise the memory limit or narrow the selection\n",
                  bytes);
    exit(1);
}

void *mt_alloc(size_t bytes)
{
    void *block = malloc(bytes > 0 ? bytes : 1);
    if (block == NULL) {
        out_of_memory(bytes);
    }
    return block;
}

void *mt_alloc_zero(size_t count, size_t bytes)
{
    void *block = calloc(count > 0 ? count : 1, bytes > 0 ? bytes : 1);
    if (block == NULL) {
        out_of_memory(count * bytes);
    }
    return block;
}

void *mt_alloc_grow(void *array, size_t *capacity, size_t need, size_t bytes)
{
    if (array != NULL && need <= *capacity) {
        return array;
    }
    size_t wanted = *capacity < 8 ? 8 : *capacity;
    while (wanted < need && wanted <= SIZE_MAX / 2) {
        wanted *= 2;
    }
    if (wanted < need || wanted > SIZE_MAX / bytes) {
        out_of_memory(SIZE_MAX);
    }
    void *grown = realloc(array, wanted * bytes);
    if (grown == NULL) {
        out_of_memory(wanted * bytes);
    }
    *capacity = wanted;
    return grown;
}

char *mt_strndup(const char *text, size_t bytes)
{
    char *copy = mt_alloc(bytes + 1);
    memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    return copy;
}

char *mt_strdup(const char *text)
{
    return mt_strndup(text, strlen(text));
}

char *mt_format(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int bytes = vasprintf(&text, format, args);
    va_end(args);
    if (bytes < 0) {
        out_of_memory(0);
    }
    return text;
}
