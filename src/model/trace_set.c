/* trace_set.c: several traces, given one by one or as a directory. Context: [tool]. */
#include "model/trace.h"
#include "util/memory.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct path_list {
    char **paths;
    size_t count, capacity;
};

static void push_path(struct path_list *list, char *take_path)
{
    list->paths = mt_alloc_grow(list->paths, &list->capacity, list->count + 1, sizeof *list->paths);
    list->paths[list->count++] = take_path;
}

static void free_paths(struct path_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->paths[i]);
    }
    free(list->paths);
}

static bool is_trace_name(const char *name)
{
    size_t bytes = strlen(name);
    return bytes > 5 && name[0] != '.' && strcmp(name + bytes - 5, ".mtap") == 0;
}

static int compare_paths(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;
    return strcmp(*x, *y);
}

static mt_status push_directory(struct path_list *list, const char *path)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return mt_status_from_errno(errno);
    }
    size_t first = list->count;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (is_trace_name(entry->d_name)) {
            push_path(list, mt_format("%s/%s", path, entry->d_name));
        }
    }
    closedir(dir);
    if (list->count == first) {
        return MT_E_NOENT;
    }
    qsort(list->paths + first, list->count - first, sizeof *list->paths, compare_paths);
    return MT_OK;
}

static mt_status push_argument(struct path_list *list, const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        return push_directory(list, path);
    }
    push_path(list, mt_strdup(path));
    return MT_OK;
}

static mt_status open_all(const struct path_list *list, struct mt_trace_set *set, struct mt_wire_error *error,
                          char **ret_path)
{
    for (size_t i = 0; i < list->count; i++) {
        mt_status status = mt_trace_open(list->paths[i], &set->traces[set->count], error);
        if (status != MT_OK) {
            if (ret_path != NULL) {
                *ret_path = mt_strdup(list->paths[i]);
            }
            return status;
        }
        set->count++;
    }
    return MT_OK;
}

mt_status mt_trace_set_open(const char *const *paths, size_t count, struct mt_trace_set *ret,
                            struct mt_wire_error *ret_error, char **ret_path)
{
    struct path_list list = { 0 };
    struct mt_trace_set set = { 0 };
    mt_status status = MT_OK;
    for (size_t i = 0; i < count && status == MT_OK; i++) {
        status = push_argument(&list, paths[i]);
        if (status != MT_OK) {
            if (ret_error != NULL) {
                *ret_error = (struct mt_wire_error){ .text = "no traces (*.mtap) in this directory" };
            }
            if (ret_path != NULL) {
                *ret_path = mt_strdup(paths[i]);
            }
        }
    }
    if (status == MT_OK) {
        set.traces = mt_alloc_zero(list.count, sizeof *set.traces);
        status = open_all(&list, &set, ret_error, ret_path);
    }
    free_paths(&list);
    if (status != MT_OK) {
        mt_trace_set_close(&set);
        return status;
    }
    *ret = set;
    return MT_OK;
}

void mt_trace_set_close(struct mt_trace_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        mt_trace_close(set->traces[i]);
    }
    free(set->traces);
    *set = (struct mt_trace_set){ 0 };
}
