/* tracepath.c: the names of trace files of one run. */
#include "util/tracepath.h"

#include "util/memory.h"
#include "util/text.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SUFFIX ".mtap"
#define JOURNAL_SUFFIX ".journal"
enum { SUFFIX_BYTES = 5 };

static bool has_suffix(const char *name)
{
    size_t bytes = strlen(name);
    return bytes > SUFFIX_BYTES && strcmp(name + bytes - SUFFIX_BYTES, SUFFIX) == 0;
}

char *mt_tracepath_folder(const char *file)
{
    return mt_format("%s.d", file);
}

/* Skips digits; NULL when there are none. */
static const char *skip_number(const char *at)
{
    if (!isdigit((unsigned char)*at)) {
        return NULL;
    }
    while (isdigit((unsigned char)*at)) {
        at++;
    }
    return at;
}

bool mt_tracepath_is_other(const char *name)
{
    const char *after = skip_number(name);
    if (after != NULL && *after == '.' && isdigit((unsigned char)after[1])) {
        after = skip_number(after + 1);
    }
    return after != NULL && strcmp(after, SUFFIX) == 0;
}

static bool is_regular(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0 && S_ISREG(info.st_mode);
}

static void close_folder(void *dir, size_t bytes)
{
    (void)bytes;
    (void)closedir(dir);
}

/* Appends folder/name for every file whose name `wanted` accepts, sorted. */
static void list_folder(const char *folder, bool (*wanted)(const char *name), struct mt_strlist *paths)
{
    size_t first = paths->count;
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        return;
    }
    mt_memory_hold(dir, 0, close_folder);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char *path = strcmp(folder, ".") == 0 ? mt_strdup(entry->d_name) : mt_format("%s/%s", folder, entry->d_name);
        if (wanted(entry->d_name) && is_regular(path)) {
            mt_strlist_add(paths, path);
        }
        free(path);
    }
    mt_memory_release(dir);
    (void)closedir(dir);
    mt_strlist_sort(paths, first);
}

void mt_tracepath_others(const char *file, struct mt_strlist *paths)
{
    char *folder = mt_tracepath_folder(file);
    list_folder(folder, mt_tracepath_is_other, paths);
    free(folder);
}

static bool is_journal(const char *name)
{
    size_t bytes = strlen(name);
    return name[0] == '.' && bytes > sizeof JOURNAL_SUFFIX && strcmp(name + bytes - sizeof JOURNAL_SUFFIX + 1, JOURNAL_SUFFIX) == 0;
}

void mt_tracepath_journals(const char *folder, struct mt_strlist *paths)
{
    list_folder(folder, is_journal, paths);
}

static char *folder_of(const char *file)
{
    const char *slash = strrchr(file, '/');
    if (slash == NULL) {
        return mt_strdup(".");
    }
    return slash == file ? mt_strdup("/") : mt_strndup(file, (size_t)(slash - file));
}

char *mt_tracepath_default(const char *program, long pid)
{
    const char *name = mt_text_base_name(program);
    size_t bytes = strlen(name);
    if (bytes > 3 && strcmp(name + bytes - 3, ".py") == 0) {
        bytes -= 3;
    }
    bytes = bytes > 100 ? 100 : bytes; /* NAME_MAX is 255 and children add numbers */
    return bytes > 0 ? mt_format("memtap-%.*s.%ld" SUFFIX, (int)bytes, name, pid)
                     : mt_format("memtap-program.%ld" SUFFIX, pid);
}

mt_status mt_tracepath_absolute(const char *file, char **ret, struct mt_error *err)
{
    char *folder = folder_of(file);
    char *real = realpath(folder, NULL);
    mt_status status = MT_OK;
    if (real == NULL) {
        status = mt_error_set_errno(err, errno, "cannot write to the folder %s", folder);
    } else if (mt_text_base_name(file)[0] == '\0') {
        status = mt_error_set(err, MT_E_INVAL, "%s is a folder: name a file in it", file);
    } else {
        *ret = mt_format("%s/%s", strcmp(real, "/") == 0 ? "" : real, mt_text_base_name(file));
    }
    free(real);
    free(folder);
    return status;
}

char *mt_tracepath_like(const char *path)
{
    char *folder = folder_of(path), *with_suffix = mt_format("%s" SUFFIX, path), *found = NULL;
    struct mt_strlist paths = { 0 }, names = { 0 };
    list_folder(folder, has_suffix, &paths);
    for (size_t i = 0; i < paths.count; i++) {
        mt_strlist_add(&names, mt_text_base_name(paths.items[i]));
        if (found == NULL && strcmp(paths.items[i], with_suffix) == 0) {
            found = mt_strdup(with_suffix);
        }
    }
    const char *nearest = found == NULL && names.count > 0 ? mt_text_nearest(mt_text_base_name(path), (const char *const *)names.items) : NULL;
    for (size_t i = 0; i < paths.count && nearest != NULL && found == NULL; i++) {
        found = names.items[i] == nearest ? mt_strdup(paths.items[i]) : NULL;
    }
    mt_strlist_clear(&paths);
    mt_strlist_clear(&names);
    free(with_suffix);
    free(folder);
    return found;
}

mt_status mt_tracepath_expand(char *const *operands, int count, struct mt_strlist *paths, struct mt_error *err)
{
    for (int i = 0; i < count; i++) {
        struct stat info;
        size_t before = paths->count;
        if (stat(operands[i], &info) != 0 || !S_ISDIR(info.st_mode)) {
            mt_strlist_add(paths, operands[i]);
            continue;
        }
        list_folder(operands[i], has_suffix, paths);
        if (paths->count == before) {
            return mt_error_set(err, MT_E_NOENT, "no trace (*.mtap) in the folder %s; `memtap run -o %s/NAME.mtap PROGRAM` makes one", operands[i], operands[i]);
        }
    }
    return MT_OK;
}
