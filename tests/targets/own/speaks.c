/* speaks.c: holds a message of jemalloc's and maps memory, with no function of a name that says so: as a stripped program that
 * has jemalloc inside. */
#include "own/bump.h"

#include <unistd.h>

static const char *volatile g_message = "<jemalloc>: Error allocating TSD\n";

int main(void)
{
    const char *message = bump(100) == NULL ? g_message : "done\n";
    return write(1, message, strlen(message)) > 0 ? 0 : 1;
}
