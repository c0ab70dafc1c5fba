/* candidates.c: see candidates.h. */
#include "attach/candidates.h"

#include "attach/safepoint.h"
#include "util/memory.h"

#include <dirent.h>
#include <stdlib.h>

struct candidate {
    pid_t tid;
    int rank;
};

static int by_rank(const void *a, const void *b)
{
    const struct candidate *one = a, *other = b;
    return one->rank != other->rank ? one->rank - other->rank : one->tid - other->tid;
}

/* Returns how many; *ret is malloc'ed. */
static size_t read_folder(pid_t pid, struct candidate **ret)
{
    size_t count = 0, capacity = 0;
    char *path = mt_format("/proc/%d/task", (int)pid);
    DIR *folder = opendir(path);
    const struct dirent *entry;
    *ret = NULL;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);
        int rank = tid > 0 ? mt_safepoint_rank(pid, tid) : -1;
        if (rank >= 0) {
            *ret = mt_alloc_grow(*ret, &capacity, count + 1, sizeof **ret);
            (*ret)[count++] = (struct candidate){ tid, rank };
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    free(path);
    return count;
}

size_t mt_candidates_list(pid_t pid, pid_t **ret)
{
    struct candidate *found;
    size_t count = read_folder(pid, &found);
    *ret = mt_alloc_zero(count + 1, sizeof **ret);
    if (count > 0) {
        qsort(found, count, sizeof *found, by_rank);
    }
    for (size_t i = 0; i < count; i++) {
        (*ret)[i] = found[i].tid;
    }
    free(found);
    return count;
}
