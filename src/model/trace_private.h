/* trace_private.h: what a trace is made of. Private to model/.
 *
 * Columns are plain arrays that double; number 0 is always there (string "", module "none", node and stack 0).
 * Context: [tool].
 */
#ifndef MT_MODEL_TRACE_PRIVATE_H
#define MT_MODEL_TRACE_PRIVATE_H

#include "model/index.h"
#include "model/pool.h"
#include "model/ticks.h"
#include "model/trace.h"
#include "util/process.h"
#include "wire/decode_file.h"

/* Clocks of one boot agree to less than the wall clock is set by. */
#define MT_SAME_BOOT_NS 10000000000u

/* A module at an address right now, while the metadata is read. */
struct mt_module_place {
    uint64_t low, high;
    uint32_t module_idx;
};

struct mt_stack_row {
    uint32_t native, python;
    size_t anchors; /* first, in the anchors column */
    uint32_t anchor_count;
};

struct mt_trace {
    struct mt_reader *reader;
    size_t nested; /* 1 + index in the file at info.path; 0: it is that file's first */
    struct mt_trace_info info;
    struct mt_process_writer writer; /* while it is being written */
    struct mt_trace_completeness completeness;
    struct mt_pool pool;
    struct mt_ticks *ticks; /* NULL: all clocks are times */
    bool polled;            /* the reader has a part of the events only */
    bool whole;             /* of a process that was gone before the first poll: ticks are of all events */
    uint64_t seen_clock, block_bytes, block_events; /* of all extents so far */
    bool meta_begun;      /* the next two are set */
    uint64_t meta_seq;    /* of the metadata payload that was read last */
    size_t meta_bytes;    /* of it that were read */

    struct mt_text *strings;
    size_t string_count, string_capacity;
    struct mt_trace_module *modules;
    size_t module_count, module_capacity;
    struct mt_index module_index; /* by number */
    struct mt_trace_code *codes;
    size_t code_count, code_capacity;
    struct mt_native_node *natives;
    size_t native_count, native_capacity;
    struct mt_python_node *pythons;
    size_t python_count, python_capacity;
    struct mt_stack_row *stacks;
    size_t stack_count, stack_capacity;
    uint32_t *anchors;
    size_t anchor_count, anchor_capacity;

    struct mt_trace_thread *threads;
    size_t thread_count, thread_capacity;
    struct mt_index thread_index; /* by stream */
    struct mt_trace_note *notes;
    size_t note_count, note_capacity;
    struct mt_trace_torch *torch;
    size_t torch_count, torch_capacity;
    struct mt_trace_rss *rss;
    size_t rss_count, rss_capacity;
    size_t rss_settled; /* how many the next two are of */
    uint64_t rss_most;
    struct mt_trace_rss rss_parted; /* the largest that was measured in parts */
    struct mt_trace_rate *rates;
    size_t rate_count, rate_capacity;
    struct mt_trace_mark *marks;
    size_t mark_count, mark_capacity;
    struct mt_trace_before before; /* sites and points are the next */
    bool has_before;
    struct mt_trace_site *sites;
    size_t site_capacity;
    struct mt_trace_point *points;
    size_t point_capacity;
    struct mt_trace_label *labels;
    size_t label_count, label_capacity;
    struct mt_index label_index; /* by number */

    struct mt_module_place *places; /* sorted by low, disjoint */
    size_t place_count, place_capacity;
    size_t place_hit; /* last one found */
    uint64_t eval_low, eval_high;
};

/* metadata.c: reads stream 0 into the columns; load: once more, what the reader has found since. */
mt_status mt_trace_read_metadata(struct mt_trace *trace) MT_CHECKED;
mt_status mt_trace_load_metadata(struct mt_trace *trace) MT_CHECKED;

/* before.c: records of metadata. False: an impossible one. */
bool mt_trace_load_before(struct mt_trace *trace, struct mt_bytes *record);
bool mt_trace_load_site(struct mt_trace *trace, struct mt_bytes *record);
bool mt_trace_load_point(struct mt_trace *trace, struct mt_bytes *record);

/* modules.c: what is where while the metadata is read. */
void mt_trace_place_module(struct mt_trace *trace, uint32_t module_idx);
void mt_trace_unplace_module(struct mt_trace *trace, uint32_t module_idx);
uint32_t mt_trace_module_at(struct mt_trace *trace, uint64_t pc);
void mt_trace_mark_interpreters(struct mt_trace *trace);

#endif
