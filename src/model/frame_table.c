/* frame_table.c: see frame_table.h. Context: [tool]. */
#include "model/frame_table.h"

#include "base/hash.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

enum { FRAMES_A_CHUNK = 1024 };

const char *mt_frame_table_text(struct mt_frame_table *t, const char *text)
{
    if (text == NULL || *text == '\0') {
        return "";
    }
    size_t bytes = strlen(text);
    uint64_t hash = mt_hash_bytes(text, bytes);
    size_t probe = 0;
    uint32_t at;
    while ((at = mt_index_next(&t->text_index, hash, &probe)) != MT_INDEX_NONE) {
        if (strcmp(t->texts[at], text) == 0) {
            return t->texts[at];
        }
    }
    t->texts = mt_alloc_grow(t->texts, &t->text_capacity, t->text_count + 1, sizeof *t->texts);
    t->texts[t->text_count] = mt_pool_text(&t->pool, text, bytes);
    mt_index_add(&t->text_index, hash, (uint32_t)t->text_count);
    return t->texts[t->text_count++];
}

static uint64_t frame_hash(const struct mt_frame *f)
{
    uint64_t hash = mt_hash_pair((uint64_t)(uintptr_t)f->function, (uint64_t)(uintptr_t)f->file);
    hash = mt_hash_step(hash, (uint64_t)(uintptr_t)f->module);
    return mt_hash_step(hash, (uint64_t)f->line << 16 | (uint64_t)f->kind << 8 | (uint64_t)f->made << 1 | f->inlined);
}

static bool same_frame(const struct mt_frame *a, const struct mt_frame *b)
{
    return a->function == b->function && a->file == b->file && a->module == b->module && a->line == b->line &&
           a->kind == b->kind && a->inlined == b->inlined && a->made == b->made;
}

const struct mt_frame *mt_frame_table_frame(const struct mt_frame_table *t, uint32_t id)
{
    return &t->chunks[id / FRAMES_A_CHUNK][id % FRAMES_A_CHUNK];
}

/* Room for frame number frame_count. */
static struct mt_frame *new_frame(struct mt_frame_table *t)
{
    size_t chunk = t->frame_count / FRAMES_A_CHUNK;
    if (chunk == t->chunk_count) {
        t->chunks = mt_alloc_grow(t->chunks, &t->chunk_capacity, chunk + 1, sizeof(struct mt_frame *));
        t->chunks[t->chunk_count++] = mt_alloc_zero(FRAMES_A_CHUNK, sizeof(struct mt_frame));
    }
    return &t->chunks[chunk][t->frame_count % FRAMES_A_CHUNK];
}

uint32_t mt_frame_table_add(struct mt_frame_table *t, struct mt_frame frame)
{
    frame.function = mt_frame_table_text(t, frame.function);
    frame.file = mt_frame_table_text(t, frame.file);
    frame.module = mt_frame_table_text(t, frame.module);
    uint64_t hash = frame_hash(&frame);
    size_t probe = 0;
    uint32_t at;
    while ((at = mt_index_next(&t->frame_index, hash, &probe)) != MT_INDEX_NONE) {
        if (same_frame(mt_frame_table_frame(t, at), &frame)) {
            return at;
        }
    }
    *new_frame(t) = frame;
    mt_index_add(&t->frame_index, hash, (uint32_t)t->frame_count);
    return (uint32_t)t->frame_count++;
}

void mt_frame_table_fini(struct mt_frame_table *t)
{
    mt_pool_fini(&t->pool);
    mt_index_fini(&t->text_index);
    mt_index_fini(&t->frame_index);
    free(t->texts);
    for (size_t i = 0; i < t->chunk_count; i++) {
        free(t->chunks[i]);
    }
    free(t->chunks);
    *t = (struct mt_frame_table){ 0 };
}
