/* leak_rows.c: see leak_rows.h. Context: [tool]. */
#include "sql/leak_rows.h"

#include "analysis/leaks.h"
#include "export/rows.h"
#include "model/own_stacks.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

/* A copy of the sites in which what the C and C++ libraries keep for themselves is not alive. */
static struct mt_site *sites_without_own(const struct mt_trace_set *set, const struct mt_analysis *a)
{
    struct mt_site *sites = mt_alloc((a->site_count + 1) * sizeof *sites);
    uint8_t **own = mt_own_stacks_find(set);
    memcpy(sites, a->sites, a->site_count * sizeof *sites);
    for (size_t i = 0; own != NULL && i < a->site_count; i++) {
        const uint8_t *stacks = own[sites[i].trace_idx];
        if (stacks != NULL && sites[i].stack < mt_trace_stack_count(set->traces[sites[i].trace_idx]) &&
            mt_own_stacks_has(stacks, sites[i].stack)) {
            sites[i].amount[MT_MEASURE_LIVE] = (struct mt_amount){ 0 };
            sites[i].oldest_ns = UINT64_MAX;
        }
    }
    mt_own_stacks_free(own, set->count);
    return sites;
}

static struct mt_sql_leak row_of(struct mt_frames *frames, const struct mt_leak *leak)
{
    struct mt_frame shown = mt_rows_frame(frames, leak->trace_idx, leak->stack, mt_frames_frame(frames, leak->frame), leak->import);
    return (struct mt_sql_leak){ .function = shown.function,
                                 .file = shown.file,
                                 .line = shown.line,
                                 .live = leak->live,
                                 .timed = leak->timed,
                                 .oldest_ns = leak->oldest_ns,
                                 .age_s = leak->age_s,
                                 .growth_bytes_per_s = leak->growth_bytes_per_s,
                                 .score = leak->score,
                                 .suspect = leak->suspect,
                                 .import = leak->import };
}

mt_status mt_sql_leaks_make(const struct mt_trace_set *set, const struct mt_analysis *analysis, struct mt_places *places,
                            struct mt_sql_leak **ret_rows, size_t *ret_count)
{
    struct mt_leaks leaks = { 0 };
    struct mt_analysis shown = *analysis;
    shown.sites = sites_without_own(set, analysis);
    struct mt_grouping *grouping = mt_grouping_new(places, set, NULL);
    mt_status status = mt_leaks_make(set, &shown, grouping, 0, 0, &leaks);
    mt_grouping_free(grouping);
    free(shown.sites);
    *ret_rows = mt_alloc((leaks.count + 1) * sizeof **ret_rows);
    *ret_count = 0;
    for (int imports = 0; imports < 2; imports++) { /* the order of export/rows_order.c */
        for (size_t i = 0; i < leaks.count; i++) {
            if (leaks.rows[i].import == (imports == 1)) {
                (*ret_rows)[(*ret_count)++] = row_of(mt_places_frames(places), &leaks.rows[i]);
            }
        }
    }
    mt_leaks_fini(&leaks);
    return status;
}
