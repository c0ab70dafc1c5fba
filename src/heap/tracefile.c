/* tracefile.c: see tracefile.h. */
#include "heap/tracefile.h"

#include "base/atomic.h"
#include "base/lock.h"
#include "base/os.h"
#include "heap/engine.h"
#include "wire/encode.h"

#include <string.h>

enum { PAGE = 4096, PROBE_BYTES = 16 * 1024 * 1024 };

#ifdef MT_CHECKS
void (*mt_g_tracefile_step)(void);
#endif

/* The trace's own header is written by the end or by a base, not by both. */
static struct mt_spinlock g_beginning = MT_SPINLOCK_INIT(MT_RANK_FILE);
static bool g_ended;

struct mt_trace_header *mt_tracefile_header(void)
{
    return mt_slots_header();
}

/* ---- begin and end -------------------------------------------------------------------------------------------------------- */

/* Where the trace was emptied the header is all the better: it says so. */
static mt_status use_trace_for_header(int *ret_fd)
{
    mt_status status = mt_descriptor_use(MT_KEPT_TRACE, ret_fd);
    return status == MT_E_TRUNCATED ? MT_OK : status;
}

/* The file's own header: what a reader without the journal goes by. whole: nothing of the trace is elsewhere. */
static mt_status write_header(bool whole)
{
    static union {
        struct mt_trace_header header;
        uint8_t page[MT_TRACE_HEADER_BYTES];
    } copy; /* too large for a small stack; one start or end at a time */
    int fd = -1;
    mt_status status = use_trace_for_header(&fd);
    if (status != MT_OK) {
        return status;
    }
    copy.header = *mt_slots_header();
    memcpy(copy.header.magic, MT_TRACE_MAGIC, sizeof copy.header.magic);
    copy.header.journal_tail = copy.header.trace_device = copy.header.trace_inode = 0;
    if (whole) {
        copy.header.journal = 0;
        memset(copy.header.journal_path, 0, sizeof copy.header.journal_path);
    }
    status = mt_os_write_at(fd, copy.page, sizeof copy.page, 0);
    mt_descriptor_done(MT_KEPT_TRACE, fd);
    return status;
}

/* All extents of the journal to the end of the trace, as they are: some have what could not be written as blocks. */
static mt_status copy_journal(void)
{
    static uint8_t piece[PAGE];
    struct mt_trace_header *trace = mt_slots_header();
    uint64_t bytes = trace->journal_tail - MT_TRACE_HEADER_BYTES;
    if (!mt_slots_within_limit(trace->file_tail + bytes, 0)) {
        return MT_E_SIZE;
    }
    int from = -1, to = -1;
    mt_status status = mt_slots_use(&from);
    if (status != MT_OK) {
        return status;
    }
    status = use_trace_for_header(&to);
    uint64_t offset = mt_fetch_add_acq_rel(&trace->file_tail, bytes);
    for (uint64_t done = 0; done < bytes && status == MT_OK; done += sizeof piece) {
        size_t got = 0;
        status = mt_os_read_at(from, piece, sizeof piece, MT_TRACE_HEADER_BYTES + done, &got);
        status = status == MT_OK ? mt_os_write_at(to, piece, got, offset + done) : status;
    }
    mt_descriptor_done(MT_KEPT_JOURNAL, from);
    mt_descriptor_done(MT_KEPT_TRACE, to);
    return status;
}

mt_status mt_tracefile_create(const struct mt_engine_config *config, struct mt_trace_header **ret_header)
{
    int fd = config->fd;
    mt_status status = fd > 0 ? MT_OK : mt_os_open(config->path, MT_OPEN_CREATE_NEW, &fd);
    if (status != MT_OK) {
        return status;
    }
    const struct mt_keep how = { .path = config->path, .alone = !config->late, .open_again = config->open_again };
    status = mt_descriptor_keep(MT_KEPT_TRACE, fd, &how);
    if (status == MT_OK) {
        status = mt_slots_open(config);
    }
    if (status != MT_OK) {
        mt_descriptor_close(MT_KEPT_TRACE);
        (void)(mt_os_unlink(config->path) == MT_OK);
        return status;
    }
    g_ended = false;
    *ret_header = mt_slots_header();
    return MT_OK;
}

mt_status mt_tracefile_show(void)
{
    return write_header(false);
}

/* True: the journal is of no more use, because all is in the trace, or there is none any more. */
static bool make_whole(void)
{
    bool whole = mt_slots_are_empty() || copy_journal() == MT_OK;
    bool locked = mt_spinlock_lock(&g_beginning);
    mt_store_relaxed(&g_ended, true);
    mt_status written = write_header(whole);
    if (locked) {
        mt_spinlock_unlock(&g_beginning);
    }
    return (whole && written == MT_OK) || written == MT_E_NOENT;
}

void mt_tracefile_close(void)
{
    mt_slots_close(make_whole());
    mt_descriptor_close(MT_KEPT_TRACE);
}

void mt_tracefile_end(void)
{
    static uint32_t ending; /* a signal handler that ends the process as well */
    if (mt_exchange_acq_rel(&ending, 1u) == 0 && make_whole()) {
        mt_descriptor_remove(MT_KEPT_JOURNAL);
    }
}

void mt_tracefile_after_fork(void)
{
    mt_spinlock_reset(&g_beginning);
    mt_slots_after_fork();
    mt_descriptor_after_fork();
    mt_waiting_after_fork();
}

/* ---- blocks --------------------------------------------------------------------------------------------------------------- */

/* Writes header and payload at an offset that has been claimed; the payload first, so that a valid header implies it. */
static mt_status write_extent(int fd, const struct mt_block_header *header, const void *payload, size_t bytes, uint64_t offset)
{
    MT_TRACEFILE_STEP();
    mt_status status = bytes > 0 ? mt_os_write_at(fd, payload, bytes, offset + sizeof *header) : MT_OK;
    MT_TRACEFILE_STEP();
    return status == MT_OK ? mt_os_write_at(fd, header, sizeof *header, offset) : status;
}

/* A claim that is not used, and that nobody has claimed behind. */
static void give_back(uint64_t from, uint64_t to)
{
    (void)mt_cas_acq_rel(&mt_slots_header()->file_tail, &to, from);
}

/* Claims room at the tail and fills it. The descriptor comes first: a claim that is not used leaves a hole at the end. */
static mt_status append_at_tail(const struct mt_block_header *header, const void *payload, size_t bytes, uint64_t *ret_offset)
{
    struct mt_trace_header *trace = mt_slots_header();
    if (!mt_slots_within_limit(mt_load_relaxed(&trace->file_tail) + header->extent_bytes, mt_load_relaxed(&trace->journal_tail))) {
        return MT_E_SIZE;
    }
    int fd = -1;
    mt_status status = mt_descriptor_use(MT_KEPT_TRACE, &fd);
    if (status != MT_OK) {
        return status;
    }
    uint64_t offset = mt_fetch_add_acq_rel(&trace->file_tail, (uint64_t)header->extent_bytes);
    status = write_extent(fd, header, payload, bytes, offset);
    mt_descriptor_done(MT_KEPT_TRACE, fd);
    if (status != MT_OK) {
        give_back(offset, offset + header->extent_bytes);
    }
    *ret_offset = offset;
    return status;
}

static mt_status append_now(const struct mt_block_header *header, const void *payload, size_t bytes)
{
    uint64_t ignored;
    return append_at_tail(header, payload, bytes, &ignored);
}

mt_status mt_tracefile_append_at(struct mt_block_header *header, const void *payload, size_t bytes, uint64_t *ret_offset)
{
    header->magic = MT_BLOCK_MAGIC;
    header->codec = MT_CODEC_NONE;
    header->stored_bytes = (uint32_t)bytes;
    header->raw_bytes = (uint32_t)bytes;
    header->extent_bytes = mt_block_extent(bytes);
    mt_block_seal(header, payload);
    mt_status status = mt_waiting_write(append_now);
    return status == MT_OK ? append_at_tail(header, payload, bytes, ret_offset) : status;
}

mt_status mt_tracefile_append(struct mt_block_header *header, const void *payload, size_t bytes)
{
    uint64_t ignored;
    return mt_tracefile_append_at(header, payload, bytes, &ignored);
}

/* ---- bases ---------------------------------------------------------------------------------------------------------------- */

uint64_t mt_tracefile_claim(uint64_t bytes)
{
    MT_TRACEFILE_STEP();
    return mt_fetch_add_acq_rel(&mt_slots_header()->file_tail, bytes);
}

mt_status mt_tracefile_write(uint64_t offset, const void *data, size_t bytes)
{
    int fd = -1;
    MT_TRACEFILE_STEP();
    mt_status status = mt_descriptor_use(MT_KEPT_TRACE, &fd);
    if (status == MT_OK) {
        status = mt_os_write_at(fd, data, bytes, offset);
        mt_descriptor_done(MT_KEPT_TRACE, fd);
    }
    return status;
}

mt_status mt_tracefile_read(uint64_t offset, void *data, size_t bytes)
{
    int fd = -1;
    size_t got = 0;
    mt_status status = mt_descriptor_use(MT_KEPT_TRACE, &fd);
    if (status == MT_OK) {
        status = mt_os_read_at(fd, data, bytes, offset, &got);
        mt_descriptor_done(MT_KEPT_TRACE, fd);
    }
    return status == MT_OK && got != bytes ? MT_E_TRUNCATED : status;
}

/* In the trace as well: for who has it without its journal. */
static mt_status begin_at_locked(uint64_t offset)
{
    struct mt_trace_header *header = mt_slots_header();
    const uint16_t major = MT_TRACE_MAJOR_BASE;
    if (g_ended) {
        return MT_E_BUSY;
    }
    MT_TRACEFILE_STEP();
    mt_store_relaxed(&header->major, major);
    MT_TRACEFILE_STEP();
    mt_store_release(&header->base_offset, offset);
    mt_status status = mt_tracefile_write(offsetof(struct mt_trace_header, major), &major, sizeof major);
    return status == MT_OK ? mt_tracefile_write(offsetof(struct mt_trace_header, base_offset), &offset, sizeof offset) : status;
}

mt_status mt_tracefile_begin_at(uint64_t offset)
{
    if (!mt_spinlock_lock(&g_beginning)) {
        return MT_E_BUSY;
    }
    mt_status status = begin_at_locked(offset);
    mt_spinlock_unlock(&g_beginning);
    return status;
}

bool mt_tracefile_can_punch(void)
{
    uint64_t behind = (mt_load_relaxed(&mt_slots_header()->file_tail) | (PROBE_BYTES - 1)) + 1 + PROBE_BYTES;
    return mt_tracefile_punch(behind, behind + PAGE) == MT_OK;
}

mt_status mt_tracefile_punch(uint64_t from, uint64_t to)
{
    int fd = -1;
    uint64_t first = from & ~(uint64_t)(PAGE - 1), end = to & ~(uint64_t)(PAGE - 1);
    mt_status status = first < end ? mt_descriptor_use(MT_KEPT_TRACE, &fd) : MT_OK;
    if (status == MT_OK && first < end) {
        MT_TRACEFILE_STEP();
        status = mt_os_punch(fd, first, end - first);
        MT_TRACEFILE_STEP();
        mt_descriptor_done(MT_KEPT_TRACE, fd);
    }
    return status;
}

mt_status mt_tracefile_append_later(const struct mt_block_header *header, const void *payload, size_t bytes, mt_status why)
{
    bool waits = mt_waiting_may_help(why) && mt_waiting_add(header, payload, bytes, why) == MT_OK;
    return waits ? MT_OK : why;
}

mt_status mt_tracefile_append_extent(const struct mt_block_header *extent)
{
    return append_now(extent, extent + 1, extent->extent_bytes - sizeof *extent);
}

struct mt_waiting_loss mt_tracefile_settle(void)
{
    (void)mt_waiting_write(append_now);
    return mt_waiting_drop();
}
