/* mappings.c: see mappings.h. */
#include "util/mappings.h"

#include "util/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "55d0-55f0 r-xp 00002000 08:01 1234   /path with blanks". */
static bool parse(char *line, struct mt_mapping *ret)
{
    unsigned long long low = 0, high = 0, offset = 0, inode = 0;
    char rights[5] = "";
    int end = 0;
    line[strcspn(line, "\n")] = '\0';
    if (sscanf(line, "%llx-%llx %4s %llx %*x:%*x %llu %n", &low, &high, rights, &offset, &inode, &end) != 5 || end == 0) {
        return false;
    }
    *ret = (struct mt_mapping){
        .low = low,
        .high = high,
        .offset = offset,
        .inode = inode,
        .readable = rights[0] == 'r',
        .writable = rights[1] == 'w',
        .executable = rights[2] == 'x',
        .path = mt_strdup(line + end),
    };
    memcpy(ret->permissions, rights, sizeof ret->permissions);
    return true;
}

/* A line of smaps below a mapping's: "Rss:      12 kB". */
static void take_size(const char *line, struct mt_mappings *mappings)
{
    static const struct {
        const char *key;
        size_t offset;
    } sizes[] = { { "Rss:", offsetof(struct mt_mapping, rss_bytes) },
                  { "Pss:", offsetof(struct mt_mapping, pss_bytes) },
                  { "Private_Dirty:", offsetof(struct mt_mapping, private_dirty_bytes) },
                  { "Anonymous:", offsetof(struct mt_mapping, anonymous_bytes) },
                  { "Swap:", offsetof(struct mt_mapping, swap_bytes) } };
    for (size_t i = 0; mappings->count > 0 && i < MT_COUNTOF(sizes); i++) {
        size_t bytes = strlen(sizes[i].key);
        if (strncmp(line, sizes[i].key, bytes) == 0) {
            uint64_t value = strtoull(line + bytes, NULL, 10) * 1024;
            memcpy((char *)&mappings->items[mappings->count - 1] + sizes[i].offset, &value, sizeof value);
        }
    }
}

static mt_status read_file(pid_t pid, const char *name, struct mt_mappings *ret, struct mt_error *err)
{
    char *path = mt_format("/proc/%d/%s", (int)pid, name);
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t room = 0;
    struct mt_mapping mapping;
    free(path);
    if (file == NULL) {
        return mt_error_set_errno(err, errno, "cannot read what process %d has mapped", (int)pid);
    }
    while (getline(&line, &room, file) > 0) {
        if (parse(line, &mapping)) {
            ret->items = mt_alloc_grow(ret->items, &ret->capacity, ret->count + 1, sizeof *ret->items);
            ret->items[ret->count++] = mapping;
        } else {
            take_size(line, ret);
        }
    }
    free(line);
    (void)fclose(file);
    return MT_OK;
}

mt_status mt_mappings_read(pid_t pid, struct mt_mappings *ret, struct mt_error *err)
{
    return read_file(pid, "maps", ret, err);
}

mt_status mt_mappings_read_resident(pid_t pid, struct mt_mappings *ret, struct mt_error *err)
{
    return read_file(pid, "smaps", ret, err);
}

void mt_mappings_clear(struct mt_mappings *mappings)
{
    for (size_t i = 0; i < mappings->count; i++) {
        free(mappings->items[i].path);
    }
    free(mappings->items);
    *mappings = (struct mt_mappings){ 0 };
}

const struct mt_mapping *mt_mappings_at(const struct mt_mappings *mappings, uint64_t address)
{
    size_t low = 0, high = mappings->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (address >= mappings->items[middle].high) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < mappings->count && address >= mappings->items[low].low ? &mappings->items[low] : NULL;
}
