/* refusal.c: see refusal.h. Context: [tool]. */
#include "reader/refusal.h"

#include "util/memory.h"
#include "util/text.h"

#include <stdlib.h>
#include <string.h>

mt_status mt_refuse_aggregate(const struct mt_trace_set *set, const char *what, struct mt_error *err)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct mt_trace_info *info = mt_trace_info(set->traces[i]);
        if ((info->flags & MT_TRACE_AGGREGATE) != 0) {
            char *path = mt_text_clean(info->path, strlen(info->path));
            (void)mt_error_set(err, MT_E_INVAL,
                               "%s is not known: %s was recorded with --aggregate, which keeps sums, no single "
                               "allocations; record without --aggregate",
                               what, path);
            free(path);
            return MT_E_INVAL;
        }
    }
    return MT_OK;
}
