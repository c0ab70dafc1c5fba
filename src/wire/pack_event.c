/* pack_event.c: see pack_event.h. Context: [tool]. */
#include "wire/pack_event.h"

void mt_pack_event(struct mt_event_encoder *e, const struct mt_event *v)
{
    unsigned kind = v->kind;
    switch (kind) {
    case MT_EVENT_ALLOC:
    case MT_EVENT_REALLOC_NEW:
        mt_encode_any_alloc(e, kind, v->allocator, v->clock, v->addr, v->size, v->stack);
        break;
    case MT_EVENT_FREE:
    case MT_EVENT_REALLOC_OLD:
        mt_encode_free(e, kind, v->clock, v->addr);
        break;
    case MT_EVENT_MAP:
        mt_encode_map(e, (enum mt_map_kind)v->allocator, v->clock, v->addr, v->size, v->stack);
        break;
    case MT_EVENT_UNMAP:
        mt_encode_unmap(e, (enum mt_map_kind)v->allocator, v->clock, v->addr, v->size);
        break;
    case MT_EVENT_REALLOC_FAILED:
        mt_encode_ext(e, MT_EXT_REALLOC_FAILED, v->clock, 0);
        break;
    case MT_EVENT_REALLOC_GONE:
        mt_encode_ext(e, MT_EXT_REALLOC_GONE, v->clock, 0);
        break;
    case MT_EVENT_REALLOC_THINNED:
        mt_encode_ext(e, MT_EXT_REALLOC_THINNED, v->clock, 0);
        break;
    case MT_EVENT_RESIZED:
        mt_encode_resized(e, v->clock, v->addr, v->old_bytes, v->size);
        break;
    case MT_EVENT_DROPPED:
        mt_encode_ext(e, MT_EXT_DROPPED, v->clock, v->size);
        break;
    default:
        break;
    }
}
