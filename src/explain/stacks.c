/* stacks.c: see stacks.h. */
#include "explain/stacks.h"

#include "util/memory.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

enum { THREADS_MAX = 4096, BLOCK_SEARCH = 256 << 10 };

/* "202 0x7f... … SP PC"; "running" of one that does not wait. 0: not known. */
static uint64_t stack_pointer(pid_t pid, const char *tid)
{
    char line[512] = "";
    char *path = mt_format("/proc/%d/task/%s/syscall", (int)pid, tid);
    FILE *file = fopen(path, "re");
    size_t bytes = file != NULL ? fread(line, 1, sizeof line - 1, file) : 0;
    if (file != NULL) {
        (void)fclose(file);
    }
    free(path);
    line[bytes] = '\0';
    char *pc = strrchr(line, ' ');
    if (pc == NULL) {
        return 0;
    }
    *pc = '\0';
    char *sp = strrchr(line, ' ');
    return sp != NULL ? strtoull(sp + 1, NULL, 16) : 0;
}

static void take_mapping_at(const struct mt_mappings *mappings, uint64_t address, struct mt_spans *ret)
{
    const struct mt_mapping *m = mt_mappings_at(mappings, address);
    if (m != NULL && m->path[0] == '\0' && m->writable && mt_spans_at(ret, m->low) == NULL) {
        mt_spans_add(ret, m->low, m->high);
    }
}

/* Does the control block of a thread, or of one that has ended, lie at the end of a mapping? */
static bool has_control_block(const struct mt_remote *remote, const struct mt_mapping *m)
{
    uint64_t from = m->high - m->low > BLOCK_SEARCH ? m->high - BLOCK_SEARCH : m->low;
    size_t bytes = (size_t)(m->high - from);
    uint8_t *data = mt_alloc_zero(bytes, 1);
    bool found = false;
    bytes = mt_remote_read_some(remote, from, data, bytes);
    for (size_t at = 0; !found && at + sizeof(uint64_t[3]) <= bytes; at += 64) {
        uint64_t words[3];
        memcpy(words, data + at, sizeof words);
        found = words[0] == from + at && words[2] == from + at;
    }
    free(data);
    return found;
}

/* Stacks stand behind a guard that cannot be touched. */
static bool may_be_stack(const struct mt_mappings *mappings, size_t i)
{
    const struct mt_mapping *m = &mappings->items[i], *below = i > 0 ? &mappings->items[i - 1] : NULL;
    return m->path[0] == '\0' && m->writable && below != NULL && below->high == m->low && !below->readable && below->path[0] == '\0';
}

/* Those of threads that run, and those that glibc keeps for the next thread. */
static void take_others(const struct mt_remote *remote, const struct mt_mappings *mappings, struct mt_spans *ret)
{
    for (size_t i = 0; i < mappings->count; i++) {
        bool is_new = may_be_stack(mappings, i) && mt_spans_at(ret, mappings->items[i].low) == NULL;
        if (is_new && has_control_block(remote, &mappings->items[i])) {
            mt_spans_add(ret, mappings->items[i].low, mappings->items[i].high);
        }
    }
}

uint64_t mt_stacks_read(pid_t pid, const struct mt_remote *remote, const struct mt_mappings *mappings, struct mt_spans *ret)
{
    char *folder = mt_format("/proc/%d/task", (int)pid);
    DIR *tasks = opendir(folder);
    uint64_t threads = 0;
    for (struct dirent *entry; tasks != NULL && threads < THREADS_MAX && (entry = readdir(tasks)) != NULL;) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        threads++;
        uint64_t sp = stack_pointer(pid, entry->d_name);
        if (sp != 0) {
            take_mapping_at(mappings, sp, ret);
        }
    }
    if (tasks != NULL) {
        (void)closedir(tasks);
    }
    free(folder);
    take_others(remote, mappings, ret);
    return threads;
}
