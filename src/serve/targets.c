/* targets.c: see targets.h. */
#include "serve/targets.h"

#include "attach/recorded.h"
#include "base/compiler.h"
#include "base/os.h"
#include "util/human.h"
#include "util/memory.h"
#include "util/say.h"
#include "util/text.h"
#include "util/tracepath.h"

#include <stdlib.h>
#include <string.h>

#define KEPT_NS 3600000000000ull /* of a retired target */
enum { KEPT_LOOKS = 1000 };      /* too: while the process was stopped, time went by and nobody did */

static void close_opened(struct mt_opened *opened)
{
    mt_recording_close(opened->recording);
    free(opened);
}

static void retire_locked(struct mt_handle *handle)
{
    struct mt_opened *old = handle->opened;
    handle->opened = NULL;
    old->stale = true;
    if (old->users == 0) {
        close_opened(old);
    }
}

/* ---- the list ----------------------------------------------------------------------------------------------------- */

static bool has(const struct mt_targets *targets, const char *path)
{
    for (size_t i = 0; i < targets->count; i++) {
        if (strcmp(targets->items[i]->path, path) == 0) {
            return true;
        }
    }
    return false;
}

static struct mt_target *new_target(const char *path, size_t number, bool named)
{
    struct mt_target *target = mt_alloc_zero(1, sizeof *target);
    target->number = number;
    target->named = named;
    target->path = mt_strdup(path);
    target->name = mt_text_base_name(target->path);
    for (size_t i = 0; i < MT_USE__COUNT; i++) {
        target->handles[i].lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    }
    return target;
}

/* One whose file is gone makes room. NULL: there is none. */
static struct mt_target *find_gone(const struct mt_targets *targets)
{
    struct mt_target_version version;
    for (size_t i = 0; i < targets->count; i++) {
        if (!targets->items[i]->named && !mt_target_version(targets->items[i], &version)) {
            return targets->items[i];
        }
    }
    return NULL;
}

static void retire(struct mt_targets *targets, struct mt_target *target)
{
    for (size_t i = 0; i < MT_USE__COUNT; i++) {
        (void)pthread_mutex_lock(&target->handles[i].lock);
        if (target->handles[i].opened != NULL) {
            retire_locked(&target->handles[i]);
        }
        target->handles[i].retired = true;
        (void)pthread_mutex_unlock(&target->handles[i].lock);
    }
    target->retired_ns = mt_os_monotonic_ns();
    target->next = targets->retired;
    targets->retired = target;
}

/* False: there is no room. */
static bool add_locked(struct mt_targets *targets, const char *path, bool named)
{
    if (has(targets, path)) {
        return true;
    }
    if (targets->count < MT_TARGETS_MAX) {
        targets->items[targets->count] = new_target(path, targets->count, named);
        targets->count++;
        return true;
    }
    struct mt_target *gone = find_gone(targets);
    if (gone != NULL) {
        targets->items[mt_target_place(gone->number)] = new_target(path, gone->number + MT_TARGETS_MAX, named);
        retire(targets, gone);
    }
    return gone != NULL;
}

static bool is_used(struct mt_target *target)
{
    bool used = false;
    for (size_t i = 0; i < MT_USE__COUNT; i++) {
        (void)pthread_mutex_lock(&target->handles[i].lock);
        used = used || target->handles[i].users > 0;
        (void)pthread_mutex_unlock(&target->handles[i].lock);
    }
    return used;
}

/* Forgets those that nobody uses any more: who has found one has opened it by then. */
static void free_retired(struct mt_targets *targets)
{
    struct mt_target **at = &targets->retired;
    while (*at != NULL) {
        struct mt_target *target = *at;
        if (++target->looks < KEPT_LOOKS || mt_os_monotonic_ns() - target->retired_ns < KEPT_NS || is_used(target)) {
            at = &target->next;
            continue;
        }
        *at = target->next;
        free(target->path);
        free(target);
    }
}

static mt_status add_named(struct mt_targets *targets, const char *path, struct mt_error *err)
{
    return add_locked(targets, path, true) ? MT_OK : mt_error_set(err, MT_E_INVAL, "at most %d traces can be served: give fewer of them", MT_TARGETS_MAX);
}

static void say_full_once(struct mt_targets *targets, const char *path)
{
    if (!targets->full_said) {
        mt_say("memtap: at most %d traces are served: %s and those that come after it are left out until some of the others are gone", MT_TARGETS_MAX, path);
    }
    targets->full_said = true;
}

void mt_targets_look(struct mt_targets *targets)
{
    (void)pthread_mutex_lock(&targets->lock);
    free_retired(targets);
    for (size_t i = 0; i < targets->folders.count; i++) {
        struct mt_strlist found = { 0 };
        if (mt_tracepath_expand(&targets->folders.items[i], 1, &found, NULL) == MT_OK) {
            for (size_t j = 0; j < found.count; j++) {
                if (!add_locked(targets, found.items[j], false)) {
                    say_full_once(targets, found.items[j]);
                }
            }
        }
        mt_strlist_clear(&found);
    }
    (void)pthread_mutex_unlock(&targets->lock);
}

static mt_status add_operand(struct mt_targets *targets, const char *operand, struct mt_error *err)
{
    struct stat status;
    uint64_t pid = 0;
    if (stat(operand, &status) == 0) {
        if (S_ISDIR(status.st_mode)) {
            mt_strlist_add(&targets->folders, operand);
            return MT_OK;
        }
        return add_named(targets, operand, err);
    }
    if (!mt_parse_count(operand, &pid)) {
        return mt_error_set(err, MT_E_NOENT, "there is no file %s", operand);
    }
    char *path;
    mt_status found = pid > 0 && pid <= INT32_MAX ? mt_recorded_trace((pid_t)pid, &path, err) : MT_E_NOENT;
    if (found == MT_E_NOENT) {
        return mt_error_set(err, MT_E_NOENT, "process %s is not recorded: `memtap attach %s` begins a recording", operand, operand);
    }
    if (found != MT_OK) {
        return found;
    }
    found = add_named(targets, path, err);
    free(path);
    return found;
}

static mt_status check(const struct mt_target *target, struct mt_error *err)
{
    struct mt_recording *recording;
    struct mt_profile_failure failure;
    const char *path = target->path;
    if (mt_recording_open(&path, 1, &recording, &failure) != MT_PROFILE_OK) {
        return mt_error_set(err, MT_E_CORRUPT, "%s", failure.text);
    }
    mt_recording_close(recording);
    return MT_OK;
}

mt_status mt_targets_init(struct mt_targets *targets, const struct mt_strlist *operands, struct mt_error *err)
{
    mt_status status = MT_OK;
    *targets = (struct mt_targets){ .lock = PTHREAD_MUTEX_INITIALIZER };
    for (size_t i = 0; status == MT_OK && i < operands->count; i++) {
        status = add_operand(targets, operands->items[i], err);
    }
    for (size_t i = 0; status == MT_OK && i < targets->count; i++) { /* of folders it is said when it is asked for */
        status = check(targets->items[i], err);
    }
    if (operands->count == 0) {
        mt_strlist_add(&targets->folders, ".");
    }
    mt_targets_look(targets);
    return status;
}

size_t mt_targets_count(struct mt_targets *targets)
{
    (void)pthread_mutex_lock(&targets->lock);
    size_t count = targets->count;
    (void)pthread_mutex_unlock(&targets->lock);
    return count;
}

struct mt_target *mt_targets_in(struct mt_targets *targets, size_t place)
{
    (void)pthread_mutex_lock(&targets->lock);
    struct mt_target *found = place < targets->count ? targets->items[place] : NULL;
    (void)pthread_mutex_unlock(&targets->lock);
    return found;
}

size_t mt_target_place(size_t number)
{
    return number % MT_TARGETS_MAX;
}

struct mt_target *mt_targets_find(struct mt_targets *targets, const char *text)
{
    uint64_t number = 0;
    if (text == NULL) {
        return mt_targets_in(targets, 0);
    }
    if (mt_parse_count(text, &number)) {
        struct mt_target *there = mt_targets_in(targets, mt_target_place((size_t)number));
        return there != NULL && there->number == number ? there : NULL;
    }
    struct mt_target *found = NULL;
    (void)pthread_mutex_lock(&targets->lock);
    for (size_t i = 0; found == NULL && i < targets->count; i++) {
        bool fits = strcmp(targets->items[i]->name, text) == 0 || strcmp(targets->items[i]->path, text) == 0;
        found = fits ? targets->items[i] : NULL;
    }
    (void)pthread_mutex_unlock(&targets->lock);
    return found;
}

/* ---- one of them -------------------------------------------------------------------------------------------------- */

bool mt_target_version(const struct mt_target *target, struct mt_target_version *ret)
{
    struct stat status;
    if (stat(target->path, &status) != 0) {
        return false;
    }
    *ret = (struct mt_target_version){ status.st_dev, status.st_ino, status.st_size, status.st_mtim };
    return true;
}

static int open_locked(struct mt_target *target, struct mt_handle *handle, const struct mt_target_version *now, struct mt_profile_failure *failure)
{
    const char *path = target->path;
    struct mt_recording *recording;
    int code = mt_recording_open(&path, 1, &recording, failure);
    if (code == MT_PROFILE_OK) {
        handle->opened = mt_alloc_zero(1, sizeof *handle->opened);
        mt_memory_release(handle->opened); /* it outlives what is going on */
        *handle->opened = (struct mt_opened){ .recording = recording, .device = now->device, .inode = now->inode };
    }
    return code;
}

int mt_target_open(struct mt_target *target, enum mt_use use, struct mt_opened **ret, struct mt_profile_failure *failure)
{
    struct mt_handle *handle = &target->handles[use];
    struct mt_target_version now = { 0 };
    int code = MT_PROFILE_OK;
    bool there = mt_target_version(target, &now);
    (void)pthread_mutex_lock(&handle->lock);
    if (handle->opened != NULL && there && (now.inode != handle->opened->inode || now.device != handle->opened->device)) {
        retire_locked(handle);
    }
    if (handle->opened == NULL) {
        code = open_locked(target, handle, &now, failure);
    }
    if (code == MT_PROFILE_OK) {
        handle->opened->users++;
        handle->users++;
        *ret = handle->opened;
    }
    (void)pthread_mutex_unlock(&handle->lock);
    return code;
}

void mt_target_close(struct mt_target *target, enum mt_use use, struct mt_opened *opened)
{
    struct mt_handle *handle = &target->handles[use];
    (void)pthread_mutex_lock(&handle->lock);
    opened->users--;
    handle->users--;
    if (opened->users == 0 && opened->stale) {
        close_opened(opened);
    } else if (opened->users == 0 && handle->retired) {
        retire_locked(handle);
    }
    (void)pthread_mutex_unlock(&handle->lock);
}
