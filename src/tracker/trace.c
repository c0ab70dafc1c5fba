/* trace.c: see trace.h. Blocks, header, events and stacks. */
#include "tracker/trace.h"

#include "base/hash.h"
#include "tracker/private.h"

#include <string.h>

enum { RECORD_MAX = 8192, LINE_TABLE_NONE = MT_LINETABLE_LNOTAB };
static const char g_root_file[] = "<memtap.tracker>";

/* ---- blocks ------------------------------------------------------------------------------------------------------- */

static void fail(struct mt_trace_writer *writer, int code)
{
    writer->failure = writer->failure == MT_TRACKER_OK ? code : writer->failure;
}

static void flush(struct mt_trace_writer *writer, struct mt_trace_stream *stream)
{
    bool is_meta = stream == &writer->meta;
    struct mt_block_header block = {
        .magic = MT_BLOCK_MAGIC,
        .type = is_meta ? MT_BLOCK_META : MT_BLOCK_EVENTS,
        .codec = MT_CODEC_NONE,
        .stored_bytes = (uint32_t)stream->bytes,
        .raw_bytes = (uint32_t)stream->bytes,
        .stream = stream->stream,
        .extent_bytes = mt_block_extent(stream->bytes),
        .clock_first = is_meta ? writer->header.start_clock : stream->clock_first,
        .clock_last = writer->clock,
        .seq_committed = (uint64_t)stream->seq << 32,
        .events = stream->events,
    };
    if (stream->bytes == 0) {
        return;
    }
    mt_block_seal(&block, stream->buffer);
    if (mt_os_write_at(writer->fd, stream->buffer, stream->bytes, writer->tail + sizeof block) != MT_OK ||
        mt_os_write_at(writer->fd, &block, sizeof block, writer->tail) != MT_OK) {
        fail(writer, MT_TRACKER_IO);
    }
    writer->tail += block.extent_bytes;
    stream->seq++;
    stream->bytes = 0;
    stream->events = 0;
}

static void put_meta(struct mt_trace_writer *writer, enum mt_meta_tag tag, const struct mt_meta_builder *record)
{
    struct mt_trace_stream *meta = &writer->meta;
    if (record->overflow) {
        fail(writer, MT_TRACKER_ARGUMENT);
        return;
    }
    if (meta->bytes + record->bytes + MT_VARINT_MAX + 1 > MT_TRACE_BUFFER_BYTES) {
        flush(writer, meta);
    }
    meta->bytes += mt_meta_head(meta->buffer + meta->bytes, tag, record->bytes);
    memcpy(meta->buffer + meta->bytes, record->buf, record->bytes);
    meta->bytes += record->bytes;
}

/* ---- names and stacks --------------------------------------------------------------------------------------------- */

uint32_t mt_trace_writer_text(struct mt_trace_writer *writer, const char *text, size_t bytes)
{
    bool is_new = false;
    uint8_t buffer[RECORD_MAX];
    struct mt_meta_builder record;
    bytes = bytes < RECORD_MAX ? bytes : RECORD_MAX;
    if (bytes == 0) {
        return 0;
    }
    uint64_t check = (uint64_t)mt_crc32c(0, text, bytes) << 32 | bytes;
    uint32_t number = mt_tracenames_number(&writer->names, MT_META_STRING, mt_hash_bytes(text, bytes), check, &is_new);
    if (is_new) {
        mt_meta_begin(&record, buffer, sizeof buffer);
        mt_record_put_string(&record, &(struct mt_record_string){ { text, bytes } });
        put_meta(writer, MT_META_STRING, &record);
    }
    return number;
}

static uint32_t code_of(struct mt_trace_writer *writer, const struct mt_tracker_frame *frame)
{
    bool is_new = false;
    uint8_t buffer[8 * MT_VARINT_MAX];
    struct mt_meta_builder record;
    uint32_t file = mt_trace_writer_text(writer, frame->file, strlen(frame->file));
    uint32_t function = mt_trace_writer_text(writer, frame->function, strlen(frame->function));
    uint64_t key = (uint64_t)file << 32 | function;
    uint32_t number = mt_tracenames_number(&writer->names, MT_META_CODE, key, frame->line, &is_new);
    if (is_new) {
        mt_meta_begin(&record, buffer, sizeof buffer);
        const struct mt_record_code code = { .number = number,
                                             .filename = file,
                                             .name = function,
                                             .qualname = function,
                                             .first_line = frame->line,
                                             .linetable_kind = LINE_TABLE_NONE };
        mt_record_put_code(&record, &code);
        put_meta(writer, MT_META_CODE, &record);
    }
    return number;
}

static uint32_t python_node(struct mt_trace_writer *writer, uint32_t parent, uint32_t code)
{
    bool is_new = false;
    uint8_t buffer[4 * MT_VARINT_MAX];
    struct mt_meta_builder record;
    uint32_t number = mt_tracenames_number(&writer->names, MT_META_PYTHON_NODE, parent, code, &is_new);
    if (is_new) {
        mt_meta_begin(&record, buffer, sizeof buffer);
        mt_record_put_python(&record, &(struct mt_record_python){ .parent = parent, .code = code });
        put_meta(writer, MT_META_PYTHON_NODE, &record);
    }
    return number;
}

static uint32_t native_node(struct mt_trace_writer *writer, uint32_t parent, uint64_t pc)
{
    bool is_new = false;
    uint8_t buffer[2 * MT_VARINT_MAX];
    struct mt_meta_builder record;
    uint32_t number = mt_tracenames_number(&writer->names, MT_META_NATIVE_NODE, parent, pc, &is_new);
    if (is_new) {
        mt_meta_begin(&record, buffer, sizeof buffer);
        mt_record_put_native(&record, &(struct mt_record_native){ .parent = parent, .pc = pc });
        put_meta(writer, MT_META_NATIVE_NODE, &record);
    }
    return number;
}

uint32_t mt_trace_writer_stack(struct mt_trace_writer *writer, const struct mt_tracker_frame *frames, size_t frame_count,
                               const uint64_t *pcs, size_t pc_count)
{
    bool is_new = false;
    uint8_t buffer[4 * MT_VARINT_MAX];
    struct mt_meta_builder record;
    uint32_t native = 0;
    uint32_t python = 0;
    for (size_t i = frame_count; i-- > 0;) {
        python = python_node(writer, python, code_of(writer, &frames[i]));
    }
    for (size_t i = pc_count; i-- > 0;) {
        native = native_node(writer, native, pcs[i]);
    }
    uint32_t number = mt_tracenames_number(&writer->names, MT_META_STACK, native, python, &is_new);
    if (is_new) {
        mt_meta_begin(&record, buffer, sizeof buffer);
        mt_record_put_stack(&record, &(struct mt_record_stack){ .native = native, .python = python });
        put_meta(writer, MT_META_STACK, &record);
    }
    return number;
}

/* ---- events -------------------------------------------------------------------------------------------------------- */

static uint64_t tick(struct mt_trace_writer *writer, uint64_t time_ns)
{
    writer->clock = time_ns > writer->clock ? time_ns : writer->clock + 1; /* strictly increasing in a stream */
    return writer->clock;
}

/* Events may be older than the file: the recording began with the first of them. */
static void set_start(struct mt_trace_writer *writer, uint64_t first_ns)
{
    struct mt_trace_header *header = &writer->header;
    if (first_ns < header->start_clock) {
        header->start_realtime_ns -= header->start_clock - first_ns;
        header->start_clock = first_ns;
    }
}

static void make_room(struct mt_trace_writer *writer, uint64_t time_ns)
{
    struct mt_trace_stream *events = &writer->events;
    if (events->bytes + 2 * (size_t)MT_EVENT_MAX_BYTES > MT_TRACE_BUFFER_BYTES) {
        flush(writer, events);
    }
    if (events->bytes == 0) {
        set_start(writer, writer->clock == 0 ? time_ns : writer->clock);
        events->clock_first = time_ns > writer->clock ? time_ns - 1 : writer->clock;
        mt_encode_begin(&writer->encoder, events->buffer, events->clock_first);
    }
}

static void put_realloc(struct mt_trace_writer *writer, const struct mt_tracker_event *event, uint32_t stack)
{
    if (event->unmatched) {
        mt_encode_alloc(&writer->encoder, MT_EVENT_ALLOC, MT_ALLOCATOR_UNKNOWN, tick(writer, event->time_ns), event->address,
                        event->size_bytes, stack);
        return;
    }
    mt_encode_free(&writer->encoder, MT_EVENT_REALLOC_OLD, tick(writer, event->time_ns), event->old_address);
    mt_encode_alloc(&writer->encoder, MT_EVENT_REALLOC_NEW, MT_ALLOCATOR_UNKNOWN, tick(writer, event->time_ns),
                    event->address, event->size_bytes, stack);
}

int mt_trace_writer_put(struct mt_trace_writer *writer, const struct mt_tracker_event *event, uint32_t stack)
{
    if (event->type > MT_TRACKER_REALLOCATION) {
        return writer->failure;
    }
    make_room(writer, event->time_ns);
    if (event->type == MT_TRACKER_ALLOCATION) {
        mt_encode_alloc(&writer->encoder, MT_EVENT_ALLOC, MT_ALLOCATOR_UNKNOWN, tick(writer, event->time_ns), event->address,
                        event->size_bytes, stack);
    } else if (event->type == MT_TRACKER_DEALLOCATION) {
        mt_encode_free(&writer->encoder, MT_EVENT_FREE, tick(writer, event->time_ns), event->address);
    } else {
        put_realloc(writer, event, stack);
    }
    writer->events.bytes = (size_t)(writer->encoder.at - writer->events.buffer);
    writer->events.events = writer->encoder.events;
    return writer->failure;
}

/* ---- life ----------------------------------------------------------------------------------------------------------- */

static void put_thread(struct mt_trace_writer *writer)
{
    uint8_t buffer[64];
    static const char name[] = "tracker";
    struct mt_meta_builder record;
    mt_meta_begin(&record, buffer, sizeof buffer);
    const struct mt_record_thread thread = { .stream = writer->events.stream,
                                             .tid = (uint64_t)mt_os_tid(),
                                             .name = { name, sizeof name - 1 },
                                             .clock = writer->header.start_clock };
    mt_record_put_thread(&record, &thread);
    put_meta(writer, MT_META_THREAD, &record);
}

static void write_header(struct mt_trace_writer *writer)
{
    uint8_t page[MT_TRACE_HEADER_BYTES] = { 0 };
    memcpy(page, &writer->header, sizeof writer->header);
    if (mt_os_write_at(writer->fd, page, sizeof page, 0) != MT_OK) {
        fail(writer, MT_TRACKER_IO);
    }
}

static void begin(struct mt_trace_writer *writer)
{
    static const char command[] = "memtap tracker";
    struct mt_trace_header *header = &writer->header;
    memcpy(header->magic, MT_TRACE_MAGIC, sizeof header->magic);
    header->major = MT_TRACE_MAJOR;
    header->minor = MT_TRACE_MINOR;
    header->header_bytes = MT_TRACE_HEADER_BYTES;
    header->flags = MT_TRACE_EXACT | MT_TRACE_PYTHON_FRAMES;
    header->pid = (uint64_t)mt_os_pid();
    header->start_clock = mt_os_monotonic_ns();
    header->start_realtime_ns = mt_os_realtime_ns();
    header->state = MT_STATE_RECORDING;
    header->command_bytes = sizeof command - 1;
    memcpy(header->command, command, sizeof command - 1);
    writer->tail = MT_TRACE_HEADER_BYTES;
    header->file_tail = writer->tail;
    writer->events.stream = 1;
    put_thread(writer);
    write_header(writer);
}

int mt_trace_writer_open(const char *path, struct mt_trace_writer **ret)
{
    void *memory = NULL;
    int fd = -1;
    if (mt_os_map_anonymous(sizeof(struct mt_trace_writer) + 2 * (size_t)MT_TRACE_BUFFER_BYTES, &memory) != MT_OK) {
        return MT_TRACKER_NO_MEMORY;
    }
    if (mt_os_open(path, MT_OPEN_CREATE_NEW, &fd) != MT_OK) {
        mt_os_unmap(memory, sizeof(struct mt_trace_writer) + 2 * (size_t)MT_TRACE_BUFFER_BYTES);
        return MT_TRACKER_IO;
    }
    struct mt_trace_writer *writer = memory;
    writer->fd = fd;
    writer->meta.buffer = (uint8_t *)(writer + 1);
    writer->events.buffer = writer->meta.buffer + MT_TRACE_BUFFER_BYTES;
    begin(writer);
    *ret = writer;
    return MT_TRACKER_OK;
}

int mt_trace_writer_close(struct mt_trace_writer *writer)
{
    if (writer == NULL) {
        return MT_TRACKER_OK;
    }
    flush(writer, &writer->meta);
    flush(writer, &writer->events);
    writer->header.file_tail = writer->tail;
    writer->header.end_clock = writer->clock > writer->header.start_clock ? writer->clock : writer->header.start_clock;
    writer->header.state = MT_STATE_ENDED;
    writer->header.counters[MT_COUNTER_THREADS] = 1;
    writer->header.counters[MT_COUNTER_STACKS] = writer->names.numbers[MT_META_STACK];
    if (mt_os_truncate(writer->fd, writer->tail) != MT_OK) {
        fail(writer, MT_TRACKER_IO);
    }
    write_header(writer);
    mt_os_close(writer->fd);
    int failure = writer->failure;
    mt_tracenames_fini(&writer->names);
    mt_os_unmap(writer, sizeof *writer + 2 * (size_t)MT_TRACE_BUFFER_BYTES);
    return failure;
}

/* ---- a tracker's history --------------------------------------------------------------------------------------------- */

static uint32_t stack_of(struct mt_trace_writer *writer, const struct mt_tracker *tracker,
                         const struct mt_tracker_event *event, bool native_stacks)
{
    struct mt_tracker_frame root = { mt_tracker_kind_name(tracker, event->kind), g_root_file, 0 };
    size_t count = 0;
    const uint64_t *words = native_stacks ? mt_tracker_stack_words(tracker, event->stack, &count) : NULL;
    return mt_trace_writer_stack(writer, &root, count == 0 ? 1 : 0, words, count);
}

static void put_module(void *writer, const struct mt_meta_builder *record)
{
    put_meta(writer, MT_META_MODULE, record);
}

int mt_tracker_write_trace(struct mt_tracker *tracker, const char *path, bool native_stacks)
{
    struct mt_trace_writer *writer = NULL;
    struct mt_tracker_events events;
    int code = mt_events_collect(tracker, NULL, &events);
    if (code != MT_TRACKER_OK) {
        return code;
    }
    code = mt_trace_writer_open(path, &writer);
    if (code == MT_TRACKER_OK) {
        if (native_stacks) {
            writer->header.flags |= MT_TRACE_NATIVE;
            mt_describe_modules(put_module, writer);
        }
        for (size_t i = 0; i < events.count; i++) {
            (void)mt_trace_writer_put(writer, &events.items[i], stack_of(writer, tracker, &events.items[i], native_stacks));
        }
        code = mt_trace_writer_close(writer);
    }
    mt_events_release(&events);
    return code;
}
