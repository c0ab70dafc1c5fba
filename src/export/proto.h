/* proto.h: protobuf wire format, as much as profile.proto needs (protobuf.dev/programming-guides/encoding).
 *
 * A message is built in a memory buffer and then put into its parent as a length-delimited field. Fields that hold
 * their default (0, empty) are left out, as proto3 does. Context: [tool].
 */
#ifndef MT_EXPORT_PROTO_H
#define MT_EXPORT_PROTO_H

#include "util/out.h"

#include <stddef.h>
#include <stdint.h>

/* A growing message. All zero is empty. */
struct mt_proto {
    uint8_t *data;
    size_t bytes;
    size_t capacity;
};

void mt_proto_clear(struct mt_proto *message); /* keeps the memory */
void mt_proto_fini(struct mt_proto *message);
void mt_proto_u64(struct mt_proto *message, unsigned field, uint64_t value);
void mt_proto_bytes(struct mt_proto *message, unsigned field, const void *data, size_t bytes);
void mt_proto_message(struct mt_proto *message, unsigned field, const struct mt_proto *inner);
/* One number of a packed field, without tag; wrap it with mt_proto_message. */
void mt_proto_packed(struct mt_proto *message, uint64_t value);
/* Writes field(message) to out, also when the message is empty. */
void mt_proto_emit(struct mt_out *out, unsigned field, const void *data, size_t bytes);
void mt_proto_emit_u64(struct mt_out *out, unsigned field, uint64_t value);

#endif
