/* tracefile.c: see tracefile.h. */
#include "heap/tracefile.h"

#include "base/atomic.h"
#include "base/lock.h"
#include "base/os.h"
#include "heap/engine.h"
#include "wire/encode.h"

#include <string.h>

enum { POOL_MAX = 256, PAGE = 4096 };

static struct {
    struct mt_trace_header *header; /* MAP_SHARED, one page */
    uint64_t max_bytes;             /* 0: no limit */
    struct mt_spinlock lock;        /* guards pool and large_slots */
    struct mt_slot pool[POOL_MAX];
    uint32_t pool_count;
    uint32_t large_slots;
} g_file = { .lock = MT_SPINLOCK_INIT(MT_RANK_FILE) };

struct mt_trace_header *mt_tracefile_header(void)
{
    return g_file.header;
}

/* In the place of an earlier trace's header: whoever still counts into that one never finds it unmapped. */
static mt_status map_header(int fd, void **ret_base)
{
    if (g_file.header == NULL) {
        return mt_os_map_file(fd, 0, MT_TRACE_HEADER_BYTES, true, ret_base);
    }
    *ret_base = g_file.header;
    return mt_os_map_file_over(g_file.header, fd, 0, MT_TRACE_HEADER_BYTES);
}

/* Room for the header, mapped. */
static mt_status begin_file(int fd, void **ret_base)
{
    mt_status status = mt_os_preallocate(fd, 0, MT_TRACE_HEADER_BYTES);
    return status == MT_OK ? map_header(fd, ret_base) : status;
}

static struct mt_trace_header *format_header(void *base)
{
    struct mt_trace_header *header = base;
    memcpy(header->magic, MT_TRACE_MAGIC, sizeof header->magic);
    header->major = MT_TRACE_MAJOR;
    header->minor = MT_TRACE_MINOR;
    header->header_bytes = MT_TRACE_HEADER_BYTES;
    header->file_tail = MT_TRACE_HEADER_BYTES;
    return header;
}

mt_status mt_tracefile_create(const struct mt_engine_config *config, struct mt_trace_header **ret_header)
{
    int fd = config->fd;
    mt_status status = fd > 0 ? MT_OK : mt_os_open(config->path, MT_OPEN_CREATE_NEW, &fd);
    if (status != MT_OK) {
        return status;
    }
    void *base = NULL;
    status = begin_file(fd, &base);
    if (status == MT_OK) {
        status = mt_descriptor_keep(fd, config->path, !config->late, config->open_again);
    } else {
        mt_os_close(fd);
    }
    if (status != MT_OK) {
        (void)(mt_os_unlink(config->path) == MT_OK);
        return status;
    }
    (void)mt_os_advise_dontfork(base, MT_TRACE_HEADER_BYTES);
    g_file.header = format_header(base);
    g_file.max_bytes = config->max_file_bytes;
    *ret_header = g_file.header;
    return MT_OK;
}

void mt_tracefile_close(void)
{
    for (uint32_t i = 0; i < g_file.pool_count; i++) {
        mt_os_unmap(g_file.pool[i].header, g_file.pool[i].bytes);
    }
    g_file.pool_count = 0;
    g_file.large_slots = 0;
    mt_descriptor_close();
}

void mt_tracefile_after_fork(void)
{
    g_file.header = NULL;
    g_file.pool_count = 0;
    g_file.large_slots = 0;
    mt_spinlock_reset(&g_file.lock);
    mt_descriptor_after_fork();
    mt_waiting_after_fork();
}

static bool within_limit(uint64_t end)
{
    return g_file.max_bytes == 0 || end <= g_file.max_bytes;
}

/* Writes header and payload at an offset that has been claimed; the payload first, so that a valid header implies it. */
static mt_status write_extent(int fd, const struct mt_block_header *header, const void *payload, size_t bytes, uint64_t offset)
{
    mt_status status = bytes > 0 ? mt_os_write_at(fd, payload, bytes, offset + sizeof *header) : MT_OK;
    return status == MT_OK ? mt_os_write_at(fd, header, sizeof *header, offset) : status;
}

/* A claim that is not used, and that nobody has claimed behind. */
static void give_back(uint64_t from, uint64_t to)
{
    (void)mt_cas_acq_rel(&g_file.header->file_tail, &to, from);
}

/* Claims room at the tail and fills it. The descriptor comes first: a claim that is not used leaves a hole at the end. */
static mt_status append_now(const struct mt_block_header *header, const void *payload, size_t bytes)
{
    if (!within_limit(mt_load_relaxed(&g_file.header->file_tail) + header->extent_bytes)) {
        return MT_E_SIZE;
    }
    int fd = -1;
    mt_status status = mt_descriptor_use(&fd);
    if (status != MT_OK) {
        return status;
    }
    uint64_t offset = mt_fetch_add_acq_rel(&g_file.header->file_tail, (uint64_t)header->extent_bytes);
    status = write_extent(fd, header, payload, bytes, offset);
    mt_descriptor_done(fd);
    if (status != MT_OK) {
        give_back(offset, offset + header->extent_bytes);
    }
    return status;
}

mt_status mt_tracefile_append(struct mt_block_header *header, const void *payload, size_t bytes)
{
    header->magic = MT_BLOCK_MAGIC;
    header->codec = MT_CODEC_NONE;
    header->stored_bytes = (uint32_t)bytes;
    header->raw_bytes = (uint32_t)bytes;
    header->extent_bytes = mt_block_extent(bytes);
    mt_block_seal(header, payload);
    mt_status status = mt_waiting_write(append_now);
    return status == MT_OK ? append_now(header, payload, bytes) : status;
}

mt_status mt_tracefile_append_later(const struct mt_block_header *header, const void *payload, size_t bytes, mt_status why)
{
    bool waits = mt_waiting_may_help(why) && mt_waiting_add(header, payload, bytes, why) == MT_OK;
    return waits ? MT_OK : why;
}

struct mt_waiting_loss mt_tracefile_settle(void)
{
    (void)mt_waiting_write(append_now);
    return mt_waiting_drop();
}

/* Claims bytes at a page boundary; ret_pad is the unused gap before it. */
static uint64_t claim_page_aligned(uint64_t bytes, uint64_t *ret_pad_offset, uint32_t *ret_pad_bytes)
{
    uint64_t tail = mt_load_relaxed(&g_file.header->file_tail);
    uint64_t start;
    do {
        start = (tail + PAGE - 1) & ~(uint64_t)(PAGE - 1);
    } while (!mt_cas_acq_rel(&g_file.header->file_tail, &tail, start + bytes));
    *ret_pad_offset = tail;
    *ret_pad_bytes = (uint32_t)(start - tail);
    return start;
}

static void write_pad(int fd, uint64_t offset, uint32_t bytes)
{
    if (bytes < sizeof(struct mt_block_header)) {
        return;
    }
    struct mt_block_header pad = { .magic = MT_BLOCK_MAGIC, .type = MT_BLOCK_PAD, .extent_bytes = bytes };
    mt_block_seal(&pad, NULL);
    (void)(write_extent(fd, &pad, NULL, 0, offset) == MT_OK); /* a reader finds its way over a hole as well */
}

mt_status mt_tracefile_map_extent(size_t bytes, void **ret_base)
{
    if (!within_limit(mt_load_relaxed(&g_file.header->file_tail) + bytes + PAGE)) {
        return MT_E_SIZE;
    }
    int fd = -1;
    mt_status status = mt_descriptor_use(&fd);
    if (status != MT_OK) {
        return status;
    }
    uint64_t pad_offset;
    uint32_t pad_bytes;
    uint64_t offset = claim_page_aligned(bytes, &pad_offset, &pad_bytes);
    status = mt_os_preallocate(fd, offset, bytes);
    status = status == MT_OK ? mt_os_map_file(fd, offset, bytes, true, ret_base) : status;
    if (status == MT_OK) {
        (void)mt_os_advise_dontfork(*ret_base, bytes);
        write_pad(fd, pad_offset, pad_bytes);
    } else {
        give_back(pad_offset, offset + bytes);
    }
    mt_descriptor_done(fd);
    return status;
}

static void slot_format(struct mt_slot *slot, uint32_t stream, enum mt_block_type kind, uint32_t seq)
{
    struct mt_block_header *header = slot->header;
    mt_store_release(&header->seq_committed, (uint64_t)seq << 32);
    header->magic = MT_BLOCK_MAGIC;
    header->type = MT_BLOCK_SLOT;
    header->codec = MT_CODEC_NONE;
    header->kind = (uint16_t)kind;
    header->stored_bytes = slot->bytes - (uint32_t)sizeof *header;
    header->raw_bytes = 0;
    header->stream = stream;
    header->extent_bytes = slot->bytes;
    header->clock_first = 0;
    header->clock_last = 0;
    mt_slot_seal(header);
}

/* A pooled slot of at least the wanted size class; large ones serve small requests when nothing else is there. */
static bool pool_take_locked(bool large, struct mt_slot *ret_slot)
{
    for (uint32_t i = g_file.pool_count; i-- > 0;) {
        if (!large || g_file.pool[i].bytes == MT_SLOT_BYTES) {
            *ret_slot = g_file.pool[i];
            g_file.pool[i] = g_file.pool[--g_file.pool_count];
            return true;
        }
    }
    return false;
}

/* In the file; while there is no room in it, in memory alone: its content reaches the file as blocks. */
static mt_status map_slot(struct mt_slot *slot)
{
    void *base = NULL;
    mt_status status = mt_tracefile_map_extent(slot->bytes, &base);
    if (mt_waiting_may_help(status) && mt_os_map_anonymous(slot->bytes, &base) == MT_OK) {
        (void)mt_os_advise_dontfork(base, slot->bytes);
        slot->in_memory = true;
        status = MT_OK;
    }
    if (status == MT_OK) {
        slot->header = base;
    }
    return status;
}

mt_status mt_slot_acquire(uint32_t stream, enum mt_block_type kind, bool large, uint32_t seq, struct mt_slot *ret_slot)
{
    struct mt_slot slot = { .header = NULL };
    if (!mt_spinlock_lock(&g_file.lock)) {
        return MT_E_BUSY;
    }
    bool take_large = large && g_file.large_slots < MT_SLOT_LARGE_COUNT;
    bool pooled = pool_take_locked(take_large, &slot) || pool_take_locked(false, &slot);
    if (!pooled && take_large) {
        g_file.large_slots++;
    }
    mt_spinlock_unlock(&g_file.lock);
    if (!pooled) {
        slot.bytes = take_large ? MT_SLOT_BYTES : MT_SLOT_SMALL_BYTES;
        mt_status status = map_slot(&slot);
        if (status != MT_OK) {
            return status;
        }
    }
    slot_format(&slot, stream, kind, seq);
    *ret_slot = slot;
    return MT_OK;
}

static bool pool_put(const struct mt_slot *slot)
{
    bool kept = false;
    if (mt_spinlock_lock(&g_file.lock)) {
        if (g_file.pool_count < POOL_MAX) {
            g_file.pool[g_file.pool_count++] = *slot;
            kept = true;
        }
        mt_spinlock_unlock(&g_file.lock);
    }
    return kept;
}

void mt_slot_release(struct mt_slot *slot)
{
    if (slot->header == NULL) {
        return;
    }
    slot_format(slot, MT_STREAM_NONE, MT_BLOCK_EVENTS, 0);
    if (slot->in_memory || !pool_put(slot)) {
        mt_os_unmap(slot->header, slot->bytes);
    }
    slot->header = NULL;
}

mt_status mt_slot_leave(struct mt_slot *slot, mt_status why, uint32_t stream, enum mt_block_type kind, uint32_t next_seq)
{
    struct mt_slot next;
    if (why == MT_E_NOENT || why == MT_E_REPLACED || why == MT_E_TRUNCATED) {
        return why; /* there is no trace to go on with */
    }
    if (slot->in_memory || mt_slot_acquire(stream, kind, slot->bytes == MT_SLOT_BYTES, next_seq, &next) != MT_OK) {
        return why;
    }
    mt_os_unmap(slot->header, slot->bytes);
    *slot = next;
    return MT_OK;
}

void mt_slot_move_to_file(struct mt_slot *slot, uint32_t stream, enum mt_block_type kind, uint32_t seq)
{
    struct mt_slot next;
    if (!slot->in_memory || mt_slot_acquire(stream, kind, slot->bytes == MT_SLOT_BYTES, seq, &next) != MT_OK) {
        return;
    }
    struct mt_slot *unused = next.in_memory ? &next : slot;
    mt_os_unmap(unused->header, unused->bytes);
    if (unused == slot) {
        *slot = next;
    }
}

void mt_slot_reserve(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct mt_slot slot = { .bytes = MT_SLOT_BYTES };
        void *base = NULL;
        if (mt_tracefile_map_extent(slot.bytes, &base) != MT_OK) {
            return;
        }
        slot.header = base;
        mt_slot_release(&slot);
    }
}
