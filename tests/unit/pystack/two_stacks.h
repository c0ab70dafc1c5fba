/* two_stacks.h: a stack that remembers what it walked last, and one that a test makes forget: what a walk with the memo and
 * one without it are compared by. Everything is static: a test includes it. */
#ifndef MT_TESTS_UNIT_PYSTACK_TWO_STACKS_H
#define MT_TESTS_UNIT_PYSTACK_TWO_STACKS_H

#include "fake_python.h"

#include <stdlib.h>

static struct mt_pystack g_stack, g_cold;

static void open_stacks(void)
{
    static void *memory[2];
    free(memory[0]);
    free(memory[1]);
    memory[0] = calloc(1, mt_pystack_memory_bytes());
    memory[1] = calloc(1, mt_pystack_memory_bytes());
    mt_pystack_init(&g_stack, memory[0]);
    mt_pystack_init(&g_cold, memory[1]);
}

static void start(unsigned minor, bool free_threaded)
{
    fake_start(minor, free_threaded);
    open_stacks();
}

#endif
