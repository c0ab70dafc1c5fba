/* late.c: preloaded in place of an agent, opens the agent LATE names in its constructor: as an import or an attach would,
 * with all symbols bound already. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

__attribute__((constructor)) static void open_late(void)
{
    const char *path = getenv("LATE");
    if (path != NULL && dlopen(path, RTLD_NOW | RTLD_LOCAL) == NULL) {
        fprintf(stderr, "%s\n", dlerror());
    }
}
