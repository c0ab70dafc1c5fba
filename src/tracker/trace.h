/* trace.h: writing a memtap trace (docs/formats/trace.md) of what a program reported. Private to src/tracker/trace*.c.
 *
 * Decides: two streams, metadata and events, each in a buffer that becomes a block when it is full; nothing is recorded in
 * place, because this is an export, not a recorder that must survive its process. Strings, code objects, nodes and stacks are
 * numbered at first sight. Context: [tool], one thread at a time.
 */
#ifndef MT_TRACKER_TRACE_H
#define MT_TRACKER_TRACE_H

#include "memtap/tracker.h"
#include "wire/records.h"

enum { MT_TRACE_BUFFER_BYTES = 256 * 1024 };

/* What has a number already. Keys are exact, but for strings: 64-bit hash, CRC-32C and length. */
struct mt_tracenames_row {
    uint64_t a, b;
    uint32_t what; /* enum mt_meta_tag; 0: free */
    uint32_t number;
};
struct mt_trace_names {
    struct mt_tracenames_row *rows;
    uint32_t mask, used;
    uint32_t numbers[MT_META_RATE + 1]; /* given so far, by enum mt_meta_tag */
};

struct mt_trace_stream {
    uint8_t *buffer;
    size_t bytes;
    uint32_t stream, seq, events;
    uint64_t clock_first;
};

struct mt_trace_writer {
    int fd;
    int failure; /* the first one; enum mt_tracker_code */
    uint64_t tail, clock;
    struct mt_trace_header header;
    struct mt_trace_stream meta, events;
    struct mt_event_encoder encoder;
    struct mt_trace_names names;
};

void mt_tracenames_fini(struct mt_trace_names *names);
/* The number of (what, a, b); *ret_new: it was given now. 0: no memory. */
uint32_t mt_tracenames_number(struct mt_trace_names *names, enum mt_meta_tag what, uint64_t a, uint64_t b, bool *ret_new);

uint32_t mt_trace_writer_text(struct mt_trace_writer *writer, const char *text, size_t bytes);
/* Hands put a MODULE record (wire/records.def) of each object that is loaded in this process, for native stacks. */
typedef void mt_put_module(void *context, const struct mt_meta_builder *record);
void mt_describe_modules(mt_put_module *put, void *context);

#endif
