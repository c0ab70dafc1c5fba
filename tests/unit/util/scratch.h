/* scratch.h: an empty folder for each test, gone with everything in it afterwards. Everything is static: a test includes it. */
#ifndef MT_TESTS_UNIT_UTIL_SCRATCH_H
#define MT_TESTS_UNIT_UTIL_SCRATCH_H

#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

static char g_folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(g_folder, "/tmp/memtap-util.XXXXXX");
    return mkdtemp(g_folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state)
{
    char *command = mt_format("rm -r '%s'", g_folder);
    (void)state;
    int rc = system(command);
    free(command);
    return rc;
}

#endif
