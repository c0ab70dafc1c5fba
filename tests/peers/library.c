/* library.c: a shared object that is loaded with RTLD_DEEPBIND and so finds malloc in libc before any preloaded one. */
#include <stdlib.h>

void allocate_in_library(void);
void allocate_in_library(void)
{
    void *block = malloc(4321);
    __asm__ volatile("" : "+r"(block));
    free(block);
}
