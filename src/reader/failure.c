/* failure.c: see failure.h. Context: [tool]. */
#include "reader/failure.h"

#include "util/filekind.h"
#include "util/memory.h"
#include "util/tracepath.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* FILE@MOMENT where FILE is there. */
static bool has_moment(const char *path)
{
    const char *at = strrchr(path, '@');
    char *file = at != NULL ? mt_strndup(path, (size_t)(at - path)) : NULL;
    bool is = file != NULL && access(file, F_OK) == 0;
    free(file);
    return is;
}

static void explain_missing(const char *path, struct mt_error *err)
{
    char *like = mt_tracepath_like(path);
    if (has_moment(path)) {
        (void)mt_error_set(err, MT_E_NOENT, "cannot read %s: there is no such file; one recording @MOMENT is for leaks, table, tree, diff and export", path);
    } else if (like != NULL) {
        (void)mt_error_set(err, MT_E_NOENT, "cannot read %s: there is no such file; did you mean %s?", path, like);
    } else {
        (void)mt_error_set(err, MT_E_NOENT, "cannot read %s: there is no such file; `memtap run -o FILE PROGRAM` makes a trace", path);
    }
    free(like);
}

mt_status mt_failure_explain_open(mt_status status, const char *path, const struct mt_wire_error *wire,
                                  struct mt_error *err)
{
    bool foreign = (status == MT_E_CORRUPT || status == MT_E_TRUNCATED) && wire->offset == 0;
    const char *kind = foreign ? mt_filekind(path) : "";
    bool in_file = status == MT_E_CORRUPT || status == MT_E_TRUNCATED || status == MT_E_VERSION;
    const char *why = in_file && wire->text != NULL ? wire->text : mt_status_text(status);
    if (kind[0] != '\0') {
        (void)mt_error_set(err, status, "cannot read %s: it is not a memtap trace (*.mtap) but %s", path, kind);
    } else if (status == MT_E_NOENT) {
        explain_missing(path, err);
    } else if (status == MT_E_VERSION) {
        (void)mt_error_set(err, status, "cannot read %s: %s; a newer memtap wrote it", path, why);
    } else if (wire->text != NULL && (status == MT_E_CORRUPT || status == MT_E_TRUNCATED)) {
        (void)mt_error_set(err, status, "cannot read %s: %s, at byte %llu", path, why,
                           (unsigned long long)wire->offset);
    } else {
        (void)mt_error_set(err, status, "cannot read %s: %s", path, why);
    }
    return status;
}

static int code_of(mt_status status)
{
    switch (status) {
    case MT_OK:
        return MT_PROFILE_OK;
    case MT_E_NOMEM:
        return MT_PROFILE_NO_MEMORY;
    case MT_E_NOENT:
        return MT_PROFILE_NO_FILE;
    case MT_E_PERM:
    case MT_E_READONLY:
        return MT_PROFILE_NOT_ALLOWED;
    case MT_E_CORRUPT:
    case MT_E_TRUNCATED:
        return MT_PROFILE_DAMAGED;
    case MT_E_VERSION:
        return MT_PROFILE_NEWER;
    case MT_E_INVAL:
    case MT_E_UNSUPPORTED:
        return MT_PROFILE_USAGE;
    case MT_E_INTERRUPTED:
        return MT_PROFILE_INTERRUPTED;
    case MT_E_IO:
    case MT_E_NOSPACE:
    case MT_E_NOFILES:
    case MT_E_TOO_LARGE:
    case MT_E_REPLACED:
    case MT_E_SIZE:
    case MT_E_EXIST:
    case MT_E_FULL:
    case MT_E_BUSY:
    case MT_STATUS__COUNT:
    default:
        return MT_PROFILE_IO;
    }
}

int mt_failure_of(mt_status status, const struct mt_error *err, struct mt_profile_failure *failure)
{
    int code = code_of(status);
    if (failure != NULL && code != MT_PROFILE_OK) {
        failure->code = code;
        (void)snprintf(failure->text, sizeof failure->text, "%s",
                       err->text[0] != '\0' ? err->text : mt_status_text(status));
    }
    return code;
}

int mt_failure_usage(struct mt_profile_failure *failure, const char *format, ...)
{
    if (failure != NULL) {
        va_list args;
        va_start(args, format);
        failure->code = MT_PROFILE_USAGE;
        (void)vsnprintf(failure->text, sizeof failure->text, format, args);
        va_end(args);
    }
    return MT_PROFILE_USAGE;
}

struct attempt {
    mt_status (*body)(void *context, struct mt_error *err);
    void *context;
    void (*recover)(void *handle);
    void *handle;
    struct mt_error *err;
    mt_status status;
};

static void run(void *context)
{
    struct attempt *a = context;
    a->status = a->body(a->context, a->err);
}

static void recover(void *context)
{
    const struct attempt *a = context;
    if (a->recover != NULL) {
        a->recover(a->handle);
    }
}

int mt_failure_guard(mt_status (*body)(void *context, struct mt_error *err), void *context, void (*recover_handle)(void *handle),
                     void *handle, struct mt_profile_failure *failure)
{
    struct mt_error err = { 0 };
    struct attempt attempt = { .body = body, .context = context, .recover = recover_handle, .handle = handle, .err = &err };
    if (!mt_memory_try(run, recover, &attempt)) {
        (void)mt_error_set(&err, MT_E_NOMEM, "out of memory: raise the memory limit or narrow the selection, and ask again");
        return mt_failure_of(MT_E_NOMEM, &err, failure);
    }
    return mt_failure_of(attempt.status, &err, failure);
}
