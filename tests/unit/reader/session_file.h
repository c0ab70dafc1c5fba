/* session_file.h: one small trace in a file of its own for each test, and sessions on it. Everything is static: a test
 * includes it. */
#ifndef MT_TESTS_UNIT_READER_SESSION_FILE_H
#define MT_TESTS_UNIT_READER_SESSION_FILE_H

#include "harness.h"

#include "memtap/profile.h"
#include "model/builder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char g_path[] = "/tmp/memtap-session-XXXXXX";

UNUSED static void write_bytes(const void *data, size_t bytes)
{
    int fd = open(g_path, O_WRONLY | O_TRUNC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, bytes), bytes);
    close(fd);
}

static int setup(void **state)
{
    (void)state;
    int fd = mkstemp(g_path);
    close(fd);
    return fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(g_path);
    memcpy(g_path, "/tmp/memtap-session-XXXXXX", sizeof g_path);
    return 0;
}

UNUSED static struct mt_trace_header *header_of(struct builder *b)
{
    return (struct mt_trace_header *)(void *)b->file;
}

/* Two threads; stack 1 is native, stack 2 has two Python frames above one evaluation loop, stack 3 is truncated. */
UNUSED static void build(struct builder *b, size_t more)
{
    builder_init(b);
    builder_string(b, "/src/app.py"); /* 1 */
    builder_string(b, "inner");       /* 2 */
    builder_string(b, "outer");       /* 3 */
    builder_module(b, 1, 0x10000, "/lib/libwork.so", 0x0, 0x10000);
    builder_thread(b, 1, 501, "main");
    builder_thread(b, 2, 502, "worker");
    builder_code(b, 1, 1, 2, 2, 10);
    builder_code(b, 2, 1, 3, 3, 20);
    builder_native(b, 0, 0x11000); /* 1: outermost */
    builder_native(b, 1, 0x12000); /* 2: the loop */
    builder_native(b, 2, 0x13000); /* 3: innermost */
    builder_native(b, 0, 0);       /* 4: truncated */
    builder_native(b, 4, 0x14000); /* 5 */
    builder_python(b, 0, 2, -1, MT_PYTHON_ENTRY); /* 1: outer */
    builder_python(b, 1, 1, -1, 0);                    /* 2: inner */
    builder_stack(b, 1, 0, NULL, 0);
    builder_stack(b, 3, 2, (const uint64_t[]){ 1 }, 1);
    builder_stack(b, 5, 0, NULL, 0);
    builder_alloc(b, 1, 10, 0x5000, 100, 1);
    builder_alloc(b, 2, 20, 0x6000, 200, 2);
    builder_alloc(b, 1, 30, 0x7000, 300, 3);
    builder_free(b, 1, 40, 0x6000);
    builder_alloc(b, 1, 50, 0x6000, 400, 2);
    for (size_t i = 0; i < more; i++) {
        builder_alloc(b, 2, 60 + i, 0x100000 + 16 * i, i, (uint32_t)(i % 4));
    }
    builder_finish(b);
}

UNUSED static struct mt_recording *open_session(void)
{
    struct mt_recording *session = NULL;
    struct mt_profile_failure failure = { 0 };
    int code = mt_recording_open((const char *const[]){ g_path }, 1, &session, &failure);
    if (code != MT_PROFILE_OK) {
        fail_msg("%s", failure.text);
    }
    return session;
}

UNUSED static struct mt_recording *open_built(struct builder *b, size_t more)
{
    build(b, more);
    write_bytes(b->file, b->file_bytes);
    return open_session();
}

UNUSED static struct mt_snapshot *take(struct mt_recording *session, struct mt_snapshot_options options)
{
    struct mt_snapshot *snapshot = NULL;
    struct mt_profile_failure failure = { 0 };
    options.struct_bytes = sizeof options;
    int code = mt_recording_snapshot(session, 0, &options, &snapshot, &failure);
    if (code != MT_PROFILE_OK) {
        fail_msg("%s", failure.text);
    }
    return snapshot;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
