/* records.h: metadata records as structs, written and read by the table of wire/records.def.
 *
 * struct mt_record_<name> has a member for each field; of a list it has the count. mt_record_put_<name> appends the payload,
 * mt_record_get_<name> reads it, a tail only where it is there; of a list they do the count, the items are put and got one by one after it, with functions of
 * their own. Texts are borrowed. Context: put: [hook], [tool]; get: [tool].
 */
#ifndef MT_WIRE_RECORDS_H
#define MT_WIRE_RECORDS_H

#include "wire/decode.h"
#include "wire/encode.h"

/* A text or bytes, not terminated. */
struct mt_piece {
    const void *data;
    size_t bytes;
};

/* ---- structs ------------------------------------------------------------------------------------------------------- */

#define MT_MEMBER_U8 uint8_t
#define MT_MEMBER_U32 uint32_t
#define MT_MEMBER_U64 uint64_t
#define MT_MEMBER_S64 int64_t
#define MT_MEMBER_ADDRESS uint64_t
#define MT_MEMBER_CLOCK uint64_t
#define MT_MEMBER_MARK uint32_t
#define MT_MEMBER_TEXT struct mt_piece
#define MT_MEMBER_BYTES struct mt_piece
#define MT_MEMBER_REST_TEXT struct mt_piece
#define MT_MEMBER_REST_BYTES struct mt_piece

#define MT_META(NAME, name, tag, counting) struct mt_record_##name {
#define MT_ITEM(name, head) struct mt_record_##name {
#define MT_FIELD(type, member, word) MT_MEMBER_##type member;
#define MT_TAIL(member) bool member;
#define MT_TAIL_DONE
#define MT_LIST(item, member, word) uint32_t member;
#define MT_META_DONE(name) };
#define MT_ITEM_DONE(name) };
#include "wire/records.def"

/* ---- writing ------------------------------------------------------------------------------------------------------- */

#define MT_PUT_U8(b, value) mt_meta_u8(b, value)
#define MT_PUT_U32(b, value) mt_meta_u64(b, value)
#define MT_PUT_U64(b, value) mt_meta_u64(b, value)
#define MT_PUT_S64(b, value) mt_meta_s64(b, value)
#define MT_PUT_ADDRESS(b, value) mt_meta_u64(b, value)
#define MT_PUT_CLOCK(b, value) mt_meta_u64(b, value)
#define MT_PUT_MARK(b, value) mt_meta_u64(b, value)
#define MT_PUT_TEXT(b, value) mt_meta_string(b, (value).data, (value).bytes)
#define MT_PUT_BYTES(b, value) mt_meta_string(b, (value).data, (value).bytes)
#define MT_PUT_REST_TEXT(b, value) mt_meta_bytes(b, (value).data, (value).bytes)
#define MT_PUT_REST_BYTES(b, value) mt_meta_bytes(b, (value).data, (value).bytes)

#define MT_PUT_FUNCTION(name)                                                                                          \
    MT_INLINE void mt_record_put_##name(struct mt_meta_builder *b, const struct mt_record_##name *r)                   \
    {
#define MT_META(NAME, name, tag, counting) MT_PUT_FUNCTION(name)
#define MT_ITEM(name, head) MT_PUT_FUNCTION(name)
#define MT_FIELD(type, member, word) MT_PUT_##type(b, r->member);
#define MT_TAIL(member) if (r->member) {
#define MT_TAIL_DONE }
#define MT_LIST(item, member, word) mt_meta_u64(b, r->member);
#define MT_META_DONE(name) }
#define MT_ITEM_DONE(name) }
#include "wire/records.def"

/* ---- reading ------------------------------------------------------------------------------------------------------- */

MT_INLINE struct mt_piece mt_piece_get(struct mt_bytes *b)
{
    struct mt_piece piece;
    piece.data = mt_bytes_string(b, &piece.bytes);
    return piece;
}

/* All that is left. */
MT_INLINE struct mt_piece mt_piece_rest(struct mt_bytes *b)
{
    struct mt_piece piece = { b->at, (size_t)(b->end - b->at) };
    b->at = b->end;
    return piece;
}

#define MT_GET_U8(b) mt_bytes_u8(b)
#define MT_GET_U32(b) mt_bytes_u32(b)
#define MT_GET_U64(b) mt_bytes_u64(b)
#define MT_GET_S64(b) mt_bytes_s64(b)
#define MT_GET_ADDRESS(b) mt_bytes_u64(b)
#define MT_GET_CLOCK(b) mt_bytes_u64(b)
#define MT_GET_MARK(b) mt_bytes_u32(b)
#define MT_GET_TEXT(b) mt_piece_get(b)
#define MT_GET_BYTES(b) mt_piece_get(b)
#define MT_GET_REST_TEXT(b) mt_piece_rest(b)
#define MT_GET_REST_BYTES(b) mt_piece_rest(b)

/* False: the record is cut short or a number does not fit. */
#define MT_GET_FUNCTION(name)                                                                                          \
    MT_INLINE bool mt_record_get_##name(struct mt_bytes *b, struct mt_record_##name *ret)                              \
    {
#define MT_META(NAME, name, tag, counting) MT_GET_FUNCTION(name)
#define MT_ITEM(name, head) MT_GET_FUNCTION(name)
#define MT_FIELD(type, member, word) ret->member = MT_GET_##type(b);
#define MT_TAIL(member)                                                                                                \
    ret->member = b->at < b->end;                                                                                      \
    if (ret->member) {
#define MT_TAIL_DONE }
#define MT_LIST(item, member, word) ret->member = mt_bytes_u32(b);
#define MT_GET_DONE                                                                                                    \
    return !b->bad;                                                                                                    \
    }
#define MT_META_DONE(name) MT_GET_DONE
#define MT_ITEM_DONE(name) MT_GET_DONE
#include "wire/records.def"

#endif
