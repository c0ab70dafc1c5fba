/* events.c: the events of a trace one by one, and the stacks they name. Context: [tool]. */
#include "export/report.h"
#include "model/cursor.h"
#include "reader/failure.h"
#include "reader/recording.h"
#include "reader/refusal.h"
#include "reader/sampleset.h"
#include "reader/snapshot.h"
#include "util/memory.h"

#include <stdlib.h>

enum { BATCH_EVENTS = 1024 };

struct mt_event_reader {
    struct mt_trace *trace;
    struct mt_cursor *cursor;
    uint32_t trace_idx;
    uint64_t delivered;
    struct mt_event batch[BATCH_EVENTS];
};

static void reader_fini(struct mt_event_reader *r)
{
    mt_cursor_free(r->cursor);
    mt_trace_close(r->trace);
    free(r);
}

struct opening {
    struct mt_recording *recording;
    size_t trace;
    struct mt_event_reader *reader;
};

static mt_status open_body(void *context, struct mt_error *err)
{
    struct opening *o = context;
    struct mt_wire_error wire = { 0 };
    mt_status status = mt_recording_refresh(o->recording, false, err);
    if (status != MT_OK) {
        return status;
    }
    if (o->trace >= o->recording->set.count) {
        return mt_recording_no_such_trace(o->recording, o->trace, err);
    }
    const struct mt_trace *trace = o->recording->set.traces[o->trace];
    struct mt_event_reader *r = o->reader = mt_alloc_zero(1, sizeof *r);
    r->trace_idx = (uint32_t)o->trace;
    status = mt_trace_open_again(trace, &r->trace, &wire);
    if (status != MT_OK) {
        return mt_failure_explain_open(status, mt_trace_info(trace)->path, &wire, err);
    }
    struct mt_trace_set one = { &r->trace, 1 };
    status = mt_refuse_aggregate(&one, "what happened when (records)", err);
    return status == MT_OK ? mt_cursor_new(r->trace, UINT64_MAX, &r->cursor) : status;
}

int mt_event_reader_open(struct mt_recording *recording, size_t trace, struct mt_event_reader **ret,
                         struct mt_profile_failure *failure)
{
    struct opening opening = { .recording = recording, .trace = trace };
    int code = mt_recording_call(recording, open_body, &opening, failure);
    if (code == MT_PROFILE_OK) {
        *ret = opening.reader;
    } else if (opening.reader != NULL && code != MT_PROFILE_NO_MEMORY) {
        reader_fini(opening.reader);
    }
    return code;
}

void mt_event_reader_close(struct mt_event_reader *reader)
{
    if (reader != NULL) {
        reader_fini(reader);
    }
}

static struct mt_profile_event event_of(const struct mt_event_reader *r, const struct mt_event *e)
{
    const struct mt_trace_thread *thread = mt_trace_thread(r->trace, e->stream);
    bool weighs = e->kind == MT_EVENT_ALLOC || e->kind == MT_EVENT_MAP || e->kind == MT_EVENT_RESIZED;
    return (struct mt_profile_event){
        .timestamp_ns = e->clock,
        .address = e->addr,
        .size = e->size,
        .weight = weighs ? mt_sampleset_weight(e->size, e->kind == MT_EVENT_ALLOC ? e->rate_bytes : 0) : 0,
        .tid = thread != NULL ? thread->tid : e->stream,
        .stack_id = e->stack < mt_trace_stack_count(r->trace) ? e->stack : 0,
        .trace = r->trace_idx,
        .kind = e->kind,
        .allocator = e->allocator,
        .realloc = (e->flags & MT_EVENT_OF_REALLOC) != 0,
    };
}

struct reading {
    struct mt_event_reader *reader;
    struct mt_profile_event *out;
    size_t capacity, count;
};

/* A cursor that was left in the middle. */
static void forget_place(void *reader)
{
    struct mt_event_reader *r = reader;
    mt_cursor_free(r->cursor);
    r->cursor = NULL;
}

/* A cursor behind what was delivered. */
static mt_status find_place(struct mt_event_reader *r)
{
    if (r->cursor != NULL) {
        return MT_OK;
    }
    mt_status status = mt_cursor_new(r->trace, UINT64_MAX, &r->cursor);
    for (uint64_t at = 0, got = 1; status == MT_OK && at < r->delivered && got > 0; at += got) {
        uint64_t left = r->delivered - at;
        got = mt_cursor_next(r->cursor, r->batch, left < BATCH_EVENTS ? (size_t)left : BATCH_EVENTS);
    }
    return status;
}

static mt_status next_body(void *context, struct mt_error *err)
{
    struct reading *n = context;
    struct mt_event_reader *r = n->reader;
    mt_status status = find_place(r);
    size_t got = status == MT_OK;
    while (n->count < n->capacity && got > 0) {
        size_t wanted = n->capacity - n->count < BATCH_EVENTS ? n->capacity - n->count : BATCH_EVENTS;
        got = mt_cursor_next(r->cursor, r->batch, wanted);
        for (size_t i = 0; i < got; i++) {
            n->out[n->count++] = event_of(r, &r->batch[i]);
        }
    }
    status = status == MT_OK ? mt_cursor_status(r->cursor) : status;
    r->delivered += status == MT_OK ? n->count : 0;
    return status == MT_OK ? status : mt_error_set(err, status, "cannot read the events: %s", mt_status_text(status));
}

int mt_event_reader_next(struct mt_event_reader *reader, struct mt_profile_event *out, size_t capacity,
                         size_t *ret_count, struct mt_profile_failure *failure)
{
    struct reading reading = { .reader = reader, .out = out, .capacity = capacity };
    int code = mt_failure_guard(next_body, &reading, forget_place, reader, failure);
    if (code == MT_PROFILE_OK) {
        *ret_count = reading.count;
    }
    return code;
}

struct looking {
    struct mt_recording *recording;
    size_t trace;
    uint32_t stack_id;
    bool native;
    struct mt_snapshot_frame *frames;
    size_t count;
};

static mt_status stack_body(void *context, struct mt_error *err)
{
    struct looking *l = context;
    struct mt_frames *frames;
    if (l->trace >= l->recording->set.count) {
        return mt_recording_no_such_trace(l->recording, l->trace, err);
    }
    mt_status status = mt_recording_frames(l->recording, l->native, true, &frames, err);
    if (status != MT_OK) {
        return status;
    }
    struct mt_frame_list list = mt_frames_stack(frames, l->trace, l->stack_id);
    l->frames = mt_alloc(list.count * sizeof *l->frames);
    for (size_t i = 0; i < list.count; i++) {
        l->frames[l->count++] = mt_snapshot_frame_of(frames, list.spots[i]);
    }
    return MT_OK;
}

int mt_recording_stack(struct mt_recording *recording, size_t trace, uint32_t stack_id, bool native,
                       struct mt_snapshot_frame **ret, size_t *ret_count, struct mt_profile_failure *failure)
{
    struct looking looking = { .recording = recording, .trace = trace, .stack_id = stack_id, .native = native };
    int code = mt_recording_call(recording, stack_body, &looking, failure);
    if (code == MT_PROFILE_OK) {
        *ret = looking.frames;
        *ret_count = looking.count;
    }
    return code;
}

const char *mt_profile_allocator_name(unsigned allocator)
{
    return mt_report_allocator(allocator < MT_ALLOCATOR__COUNT ? (uint8_t)allocator : UINT8_MAX);
}

const char *mt_profile_map_name(unsigned kind)
{
    return mt_report_map_kind(kind <= UINT8_MAX ? (uint8_t)kind : UINT8_MAX);
}
