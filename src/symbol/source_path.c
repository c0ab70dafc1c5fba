/* source_path.c: joining and cleaning of source paths; see source_path.h. */
#include "symbol/source_path.h"

#include <stdbool.h>
#include <string.h>

struct path {
    char text[MT_SOURCE_PATH_MAX];
    size_t bytes;
    bool overflow;
};

/* Drops the last component; "a/../.." stays as it is, "/.." is "/". False when there is nothing to drop. */
static bool pop(struct path *path)
{
    size_t start = path->bytes;
    while (start > 0 && path->text[start - 1] != '/') {
        start--;
    }
    size_t bytes = path->bytes - start;
    if (bytes == 0 || (bytes == 2 && memcmp(path->text + start, "..", 2) == 0)) {
        return path->bytes == 1 && path->text[0] == '/';
    }
    path->bytes = start > 1 ? start - 1 : start;
    return true;
}

static void push(struct path *path, const char *component, size_t bytes)
{
    if (bytes == 0 || (bytes == 1 && component[0] == '.')) {
        return;
    }
    if (bytes == 2 && component[0] == '.' && component[1] == '.' && pop(path)) {
        return;
    }
    bool separator = path->bytes > 0 && path->text[path->bytes - 1] != '/';
    if (bytes + separator > sizeof path->text - path->bytes) {
        path->overflow = true;
        return;
    }
    if (separator) {
        path->text[path->bytes++] = '/';
    }
    memcpy(path->text + path->bytes, component, bytes);
    path->bytes += bytes;
}

static void append(struct path *path, const char *part)
{
    if (part == NULL || part[0] == '\0') {
        return;
    }
    if (part[0] == '/') {
        path->text[0] = '/';
        path->bytes = 1;
    }
    while (*part != '\0' && !path->overflow) {
        size_t bytes = strcspn(part, "/");
        push(path, part, bytes);
        part += bytes;
        part += *part == '/';
    }
}

const char *mt_source_path(struct mt_names *names, const char *base, const char *directory, const char *name)
{
    struct path path;
    path.bytes = 0;
    path.overflow = false;
    const char *parts[] = {base, directory, name};
    size_t first = 0; /* parts before the last absolute one say nothing */
    for (size_t i = 0; i < MT_COUNTOF(parts); i++) {
        first = parts[i] != NULL && parts[i][0] == '/' ? i : first;
    }
    for (size_t i = first; i < MT_COUNTOF(parts); i++) {
        append(&path, parts[i]);
    }
    return path.overflow ? NULL : mt_names_intern(names, path.text, path.bytes);
}
