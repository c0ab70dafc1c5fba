/* build_id_scan.c: see build_id_scan.h. About 20 us a file: two pages of it are touched. */
#include "symbol/build_id_scan.h"

#include "symbol/intervals.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_DEPTH = 12, MAX_VISITED = 200000 };

static void add_file(struct mt_build_id_scan *scan, const char *path)
{
    struct mt_elf_file *file = NULL;
    if (mt_elf_open(path, &file) != MT_OK) {
        return;
    }
    struct mt_build_id_entry *entries = mt_array_reserve(scan->entries, scan->count, &scan->capacity, sizeof *entries);
    char *copy = strdup(path);
    if (entries != NULL) {
        scan->entries = entries;
    }
    if (entries == NULL || copy == NULL || file->build_id_bytes == 0) {
        free(copy);
        mt_elf_close(file);
        return;
    }
    struct mt_build_id_entry *entry = &entries[scan->count++];
    entry->path = copy;
    entry->bytes = file->build_id_bytes;
    memcpy(entry->build_id, file->build_id, file->build_id_bytes);
    mt_elf_close(file);
}

static void add_directory(struct mt_build_id_scan *scan, const char *dir, int depth);

static void add_entry(struct mt_build_id_scan *scan, const char *dir, const char *name, int depth)
{
    char *path = NULL;
    struct stat info;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || asprintf(&path, "%s/%s", dir, name) < 0) {
        return;
    }
    if (lstat(path, &info) == 0) {
        if (S_ISDIR(info.st_mode)) {
            add_directory(scan, path, depth + 1);
        } else if (S_ISREG(info.st_mode) || S_ISLNK(info.st_mode)) {
            add_file(scan, path);
        }
    }
    free(path);
}

static void add_directory(struct mt_build_id_scan *scan, const char *dir, int depth)
{
    DIR *stream = depth < MAX_DEPTH ? opendir(dir) : NULL;
    if (stream == NULL) {
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(stream)) != NULL && scan->visited++ < MAX_VISITED) {
        add_entry(scan, dir, entry->d_name, depth);
    }
    closedir(stream);
}

void mt_build_id_scan_add(struct mt_build_id_scan *scan, const char *dir)
{
    add_directory(scan, dir, 0);
}

void mt_build_id_scan_fini(struct mt_build_id_scan *scan)
{
    for (size_t i = 0; i < scan->count; i++) {
        free(scan->entries[i].path);
    }
    free(scan->entries);
    memset(scan, 0, sizeof *scan);
}
