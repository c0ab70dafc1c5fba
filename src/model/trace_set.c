/* trace_set.c: several traces: those of a file, of several, of a directory. A file stands for all processes of its run: those
 * in it and, while the run lasts or when memtap was killed, those in the folder beside it. Context: [tool]. */
#include "model/trace.h"
#include "util/memory.h"
#include "util/strlist.h"
#include "util/tracepath.h"

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

static void close_folder(void *dir, size_t bytes)
{
    (void)bytes;
    (void)closedir(dir);
}

static mt_status push_directory(struct path_list *list, const char *path)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return mt_status_from_errno(errno);
    }
    size_t first = list->count;
    mt_memory_hold(dir, 0, close_folder);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (is_trace_name(entry->d_name)) {
            push_path(list, mt_format("%s/%s", path, entry->d_name));
        }
    }
    mt_memory_release(dir);
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

/* A set that grows. */
struct growing {
    struct mt_trace_set set;
    size_t capacity;
};

static void push_trace(struct growing *g, struct mt_trace *take_trace)
{
    g->set.traces = mt_alloc_grow(g->set.traces, &g->capacity, g->set.count + 1, sizeof *g->set.traces);
    g->set.traces[g->set.count++] = take_trace;
}

/* Cut short before its header was whole: the process was killed, or is just beginning. */
static bool is_stillborn(mt_status status)
{
    return status == MT_E_NOENT || status == MT_E_TRUNCATED || status == MT_E_CORRUPT;
}

/* The processes of a run that are not in its file yet. They are looked at before the file: one that is put there meanwhile
 * is met twice rather than not at all. */
static mt_status open_others(const char *path, struct growing *set, struct mt_wire_error *error)
{
    struct mt_strlist others = { 0 };
    mt_status status = MT_OK;
    mt_tracepath_others(path, &others);
    for (size_t i = 0; i < others.count && status == MT_OK; i++) {
        struct mt_trace *trace;
        status = mt_trace_open(others.items[i], &trace, error);
        if (status == MT_OK) {
            push_trace(set, trace);
        }
        status = is_stillborn(status) ? MT_OK : status;
    }
    mt_strlist_clear(&others);
    return status;
}

static mt_status open_nested(const struct mt_trace *outer, struct growing *set, struct mt_wire_error *error)
{
    mt_status status = MT_OK;
    for (size_t i = 0; i < mt_trace_nested_count(outer) && status == MT_OK; i++) {
        struct mt_trace *trace;
        status = mt_trace_open_nested(outer, i, &trace, error);
        if (status == MT_OK) {
            push_trace(set, trace);
        }
        status = is_stillborn(status) ? MT_OK : status;
    }
    return status;
}

/* The same recording twice: in a file and in its folder, while one is being put into the other. */
static bool is_same(const struct mt_trace *a, const struct mt_trace *b)
{
    const struct mt_trace_info *x = mt_trace_info(a);
    const struct mt_trace_info *y = mt_trace_info(b);
    return x->pid == y->pid && x->start_clock == y->start_clock && x->start_realtime_ns == y->start_realtime_ns;
}

/* Of two the later one is kept, in the place of the first: in the folder they are whole. */
static void drop_doubles(struct mt_trace_set *set, size_t first)
{
    size_t kept = first;
    for (size_t i = first; i < set->count; i++) {
        size_t at = first;
        while (at < kept && !is_same(set->traces[at], set->traces[i])) {
            at++;
        }
        if (at < kept) {
            mt_trace_close(set->traces[at]);
        }
        kept += at == kept;
        set->traces[at] = set->traces[i];
    }
    set->count = kept;
}

/* The first process of the file, those behind it in the file, those in its folder: in this order. */
static mt_status open_file(const char *path, struct growing *set, struct mt_wire_error *error)
{
    struct growing others = { 0 };
    struct mt_trace *first;
    size_t before = set->set.count;
    mt_status status = open_others(path, &others, error);
    if (status == MT_OK) {
        status = mt_trace_open(path, &first, error);
    }
    if (status == MT_OK) {
        push_trace(set, first);
        status = open_nested(first, set, error);
    }
    for (size_t i = 0; i < others.set.count && status == MT_OK; i++) {
        push_trace(set, others.set.traces[i]);
        others.set.traces[i] = NULL;
    }
    mt_trace_set_close(&others.set);
    drop_doubles(&set->set, before);
    return status;
}

static mt_status open_all(const struct path_list *list, struct growing *set, struct mt_wire_error *error,
                          char **ret_path)
{
    for (size_t i = 0; i < list->count; i++) {
        mt_status status = open_file(list->paths[i], set, error);
        if (status != MT_OK) {
            if (ret_path != NULL) {
                *ret_path = mt_strdup(list->paths[i]);
            }
            return status;
        }
    }
    return MT_OK;
}

mt_status mt_trace_set_open(const char *const *paths, size_t count, struct mt_trace_set *ret,
                            struct mt_wire_error *ret_error, char **ret_path)
{
    struct path_list list = { 0 };
    struct growing made = { 0 };
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
        status = open_all(&list, &made, ret_error, ret_path);
    }
    free_paths(&list);
    if (status != MT_OK) {
        mt_trace_set_close(&made.set);
        return status;
    }
    *ret = made.set;
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
