/* slots.c: see slots.h. */
#include "heap/slots.h"

#include "base/atomic.h"
#include "base/lock.h"
#include "base/os.h"
#include "heap/descriptor.h"
#include "heap/engine.h"
#include "heap/waiting.h"
#include "wire/encode.h"
#include "wire/journal_path.h"

#include <string.h>

enum { POOL_MAX = 256, NUMBERS_TRIED = 4 };

static struct {
    struct mt_trace_header *header; /* MAP_SHARED, one page */
    uint64_t max_bytes;             /* 0: no limit */
    uint64_t sparse_bytes;          /* of the trace behind its base: claimed and never written */
    uint64_t dead_bytes;            /* before it: not given back */
    uint32_t taken;                 /* shared: slots that have not been given back, and tables: their content may be nowhere else */
    struct mt_spinlock lock;        /* guards pool and large_slots */
    struct mt_slot pool[POOL_MAX];
    uint32_t pool_count;
    uint32_t large_slots;
} g_slots = { .lock = MT_SPINLOCK_INIT(MT_RANK_FILE) };

struct mt_trace_header *mt_slots_header(void)
{
    return g_slots.header;
}

uint64_t mt_slots_limit(void)
{
    return g_slots.max_bytes;
}

void mt_slots_set_holes(uint64_t sparse_bytes, uint64_t dead_bytes)
{
    mt_store_relaxed(&g_slots.sparse_bytes, sparse_bytes);
    mt_store_relaxed(&g_slots.dead_bytes, dead_bytes);
}

/* The page before a base can be given back only as a whole. */
uint64_t mt_slots_used(uint64_t trace_tail)
{
    uint64_t base = mt_load_relaxed(&g_slots.header->base_offset);
    uint64_t there = trace_tail - mt_load_relaxed(&g_slots.sparse_bytes) + mt_load_relaxed(&g_slots.dead_bytes);
    return base == 0 ? there : there - base + MT_TRACE_HEADER_BYTES + mt_os_page_bytes();
}

bool mt_slots_within_limit(uint64_t trace_tail, uint64_t journal_bytes)
{
    return g_slots.max_bytes == 0 || mt_slots_used(trace_tail) + journal_bytes <= g_slots.max_bytes;
}

/* ---- the journal ----------------------------------------------------------------------------------------------------- */

/* A new file; its number and path. Beside a trace that was given and is not what its path leads to (another root, a folder that may
 * not be searched) there is somebody else's folder. */
static mt_status make(const struct mt_engine_config *config, uint64_t *ret_number, char *ret_path, size_t capacity, int *ret_fd)
{
    bool given = config->fd > 0 && config->make_journal != NULL;
    mt_status status = MT_E_EXIST;
    for (int i = 0; i < NUMBERS_TRIED && status == MT_E_EXIST; i++) {
        *ret_number = mt_os_random() | 1;
        if (!mt_journal_path(config->path, *ret_number, ret_path, capacity)) {
            return MT_E_INVAL;
        }
        status = given && !mt_descriptor_is_at_its_path(MT_KEPT_TRACE) ? MT_E_NOENT
                                                                       : mt_os_open(ret_path, MT_OPEN_CREATE_NEW, ret_fd);
    }
    if (status == MT_OK || !given) {
        return status;
    }
    return config->make_journal(*ret_number, mt_descriptor_file(MT_KEPT_TRACE), ret_fd); /* who made the trace can make this */
}

/* In the place of an earlier journal's header: whoever still counts into that one never finds it unmapped. */
static mt_status map_header(int fd, void **ret_base)
{
    mt_status status = mt_os_preallocate(fd, 0, MT_TRACE_HEADER_BYTES);
    if (status != MT_OK) {
        return status;
    }
    if (g_slots.header == NULL) {
        return mt_os_map_file(fd, 0, MT_TRACE_HEADER_BYTES, true, ret_base);
    }
    *ret_base = g_slots.header;
    return mt_os_map_file_over(g_slots.header, fd, 0, MT_TRACE_HEADER_BYTES);
}

static void format_header(struct mt_trace_header *header, uint64_t number, const char *path)
{
    size_t length = strlen(path);
    memcpy(header->magic, MT_JOURNAL_MAGIC, sizeof header->magic);
    header->major = MT_TRACE_MAJOR;
    header->minor = MT_TRACE_MINOR;
    header->header_bytes = MT_TRACE_HEADER_BYTES;
    header->file_tail = MT_TRACE_HEADER_BYTES;
    header->journal = number;
    header->journal_tail = MT_TRACE_HEADER_BYTES;
    header->trace_device = mt_descriptor_file(MT_KEPT_TRACE)->device;
    header->trace_inode = mt_descriptor_file(MT_KEPT_TRACE)->inode;
    if (length < sizeof header->journal_path) {
        memcpy(header->journal_path, path, length + 1);
    }
}

mt_status mt_slots_open(const struct mt_engine_config *config)
{
    static char path[MT_PATH_MAX]; /* too large for a small stack; one start at a time */
    uint64_t number = 0;
    int fd = -1;
    void *base = NULL;
    mt_status status = make(config, &number, path, sizeof path, &fd);
    if (status != MT_OK) {
        return status;
    }
    status = map_header(fd, &base);
    if (status != MT_OK) {
        mt_os_close(fd);
    } else {
        const struct mt_keep how = {
            .path = path, .journal = number, .alone = !config->late, .open_again = config->open_again
        };
        status = mt_descriptor_keep(MT_KEPT_JOURNAL, fd, &how);
    }
    if (status != MT_OK) {
        (void)(mt_os_unlink(path) == MT_OK);
        return status;
    }
    (void)mt_os_advise_dontfork(base, MT_TRACE_HEADER_BYTES);
    g_slots.header = base;
    g_slots.max_bytes = config->max_file_bytes;
    g_slots.taken = 0;
    g_slots.sparse_bytes = g_slots.dead_bytes = 0;
    format_header(g_slots.header, number, path);
    return MT_OK;
}

void mt_slots_note_taken(void)
{
    (void)mt_fetch_add_relaxed(&g_slots.taken, 1u);
}

bool mt_slots_are_empty(void)
{
    return mt_load_relaxed(&g_slots.taken) == 0;
}

void mt_slots_close(bool remove)
{
    for (uint32_t i = 0; i < g_slots.pool_count; i++) {
        mt_os_unmap(g_slots.pool[i].header, g_slots.pool[i].bytes);
    }
    g_slots.pool_count = 0;
    g_slots.large_slots = 0;
    if (remove) {
        mt_descriptor_remove(MT_KEPT_JOURNAL);
    }
    mt_descriptor_close(MT_KEPT_JOURNAL);
}

void mt_slots_after_fork(void)
{
    g_slots.header = NULL;
    g_slots.pool_count = 0;
    g_slots.large_slots = 0;
    mt_spinlock_reset(&g_slots.lock);
}

mt_status mt_slots_use(int *ret_fd)
{
    mt_status status = mt_descriptor_use(MT_KEPT_JOURNAL, ret_fd);
    return status == MT_E_NOENT && *ret_fd >= 0 ? MT_OK : status;
}

mt_status mt_slots_map_extent(size_t bytes, void **ret_base)
{
    struct mt_trace_header *header = g_slots.header;
    if (!mt_slots_within_limit(mt_load_relaxed(&header->file_tail), mt_load_relaxed(&header->journal_tail) + bytes)) {
        return MT_E_SIZE;
    }
    int fd = -1;
    mt_status status = mt_slots_use(&fd);
    if (status != MT_OK) {
        return status;
    }
    uint64_t offset = mt_fetch_add_acq_rel(&header->journal_tail, (uint64_t)bytes);
    status = mt_os_preallocate(fd, offset, bytes);
    status = status == MT_OK ? mt_os_map_file(fd, offset, bytes, true, ret_base) : status;
    if (status == MT_OK) {
        (void)mt_os_advise_dontfork(*ret_base, bytes);
    } else {
        uint64_t claimed = offset + bytes; /* given back where nobody has claimed behind it */
        (void)mt_cas_acq_rel(&header->journal_tail, &claimed, offset);
    }
    mt_descriptor_done(MT_KEPT_JOURNAL, fd);
    return status;
}

/* ---- slots ------------------------------------------------------------------------------------------------------------ */

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
    for (uint32_t i = g_slots.pool_count; i-- > 0;) {
        if (!large || g_slots.pool[i].bytes == MT_SLOT_BYTES) {
            *ret_slot = g_slots.pool[i];
            g_slots.pool[i] = g_slots.pool[--g_slots.pool_count];
            return true;
        }
    }
    return false;
}

/* In the file; while there is no room in it, in memory alone: its content reaches the file as blocks. */
static mt_status map_slot(struct mt_slot *slot)
{
    void *base = NULL;
    mt_status status = mt_slots_map_extent(slot->bytes, &base);
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
    if (!mt_spinlock_lock(&g_slots.lock)) {
        return MT_E_BUSY;
    }
    bool take_large = large && g_slots.large_slots < MT_SLOT_LARGE_COUNT;
    bool pooled = pool_take_locked(take_large, &slot) || pool_take_locked(false, &slot);
    if (!pooled && take_large) {
        g_slots.large_slots++;
    }
    mt_spinlock_unlock(&g_slots.lock);
    if (!pooled) {
        slot.bytes = take_large ? MT_SLOT_BYTES : MT_SLOT_SMALL_BYTES;
        mt_status status = map_slot(&slot);
        if (status != MT_OK) {
            return status;
        }
    }
    slot_format(&slot, stream, kind, seq);
    if (!slot.in_memory) {
        mt_slots_note_taken();
    }
    *ret_slot = slot;
    return MT_OK;
}

static bool pool_put(const struct mt_slot *slot)
{
    bool kept = false;
    if (mt_spinlock_lock(&g_slots.lock)) {
        if (g_slots.pool_count < POOL_MAX) {
            g_slots.pool[g_slots.pool_count++] = *slot;
            kept = true;
        }
        mt_spinlock_unlock(&g_slots.lock);
    }
    return kept;
}

void mt_slot_release(struct mt_slot *slot)
{
    if (slot->header == NULL) {
        return;
    }
    slot_format(slot, MT_STREAM_NONE, MT_BLOCK_EVENTS, 0);
    if (!slot->in_memory) {
        (void)mt_fetch_add_relaxed(&g_slots.taken, -1u);
    }
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
        if (mt_slots_map_extent(slot.bytes, &base) != MT_OK) {
            return;
        }
        slot.header = base;
        mt_slots_note_taken();
        mt_slot_release(&slot);
    }
}
