/* frames_below.c: the native frames between an allocation and the Python line that caused it. They are hidden where a
 * stack is shown as Python's, and say what the line made. Context: [tool]. */
#include "model/frames_private.h"

size_t mt_frames_below_python(struct mt_frames *f, size_t trace_idx, uint32_t stack, uint32_t *ret_ids, size_t capacity)
{
    const struct mt_trace *trace = f->set->traces[trace_idx];
    struct mt_stack row = mt_trace_stack(trace, stack);
    size_t count = 0, depth = 0;
    size_t end = row.anchor_count > 0 ? row.anchors[0] : SIZE_MAX;
    for (uint32_t at = row.native; at != 0 && depth < end && count < capacity && row.python != 0; depth++) {
        struct mt_native_node node = mt_trace_native(trace, at);
        const struct mt_location *l = mt_frames_native(f, (uint32_t)trace_idx, &node);
        if (l->evaluates) {
            break;
        }
        for (size_t i = 0; i < l->count && count < capacity; i++) {
            ret_ids[count++] = f->spots[l->first + i].id;
        }
        at = node.parent;
    }
    return count;
}
