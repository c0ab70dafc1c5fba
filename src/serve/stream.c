/* stream.c: see stream.h. */
#include "serve/stream.h"

#include "base/os.h"
#include "serve/answers.h"
#include "serve/server.h"
#include "util/memory.h"

#include <stdio.h>
#include <string.h>

enum { EVENT_BYTES = 512 };
#define COMMENT_NS 15000000000ull

struct mt_stream {
    struct mt_feed *feed;
    struct MHD_Connection *connection;
    size_t target;
    uint64_t told; /* the version; 0: none */
    uint64_t said_ns; /* when something was sent */
    bool asleep;
    char event[EVENT_BYTES]; /* what is being sent */
    size_t bytes, sent;
    struct mt_stream *next;
};

bool mt_streams_watch_locked(const struct mt_feed *feed, size_t target)
{
    for (const struct mt_stream *s = feed->streams; s != NULL; s = s->next) {
        if (s->target == target) {
            return true;
        }
    }
    return false;
}

static struct mt_feed_target *place_of(const struct mt_stream *s)
{
    return &s->feed->targets[mt_target_place(s->target)];
}

/* Another target has its place. */
static bool is_over_locked(const struct mt_stream *s)
{
    return place_of(s)->number > s->target;
}

static bool has_news_locked(const struct mt_stream *s)
{
    const struct mt_block *block = place_of(s)->number == s->target ? place_of(s)->block : NULL;
    return is_over_locked(s) || (block != NULL && block->version != s->told) || mt_os_monotonic_ns() - s->said_ns >= COMMENT_NS;
}

void mt_streams_wake_locked(struct mt_feed *feed)
{
    for (struct mt_stream *s = feed->streams; s != NULL; s = s->next) {
        if (s->asleep && has_news_locked(s)) {
            s->asleep = false;
            mt_http.resume_connection(s->connection);
        }
    }
}

static void compose_locked(struct mt_stream *s)
{
    const struct mt_feed_target *t = place_of(s);
    int bytes;
    if (t->number == s->target && t->block != NULL && t->block->version != s->told) {
        s->told = t->block->version;
        bytes = snprintf(s->event, sizeof s->event, "event: block\ndata: {\"version\": %llu, \"growing\": %s}\n\n", (unsigned long long)s->told,
                         t->is_growing ? "true" : "false");
    } else {
        bytes = snprintf(s->event, sizeof s->event, ": still here\n\n");
    }
    s->bytes = bytes > 0 ? (size_t)bytes : 0;
    s->sent = 0;
    s->said_ns = mt_os_monotonic_ns();
}

/* The library asks for more. Nothing to say: the connection sleeps until the next tick has something. */
static ssize_t read_stream(void *context, uint64_t position, char *ret, size_t capacity)
{
    struct mt_stream *s = context;
    (void)position;
    (void)pthread_mutex_lock(&s->feed->lock);
    if (is_over_locked(s)) {
        (void)pthread_mutex_unlock(&s->feed->lock);
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    if (s->sent == s->bytes && has_news_locked(s)) {
        compose_locked(s);
    }
    size_t bytes = s->bytes - s->sent < capacity ? s->bytes - s->sent : capacity;
    memcpy(ret, s->event + s->sent, bytes);
    s->sent += bytes;
    if (bytes == 0) {
        s->asleep = true;
        mt_http.suspend_connection(s->connection);
    }
    (void)pthread_mutex_unlock(&s->feed->lock);
    return (ssize_t)bytes;
}

static void end_stream(void *context)
{
    struct mt_stream *s = context;
    struct mt_feed *feed = s->feed;
    (void)pthread_mutex_lock(&feed->lock);
    struct mt_stream **at = &feed->streams;
    while (*at != NULL && *at != s) {
        at = &(*at)->next;
    }
    if (*at == s) {
        *at = s->next;
        feed->stream_count--;
    }
    (void)pthread_mutex_unlock(&feed->lock);
    free(s);
}

struct MHD_Response *mt_stream_begin(struct mt_feed *feed, struct MHD_Connection *connection, size_t target)
{
    struct mt_stream *s = mt_alloc_zero(1, sizeof *s);
    *s = (struct mt_stream){ .feed = feed, .connection = connection, .target = target, .said_ns = mt_os_monotonic_ns() };
    (void)pthread_mutex_lock(&feed->lock);
    bool room = feed->stream_count < MT_STREAMS_MAX;
    if (room) {
        s->next = feed->streams;
        feed->streams = s;
        feed->stream_count++;
    }
    (void)pthread_mutex_unlock(&feed->lock);
    struct MHD_Response *response = room ? mt_http.create_response_from_callback(MHD_SIZE_UNKNOWN, EVENT_BYTES, read_stream, s, end_stream) : NULL;
    if (response == NULL) {
        end_stream(s);
    }
    return response;
}

void mt_serve_events(struct mt_request *request)
{
    const char *name = mt_request_argument(request, "target");
    const struct mt_target *target = mt_targets_find(&request->server->targets, name);
    if (target == NULL) {
        mt_response_fail(request, MHD_HTTP_NOT_FOUND, "NO_TARGET", "there is no target %s; /targets lists them", name != NULL ? name : "yet");
        return;
    }
    request->stream = mt_stream_begin(&request->server->feed, request->connection, target->number);
    if (request->stream == NULL) {
        mt_response_fail(request, MHD_HTTP_SERVICE_UNAVAILABLE, "BUSY", "too many viewers: there may be %d", MT_STREAMS_MAX);
    }
}
