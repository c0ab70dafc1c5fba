/* The walk over hand-made interpreters of every family. (The memo against a walk without one: test_capture_memo.c.) */
#include "harness.h"

#include "two_stacks.h"

#include <pthread.h>

static unsigned entries_of(const struct mt_pystack *p)
{
    unsigned entries = 0;
    for (unsigned i = 0; i < p->count; i++) {
        entries += (p->frames[i].flags & MT_PYTHON_ENTRY) != 0;
    }
    return entries;
}

static void test_no_thread_state_gives_no_frames(void **state)
{
    (void)state;
    start(12, false);
    enter(fake_frame(0, fake_code("f", 1), 0));
    g_fake.tstate = 0;
    assert_int_equal(mt_pystack_capture(&g_stack), MT_PYSTACK_NONE);
    assert_int_equal(g_stack.count, 0);
    g_fake.tstate = 0x10; /* no pointer */
    assert_int_equal(mt_pystack_capture(&g_stack), MT_PYSTACK_NONE);
}

static void test_a_thread_state_without_frames_gives_none(void **state)
{
    (void)state;
    for (unsigned minor = 8; minor <= 15; minor++) {
        start(minor, false);
        enter(0);
        assert_int_equal(mt_pystack_capture(&g_stack), MT_PYSTACK_NONE);
        assert_int_equal(g_stack.count, 0);
    }
}

static void test_frames_are_stored_base_first_with_their_instruction(void **state)
{
    (void)state;
    for (unsigned minor = 8; minor <= 15; minor++) {
        start(minor, false);
        uint64_t outer = fake_code("outer", 1), inner = fake_code("inner", 9);
        uint64_t base = fake_frame(0, outer, 24);
        enter(fake_frame(base, inner, -2));
        assert_int_equal(mt_pystack_capture(&g_stack), MT_PYSTACK_COMPLETE);
        assert_int_equal(g_stack.count, 2);
        assert_true(g_stack.frames[0].frame == base && g_stack.frames[0].code == outer);
        assert_true(g_stack.frames[1].code == inner);
        assert_int_equal(mt_pystack_lasti(&g_stack.frames[0]), 24);
        assert_int_equal(mt_pystack_lasti(&g_stack.frames[1]), -1);
        assert_int_equal(g_stack.errors, 0);
    }
}

static void test_every_frame_is_an_entry_up_to_3_10(void **state)
{
    (void)state;
    start(10, false);
    enter(fake_frame(fake_frame(0, fake_code("a", 1), 0), fake_code("b", 1), 0));
    mt_pystack_capture(&g_stack);
    assert_int_equal(entries_of(&g_stack), 2);
    assert_int_equal(g_stack.frames[1].flags, MT_PYTHON_ENTRY);
    assert_int_equal(g_stack.frames[1].anchor, 0);
}

static void test_entries_of_3_11_take_the_cframes_in_order(void **state)
{
    (void)state;
    start(11, false);
    uint64_t a = fake_frame(0, fake_code("a", 1), 0), b = fake_frame(a, fake_code("b", 1), 0);
    uint64_t c = fake_frame(b, fake_code("c", 1), 0), d = fake_frame(c, fake_code("d", 1), 0);
    put8(a, g_fake.o.frame.is_entry, 1);
    put8(c, g_fake.o.frame.is_entry, 1);
    uint64_t outer_loop = fake_alloc(32), inner_loop = fake_alloc(32);
    put64(inner_loop, g_fake.o.tstate.cframe_previous, outer_loop);
    fake_set_innermost(d, inner_loop);
    assert_int_equal(mt_pystack_capture(&g_stack), MT_PYSTACK_COMPLETE);
    assert_int_equal(entries_of(&g_stack), 2);
    assert_true(g_stack.frames[0].anchor == outer_loop && g_stack.frames[2].anchor == inner_loop);
    assert_int_equal(g_stack.frames[1].flags | g_stack.frames[3].flags, 0);
}

static void test_shims_are_anchors_and_no_frames(void **state)
{
    (void)state;
    for (unsigned minor = 12; minor <= 15; minor++) {
        start(minor, false);
        uint64_t base_shim = fake_shim(minor == 15 ? fake_shim(0) : 0); /* 3.15: and a base frame below */
        uint64_t a = fake_frame(base_shim, fake_code("a", 1), 0), b = fake_frame(a, fake_code("b", 1), 0);
        uint64_t inner_shim = fake_shim(b), c = fake_frame(inner_shim, fake_code("c", 1), 0);
        enter(fake_shim(c)); /* a loop that is just being entered */
        assert_int_equal(mt_pystack_capture(&g_stack), MT_PYSTACK_COMPLETE);
        assert_int_equal(g_stack.count, 3);
        assert_int_equal(entries_of(&g_stack), 2);
        assert_true(g_stack.frames[0].anchor == base_shim && g_stack.frames[2].anchor == inner_shim);
        assert_int_equal(g_stack.frames[1].flags, 0);
    }
}

static void test_only_shims_give_none(void **state)
{
    (void)state;
    start(13, false);
    enter(fake_shim(fake_shim(0)));
    assert_int_equal(mt_pystack_capture(&g_stack), MT_PYSTACK_NONE);
}

static void test_tags_on_references_are_no_address(void **state)
{
    (void)state;
    start(14, false);
    uint64_t code = fake_code("f", 3);
    uint64_t frame = fake_frame(fake_shim(0), code, 4);
    put64(frame, g_fake.o.frame.code, code | 1);
    enter(frame);
    assert_int_equal(mt_pystack_capture(&g_stack), MT_PYSTACK_COMPLETE);
    assert_true(g_stack.frames[0].code == code);
}

static void test_copies_of_the_bytecode_give_one_instruction(void **state)
{
    (void)state;
    start(14, true);
    uint64_t code = fake_code("f", 3), copy = fake_alloc(256), copies = fake_alloc(64);
    put64(copies, 0, 2);
    put64(copies, 8, code + g_fake.o.code.bytecode);
    put64(copies, 16, copy);
    put64(code, g_fake.o.code.copies, copies);
    uint64_t frame = fake_frame(fake_shim(0), code, 34);
    enter(frame);
    mt_pystack_capture(&g_stack);
    uint64_t hash = g_stack.frames[0].hash;
    assert_int_equal(mt_pystack_lasti(&g_stack.frames[0]), 34);
    put64(frame, g_fake.o.frame.instr, copy + 34);
    put32(frame, g_fake.o.frame.copy_index, 1);
    mt_pystack_capture(&g_stack);
    assert_int_equal(mt_pystack_lasti(&g_stack.frames[0]), 34);
    assert_true(g_stack.frames[0].hash == hash);
}

static void test_a_cleanup_frame_is_left_out(void **state)
{
    (void)state;
    start(13, false);
    g_fake.used = FAKE_ARENA_BYTES - 65536; /* it is remembered: where no other test has code */
    uint64_t cleanup = fake_code("__init__", 0);
    put32(cleanup, g_fake.o.code.first_traceable, 20);
    uint64_t caller = fake_frame(fake_shim(0), fake_code("caller", 1), 0);
    uint64_t below = fake_frame(caller, cleanup, 0);
    uint64_t init = fake_frame(below, fake_code("init", 5), 0);
    enter(init);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mt_pystack_capture(&g_stack), MT_PYSTACK_COMPLETE);
        assert_int_equal(g_stack.count, 2);
        assert_true(g_stack.frames[0].frame == caller && g_stack.frames[1].frame == init);
        assert_int_equal(g_stack.frames[1].flags, 0);
    }
    enter(below);
    mt_pystack_capture(&g_stack);
    assert_int_equal(g_stack.count, 1);
}

static void test_a_failed_check_keeps_the_inner_part_and_counts(void **state)
{
    (void)state;
    const uint64_t bad[] = { 8, 0x7777777, 0xFFFF800000001000u, 0x4141414141414141u };
    for (size_t i = 0; i < MT_COUNTOF(bad); i++) {
        for (unsigned minor = 8; minor <= 15; minor++) {
            start(minor, false);
            uint64_t inner = fake_frame(bad[i], fake_code("f", 1), 0);
            uint64_t top = fake_frame(inner, fake_code("g", 1), 0);
            enter(top);
            assert_int_equal(mt_pystack_capture(&g_stack), MT_PYSTACK_BROKEN);
            assert_int_equal(g_stack.errors, 1);
            assert_int_equal(g_stack.count, 1);
            assert_true(g_stack.frames[0].frame == top);
            put64(inner, g_fake.o.frame.previous, 0);
            put64(inner, g_fake.o.frame.code, bad[i] & ~(uint64_t)7 ? bad[i] | 0xFFFF800000000000u : bad[i]);
            assert_int_equal(mt_pystack_capture(&g_stack), MT_PYSTACK_BROKEN);
            assert_int_equal(g_stack.count, 1);
        }
    }
}

static void test_a_stack_that_was_cut_is_not_the_same_stack_complete(void **state)
{
    (void)state;
    for (unsigned minor = 8; minor <= 15; minor++) {
        start(minor, false);
        uint64_t base = fake_frame(0, fake_code("base", 1), 0), top = fake_frame(base, fake_code("top", 1), 0);
        put64(base, g_fake.o.frame.code, 8);
        enter(top);
        assert_int_equal(mt_pystack_capture(&g_stack), MT_PYSTACK_BROKEN);
        uint64_t cut = g_stack.frames[0].hash;
        put64(top, g_fake.o.frame.previous, 0);
        assert_int_equal(mt_pystack_capture(&g_stack), MT_PYSTACK_COMPLETE);
        assert_true(g_stack.count == 1 && g_stack.frames[0].hash != cut);
        mt_pystack_capture(&g_cold);
        assert_true(g_cold.frames[0].hash == g_stack.frames[0].hash);
    }
}

static void test_what_is_no_code_object_is_not_taken_for_one(void **state)
{
    (void)state;
    for (unsigned minor = 8; minor <= 15; minor++) {
        start(minor, false);
        uint64_t none = fake_alloc(64);
        enter(fake_frame(fake_frame(0, none, 0), fake_code("f", 1), 0));
        assert_int_equal(mt_pystack_capture(&g_stack), MT_PYSTACK_BROKEN);
        assert_int_equal(g_stack.count, 1);
        assert_false(mt_pystack_describe(none, NULL, 0, NULL));
        assert_int_equal(mt_pystack_fingerprint(none), 0);
    }
}

static void test_a_cycle_ends_at_the_limit(void **state)
{
    (void)state;
    for (unsigned minor = 8; minor <= 15; minor++) {
        start(minor, false);
        uint64_t a = fake_frame(0, fake_code("a", 1), 0), b = fake_frame(a, fake_code("b", 1), 0);
        put64(a, g_fake.o.frame.previous, b);
        enter(b);
        assert_int_equal(mt_pystack_capture(&g_stack), MT_PYSTACK_TRUNCATED);
        assert_int_equal(g_stack.count, MT_PYSTACK_MAX_FRAMES);
        assert_int_not_equal(mt_pystack_capture(&g_stack), MT_PYSTACK_NONE);
        assert_true(g_stack.frames[g_stack.count - 1].frame == b);
    }
}

static void test_a_cycle_of_shims_ends(void **state)
{
    (void)state;
    start(13, false);
    uint64_t a = fake_shim(0), b = fake_shim(a);
    put64(a, g_fake.o.frame.previous, b);
    enter(fake_frame(b, fake_code("f", 1), 0));
    assert_int_equal(mt_pystack_capture(&g_stack), MT_PYSTACK_BROKEN);
}

static void test_too_deep_stacks_keep_the_innermost_frames(void **state)
{
    (void)state;
    start(13, false);
    uint64_t code = fake_code("f", 1), frame = fake_shim(0);
    for (int i = 0; i < MT_PYSTACK_MAX_FRAMES; i++) {
        frame = fake_frame(frame, code, 2);
    }
    enter(frame);
    assert_int_equal(mt_pystack_capture(&g_stack), MT_PYSTACK_COMPLETE);
    uint64_t second = g_stack.frames[1].frame, base_hash = g_stack.frames[0].hash;
    frame = fake_frame(frame, code, 2);
    enter(frame);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(mt_pystack_capture(&g_stack), MT_PYSTACK_TRUNCATED);
        assert_int_equal(g_stack.count, MT_PYSTACK_MAX_FRAMES);
        assert_true(g_stack.frames[0].frame == second && g_stack.frames[g_stack.count - 1].frame == frame);
        assert_true(g_stack.frames[0].hash != base_hash); /* what is missing below is part of the identity */
    }
}

static void test_another_code_object_at_the_same_address_is_another_frame(void **state)
{
    (void)state;
    for (unsigned minor = 8; minor <= 15; minor++) {
        start(minor, false);
        uint64_t filename = fake_text("<made>"), name = fake_text("f");
        uint64_t table = fake_bytes("\x80\0\x80\1\x80\2\x80\3\x80\0", 10);
        uint64_t code = fake_alloc(FAKE_OBJECT_BYTES);
        fake_fill_code(code, filename, name, table, 7);
        uint64_t outer = fake_frame(0, fake_code("outer", 1), 2), frame = fake_frame(outer, code, 4);
        enter(frame);
        mt_pystack_capture(&g_stack);
        uint64_t hash = g_stack.frames[1].hash, outer_hash = g_stack.frames[0].hash;
        uint64_t fingerprint = mt_pystack_fingerprint(code);
        mt_pystack_capture(&g_stack);
        assert_true(g_stack.frames[1].hash == hash);
        fake_kill(code);
        if (minor >= 12) { /* freed and made again, everything where it was: only the version tells */
            put32(code, g_fake.o.code.version, 77);
        } else { /* a line table of the same length at the same address */
            put8(table, g_fake.o.object.bytes_data + 9u, 5);
        }
        mt_pystack_capture(&g_stack);
        assert_true(g_stack.frames[1].hash != hash && g_stack.frames[0].hash == outer_hash);
        assert_true(mt_pystack_fingerprint(code) != fingerprint && mt_pystack_fingerprint(code) != 0);
    }
}

/* ---- which thread state ------------------------------------------------------------------------------------------ */

static void test_a_thread_that_does_not_finalize_is_not_read_while_another_does(void **state)
{
    (void)state;
    for (unsigned minor = 8; minor <= 15; minor++) {
        start(minor, false);
        enter(fake_frame(0, fake_code("f", 1), 0));
        put64(g_fake.runtime, g_fake.o.runtime.finalizing, g_fake.tstate);
        assert_int_equal(mt_pystack_capture(&g_stack), MT_PYSTACK_COMPLETE);
        put64(g_fake.runtime, g_fake.o.runtime.finalizing, g_fake.tstate + 64);
        assert_int_equal(mt_pystack_capture(&g_stack), MT_PYSTACK_NONE);
        assert_int_equal(g_stack.count, 0);
    }
}

static void test_the_state_that_holds_the_gil_is_preferred_in_subinterpreters(void **state)
{
    (void)state;
    for (unsigned minor = 8; minor <= 11; minor++) {
        start(minor, false);
        enter(fake_frame(0, fake_code("main", 1), 0));
        uint64_t own = g_fake.tstate, sub = fake_alloc(FAKE_OBJECT_BYTES);
        uint64_t in_sub = fake_frame(0, fake_code("sub", 1), 0);
        g_fake.tstate = sub;
        enter(in_sub);
        g_fake.tstate = own;
        g_fake.holder = sub;
        put64(sub, g_fake.o.tstate.thread_id, (uint64_t)pthread_self());
        mt_pystack_capture(&g_stack);
        assert_true(g_stack.frames[0].frame != in_sub); /* one interpreter: the holder is not even looked at */
        uint64_t first = fake_alloc(64);
        put64(g_fake.runtime, g_fake.o.runtime.interpreters_head, first);
        put64(first, g_fake.o.runtime.interpreter_next, fake_alloc(64));
        mt_pystack_capture(&g_stack);
        assert_true(g_stack.frames[0].frame == in_sub);
        put64(sub, g_fake.o.tstate.thread_id, (uint64_t)pthread_self() + 1); /* another thread's */
        mt_pystack_capture(&g_stack);
        assert_true(g_stack.frames[0].frame != in_sub);
    }
}

static void test_the_state_that_runs_is_only_believed_for_its_thread(void **state)
{
    (void)state;
    for (unsigned minor = 8; minor <= 11; minor++) {
        start(minor, false);
        uint64_t own = g_fake.tstate, other = fake_alloc(FAKE_OBJECT_BYTES);
        uint64_t in_own = fake_frame(0, fake_code("own", 1), 0), in_other = fake_frame(0, fake_code("other", 1), 0);
        enter(in_own);
        put64(own, g_fake.o.tstate.thread_id, (uint64_t)pthread_self());
        g_fake.holder = own;
        for (int i = 0; i < 2; i++) { /* the second time it is the one of last time */
            mt_pystack_capture(&g_stack);
            assert_true(g_stack.frames[0].frame == in_own);
        }
        put64(own, g_fake.o.tstate.thread_id, (uint64_t)pthread_self() + 1); /* its memory is another thread's now */
        g_fake.tstate = other;
        enter(in_other);
        mt_pystack_capture(&g_stack);
        assert_true(g_stack.frames[0].frame == in_other);
    }
}

/* A handful of frames, every second an entry, read twice: the second time nothing is different. */
static void test_entry_frames_are_recognised(void **state)
{
    (void)state;
    for (unsigned minor = 11; minor <= 15; minor++) {
        start(minor, false);
        bool shims = minor >= 12;
        uint64_t code = fake_code("f", 1), frames[8], loops[8];
        uint64_t below = shims && minor == 15 ? fake_shim(0) : 0, cframe = 0;
        for (unsigned i = 0; i < 8; i++) {
            bool entry = i % 2 == 0;
            if (entry) {
                loops[i] = shims ? fake_shim(below) : fake_alloc(32);
                put64(loops[i], shims ? g_fake.o.frame.previous : g_fake.o.tstate.cframe_previous, shims ? below : cframe);
                cframe = loops[i];
            }
            frames[i] = fake_frame(entry && shims ? loops[i] : below, code, 2 * i);
            if (!shims) {
                put8(frames[i], g_fake.o.frame.is_entry, entry);
            }
            below = frames[i];
        }
        fake_set_innermost(below, shims && g_fake.o.tstate.has_cframe ? fake_alloc(32) : cframe);
        for (int round = 0; round < 3; round++) {
            assert_int_equal(mt_pystack_capture(&g_stack), MT_PYSTACK_COMPLETE);
            assert_int_equal(g_stack.count, 8);
            for (unsigned i = 0; i < 8; i++) {
                assert_true(g_stack.frames[i].frame == frames[i]);
                assert_int_equal(g_stack.frames[i].flags, i % 2 == 0 ? MT_PYTHON_ENTRY : 0);
                assert_true(g_stack.frames[i].anchor == (i % 2 == 0 ? loops[i] : 0));
            }
        }
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_no_thread_state_gives_no_frames),
    cmocka_unit_test(test_a_thread_state_without_frames_gives_none),
    cmocka_unit_test(test_frames_are_stored_base_first_with_their_instruction),
    cmocka_unit_test(test_every_frame_is_an_entry_up_to_3_10),
    cmocka_unit_test(test_entries_of_3_11_take_the_cframes_in_order),
    cmocka_unit_test(test_shims_are_anchors_and_no_frames),
    cmocka_unit_test(test_only_shims_give_none),
    cmocka_unit_test(test_tags_on_references_are_no_address),
    cmocka_unit_test(test_copies_of_the_bytecode_give_one_instruction),
    cmocka_unit_test(test_a_cleanup_frame_is_left_out),
    cmocka_unit_test(test_a_failed_check_keeps_the_inner_part_and_counts),
    cmocka_unit_test(test_a_stack_that_was_cut_is_not_the_same_stack_complete),
    cmocka_unit_test(test_what_is_no_code_object_is_not_taken_for_one),
    cmocka_unit_test(test_a_cycle_ends_at_the_limit),
    cmocka_unit_test(test_a_cycle_of_shims_ends),
    cmocka_unit_test(test_too_deep_stacks_keep_the_innermost_frames),
    cmocka_unit_test(test_another_code_object_at_the_same_address_is_another_frame),
    cmocka_unit_test(test_a_thread_that_does_not_finalize_is_not_read_while_another_does),
    cmocka_unit_test(test_the_state_that_holds_the_gil_is_preferred_in_subinterpreters),
    cmocka_unit_test(test_the_state_that_runs_is_only_believed_for_its_thread),
    cmocka_unit_test(test_entry_frames_are_recognised),
};

MT_TEST_MAIN(tests)
