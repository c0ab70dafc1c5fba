/* lifetimes.c: see lifetimes.h. Context: [tool]. */
#include "export/lifetimes.h"

#include "util/json.h"

/* What bucket b of a histogram begins with; b 0 is the number 0 alone. */
static uint64_t lowest(unsigned b)
{
    return b == 0 ? 0 : (uint64_t)1 << (b - 1);
}

void mt_lifetimes_write(struct mt_out *out, const struct mt_report *report)
{
    const uint64_t *counts = report->analysis->totals.lifetime_histogram;
    struct mt_json json;
    mt_json_init(&json, out, 1);
    mt_json_array(&json);
    for (unsigned b = 0; b < MT_HISTOGRAM_BUCKETS; b++) {
        if (counts[b] > 0) {
            mt_json_object(&json);
            mt_json_put_u64(&json, "min_ns", lowest(b));
            mt_json_put_u64(&json, "below_ns", b + 1 < MT_HISTOGRAM_BUCKETS ? lowest(b + 1) : UINT64_MAX);
            mt_json_put_u64(&json, "count", counts[b]);
            mt_json_object_end(&json);
        }
    }
    mt_json_array_end(&json);
    mt_out_byte(out, '\n');
}
