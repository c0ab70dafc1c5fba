/* feed.c: see feed.h. */
#include "serve/feed.h"

#include "base/os.h"
#include "reader/texts.h"
#include "serve/answers.h"
#include "serve/server.h"
#include "serve/stream.h"
#include "util/memory.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PAGE_BYTES = 4 << 20, WAIT_NS = 20000000, SHARE = 5 };
#define LEAST_NS 1000000000ull
#define MOST_NS 10000000000ull

void mt_feed_init(struct mt_feed *feed)
{
    *feed = (struct mt_feed){ .lock = PTHREAD_MUTEX_INITIALIZER };
}

/* ---- data --------------------------------------------------------------------------------------------------------- */

static void drop_locked(struct mt_block *block)
{
    if (block != NULL && --block->users == 0) {
        mt_profile_release(block->bytes);
        free(block);
    }
}

static bool is_old_locked(const struct mt_feed_target *t, const struct mt_target *target)
{
    struct mt_target_version now = { 0 };
    if (t->block == NULL || t->is_growing) {
        return mt_os_monotonic_ns() >= t->next_ns;
    }
    return mt_target_version(target, &now) && memcmp(&now, &t->file, sizeof now) != 0;
}

/* What a reading gave, from begin_ns on. */
struct made {
    char *bytes;
    size_t count;
    bool growing;
    struct mt_profile_failure failure;
};

static void make(struct mt_target *target, struct made *ret)
{
    struct mt_opened *opened;
    struct mt_recording_info info;
    *ret = (struct made){ 0 };
    int code = mt_target_open(target, MT_USE_PAGE, &opened, &ret->failure);
    if (code != MT_PROFILE_OK) {
        return;
    }
    code = mt_recording_info(opened->recording, &info, &ret->failure); /* before it is read: what comes meanwhile is read the next time */
    if (code == MT_PROFILE_OK) {
        ret->growing = info.live;
        code = mt_recording_page_block(opened->recording, PAGE_BYTES, &ret->bytes, &ret->count, &ret->failure);
    }
    mt_target_close(target, MT_USE_PAGE, opened);
}

static void keep_locked(struct mt_feed_target *t, struct made *made)
{
    t->failure = made->failure;
    t->is_growing = made->growing;
    if (made->bytes == NULL) {
        return;
    }
    bool same = t->block != NULL && t->block->count == made->count && memcmp(t->block->bytes, made->bytes, made->count) == 0;
    if (same) {
        mt_profile_release(made->bytes);
        return;
    }
    struct mt_block *block = mt_alloc_zero(1, sizeof *block);
    mt_memory_release(block); /* it outlives the question */
    *block = (struct mt_block){ .bytes = made->bytes, .count = made->count, .version = ++t->versions, .users = 1 };
    drop_locked(t->block);
    t->block = block;
}

static uint64_t own_cpu_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Its place, which is emptied when another target had it; NULL: another one has it by now. */
static struct mt_feed_target *place_locked(struct mt_feed *feed, const struct mt_target *target)
{
    struct mt_feed_target *t = &feed->targets[mt_target_place(target->number)];
    if (t->number < target->number) {
        drop_locked(t->block);
        *t = (struct mt_feed_target){ .number = target->number };
    }
    return t->number == target->number ? t : NULL;
}

/* Makes the data anew, unless somebody does. */
static void renew(struct mt_feed *feed, struct mt_target *target)
{
    struct made made;
    struct mt_target_version file = { 0 };
    (void)pthread_mutex_lock(&feed->lock);
    struct mt_feed_target *t = place_locked(feed, target);
    bool mine = t != NULL && !t->is_made_now && is_old_locked(t, target);
    if (mine) {
        t->is_made_now = true;
    }
    (void)pthread_mutex_unlock(&feed->lock);
    if (!mine) {
        return;
    }
    uint64_t before_ns = own_cpu_ns();
    (void)mt_target_version(target, &file);
    make(target, &made);
    uint64_t pause_ns = (own_cpu_ns() - before_ns) * (SHARE - 1);
    pause_ns = pause_ns < LEAST_NS ? LEAST_NS : pause_ns > MOST_NS ? MOST_NS : pause_ns;
    (void)pthread_mutex_lock(&feed->lock);
    t = place_locked(feed, target);
    if (t != NULL) {
        keep_locked(t, &made);
        t->file = file;
        t->next_ns = mt_os_monotonic_ns() + pause_ns;
        t->is_made_now = false;
    } else {
        mt_profile_release(made.bytes);
    }
    (void)pthread_mutex_unlock(&feed->lock);
}

static void release_block(void *context)
{
    struct mt_stream_end *end = context;
    (void)pthread_mutex_lock(&end->feed->lock);
    drop_locked(end->block);
    (void)pthread_mutex_unlock(&end->feed->lock);
    free(end);
}

/* The data as a reply that borrows it. */
static bool reply_with_block(struct mt_request *request, struct mt_feed *feed, const struct mt_target *target)
{
    char version[32];
    struct mt_stream_end *end = mt_alloc_zero(1, sizeof *end);
    (void)pthread_mutex_lock(&feed->lock);
    const struct mt_feed_target *t = place_locked(feed, target);
    *end = (struct mt_stream_end){ feed, t != NULL ? t->block : NULL };
    struct mt_profile_failure failure = { .code = MT_PROFILE_OK };
    if (t != NULL) {
        failure = t->failure;
    } else {
        failure.code = MT_PROFILE_NO_FILE;
        (void)snprintf(failure.text, sizeof failure.text, "this recording is gone; /targets lists those that are there");
    }
    if (end->block != NULL) {
        end->block->users++;
    }
    (void)pthread_mutex_unlock(&feed->lock);
    if (end->block == NULL) {
        free(end);
        if (failure.code != MT_PROFILE_OK) {
            mt_serve_fail(request, &failure);
        }
        return failure.code != MT_PROFILE_OK;
    }
    mt_memory_release(end);
    mt_response_bytes(request, "application/octet-stream", end->block->bytes, end->block->count);
    request->reply.shared = true;
    request->reply.release = release_block;
    request->reply.context = end;
    (void)snprintf(version, sizeof version, "%llu", (unsigned long long)end->block->version);
    mt_response_header(request, "X-Memtap-Version", version);
    return true;
}

void mt_serve_block(struct mt_request *request)
{
    struct mt_feed *feed = &request->server->feed;
    const char *name = mt_request_argument(request, "target");
    struct mt_target *target = mt_targets_find(&request->server->targets, name);
    if (target == NULL) {
        mt_response_fail(request, MHD_HTTP_NOT_FOUND, "NO_TARGET", "there is no target %s; /targets lists them", name != NULL ? name : "yet");
        return;
    }
    renew(feed, target);
    if (!reply_with_block(request, feed, target)) {
        request->due_ns = mt_os_monotonic_ns() + WAIT_NS; /* another worker is making it */
    }
}

/* ---- once a second ------------------------------------------------------------------------------------------------ */

static bool is_watched(struct mt_feed *feed, const struct mt_target *target)
{
    (void)pthread_mutex_lock(&feed->lock);
    bool watched = mt_streams_watch_locked(feed, target->number);
    (void)pthread_mutex_unlock(&feed->lock);
    return watched;
}

void mt_feed_tick(struct mt_server *server)
{
    for (size_t i = 0; i < mt_targets_count(&server->targets); i++) {
        struct mt_target *target = mt_targets_in(&server->targets, i);
        if (is_watched(&server->feed, target)) {
            renew(&server->feed, target);
        }
    }
    (void)pthread_mutex_lock(&server->feed.lock);
    mt_streams_wake_locked(&server->feed);
    (void)pthread_mutex_unlock(&server->feed.lock);
}

size_t mt_feed_streams(struct mt_feed *feed)
{
    (void)pthread_mutex_lock(&feed->lock);
    size_t count = feed->stream_count;
    (void)pthread_mutex_unlock(&feed->lock);
    return count;
}
