/* pack_squeeze.c: see pack_squeeze.h. Context: [tool]. */
#include "wire/pack_squeeze.h"

#include "wire/decode_file.h"

#include <stdlib.h>
#include <string.h>

enum { ZSTD_SKIPPABLE_HEAD = 8 };
#define ZSTD_SKIPPABLE_MAGIC 0x184D2A50u

mt_status mt_squeezer_init(struct mt_squeezer *s)
{
    s->zstd = mt_zstd();
    s->compressor = s->zstd != NULL ? s->zstd->compressor_new() : NULL;
    return s->zstd != NULL && s->compressor == NULL ? MT_E_NOMEM : MT_OK;
}

void mt_squeezer_fini(struct mt_squeezer *s)
{
    if (s->zstd != NULL) {
        s->zstd->compressor_free(s->compressor);
    }
    free(s->stored);
    *s = (struct mt_squeezer){ 0 };
}

/* A repetitive block may compress further than a reader accepts: a skippable frame makes it long enough. */
static size_t pad(uint8_t *to, size_t stored, size_t least)
{
    if (stored >= least) {
        return stored;
    }
    size_t fill = least - stored;
    uint32_t head[2] = { ZSTD_SKIPPABLE_MAGIC, (uint32_t)fill };
    memcpy(to + stored, head, ZSTD_SKIPPABLE_HEAD);
    memset(to + stored + ZSTD_SKIPPABLE_HEAD, 0, fill);
    return stored + ZSTD_SKIPPABLE_HEAD + fill;
}

size_t mt_squeeze(struct mt_squeezer *s, const uint8_t *raw, size_t bytes, int level, size_t least)
{
    if (s->zstd == NULL || bytes > MT_BLOCK_RAW_MAX) {
        return 0;
    }
    size_t room = s->zstd->bound(bytes) + least + 2 * (size_t)ZSTD_SKIPPABLE_HEAD;
    if (room > s->capacity) {
        free(s->stored);
        s->stored = malloc(room);
        s->capacity = s->stored != NULL ? room : 0;
    }
    if (s->stored == NULL) {
        return 0;
    }
    size_t stored = s->zstd->compress(s->compressor, s->stored, s->capacity, raw, bytes, level);
    if (stored == 0) {
        return 0;
    }
    stored = pad(s->stored, stored, least);
    return stored < bytes ? stored : 0;
}
