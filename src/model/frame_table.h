/* frame_table.h: frames and their texts, each once. Private to model/.
 *
 * Equal (function, file, module, line, kind, inlined) is one id; equal text is one pointer. Frames live in
 * chunks that never move: readers hold pointers to them while more are added. Context: [tool].
 */
#ifndef MT_MODEL_FRAME_TABLE_H
#define MT_MODEL_FRAME_TABLE_H

#include "model/frames.h"
#include "model/index.h"
#include "model/pool.h"

struct mt_frame_table {
    struct mt_pool pool;
    const char **texts;
    size_t text_count, text_capacity;
    struct mt_index text_index;
    struct mt_frame **chunks;
    size_t chunk_count, chunk_capacity;
    size_t frame_count;
    struct mt_index frame_index;
};

/* One pointer for equal text; NULL is "". */
const char *mt_frame_table_text(struct mt_frame_table *t, const char *text);
/* The id of a frame; its texts may be anybody's. */
uint32_t mt_frame_table_add(struct mt_frame_table *t, struct mt_frame frame);
/* id: below frame_count; the pointer stays good until fini. */
const struct mt_frame *mt_frame_table_frame(const struct mt_frame_table *t, uint32_t id);
void mt_frame_table_fini(struct mt_frame_table *t);

#endif
