/* build_id_scan.h: the build-ids of all ELF files under a directory, for finding a file whatever it is called now.
 *
 * Decides: how much of a directory tree is read: regular files that begin like ELF, 12 levels deep, 200,000 entries at
 * most, symbolic links to directories not followed (no circles). Context: [tool].
 */
#ifndef MT_SYMBOL_BUILD_ID_SCAN_H
#define MT_SYMBOL_BUILD_ID_SCAN_H

#include "symbol/elf_file.h"

struct mt_build_id_entry {
    char *path;
    size_t bytes;
    uint8_t build_id[MT_ELF_BUILD_ID_MAX];
};

struct mt_build_id_scan {
    struct mt_build_id_entry *entries;
    size_t count, capacity;
    size_t visited; /* directory entries looked at */
};

/* Adds what is under dir; what cannot be read is left out. */
void mt_build_id_scan_add(struct mt_build_id_scan *scan, const char *dir);
void mt_build_id_scan_fini(struct mt_build_id_scan *scan);

#endif
