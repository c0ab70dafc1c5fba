/* test_sampleset.c: the pass that ends with what is alive, against a list that is searched from the start. */
#include "harness.h"

#include "model/builder.h"
#include "reader/sampleset.h"

#include <math.h>

enum { STACKS = 40 };

static struct mt_event alloc_event(uint64_t clock, uint64_t addr, uint64_t size, uint32_t stack, uint64_t rate)
{
    return (struct mt_event){ .kind = MT_EVENT_ALLOC, .clock = clock, .addr = addr, .size = size, .stack = stack,
                              .stream = 1, .rate_bytes = rate, .allocator = MT_ALLOCATOR_MALLOC };
}

static struct mt_event free_event(uint64_t clock, uint64_t addr)
{
    return (struct mt_event){ .kind = MT_EVENT_FREE, .clock = clock, .addr = addr, .stream = 1 };
}

static const struct mt_live *entry_of(const struct mt_sampleset *set, uint64_t addr)
{
    static const struct mt_live nothing;
    const struct mt_live *entry = mt_liveset_find(&set->alive.blocks, addr);
    assert_non_null(entry);
    return entry != NULL ? entry : &nothing;
}

static void apply(struct mt_sampleset *set, const struct mt_event *events, size_t count)
{
    mt_sampleset_apply(set, events, count);
}

static void test_weight_is_the_unbiased_one(void **state)
{
    (void)state;
    static const struct {
        uint64_t size, rate, weight;
    } rows[] = {
        /* round(size / (1 - exp(-size / rate))), by Python's decimal at 60 digits */
        { 100, 0, 100 },
        { 1, 524288, 524289 },
        { 64, 524288, 524320 },
        { 524288, 524288, 829411 },
        { 1048576, 524288, 1212697 },
        { 1048576, 4194304, 4740415 },
        { 314572800, 524288, 314572800 },
        { 0, 524288, 0 },
        { UINT64_MAX, 1, UINT64_MAX },
        { UINT64_MAX - 1, 0, UINT64_MAX - 1 },
        { ((uint64_t)1 << 60) + 1, 4096, ((uint64_t)1 << 60) + 1 },
    };
    for (size_t i = 0; i < MT_COUNTOF(rows); i++) {
        assert_int_equal(mt_sampleset_weight(rows[i].size, rows[i].rate), rows[i].weight);
    }
}

static void test_double_allocation_ends_the_older_one(void **state)
{
    (void)state;
    struct mt_sampleset set;
    struct mt_event events[] = { alloc_event(10, 0x100, 5, 1, 0), alloc_event(20, 0x100, 7, 2, 0) };
    mt_sampleset_init(&set, 0, 4, STACKS, false);
    apply(&set, events, 2);
    assert_int_equal(set.alive.blocks.count, 1);
    assert_int_equal(entry_of(&set, 0x100)->size, 7);
    assert_int_equal(set.total_count, 2);
    assert_int_equal(set.freed_count, 1);
    assert_int_equal(set.alive.double_allocations, 1);
    assert_int_equal(mt_sampleset_freed(&set, 0)->sample.size, 5);
    assert_int_equal(mt_sampleset_freed(&set, 0)->freed_clock, 20);
    mt_sampleset_fini(&set);
}

static void test_free_of_the_unknown_changes_nothing_but_its_count(void **state)
{
    (void)state;
    struct mt_sampleset set;
    struct mt_event events[] = { free_event(5, 0x200), alloc_event(10, 0x100, 5, 1, 0), free_event(11, 0) };
    mt_sampleset_init(&set, 0, 4, STACKS, false);
    apply(&set, events, 3);
    assert_int_equal(set.alive.unknown_frees, 2);
    assert_int_equal(set.alive.blocks.count, 1);
    assert_int_equal(set.freed_count, 0);
    assert_int_equal(set.last_clock, 11);
    mt_sampleset_fini(&set);
}

static void test_allocations_before_since_are_followed_but_not_counted(void **state)
{
    (void)state;
    struct mt_sampleset set;
    struct mt_event events[] = { alloc_event(99, 0x100, 5, 1, 0), alloc_event(100, 0x200, 6, 2, 0),
                                 alloc_event(101, 0x300, 7, 3, 0), free_event(102, 0x100), free_event(103, 0x200) };
    mt_sampleset_init(&set, 100, 4, STACKS, false);
    apply(&set, events, 5);
    assert_int_equal(set.total_count, 2);
    assert_int_equal(set.freed_count, 1);
    assert_int_equal(set.alive.unknown_frees, 0);
    assert_int_equal(set.unique_stacks, 2);
    assert_int_equal(mt_sampleset_freed(&set, 0)->sample.addr, 0x200);
    mt_sampleset_fini(&set);
}

static void test_stacks_past_the_dictionary_are_the_unknown_stack(void **state)
{
    (void)state;
    struct mt_sampleset set;
    struct mt_event event = alloc_event(1, 0x100, 5, STACKS, 0);
    mt_sampleset_init(&set, 0, 0, STACKS, false);
    apply(&set, &event, 1);
    assert_int_equal(entry_of(&set, 0x100)->site, 0);
    assert_int_equal(set.unique_stacks, 0);
    mt_sampleset_fini(&set);
}

/* ---- against a list -------------------------------------------------------------------------------------------- */

enum { EVENTS = 20000, ADDRESSES = 700, LIMIT = 1500 };

struct life {
    struct mt_event birth;
    uint64_t freed; /* 0: alive */
};

struct history {
    struct life lives[EVENTS];
    size_t order[EVENTS]; /* of frees */
    size_t count, freed_count;
    uint64_t unknown, doubles;
};

static void end_life(struct history *h, size_t at, uint64_t clock)
{
    h->lives[at].freed = clock;
    h->order[h->freed_count++] = at;
}

static void live_on(struct history *h, const struct mt_event *e)
{
    size_t at = h->count;
    for (size_t i = 0; i < h->count; i++) {
        at = h->lives[i].birth.addr == e->addr && h->lives[i].freed == 0 ? i : at;
    }
    if (e->kind == MT_EVENT_FREE && at == h->count) {
        h->unknown++;
    } else if (at < h->count) {
        end_life(h, at, e->clock);
        h->doubles += e->kind == MT_EVENT_ALLOC;
    }
    if (e->kind == MT_EVENT_ALLOC) {
        h->lives[h->count++].birth = *e;
    }
}

static void assert_same_sample(const struct mt_sampleset *set, const struct mt_live *got, const struct mt_event *birth)
{
    assert_int_equal(got->size, birth->size);
    assert_int_equal(got->clock, birth->clock);
    assert_int_equal(got->site, birth->stack);
    assert_int_equal(set->origins[got->ordinal].stream, birth->stream);
    assert_int_equal(set->origins[got->ordinal].rate_bytes, birth->rate_bytes);
    assert_int_equal(set->origins[got->ordinal].allocator, birth->allocator);
}

static void compare(const struct mt_sampleset *set, const struct history *h, size_t limit)
{
    size_t alive = 0;
    double weight = 0;
    for (size_t i = 0; i < h->count; i++) {
        const struct life *l = &h->lives[i];
        weight += (double)mt_sampleset_weight(l->birth.size, l->birth.rate_bytes);
        if (l->freed == 0) {
            assert_same_sample(set, entry_of(set, l->birth.addr), &l->birth);
            alive++;
        }
    }
    assert_int_equal(set->alive.blocks.count, alive);
    assert_int_equal(set->total_count, h->count);
    assert_int_equal(set->freed_count, h->freed_count);
    assert_int_equal(set->alive.unknown_frees, h->unknown);
    assert_int_equal(set->alive.double_allocations, h->doubles);
    assert_true(set->total_weight == weight);
    size_t kept = h->freed_count < limit ? h->freed_count : limit;
    assert_int_equal(mt_sampleset_freed_kept(set), kept);
    for (size_t i = 0; i < kept; i++) {
        const struct life *l = &h->lives[h->order[h->freed_count - kept + i]];
        const struct mt_freed_sample *got = mt_sampleset_freed(set, i);
        assert_int_equal(got->sample.addr, l->birth.addr);
        assert_int_equal(got->freed_clock, l->freed);
        assert_same_sample(set, &got->sample, &l->birth);
    }
}

static struct mt_event random_event(uint64_t *seed, uint64_t clock)
{
    uint64_t r = builder_random(seed);
    uint64_t addr = 0x1000 + 16 * (r % ADDRESSES);
    struct mt_event e = (r >> 20) % 5 < 2 ? free_event(clock, addr)
                                          : alloc_event(clock, addr, (r >> 24) % 100000, (uint32_t)((r >> 44) % STACKS),
                                                        (r >> 50) % 3 == 0 ? 4096 : 0);
    e.stream = 1 + (uint32_t)((r >> 54) % 5);
    e.allocator = e.kind == MT_EVENT_ALLOC ? (uint8_t)((r >> 58) % 4) : 0;
    return e;
}

static void check_random(uint64_t *seed, size_t count, size_t limit)
{
    static struct mt_event events[EVENTS];
    struct history *h = calloc(1, sizeof *h);
    struct mt_sampleset set;
    mt_sampleset_init(&set, 0, limit, STACKS, false);
    for (size_t i = 0; i < count; i++) {
        events[i] = random_event(seed, 1000 + i);
        live_on(h, &events[i]);
    }
    for (size_t at = 0; at < count;) {
        size_t batch = 1 + builder_random(seed) % 100;
        batch = batch < count - at ? batch : count - at;
        apply(&set, events + at, batch);
        at += batch;
    }
    compare(&set, h, limit);
    mt_sampleset_fini(&set);
    free(h);
}

static void test_random_histories_give_what_a_list_gives(void **state)
{
    (void)state;
    uint64_t seed = builder_seed();
    static const size_t limits[] = { 0, 1, 2, 1023, 1024, 1025, LIMIT, 1 << 20 };
    for (size_t i = 0; i < MT_COUNTOF(limits); i++) {
        check_random(&seed, 6000, limits[i]);
        check_random(&seed, 50, limits[i]);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_weight_is_the_unbiased_one),
    cmocka_unit_test(test_double_allocation_ends_the_older_one),
    cmocka_unit_test(test_free_of_the_unknown_changes_nothing_but_its_count),
    cmocka_unit_test(test_allocations_before_since_are_followed_but_not_counted),
    cmocka_unit_test(test_stacks_past_the_dictionary_are_the_unknown_stack),
    cmocka_unit_test(test_random_histories_give_what_a_list_gives),
};
MT_TEST_MAIN(tests)
