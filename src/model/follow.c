/* follow.c: see follow.h. Context: [tool]. */
#include "model/follow.h"

#include "util/memory.h"

#include <stdlib.h>
#include <sys/stat.h>

struct mt_follow {
    char *path;
    size_t place;
    struct mt_trace *trace;   /* NULL: to be opened */
    struct mt_cursor *cursor; /* over trace */
    bool stale;               /* what was delivered is not a beginning of the trace */
    bool ended;               /* next has come to the end */
    struct stat seen;         /* the file when it was opened */
    uint64_t generation;
    uint64_t last_clock;      /* of the last event delivered */
    uint32_t last_stream;
};

struct mt_follow *mt_follow_new(const char *path, size_t place)
{
    struct mt_follow *f = mt_alloc_zero(1, sizeof *f);
    f->path = mt_strdup(path);
    f->place = place;
    return f;
}

static void close_trace(struct mt_follow *f)
{
    mt_cursor_free(f->cursor);
    mt_trace_close(f->trace);
    f->cursor = NULL;
    f->trace = NULL;
}

void mt_follow_free(struct mt_follow *f)
{
    if (f != NULL) {
        close_trace(f);
        free(f->path);
        free(f);
    }
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Of a trace that nobody records any more. */
static bool is_unchanged(const struct mt_follow *f)
{
    struct stat now;
    return stat(f->path, &now) == 0 && now.st_dev == f->seen.st_dev && now.st_ino == f->seen.st_ino &&
           now.st_size == f->seen.st_size && same_time(&now.st_mtim, &f->seen.st_mtim) &&
           same_time(&now.st_ctim, &f->seen.st_ctim);
}

static mt_status open_anew(struct mt_follow *f, struct mt_wire_error *error)
{
    close_trace(f);
    f->generation++;
    f->stale = false;
    f->last_clock = 0;
    f->last_stream = 0;
    f->seen = (struct stat){ 0 };
    (void)stat(f->path, &f->seen);
    mt_status status = mt_trace_open_place(f->path, f->place, &f->trace, error);
    if (status != MT_OK) {
        f->trace = NULL;
        return status;
    }
    mt_trace_will_be_polled(f->trace);
    f->cursor = mt_cursor_follow(f->trace);
    (void)mt_cursor_feed(f->cursor);
    return MT_OK;
}

/* MT_E_BUSY: has to be opened anew. */
static mt_status go_on(struct mt_follow *f)
{
    if (f->trace == NULL || f->stale) {
        return MT_E_BUSY;
    }
    if (!mt_trace_can_poll(f->trace)) {
        return is_unchanged(f) ? MT_OK : MT_E_BUSY;
    }
    mt_status status = mt_trace_poll(f->trace);
    return status == MT_OK && !mt_cursor_feed(f->cursor) ? MT_E_BUSY : status;
}

mt_status mt_follow_poll(struct mt_follow *f, struct mt_wire_error *ret_error)
{
    return go_on(f) == MT_OK ? MT_OK : open_anew(f, ret_error); /* which says better what is wrong */
}

struct mt_trace *mt_follow_trace(const struct mt_follow *f)
{
    return f->trace;
}

uint64_t mt_follow_generation(const struct mt_follow *f)
{
    return f->generation;
}

mt_status mt_follow_begin(struct mt_follow *f, uint64_t stop_clock)
{
    f->stale = f->stale || stop_clock < f->last_clock;
    f->ended = false;
    mt_cursor_resume(f->cursor, stop_clock);
    return f->stale ? MT_E_BUSY : MT_OK;
}

static bool comes_before(const struct mt_follow *f, const struct mt_event *e)
{
    return e->clock < f->last_clock || (e->clock == f->last_clock && e->stream < f->last_stream);
}

mt_status mt_follow_next(struct mt_follow *f, struct mt_event *out, size_t capacity, size_t *ret_count)
{
    size_t count = mt_cursor_next(f->cursor, out, capacity);
    mt_status status = mt_cursor_status(f->cursor);
    f->stale = f->stale || status != MT_OK || (count > 0 && comes_before(f, &out[0]));
    if (f->stale) {
        return status != MT_OK ? status : MT_E_BUSY;
    }
    if (count > 0) {
        f->last_clock = out[count - 1].clock;
        f->last_stream = out[count - 1].stream;
    }
    f->ended = count == 0;
    *ret_count = count;
    return MT_OK;
}

const struct mt_cursor_losses *mt_follow_losses(const struct mt_follow *f)
{
    return mt_cursor_losses(f->cursor);
}

void mt_follow_restart(struct mt_follow *f)
{
    f->stale = true;
}

void mt_follow_rest(struct mt_follow *f)
{
    if (f->trace != NULL) {
        f->stale = f->stale || (!f->ended && !mt_trace_can_poll(f->trace)); /* the rest could not be read */
        mt_trace_rest(f->trace);
    }
}
