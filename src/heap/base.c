/* base.c: see base.h. */
#include "heap/base.h"

#include "base/hash.h"
#include "base/os.h"
#include "heap/tracefile.h"
#include "wire/encode.h"

static void keep_status(struct mt_base *base, mt_status status)
{
    base->status = base->status == MT_OK ? status : base->status;
}

static void seal(struct mt_block_header *header)
{
    header->header_crc = mt_crc32c(0, header, MT_BLOCK_CRC_BYTES);
}

void mt_base_begin(struct mt_base *base, uint64_t room, uint64_t horizon, size_t blocks)
{
    void *memory = NULL;
    uint64_t extent = mt_block_extent((size_t)room) + sizeof(struct mt_block_header); /* of the pad */
    *base = (struct mt_base){ .status = extent > UINT32_MAX ? MT_E_TOO_LARGE : MT_OK, .capacity = blocks };
    if (base->status == MT_OK) {
        base->status = mt_os_map_anonymous((blocks + 1) * sizeof *base->blocks, &memory);
    }
    if (base->status != MT_OK) {
        return;
    }
    base->blocks = memory;
    base->offset = mt_tracefile_claim(extent);
    base->at = base->offset + sizeof(struct mt_block_header);
    base->end = base->offset + extent;
    struct mt_block_header header = { .magic = MT_BLOCK_MAGIC,
                                      .type = MT_BLOCK_BASE,
                                      .stream = MT_STREAM_NONE,
                                      .extent_bytes = (uint32_t)extent,
                                      .clock_first = horizon };
    seal(&header);
    keep_status(base, mt_tracefile_write(base->offset, &header, sizeof header));
}

void mt_base_put(struct mt_base *base, const struct mt_block_header *header, const void *payload, size_t bytes)
{
    uint32_t extent = mt_block_extent(bytes);
    if (base->status != MT_OK || base->count == base->capacity || base->at + extent + sizeof *header > base->end) {
        keep_status(base, MT_E_TOO_LARGE);
        return;
    }
    struct mt_base_block *block = &base->blocks[base->count++];
    *block = (struct mt_base_block){ .offset = base->at, .header = *header };
    block->header.magic = MT_BLOCK_MAGIC;
    block->header.codec = MT_CODEC_NONE;
    block->header.stored_bytes = block->header.raw_bytes = (uint32_t)bytes;
    block->header.extent_bytes = extent;
    block->header.payload_crc = mt_crc32c(0, payload, bytes);
    keep_status(base, bytes > 0 ? mt_tracefile_write(base->at + sizeof *header, payload, bytes) : MT_OK);
    base->at += extent;
}

void mt_base_number(struct mt_base *base, size_t first, uint32_t next_seq)
{
    uint64_t count = base->count - first;
    if (next_seq != 0 && next_seq < count) {
        keep_status(base, MT_E_TOO_LARGE);
        return;
    }
    uint64_t seq = next_seq != 0 ? next_seq - count : 0;
    for (size_t i = first; i < base->count; i++) {
        base->blocks[i].header.seq_committed = seq++ << 32;
    }
}

static mt_status write_pad(const struct mt_base *base)
{
    struct mt_block_header pad = { .magic = MT_BLOCK_MAGIC,
                                   .type = MT_BLOCK_PAD,
                                   .stream = MT_STREAM_NONE,
                                   .extent_bytes = (uint32_t)(base->end - base->at) };
    seal(&pad);
    return mt_tracefile_write(base->at, &pad, sizeof pad);
}

mt_status mt_base_finish(struct mt_base *base)
{
    for (size_t i = 0; i < base->count && base->status == MT_OK; i++) {
        seal(&base->blocks[i].header);
        base->status = mt_tracefile_write(base->blocks[i].offset, &base->blocks[i].header, sizeof base->blocks[i].header);
    }
    keep_status(base, base->status == MT_OK ? write_pad(base) : MT_OK);
    return base->status;
}

void mt_base_free(struct mt_base *base)
{
    if (base->blocks != NULL) {
        mt_os_unmap(base->blocks, (base->capacity + 1) * sizeof *base->blocks);
        base->blocks = NULL;
    }
}
