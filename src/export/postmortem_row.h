/* postmortem_row.h: the numbers of a postmortem as the members of an object (tables.def). Context: [tool], pure. */
#ifndef MT_EXPORT_POSTMORTEM_ROW_H
#define MT_EXPORT_POSTMORTEM_ROW_H

#include "export/postmortem_facts.h"

struct mt_ending_heap {
    struct mt_amount alive;
    bool sampled;
    uint64_t window_ns; /* 0: growth is not known */
    int64_t growth_bytes;
};

/* What it grew by in a second. */
double mt_ending_per_second(int64_t bytes, uint64_t window_ns);
void mt_postmortem_row_put(struct mt_json *json, const struct mt_ending_facts *facts, const struct mt_ending_heap *heap);

#endif
