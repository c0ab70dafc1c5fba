/* syslib.c: see syslib.h. */
#include "util/syslib.h"

#include "base/status.h"
#include "util/text.h"

#include <stddef.h>
#include <string.h>

enum mt_syslib mt_syslib_of(const char *path)
{
    static const struct {
        const char *prefix;
        enum mt_syslib library;
    } names[] = {
        { "libc.so.6", MT_SYSLIB_C },        { "libc-2.", MT_SYSLIB_C },       { "libpthread.so.0", MT_SYSLIB_C },
        { "libpthread-2.", MT_SYSLIB_C },    { "libdl.so.2", MT_SYSLIB_C },    { "libdl-2.", MT_SYSLIB_C },
        { "libc.musl-", MT_SYSLIB_C },       { "ld-linux", MT_SYSLIB_LOADER }, { "ld-2.", MT_SYSLIB_LOADER },
        { "ld64.so", MT_SYSLIB_LOADER },     { "ld-musl-", MT_SYSLIB_LOADER }, { "libstdc++.so.6", MT_SYSLIB_CXX },
    };
    const char *name = mt_text_base_name(path);
    for (size_t i = 0; i < MT_COUNTOF(names); i++) {
        if (strncmp(name, names[i].prefix, strlen(names[i].prefix)) == 0) {
            return names[i].library;
        }
    }
    return MT_SYSLIB_NONE;
}
