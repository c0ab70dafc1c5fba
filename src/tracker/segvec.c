/* segvec.c: see segvec.h. Only growth is here; it happens a few dozen times in a life. */
#include "tracker/segvec.h"

static size_t segment_bytes(const struct mt_segvec *s, uint32_t which)
{
    return ((size_t)s->item_bytes << s->first_log2) << which;
}

static mt_status map_segment(struct mt_segvec *s, uint32_t which)
{
    void *memory = NULL;
    size_t bytes = segment_bytes(s, which);
    mt_status status = mt_os_map_anonymous(bytes, &memory);
    if (status != MT_OK) {
        return status;
    }
    (void)mt_os_advise_nohugepage(memory, bytes);
    s->segment[which] = memory;
    s->mapped_bytes += bytes;
    return MT_OK;
}

mt_status mt_segvec_reserve(struct mt_segvec *s)
{
    uint32_t which = mt_segvec_which(s, s->count);
    if (MT_UNLIKELY(which >= MT_SEGVEC_MAX)) {
        return MT_E_FULL;
    }
    return MT_LIKELY(s->segment[which] != NULL) ? MT_OK : map_segment(s, which);
}

mt_status mt_segvec_add(struct mt_segvec *s, uint32_t *ret)
{
    mt_status status = mt_segvec_reserve(s);
    if (status == MT_OK) {
        *ret = s->count;
        mt_segvec_publish(s);
    }
    return status;
}

void mt_segvec_fini(struct mt_segvec *s)
{
    for (uint32_t which = 0; which < MT_SEGVEC_MAX; which++) {
        mt_os_unmap(s->segment[which], segment_bytes(s, which));
        s->segment[which] = NULL;
    }
    s->count = 0;
}
