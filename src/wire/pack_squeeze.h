/* pack_squeeze.h: compresses payloads within the limits that readers set. Private to wire/pack*.c.
 *
 * Decides: that a payload is stored compressed only when it is smaller so, and never expands more than a reader accepts.
 * Context: [tool].
 */
#ifndef MT_WIRE_PACK_SQUEEZE_H
#define MT_WIRE_PACK_SQUEEZE_H

#include "base/status.h"
#include "wire/zstd_codec.h"

#include <stddef.h>
#include <stdint.h>

struct mt_squeezer {
    const struct mt_zstd *zstd; /* NULL: nothing is compressed */
    void *compressor;
    uint8_t *stored; /* the last result */
    size_t capacity;
};

/* All zero before. MT_E_NOMEM. */
mt_status mt_squeezer_init(struct mt_squeezer *s) MT_CHECKED;
void mt_squeezer_fini(struct mt_squeezer *s);

/* Compresses into s->stored, at least that many bytes; returns the bytes, 0: not worth it or not possible. */
size_t mt_squeeze(struct mt_squeezer *s, const uint8_t *raw, size_t bytes, int level, size_t least);

#endif
