/* pack_writer.h: makes big compressed blocks of records that come in order. Private to wire/pack*.c.
 *
 * Decides: where blocks end (the raw size is reached, the stream changes, a gap) and how they are stored (events by
 * column, zstd when that is smaller, within the expansion limits of decode_file.h). A block of events is made of parts: blocks
 * taken as they are and runs encoded anew. Context: [tool].
 */
#ifndef MT_WIRE_PACK_WRITER_H
#define MT_WIRE_PACK_WRITER_H

#include "wire/decode_file.h"

/* Room for that many bytes in a buffer that grows; false: no memory. */
bool mt_pack_reserve(uint8_t **data, size_t *capacity, size_t bytes) MT_CHECKED;

struct mt_packer;

/* Writes to fd from behind the header on, which is the original's up to its command line; finish writes it. quick: small
 * blocks are not worth more time than others. */
mt_status mt_packer_new(int fd, int level, bool quick, uint32_t raw_bytes, const struct mt_trace_header *original,
                        struct mt_packer **ret) MT_CHECKED;
void mt_packer_free(struct mt_packer *p);
/* The next extent of this stream follows: ends the open block when the stream is another one, or blocks were lost
 * before. */
mt_status mt_packer_stream(struct mt_packer *p, const struct mt_extent *e) MT_CHECKED;
/* This extent cannot be read: its stream keeps a gap there. */
mt_status mt_packer_gap(struct mt_packer *p, const struct mt_extent *e) MT_CHECKED;
/* Raw events of that stream, in order. */
mt_status mt_packer_events(struct mt_packer *p, const struct mt_event *events, size_t count) MT_CHECKED;
/* One whole metadata record, tag and length included. */
mt_status mt_packer_metadata(struct mt_packer *p, const uint8_t *record, size_t bytes) MT_CHECKED;
/* One whole block of events of that stream as it is; compressed fast. MT_E_CORRUPT: its records are not whole, nothing was
 * taken. */
mt_status mt_packer_block(struct mt_packer *p, const struct mt_extent *e, const struct mt_payload *payload) MT_CHECKED;
/* An extent as it is (aggregate table, summary). */
mt_status mt_packer_copy(struct mt_packer *p, const struct mt_reader *reader, const struct mt_extent *e) MT_CHECKED;
/* A trace inside the original, as it is. */
mt_status mt_packer_nested(struct mt_packer *p, const struct mt_reader *reader, const struct mt_nested *nested) MT_CHECKED;
/* One block of any type that belongs to no stream; more than MT_BLOCK_RAW_MAX bytes are left out. */
mt_status mt_packer_single(struct mt_packer *p, uint8_t type, const void *data, size_t bytes) MT_CHECKED;
/* Index and header. */
mt_status mt_packer_finish(struct mt_packer *p) MT_CHECKED;
uint64_t mt_packer_event_count(const struct mt_packer *p);
uint64_t mt_packer_bytes(const struct mt_packer *p);

#endif
