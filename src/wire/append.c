/* append.c: see append.h. */
#include "wire/append.h"

#include "wire/copy.h"
#include "wire/encode.h"
#include "wire/format.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixed {
    struct mt_trace_header header; /* as much as there is of it */
    uint64_t file_bytes;
};

static mt_status read_fixed(int fd, struct fixed *ret)
{
    struct stat info;
    *ret = (struct fixed){ 0 };
    ssize_t got = pread(fd, &ret->header, sizeof ret->header, 0);
    if (got < 0 || fstat(fd, &info) != 0) {
        return mt_status_from_errno(errno);
    }
    ret->file_bytes = (uint64_t)info.st_size;
    const struct mt_trace_header *h = &ret->header;
    bool valid = got >= MT_TRACE_FIXED_BYTES && memcmp(h->magic, MT_TRACE_MAGIC, sizeof h->magic) == 0 &&
                 h->header_bytes >= MT_TRACE_FIXED_BYTES && h->header_bytes <= MT_TRACE_HEADER_BYTES;
    return valid ? MT_OK : MT_E_CORRUPT;
}

/* A trace without a tail of its own ends with the file. */
static uint64_t tail_of(const struct fixed *f)
{
    return f->header.file_tail >= f->header.header_bytes ? f->header.file_tail : f->file_bytes;
}

static uint64_t aligned(uint64_t offset)
{
    return (offset + MT_EXTENT_ALIGN - 1) & ~(uint64_t)(MT_EXTENT_ALIGN - 1);
}

/* Only this version knows of several processes in a file. */
static mt_status raise_version(int fd, const struct mt_trace_header *header)
{
    uint16_t major = MT_TRACE_MAJOR;
    return header->major >= major ? MT_OK : mt_copy_bytes(fd, &major, sizeof major, offsetof(struct mt_trace_header, major));
}

mt_status mt_append_trace(int to, int from)
{
    struct fixed outer, inner;
    struct mt_block_header block;
    mt_status status = read_fixed(to, &outer);
    if (status == MT_OK) {
        status = read_fixed(from, &inner);
    }
    if (status != MT_OK) {
        return status;
    }
    uint64_t at = aligned(tail_of(&outer));
    uint64_t bytes = tail_of(&inner) < inner.file_bytes ? tail_of(&inner) : inner.file_bytes;
    uint64_t tail = at + sizeof block + bytes;
    mt_process_seal(&block, inner.header.header_bytes, bytes);
    status = mt_copy_range(to, at + sizeof block, from, 0, bytes);
    if (status == MT_OK) {
        status = mt_copy_bytes(to, &block, sizeof block, at);
    }
    if (status == MT_OK) {
        status = raise_version(to, &outer.header);
    }
    return status == MT_OK ? mt_copy_bytes(to, &tail, sizeof tail, offsetof(struct mt_trace_header, file_tail)) : status;
}

mt_status mt_rewrite_trace(int to, int from)
{
    struct fixed wanted;
    mt_status status = read_fixed(from, &wanted);
    uint64_t head = sizeof wanted.header < wanted.header.header_bytes ? sizeof wanted.header : wanted.header.header_bytes;
    uint32_t state = MT_STATE_REWRITING;
    if (status == MT_OK) { /* first of all: whoever reads the old form finds out */
        status = mt_copy_bytes(to, &state, sizeof state, offsetof(struct mt_trace_header, state));
    }
    if (status == MT_OK) {
        status = mt_copy_range(to, head, from, head, wanted.file_bytes - head);
    }
    if (status == MT_OK) {
        status = mt_copy_bytes(to, &wanted.header, (size_t)head, 0);
    }
    if (status == MT_OK && ftruncate(to, (off_t)wanted.file_bytes) != 0) {
        status = mt_status_from_errno(errno);
    }
    return status;
}
