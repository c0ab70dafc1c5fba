/* test_session.c: snapshots of small traces whose every sample and frame is known. (What is left of damaged ones, and what
 * fails: test_session_damage.c.) */
#include "session_file.h"

#include "base/os.h"

static void assert_sample(const struct mt_snapshot_sample *s, uint64_t address, uint64_t size, uint64_t clock,
                          uint64_t tid, uint32_t stack)
{
    assert_int_equal(s->address, address);
    assert_int_equal(s->size, size);
    assert_int_equal(s->weight, size);
    assert_int_equal(s->timestamp_ns, BUILDER_START_CLOCK + clock);
    assert_int_equal(s->tid, tid);
    assert_int_equal(s->stack_id, stack);
}

static void test_snapshot_holds_what_is_alive_and_what_was_freed(void **state)
{
    (void)state;
    struct builder b;
    struct mt_recording *session = open_built(&b, 0);
    struct mt_snapshot *snapshot = take(session, (struct mt_snapshot_options){ .freed_limit = 10 });
    size_t live, freed;
    const struct mt_snapshot_sample *l = mt_snapshot_live(snapshot, &live);
    const struct mt_snapshot_sample *f = mt_snapshot_freed(snapshot, &freed);
    const struct mt_snapshot_totals *t = mt_snapshot_totals(snapshot);
    assert_int_equal(live, 3);
    assert_sample(&l[0], 0x5000, 100, 10, 501, 1);
    assert_sample(&l[1], 0x7000, 300, 30, 501, 3);
    assert_sample(&l[2], 0x6000, 400, 50, 501, 2);
    assert_int_equal(freed, 1);
    assert_sample(&f[0], 0x6000, 200, 20, 502, 2);
    assert_int_equal(f[0].lifetime_ns, 20);
    assert_int_equal(t->total_samples, 4);
    assert_int_equal(t->live_samples, 3);
    assert_int_equal(t->freed_samples, 1);
    assert_int_equal(t->unique_stacks, 3);
    assert_int_equal(t->live_weight_bytes, 800);
    assert_int_equal(t->live_size_bytes, 800);
    assert_int_equal(t->total_weight_bytes, 1000);
    assert_int_equal(t->events, 5);
    assert_int_equal(t->last_ns, BUILDER_START_CLOCK + 50);
    assert_int_equal(t->start_ns, BUILDER_START_CLOCK);
    assert_true(t->exact);
    assert_false(t->recording);
    mt_snapshot_free(snapshot);
    mt_recording_close(session);
    builder_fini(&b);
}

static const struct mt_snapshot_stack *stack_of(const struct mt_snapshot *snapshot, uint32_t id)
{
    size_t count;
    const struct mt_snapshot_stack *stacks = mt_snapshot_stacks(snapshot, &count);
    for (size_t i = 0; i < count; i++) {
        if (stacks[i].stack_id == id) {
            return &stacks[i];
        }
    }
    fail_msg("stack %u is not in the snapshot", id);
    return NULL;
}

static struct mt_snapshot_frame frame_of(const struct mt_snapshot *snapshot, uint32_t id, uint32_t index)
{
    const struct mt_snapshot_stack *stack = stack_of(snapshot, id);
    assert_true(index < stack->frame_count);
    return mt_snapshot_frame(snapshot, stack->frames[index]);
}

static void assert_native(struct mt_snapshot_frame f, uint64_t address, const char *function)
{
    assert_int_equal(f.address, address);
    assert_string_equal(f.function, function);
    assert_string_equal(f.module, "/lib/libwork.so");
    assert_false(f.is_python);
    assert_false(f.is_marker);
}

static void assert_python(struct mt_snapshot_frame f, const char *function, uint32_t line)
{
    assert_int_equal(f.address, 0);
    assert_string_equal(f.function, function);
    assert_string_equal(f.file, "/src/app.py");
    assert_string_equal(f.module, "");
    assert_int_equal(f.line, line);
    assert_true(f.is_python);
}

static void test_stacks_are_native_and_python_frames_in_order(void **state)
{
    (void)state;
    struct builder b;
    struct mt_recording *session = open_built(&b, 0);
    struct mt_snapshot *snapshot = take(session, (struct mt_snapshot_options){ .addresses_only = true });
    assert_int_equal(stack_of(snapshot, 1)->frame_count, 1);
    assert_native(frame_of(snapshot, 1, 0), 0x11000, "0x1000 (libwork.so)");
    assert_int_equal(stack_of(snapshot, 2)->frame_count, 4);
    assert_native(frame_of(snapshot, 2, 0), 0x13000, "0x3000 (libwork.so)");
    assert_python(frame_of(snapshot, 2, 1), "inner", 10);
    assert_python(frame_of(snapshot, 2, 2), "outer", 20);
    assert_native(frame_of(snapshot, 2, 3), 0x11000, "0x1000 (libwork.so)");
    assert_int_equal(stack_of(snapshot, 3)->frame_count, 2);
    assert_native(frame_of(snapshot, 3, 0), 0x14000, "0x4000 (libwork.so)");
    assert_string_equal(frame_of(snapshot, 3, 1).function, "<truncated>");
    assert_true(frame_of(snapshot, 3, 1).is_marker);
    /* one frame at one address is one number */
    assert_int_equal(stack_of(snapshot, 1)->frames[0], stack_of(snapshot, 2)->frames[3]);
    mt_snapshot_free(snapshot);
    mt_recording_close(session);
    builder_fini(&b);
}

static void test_later_snapshot_sees_more_and_keeps_frame_numbers(void **state)
{
    (void)state;
    struct builder small, large;
    build(&small, 0);
    build(&large, 100);
    write_bytes(small.file, small.file_bytes);
    struct mt_recording *session = open_session();
    struct mt_snapshot *before = take(session, (struct mt_snapshot_options){ .freed_limit = 1 });
    uint32_t number = stack_of(before, 2)->frames[1];
    uint32_t set = mt_snapshot_frame_set(before);
    const char *name = mt_snapshot_frame(before, number).function;
    write_bytes(large.file, large.file_bytes);
    struct mt_snapshot *after = take(session, (struct mt_snapshot_options){ .freed_limit = 1 });
    assert_int_equal(mt_snapshot_totals(before)->live_samples, 3);
    assert_int_equal(mt_snapshot_totals(after)->live_samples, 103);
    assert_int_equal(mt_snapshot_frame_set(after), set);
    assert_int_equal(stack_of(after, 2)->frames[1], number);
    assert_ptr_equal(mt_snapshot_frame(after, number).function, name);
    mt_snapshot_free(before);
    mt_snapshot_free(after);
    mt_recording_close(session);
    builder_fini(&small);
    builder_fini(&large);
}

struct kept {
    uint32_t frame_set, stack;
};

static bool is_kept(void *context, uint32_t frame_set, uint32_t stack_id)
{
    const struct kept *kept = context;
    return frame_set == kept->frame_set && stack_id == kept->stack;
}

static void test_stacks_that_the_caller_keeps_are_left_out(void **state)
{
    (void)state;
    struct builder b;
    struct mt_recording *session = open_built(&b, 0);
    struct mt_snapshot *snapshot = take(session, (struct mt_snapshot_options){ .freed_limit = 0 });
    struct kept kept = { mt_snapshot_frame_set(snapshot), 2 };
    mt_snapshot_free(snapshot);
    size_t count;
    snapshot = take(session, (struct mt_snapshot_options){ .is_kept = is_kept, .kept_context = &kept });
    const struct mt_snapshot_stack *stacks = mt_snapshot_stacks(snapshot, &count);
    assert_int_equal(count, 2);
    assert_int_equal(stacks[0].stack_id, 1);
    assert_int_equal(stacks[1].stack_id, 3);
    mt_snapshot_free(snapshot);
    kept.frame_set++; /* frames that have other numbers now */
    snapshot = take(session, (struct mt_snapshot_options){ .is_kept = is_kept, .kept_context = &kept });
    (void)mt_snapshot_stacks(snapshot, &count);
    assert_int_equal(count, 3);
    mt_snapshot_free(snapshot);
    mt_recording_close(session);
    builder_fini(&b);
}

static void test_since_leaves_out_what_is_older(void **state)
{
    (void)state;
    struct builder b;
    struct mt_recording *session = open_built(&b, 0);
    struct mt_snapshot *snapshot =
        take(session, (struct mt_snapshot_options){ .freed_limit = 10, .since_ns = BUILDER_START_CLOCK + 30 });
    size_t live, freed;
    assert_int_equal(mt_snapshot_live(snapshot, &live)[0].address, 0x7000);
    (void)mt_snapshot_freed(snapshot, &freed);
    assert_int_equal(live, 2);
    assert_int_equal(freed, 0);
    assert_int_equal(mt_snapshot_totals(snapshot)->total_samples, 2);
    assert_int_equal(mt_snapshot_totals(snapshot)->total_weight_bytes, 700);
    mt_snapshot_free(snapshot);
    mt_recording_close(session);
    builder_fini(&b);
}

static void test_options_of_an_older_header_are_read_as_far_as_they_go(void **state)
{
    (void)state;
    struct builder b;
    struct mt_recording *session = open_built(&b, 0);
    struct mt_snapshot *snapshot = NULL;
    struct mt_snapshot_options options = { .freed_limit = 10, .since_ns = UINT64_MAX };
    options.struct_bytes = offsetof(struct mt_snapshot_options, since_ns);
    assert_int_equal(mt_recording_snapshot(session, 0, &options, &snapshot, NULL), MT_PROFILE_OK);
    assert_int_equal(mt_snapshot_totals(snapshot)->total_samples, 4);
    mt_snapshot_free(snapshot);
    assert_int_equal(mt_recording_snapshot(session, 0, NULL, &snapshot, NULL), MT_PROFILE_OK);
    size_t freed;
    (void)mt_snapshot_freed(snapshot, &freed);
    assert_int_equal(freed, 0);
    mt_snapshot_free(snapshot);
    mt_recording_close(session);
    builder_fini(&b);
}

/* ---- the cut --------------------------------------------------------------------------------------------------- */

/* A trace of this process, begun now; two samples, one of them an hour ahead. */
static void build_live(struct builder *b, uint64_t pid, uint64_t wall_offset_ns)
{
    uint64_t now = mt_os_monotonic_ns();
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    builder_init(b);
    b->state = MT_STATE_RECORDING;
    builder_alloc(b, 1, now - BUILDER_START_CLOCK - 1000, 0x5000, 100, 0);
    builder_alloc(b, 1, now - BUILDER_START_CLOCK + 3600000000000u, 0x6000, 200, 0);
    builder_finish(b);
    struct mt_trace_header *h = header_of(b);
    h->pid = pid;
    h->start_clock = now - 1000000;
    h->start_realtime_ns = (uint64_t)wall.tv_sec * 1000000000u + (uint64_t)wall.tv_nsec - wall_offset_ns;
}

static uint64_t live_samples(const struct builder *b)
{
    write_bytes(b->file, b->file_bytes);
    struct mt_recording *session = open_session();
    struct mt_snapshot *snapshot = take(session, (struct mt_snapshot_options){ .no_stacks = true });
    uint64_t count = mt_snapshot_totals(snapshot)->live_samples;
    mt_snapshot_free(snapshot);
    mt_recording_close(session);
    return count;
}

static void test_live_trace_is_cut_at_now(void **state)
{
    (void)state;
    struct builder b;
    build_live(&b, (uint64_t)getpid(), 1000000);
    assert_int_equal(live_samples(&b), 1);
    builder_fini(&b);
}

static void test_trace_with_another_clock_is_read_to_its_end(void **state)
{
    (void)state;
    struct builder b;
    build_live(&b, (uint64_t)getpid(), 86400000000000u);
    assert_int_equal(live_samples(&b), 2);
    builder_fini(&b);
}

static void test_trace_of_a_dead_process_is_read_to_its_end(void **state)
{
    (void)state;
    struct builder b;
    build_live(&b, INT32_MAX, 1000000); /* above any pid_max */
    assert_int_equal(live_samples(&b), 2);
    builder_fini(&b);
}

static const struct CMUnitTest tests[] = {
    TEST(test_snapshot_holds_what_is_alive_and_what_was_freed),
    TEST(test_stacks_are_native_and_python_frames_in_order),
    TEST(test_later_snapshot_sees_more_and_keeps_frame_numbers),
    TEST(test_stacks_that_the_caller_keeps_are_left_out),
    TEST(test_since_leaves_out_what_is_older),
    TEST(test_options_of_an_older_header_are_read_as_far_as_they_go),
    TEST(test_live_trace_is_cut_at_now),
    TEST(test_trace_with_another_clock_is_read_to_its_end),
    TEST(test_trace_of_a_dead_process_is_read_to_its_end),
};
MT_TEST_MAIN(tests)
