/* proto.c: protobuf wire format. */
#include "export/proto.h"

#include "base/varint.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

enum { WIRE_VARINT = 0, WIRE_BYTES = 2 };

void mt_proto_clear(struct mt_proto *message)
{
    message->bytes = 0;
}

void mt_proto_fini(struct mt_proto *message)
{
    free(message->data);
    *message = (struct mt_proto){ 0 };
}

static void put_varint(struct mt_proto *message, uint64_t value)
{
    message->data = mt_alloc_grow(message->data, &message->capacity, message->bytes + MT_VARINT_MAX, 1);
    message->bytes = (size_t)(mt_varint_put(message->data + message->bytes, value) - message->data);
}

static void put_bytes(struct mt_proto *message, unsigned field, const void *data, size_t bytes)
{
    put_varint(message, (uint64_t)field << 3 | WIRE_BYTES);
    put_varint(message, bytes);
    message->data = mt_alloc_grow(message->data, &message->capacity, message->bytes + bytes, 1);
    if (bytes > 0) {
        memcpy(message->data + message->bytes, data, bytes);
    }
    message->bytes += bytes;
}

void mt_proto_u64(struct mt_proto *message, unsigned field, uint64_t value)
{
    if (value != 0) {
        put_varint(message, (uint64_t)field << 3 | WIRE_VARINT);
        put_varint(message, value);
    }
}

void mt_proto_bytes(struct mt_proto *message, unsigned field, const void *data, size_t bytes)
{
    if (bytes > 0) {
        put_bytes(message, field, data, bytes);
    }
}

void mt_proto_message(struct mt_proto *message, unsigned field, const struct mt_proto *inner)
{
    put_bytes(message, field, inner->data, inner->bytes);
}

void mt_proto_packed(struct mt_proto *message, uint64_t value)
{
    put_varint(message, value);
}

static void emit_varint(struct mt_out *out, uint64_t value)
{
    uint8_t bytes[MT_VARINT_MAX];
    mt_out_write(out, bytes, (size_t)(mt_varint_put(bytes, value) - bytes));
}

void mt_proto_emit(struct mt_out *out, unsigned field, const void *data, size_t bytes)
{
    emit_varint(out, (uint64_t)field << 3 | WIRE_BYTES);
    emit_varint(out, bytes);
    mt_out_write(out, data, bytes);
}

void mt_proto_emit_u64(struct mt_out *out, unsigned field, uint64_t value)
{
    emit_varint(out, (uint64_t)field << 3 | WIRE_VARINT);
    emit_varint(out, value);
}
