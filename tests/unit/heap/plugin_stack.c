/* plugin_stack.c: a shared object that calls back, for tests of modules that come and go. */
#include <stdint.h>

int plugin_call(void (*leaf)(void *), void *context, int depth);

__attribute__((noinline)) int plugin_call(void (*leaf)(void *), void *context, int depth)
{
    volatile uint64_t keep = (uint64_t)depth;
    if (depth == 0) {
        leaf(context);
    } else {
        keep += (uint64_t)plugin_call(leaf, context, depth - 1);
    }
    return (int)keep;
}
