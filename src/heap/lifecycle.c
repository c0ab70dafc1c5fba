/* lifecycle.c: starting, stopping and forking the engine; everything here is rare.
 *
 * States of g_mt.mode: OFF -> (SAMPLE | EXACT | AGGREGATE) by mt_engine_start -> OFF by mt_engine_stop. Only the thread
 * that starts may publish a mode; any thread may stop, the first one wins (exchange). Hooks read the mode relaxed: an event
 * that races with a stop is recorded or not, both are right.
 */
#include "base/hash.h"
#include "heap/aggregate.h"
#include "heap/intern.h"
#include "heap/livetab.h"
#include "heap/meta.h"
#include "heap/modules.h"
#include "heap/thread.h"

#include <string.h>

/* ---- the account --------------------------------------------------------------------------------------------------- */

static uint64_t g_counters_without_file[MT_COUNTER__COUNT]; /* counts before a trace exists */

static uint64_t *counters(void)
{
    struct mt_trace_header *header = mt_load_relaxed(&g_mt.header);
    return header != NULL ? header->counters : g_counters_without_file;
}

void mt_engine_count(enum mt_counter counter, uint64_t amount)
{
    mt_fetch_add_relaxed(&counters()[counter], amount);
}

void mt_engine_count_sample(void)
{
    uint64_t *samples = &counters()[MT_COUNTER_SAMPLES];
    if (mt_load_relaxed(&g_mt.threads_begun)) {
        mt_fetch_add_relaxed(samples, 1u);
    } else {
        mt_store_relaxed(samples, mt_load_relaxed(samples) + 1);
    }
}

uint64_t mt_engine_counter(enum mt_counter counter)
{
    return mt_load_relaxed(&counters()[counter]);
}

/* ---- module changes go to the metadata stream -------------------------------------------------------------------- */

static void module_appeared(const struct mt_module *module)
{
    if (!mt_meta_lock()) {
        return;
    }
    struct mt_meta_builder *record = mt_meta_new_locked();
    mt_meta_u64(record, module->number);
    mt_meta_u64(record, module->bias);
    mt_meta_string(record, module->path, module->path_bytes);
    mt_meta_string(record, module->build_id, module->build_id_bytes);
    mt_meta_u64(record, module->segment_count);
    for (uint32_t i = 0; i < module->segment_count; i++) {
        mt_meta_u64(record, module->segments[i].vaddr);
        mt_meta_u64(record, module->segments[i].bytes);
        mt_meta_u64(record, module->segments[i].offset);
        mt_meta_u64(record, module->segments[i].flags);
    }
    if (!mt_meta_append_locked(MT_META_MODULE, record)) {
        mt_engine_count(MT_COUNTER_DROPPED_NO_SPACE, 1);
    }
    mt_meta_unlock();
}

static void module_gone(const struct mt_module *module)
{
    if (!mt_meta_lock()) {
        return;
    }
    struct mt_meta_builder *record = mt_meta_new_locked();
    mt_meta_u64(record, module->number);
    if (!mt_meta_append_locked(MT_META_MODULE_GONE, record)) {
        mt_engine_count(MT_COUNTER_DROPPED_NO_SPACE, 1);
    }
    mt_meta_unlock();
}

static const struct mt_module_sink g_module_sink = { module_appeared, module_gone };

/* ---- small records -------------------------------------------------------------------------------------------------- */

void mt_engine_note(const char *key, const char *value)
{
    if (g_mt.header == NULL || !mt_meta_lock()) {
        return;
    }
    struct mt_meta_builder *record = mt_meta_new_locked();
    mt_meta_string(record, key, strlen(key));
    mt_meta_string(record, value, strlen(value));
    if (!mt_meta_append_locked(MT_META_NOTE, record)) {
        mt_engine_count(MT_COUNTER_DROPPED_NO_SPACE, 1);
    }
    mt_meta_unlock();
}

static void note_eval_range(const struct mt_python_info *info)
{
    if (info->eval_low == 0 || !mt_meta_lock()) {
        return;
    }
    struct mt_meta_builder *record = mt_meta_new_locked();
    mt_meta_u64(record, info->eval_low);
    mt_meta_u64(record, info->eval_high);
    if (!mt_meta_append_locked(MT_META_EVAL_RANGE, record)) {
        mt_engine_count(MT_COUNTER_DROPPED_NO_SPACE, 1);
    }
    mt_meta_unlock();
}

static void note_unknown_version(const struct mt_python_info *info)
{
    static const char rest[] = " is a version this memtap does not know: stacks are native only";
    char text[sizeof rest + 64] = "Python ";
    size_t length = strlen(text);
    size_t digits = info->version_text != NULL ? strcspn(info->version_text, " ") : 0;
    if (digits > 0 && digits < 32) {
        memcpy(text + length, info->version_text, digits);
        length += digits;
    }
    memcpy(text + length, rest, sizeof rest);
    mt_engine_note("warning", text);
}

void mt_engine_python_found(void)
{
    const struct mt_python_info *info = mt_pystack_info();
    if (info == NULL || g_mt.header == NULL) {
        return;
    }
    g_mt.header->python_version = info->version_hex;
    if (info->version_text != NULL) {
        mt_engine_note("python.version", info->version_text);
    }
    if (!info->frames_supported) {
        note_unknown_version(info);
        return;
    }
    if (g_mt.config.python_frames) {
        note_eval_range(info);
        g_mt.header->flags |= MT_TRACE_PYTHON_FRAMES;
        mt_store_relaxed(&g_mt.python, true);
    }
}

void mt_engine_thread_name(const char *name)
{
    (void)name;
    if (t_mt.thread != NULL && t_mt.depth == 0) {
        t_mt.depth++;
        mt_thread_note_name(t_mt.thread);
        t_mt.depth--;
    }
}

/* ---- start ---------------------------------------------------------------------------------------------------------- */

static const uint64_t FLAG_OF_MODE[] = {
    [MT_MODE_OFF] = 0,
    [MT_MODE_SAMPLE] = MT_TRACE_SAMPLE,
    [MT_MODE_EXACT] = MT_TRACE_EXACT,
    [MT_MODE_AGGREGATE] = MT_TRACE_EXACT | MT_TRACE_AGGREGATE,
};

static void fill_header(struct mt_trace_header *header, const struct mt_engine_config *config)
{
    header->flags = FLAG_OF_MODE[config->mode] | (config->native ? MT_TRACE_NATIVE : 0) |
                    (config->python_allocators ? MT_TRACE_PYTHON_ALLOCATORS : 0) |
                    (config->fork_child ? MT_TRACE_FORK_CHILD : 0);
    header->pid = (uint64_t)mt_os_pid();
    header->parent_pid = config->parent_pid;
    header->start_realtime_ns = mt_os_realtime_ns();
    header->start_clock = mt_os_monotonic_coarse_ns();
    header->rate_bytes = config->mode == MT_MODE_SAMPLE ? config->rate_bytes : 0;
    size_t bytes = config->command_bytes < MT_TRACE_COMMAND_MAX ? config->command_bytes : MT_TRACE_COMMAND_MAX;
    memcpy(header->command, config->command, bytes);
    header->command_bytes = (uint16_t)bytes;
    mt_store_release(&header->state, (uint32_t)MT_STATE_RECORDING);
}

/* The page hooks read the mode from; the kernel zeroes it (OFF) in every fork child. */
static void make_mode_page(void)
{
    void *page = NULL;
    if (g_mt.mode_page == NULL && mt_os_map_anonymous(mt_os_page_bytes(), &page) == MT_OK) {
        (void)mt_os_advise_wipeonfork(page, mt_os_page_bytes()); /* kernel before 4.14: the atfork handler must do */
        g_mt.mode_page = page;
    }
    if (g_mt.mode_page == NULL) {
        static uint32_t plain[2]; /* no memory: likewise */
        g_mt.mode_page = plain;
    }
    if (g_mt.live_mode != g_mt.mode_page) {
        mt_store_release(&g_mt.live_mode, (const uint32_t *)g_mt.mode_page);
    }
    mt_store_relaxed(&g_mt.mode_page[1], 1u);
}

static void publish_mode(enum mt_engine_mode mode)
{
    mt_store_release(&g_mt.mode, mode);
    if (g_mt.mode_page != NULL) {
        mt_store_release(g_mt.mode_page, (uint32_t)mode);
    }
}

static mt_status prepare_tables(const struct mt_engine_config *config)
{
    mt_status status = mt_meta_open();
    if (status == MT_OK) {
        status = mt_livetab_init();
    }
    if (status == MT_OK && config->mode == MT_MODE_AGGREGATE) {
        status = mt_aggregate_init();
    }
    return status;
}

/* Every thread looks again at its next allocation. A store may be lost to its owner's subtraction: then the owner notices
 * at its next sample. Threads that may be gone already are not touched. */
static void end_countdowns(void)
{
    if (mt_spinlock_lock(&g_mt.threads_lock)) {
        for (struct mt_thread *t = g_mt.threads; t != NULL; t = t->next) {
            if (t->tls != NULL) {
                mt_store_relaxed(&t->tls->left, (uint64_t)0);
            }
        }
        mt_spinlock_unlock(&g_mt.threads_lock);
    }
}

mt_status mt_engine_start(const struct mt_engine_config *config)
{
    if (mt_mode() != MT_MODE_OFF || config->mode == MT_MODE_OFF || config->rate_bytes == 0) {
        return MT_E_INVAL;
    }
    mt_status status = mt_engine_finish(MT_STATE_STOPPED);
    if (status != MT_OK) {
        return status;
    }
    mt_store_relaxed(&g_mt.restart_pending, false);
    struct mt_trace_header *header = NULL;
    status = mt_tracefile_create(config->path, config->max_file_bytes, &header);
    if (status != MT_OK) {
        return status;
    }
    fill_header(header, config);
    g_mt.config = *config;
    mt_store_release(&g_mt.header, header);
    g_mt.start_clock = header->start_clock;
    g_mt.tick = config->tick;
    g_mt.next_rss_clock = 0;
    g_mt.native = config->native;
    g_mt.seed = config->seed != 0 ? config->seed : mt_os_random();
    g_mt.key_salt = mt_hash_pair(g_mt.seed, header->start_realtime_ns);
    mt_intern_clear();
    status = prepare_tables(config);
    if (status != MT_OK) {
        mt_store_release(&header->state, (uint32_t)MT_STATE_FILE_FULL);
        mt_store_relaxed(&g_mt.header, (struct mt_trace_header *)NULL);
        mt_tracefile_close();
        return status;
    }
    g_mt.unfinished = true;
    g_mt.threads_begun = g_mt.threads_begun || config->late;
    make_mode_page();
    status = mt_modules_init(&g_module_sink);
    if (status != MT_OK) {
        g_mt.native = false;
        mt_engine_note("warning", "no memory for the module map: no native stacks");
    }
    mt_engine_python_found();
    mt_store_relaxed(&g_mt.rate, config->rate_bytes);
    mt_store_release(&g_mt.rate_generation, g_mt.rate_generation + 1);
    mt_store_release(&g_mt.generation, (g_mt.generation | 1) + 1);
    mt_livetab_show(config->mode == MT_MODE_SAMPLE ? MT_FILTER_TABLE : MT_FILTER_ALL); /* first: a sample's free is seen */
    publish_mode(config->mode);
    end_countdowns();
    t_mt.left = 0;
    return MT_OK;
}

static void change_rate(uint64_t rate)
{
    mt_store_relaxed(&g_mt.rate, rate);
    mt_store_release(&g_mt.rate_generation, g_mt.rate_generation + 1);
    end_countdowns();
}

mt_status mt_engine_pause(void)
{
    if (mt_mode() != MT_MODE_SAMPLE) {
        return MT_E_INVAL;
    }
    change_rate(MT_RATE_PAUSED);
    mt_engine_note("sampling", "paused");
    return MT_OK;
}

mt_status mt_engine_set_rate(uint64_t rate_bytes)
{
    if (rate_bytes == 0 || rate_bytes == MT_RATE_PAUSED || mt_mode() != MT_MODE_SAMPLE) {
        return MT_E_INVAL;
    }
    change_rate(rate_bytes);
    if (mt_meta_lock()) {
        struct mt_meta_builder *record = mt_meta_new_locked();
        mt_meta_u64(record, mt_clock_now());
        mt_meta_u64(record, rate_bytes);
        if (!mt_meta_append_locked(MT_META_RATE, record)) {
            mt_engine_count(MT_COUNTER_DROPPED_NO_SPACE, 1);
        }
        mt_meta_unlock();
    }
    return MT_OK;
}

enum mt_engine_mode mt_engine_mode(void)
{
    return mt_load_relaxed(&g_mt.mode);
}

uint64_t mt_engine_rate(void)
{
    uint64_t rate = mt_load_relaxed(&g_mt.rate);
    return rate != MT_RATE_PAUSED ? rate : 0;
}

uint64_t mt_engine_live_samples(void)
{
    return mt_livetab_count();
}

void mt_engine_threads_begin(void)
{
    (void)mt_engine_restart_in_child();
    mt_store_release(&g_mt.threads_begun, true);
}

void mt_engine_on_fork(void (*restart)(void))
{
    g_mt.restart_after_fork = restart;
}

/* ---- stop ----------------------------------------------------------------------------------------------------------- */

void mt_engine_stop(enum mt_trace_state state)
{
    enum mt_engine_mode before = mt_exchange_acq_rel(&g_mt.mode, MT_MODE_OFF);
    publish_mode(MT_MODE_OFF);
    mt_livetab_show(MT_FILTER_NONE);
    if (before == MT_MODE_OFF) {
        return;
    }
    if (g_mt.header != NULL) {
        mt_store_relaxed(&g_mt.header->end_clock, mt_clock_now());
        mt_store_release(&g_mt.header->state, (uint32_t)state);
    }
    /* Slots stay mapped: other threads may be writing their last record; the reader takes slots as they are. Whoever can
     * wait for them calls mt_engine_finish. */
}

void mt_engine_exit_seen(void)
{
    if (mt_mode() == MT_MODE_OFF || g_mt.header == NULL) {
        return;
    }
    mt_store_relaxed(&g_mt.header->end_clock, mt_clock_now());
    mt_store_release(&g_mt.header->state, (uint32_t)MT_STATE_ENDED);
}

/* ---- fork ----------------------------------------------------------------------------------------------------------- */

void mt_engine_fork_child(void)
{
    if (g_mt.header == NULL && mt_mode() == MT_MODE_OFF) {
        return;
    }
    /* The parent's slots and header are not mapped here (DONTFORK): forget them before anything touches them. */
    bool recorded = mt_mode() != MT_MODE_OFF; /* this copy is not wiped */
    g_mt.header = NULL;
    g_mt.unfinished = false;
    publish_mode(MT_MODE_OFF);
    mt_livetab_show(MT_FILTER_NONE);
    mt_livetab_after_fork();
    mt_tracefile_after_fork();
    mt_meta_after_fork();
    mt_aggregate_after_fork();
    mt_modules_after_fork();
    mt_unwind_after_fork();
    struct mt_thread *self = t_mt.thread;
    mt_thread_forget_all_but(self);
    g_mt.threads_begun = false;
    memset(g_mt_regions, 0, sizeof g_mt_regions);
    if (self != NULL) {
        /* Starts as a new thread of a new process: own stream, own random numbers. */
        mt_thread_forget_all_but(NULL);
        self->next = g_mt.free_blocks;
        g_mt.free_blocks = self;
        t_mt.thread = NULL;
        t_mt.state = MT_THREAD_NEW;
    }
    t_mt.left = 0;
    g_mt.next_stream = 0;
    g_mt.restart_pending = recorded && g_mt.restart_after_fork != NULL;
}
