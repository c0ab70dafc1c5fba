/* folder.h: a folder for the trace of a test. Everything is static: a test includes it. */
#ifndef MT_TESTS_UNIT_HEAP_FOLDER_H
#define MT_TESTS_UNIT_HEAP_FOLDER_H

#include "harness.h"

#include "heap/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char g_directory[64];
static char g_path[96];

static int make_directory(void **state)
{
    (void)state;
    strcpy(g_directory, "/tmp/memtap-engine-XXXXXX");
    assert_non_null(mkdtemp(g_directory));
    snprintf(g_path, sizeof g_path, "%s/t.mtap", g_directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    mt_engine_stop(MT_STATE_STOPPED);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", g_directory);
    return system(command);
}

#endif
