/* The memo against a walk without one: hand-made interpreters whose stacks change at random between captures. */
#include "harness.h"

#include "two_stacks.h"

#include <time.h>

enum { POOL = 48, CODES = 12, ROUNDS = 40000 };

struct program {
    uint64_t pool[POOL];  /* frame memory, reused in any order as generators and freed frames are */
    uint64_t shims[POOL];
    uint64_t codes[CODES];
    unsigned chain[POOL]; /* outermost first: indices into pool */
    bool entry[POOL];
    unsigned depth;
};

static void make_program(struct program *prog)
{
    prog->depth = 0;
    for (unsigned i = 0; i < CODES; i++) {
        prog->codes[i] = fake_code("code", i);
    }
    for (unsigned i = 0; i < POOL; i++) {
        prog->pool[i] = fake_alloc(128);
        prog->shims[i] = fake_shim(0);
    }
}

static bool is_running(const struct program *prog, unsigned frame)
{
    for (unsigned i = 0; i < prog->depth; i++) {
        if (prog->chain[i] == frame) {
            return true;
        }
    }
    return false;
}

static void push(struct program *prog)
{
    unsigned frame = (unsigned)rand() % POOL;
    /* mostly the slot a stack would use, sometimes any */
    if (rand() % 4 != 0 || is_running(prog, frame)) {
        for (frame = 0; is_running(prog, frame); frame++) {
        }
    }
    prog->entry[prog->depth] = rand() % 5 == 0;
    prog->chain[prog->depth++] = frame;
    uint64_t code = prog->codes[rand() % CODES];
    put64(prog->pool[frame], g_fake.o.frame.code, code);
    fake_set_lasti(prog->pool[frame], code, -2); /* from 3.11 on an instruction is an address inside its code object */
}

static void mutate(struct program *prog)
{
    unsigned what = (unsigned)rand() % 10;
    if (what < 4 && prog->depth < POOL - 1) {
        push(prog);
    } else if (what < 7 && prog->depth > 0) {
        prog->depth -= 1 + (unsigned)rand() % (prog->depth < 5 ? prog->depth : 5);
    } else if (what == 7 && prog->depth > 1) { /* the base goes: a generator outlives its first caller */
        memmove(prog->chain, prog->chain + 1, sizeof prog->chain[0] * --prog->depth);
    } else if (what == 8) { /* a code object is replaced in place */
        uint64_t code = prog->codes[rand() % CODES];
        fake_kill(code);
        put64(code, g_fake.o.code.name, fake_text("other"));
        put32(code, g_fake.o.code.version, (uint32_t)rand());
    } else if (prog->depth > 2) { /* two frames change places */
        unsigned a = (unsigned)rand() % prog->depth, b = (unsigned)rand() % prog->depth, saved = prog->chain[a];
        prog->chain[a] = prog->chain[b];
        prog->chain[b] = saved;
    }
}

static uint64_t previous_of(struct program *prog, unsigned at)
{
    uint64_t previous = at == 0 ? 0 : prog->pool[prog->chain[at - 1]];
    if (g_fake.o.family == MT_PY_SHIM && (at == 0 || prog->entry[at])) {
        put64(prog->shims[at], g_fake.o.frame.previous, previous);
        return prog->shims[at];
    }
    return previous;
}

static void relink(struct program *prog)
{
    for (unsigned i = 0; i < prog->depth; i++) {
        uint64_t frame = prog->pool[prog->chain[i]];
        put64(frame, g_fake.o.frame.previous, previous_of(prog, i));
        if (rand() % 6 == 0 || i + 1 == prog->depth) {
            uint64_t code = mt_py_load_u64(frame, g_fake.o.frame.code);
            fake_set_lasti(frame, code, 2 * (rand() % 50));
        }
        if (g_fake.o.family == MT_PY_ENTRY_FLAG) {
            put8(frame, g_fake.o.frame.is_entry, prog->entry[i]);
        }
    }
    enter(prog->depth != 0 ? prog->pool[prog->chain[prog->depth - 1]] : 0);
}

static void assert_memo_equals_cold(const struct program *prog)
{
    enum mt_pystack_result result = mt_pystack_capture(&g_stack);
    mt_pystack_forget(&g_cold);
    assert_int_equal(mt_pystack_capture(&g_cold), result);
    assert_int_equal(g_stack.count, prog->depth);
    assert_int_equal(g_cold.count, prog->depth);
    for (unsigned i = 0; i < g_stack.count; i++) {
        assert_true(g_stack.frames[i].frame == prog->pool[prog->chain[i]]);
        assert_memory_equal(&g_stack.frames[i], &g_cold.frames[i], sizeof g_stack.frames[i]);
    }
}

static void test_a_reused_stack_is_what_a_new_walk_gives(void **state)
{
    (void)state;
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srand(seed);
    const unsigned minors[] = { 8, 11, 13 };
    for (size_t m = 0; m < MT_COUNTOF(minors); m++) {
        start(minors[m], false);
        struct program prog;
        make_program(&prog);
        size_t kept = g_fake.used;
        for (unsigned round = 0; round < ROUNDS; round++) {
            for (int i = rand() % 3; i >= 0; i--) {
                mutate(&prog);
            }
            relink(&prog);
            assert_memo_equals_cold(&prog);
            if (g_fake.used > FAKE_ARENA_BYTES / 2) { /* texts and cframes of the past; names keep their last text */
                g_fake.used = kept + FAKE_ARENA_BYTES / 4;
            }
        }
    }
}

static void test_frames_that_only_moved_on_are_hashed_anew_from_there(void **state)
{
    (void)state;
    start(12, false);
    uint64_t frames[20], code = fake_code("f", 1);
    uint64_t frame = fake_shim(0);
    for (int i = 0; i < 20; i++) {
        frame = frames[i] = fake_frame(frame, code, 2 * i);
    }
    enter(frame);
    mt_pystack_capture(&g_stack);
    uint64_t below = g_stack.frames[9].hash, at = g_stack.frames[10].hash, top = g_stack.frames[19].hash;
    fake_set_lasti(frames[10], code, 90);
    mt_pystack_capture(&g_stack);
    assert_true(g_stack.frames[9].hash == below && g_stack.frames[10].hash != at && g_stack.frames[19].hash != top);
    fake_set_lasti(frames[10], code, 20);
    mt_pystack_capture(&g_stack);
    assert_true(g_stack.frames[10].hash == at && g_stack.frames[19].hash == top);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_reused_stack_is_what_a_new_walk_gives),
    cmocka_unit_test(test_frames_that_only_moved_on_are_hashed_anew_from_there),
};

MT_TEST_MAIN(tests)
