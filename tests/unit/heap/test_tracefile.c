/* The trace file as the agent writes it: which file blocks go to, what a full or vanished one answers, what is left at the end. */
#include "heap/folder.h"

#include "heap/meta.h"
#include "heap/tracefile.h"
#include "wire/encode.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

enum { PAYLOAD = 1000, WRITERS = 4, BLOCKS_EACH = 200 };

static mt_status create(uint64_t max_file_bytes)
{
    struct mt_trace_header *header = NULL;
    const struct mt_engine_config config = { .path = g_path, .max_file_bytes = max_file_bytes };
    mt_status status = mt_tracefile_create(&config, &header);
    return status == MT_OK ? mt_tracefile_show() : status;
}

/* A block of stream n whose payload is n repeated. */
static mt_status append(uint32_t n)
{
    uint32_t payload[PAYLOAD / sizeof(uint32_t)];
    for (size_t i = 0; i < MT_COUNTOF(payload); i++) {
        payload[i] = n;
    }
    struct mt_block_header block = { .type = MT_BLOCK_EVENTS, .stream = n };
    return mt_tracefile_append(&block, payload, sizeof payload);
}

static uint8_t *read_file(const char *path, size_t *ret_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    struct stat info;
    assert_int_equal(fstat(fd, &info), 0);
    uint8_t *bytes = malloc((size_t)info.st_size + 1);
    assert_int_equal(read(fd, bytes, (size_t)info.st_size), info.st_size);
    close(fd);
    *ret_bytes = (size_t)info.st_size;
    return bytes;
}

/* Blocks in the file, each of which must be whole; seen[n] counts those of stream n. */
static size_t count_blocks(const char *path, uint32_t *seen, size_t streams)
{
    size_t bytes, count = 0;
    uint8_t *file = read_file(path, &bytes);
    size_t at = MT_TRACE_HEADER_BYTES;
    while (at + sizeof(struct mt_block_header) <= bytes) {
        struct mt_block_header block, sealed;
        memcpy(&block, file + at, sizeof block);
        sealed = block;
        mt_block_seal(&sealed, file + at + sizeof block);
        assert_memory_equal(&sealed, &block, sizeof block);
        uint32_t first, last;
        memcpy(&first, file + at + sizeof block, sizeof first);
        memcpy(&last, file + at + sizeof block + PAYLOAD - sizeof last, sizeof last);
        assert_int_equal(first, block.stream);
        assert_int_equal(last, block.stream);
        assert_true(block.stream < streams);
        seen[block.stream]++;
        at += block.extent_bytes;
        count++;
    }
    free(file);
    return count;
}

static size_t files_in_folder(void)
{
    size_t count = 0;
    DIR *folder = opendir(g_directory);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    closedir(folder);
    return count;
}

static void test_a_file_that_exists_is_not_touched(void **state)
{
    (void)state;
    int fd = open(g_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "somebody's", 10), 10);
    close(fd);
    assert_int_equal(create(0), MT_E_EXIST);
    size_t bytes;
    uint8_t *file = read_file(g_path, &bytes);
    assert_int_equal(bytes, 10);
    assert_memory_equal(file, "somebody's", 10);
    free(file);
    assert_int_equal(files_in_folder(), 1);
}

static void test_at_the_end_the_trace_alone_is_left(void **state)
{
    (void)state;
    assert_int_equal(create(0), MT_OK);
    assert_int_equal(files_in_folder(), 2);
    assert_int_equal(append(1), MT_OK);
    mt_tracefile_close();
    assert_int_equal(files_in_folder(), 1);
    struct mt_trace_header header;
    size_t bytes;
    uint8_t *file = read_file(g_path, &bytes);
    memcpy(&header, file, sizeof header);
    free(file);
    assert_memory_equal(header.magic, MT_TRACE_MAGIC, sizeof header.magic);
    assert_int_equal(header.journal, 0);
    assert_in_range(header.file_tail, bytes, bytes + sizeof(struct mt_block_header) - 1); /* an extent is whole lines */
    uint32_t seen[2] = { 0 };
    assert_int_equal(count_blocks(g_path, seen, 2), 1);
}

static void *append_many(void *number)
{
    size_t failed = 0;
    for (int i = 0; i < BLOCKS_EACH; i++) {
        failed += append((uint32_t)(uintptr_t)number) != MT_OK;
    }
    return (void *)failed;
}

static void test_threads_that_append_at_once_claim_room_of_their_own(void **state)
{
    (void)state;
    pthread_t writers[WRITERS];
    assert_int_equal(create(0), MT_OK);
    for (uintptr_t i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_create(&writers[i], NULL, append_many, (void *)i), 0);
    }
    for (size_t i = 0; i < WRITERS; i++) {
        void *failed;
        assert_int_equal(pthread_join(writers[i], &failed), 0);
        assert_null(failed);
    }
    mt_tracefile_close();
    uint32_t seen[WRITERS] = { 0 };
    assert_int_equal(count_blocks(g_path, seen, WRITERS), WRITERS * BLOCKS_EACH);
    for (size_t i = 0; i < WRITERS; i++) {
        assert_int_equal(seen[i], BLOCKS_EACH);
    }
}

static void test_a_moved_trace_is_written_on_and_what_took_its_place_is_not(void **state)
{
    (void)state;
    char moved[128];
    snprintf(moved, sizeof moved, "%s/moved", g_directory);
    assert_int_equal(create(0), MT_OK);
    assert_int_equal(append(0), MT_OK);
    assert_int_equal(rename(g_path, moved), 0);
    int fd = open(g_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "somebody's", 10), 10);
    close(fd);
    assert_int_equal(append(1), MT_OK);
    mt_tracefile_close();
    uint32_t seen[2] = { 0 };
    assert_int_equal(count_blocks(moved, seen, 2), 2);
    size_t bytes;
    uint8_t *file = read_file(g_path, &bytes);
    assert_int_equal(bytes, 10);
    free(file);
}

static void test_an_emptied_trace_gets_no_more_blocks(void **state)
{
    (void)state;
    assert_int_equal(create(0), MT_OK);
    assert_int_equal(append(0), MT_OK);
    assert_int_equal(truncate(g_path, 0), 0);
    assert_int_equal(append(1), MT_E_TRUNCATED);
    struct stat info;
    assert_int_equal(stat(g_path, &info), 0);
    assert_int_equal(info.st_size, 0);
    mt_tracefile_close();
}

static void test_a_removed_trace_says_so_and_does_not_come_back(void **state)
{
    (void)state;
    assert_int_equal(create(0), MT_OK);
    assert_int_equal(unlink(g_path), 0);
    assert_int_equal(append(0), MT_E_NOENT);
    mt_tracefile_close();
    assert_int_equal(files_in_folder(), 0);
}

static void test_the_limit_counts_trace_and_journal_and_is_kept(void **state)
{
    (void)state;
    enum { LIMIT = 256 * 1024 };
    assert_int_equal(create(LIMIT), MT_OK);
    mt_status status = MT_OK;
    size_t appended = 0;
    for (; status == MT_OK && appended < 1000; appended += status == MT_OK) {
        status = append(0);
    }
    assert_int_equal(status, MT_E_SIZE);
    const struct mt_trace_header *header = mt_tracefile_header();
    uint64_t used = header->file_tail + header->journal_tail;
    assert_in_range(used, LIMIT - mt_block_extent(PAYLOAD) + 1, LIMIT);
    mt_tracefile_close();
    uint32_t seen[1] = { 0 };
    assert_int_equal(count_blocks(g_path, seen, 1), appended);
}

/* ---- metadata ------------------------------------------------------------------------------------------------------------ */

static uint32_t string_number(const char *text, size_t bytes)
{
    assert_true(mt_meta_lock());
    uint32_t number = mt_meta_string_locked(text, bytes);
    mt_meta_unlock();
    return number;
}

static void test_a_string_is_written_once_and_the_empty_one_never(void **state)
{
    (void)state;
    assert_int_equal(create(0), MT_OK);
    assert_int_equal(mt_meta_open(), MT_OK);
    assert_int_equal(string_number("", 0), 0);
    assert_int_equal(string_number("first", 5), 1);
    assert_int_equal(string_number("second", 6), 2);
    assert_int_equal(string_number("first", 5), 1);
    mt_meta_close();
    mt_tracefile_close();
    size_t bytes;
    uint8_t *file = read_file(g_path, &bytes);
    uint8_t *found = memmem(file, bytes, "first", 5);
    assert_non_null(found);
    assert_null(memmem(found + 5, bytes - (size_t)(found + 5 - file), "first", 5));
    assert_non_null(memmem(file, bytes, "second", 6));
    free(file);
}

static void test_strings_of_the_next_trace_begin_anew(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        assert_int_equal(create(0), MT_OK);
        assert_int_equal(mt_meta_open(), MT_OK);
        assert_int_equal(string_number("text", 4), 1);
        mt_meta_close();
        mt_tracefile_close();
        assert_int_equal(unlink(g_path), 0);
    }
}

static void test_a_record_larger_than_the_slot_is_written_whole(void **state)
{
    (void)state;
    static char text[60 * 1024];
    memset(text, 'x', sizeof text);
    assert_int_equal(create(0), MT_OK);
    assert_int_equal(mt_meta_open(), MT_OK);
    assert_int_equal(string_number("before", 6), 1);
    assert_int_equal(string_number(text, sizeof text), 2);
    assert_int_equal(string_number("behind", 6), 3);
    mt_meta_close();
    mt_tracefile_close();
    size_t bytes;
    uint8_t *file = read_file(g_path, &bytes);
    uint8_t *before = memmem(file, bytes, "before", 6), *whole = memmem(file, bytes, text, sizeof text);
    uint8_t *behind = memmem(file, bytes, "behind", 6);
    assert_true(before != NULL && before < whole && whole < behind);
    free(file);
}

static void test_a_record_larger_than_the_builder_is_refused(void **state)
{
    (void)state;
    static char text[64 * 1024 + 1];
    assert_int_equal(create(0), MT_OK);
    assert_int_equal(mt_meta_open(), MT_OK);
    assert_int_equal(string_number(text, sizeof text), 0);
    assert_int_equal(string_number("next", 4), 1);
    mt_meta_close();
    mt_tracefile_close();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_directory, remove_directory)
static const struct CMUnitTest tests[] = {
    TEST(test_a_file_that_exists_is_not_touched),
    TEST(test_at_the_end_the_trace_alone_is_left),
    TEST(test_threads_that_append_at_once_claim_room_of_their_own),
    TEST(test_a_moved_trace_is_written_on_and_what_took_its_place_is_not),
    TEST(test_an_emptied_trace_gets_no_more_blocks),
    TEST(test_a_removed_trace_says_so_and_does_not_come_back),
    TEST(test_the_limit_counts_trace_and_journal_and_is_kept),
    TEST(test_a_string_is_written_once_and_the_empty_one_never),
    TEST(test_strings_of_the_next_trace_begin_anew),
    TEST(test_a_record_larger_than_the_slot_is_written_whole),
    TEST(test_a_record_larger_than_the_builder_is_refused),
};
MT_TEST_MAIN(tests)
