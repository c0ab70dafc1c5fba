/* making.h: what the tests of the tracker have in common: trackers with nothing of their own going on, and random numbers of
 * a fixed seed. Everything is static: a test includes it. */
#ifndef MT_TESTS_UNIT_TRACKER_MAKING_H
#define MT_TESTS_UNIT_TRACKER_MAKING_H

#include "harness.h"
#include "memtap/tracker.h"

/* Defaults to adjust, but no thread of the tracker's own. */
static inline struct mt_tracker_options quiet_options(void)
{
    struct mt_tracker_options options;
    mt_tracker_defaults(&options);
    options.auto_snapshot = false;
    return options;
}

/* Ends the test where there is none. */
static inline struct mt_tracker *make_with(struct mt_tracker_options options)
{
    struct mt_tracker *tracker = NULL;
    assert_int_equal(mt_tracker_new(&options, &tracker), 0);
    return tracker;
}

static inline struct mt_tracker *make_with_history(uint64_t events)
{
    struct mt_tracker_options options = quiet_options();
    options.history_events = events;
    return make_with(options);
}

static inline struct mt_tracker *make_with_stacks(uint32_t depth)
{
    struct mt_tracker_options options = quiet_options();
    options.capture_stacks = true;
    options.stack_depth = depth;
    return make_with(options);
}

/* Fixed sequence of a seed that is not 0 (xorshift64, Marsaglia 2003). */
static inline uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#endif
