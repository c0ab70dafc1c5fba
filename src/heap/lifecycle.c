/* lifecycle.c: starting the engine and changing what it does; everything here is rare.
 *
 * The parts of the engine are put to work here and know nothing of it: what they have in common is in state.h, what they
 * count in account.h. Ends: restart.c; forks: fork.c.
 */
#include "base/hash.h"
#include "heap/aggregate.h"
#include "heap/bound.h"
#include "heap/chores.h"
#include "heap/clock.h"
#include "heap/cost.h"
#include "heap/footprint.h"
#include "heap/intern.h"
#include "heap/label.h"
#include "heap/left_out.h"
#include "heap/livetab.h"
#include "heap/maplog.h"
#include "heap/meta.h"
#include "heap/notes.h"
#include "heap/rate.h"
#include "heap/snapshot.h"
#include "heap/thread.h"
#include "heap/totals.h"
#include "heap/touch.h"

#include <string.h>

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
        mt_notes_unknown_python(info);
        return;
    }
    if (g_mt.config.python_frames) {
        mt_notes_eval_range(info);
        g_mt.header->flags |= MT_TRACE_PYTHON_FRAMES;
        mt_store_relaxed(&g_mt.python, true);
    }
}

/* ---- start ---------------------------------------------------------------------------------------------------------- */

static const uint64_t FLAG_OF_MODE[] = {
    [MT_MODE_OFF] = 0,
    [MT_MODE_SAMPLE] = MT_TRACE_SAMPLE | MT_TRACE_GROWTH,
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
    header->start_clock = mt_clock_now();
    header->rate_bytes = config->mode == MT_MODE_SAMPLE ? config->rate_bytes : 0;
    size_t bytes = config->command_bytes < MT_TRACE_COMMAND_MAX ? config->command_bytes : MT_TRACE_COMMAND_MAX;
    memcpy(header->command, config->command, bytes);
    header->command_bytes = (uint16_t)bytes;
    mt_store_release(&header->state, (uint32_t)MT_STATE_RECORDING);
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
    status = mt_tracefile_create(config, &header);
    if (status != MT_OK) {
        return status;
    }
    mt_clock_prepare(config->tick, config->mode == MT_MODE_SAMPLE);
    fill_header(header, config);
    g_mt.config = *config;
    mt_state_make_mode_page();
    mt_state_set_header(header);
    g_mt.start_clock = header->start_clock;
    mt_snapshot_begin();
    mt_clock_start(header, mt_chores_do);
    g_mt.native = config->native;
    g_mt.seed = config->seed != 0 ? config->seed : mt_os_random();
    g_mt.key_salt = mt_hash_pair(g_mt.seed, header->start_realtime_ns);
    mt_intern_clear();
    mt_label_clear_numbers();
    status = mt_tracefile_show();
    if (status == MT_OK) {
        status = prepare_tables(config);
    }
    if (status != MT_OK) {
        mt_store_release(&header->state, (uint32_t)MT_STATE_FILE_FULL);
        mt_state_set_header(NULL);
        mt_tracefile_close();
        return status;
    }
    g_mt.unfinished = true;
    bool among_others = config->among_others && mt_clock_is_common();
    if (among_others) {
        mt_clock_forbid_alone();
    }
    if (config->late || among_others) {
        mt_thread_begin_order();
    }
    status = mt_modules_init(&mt_notes_of_modules);
    if (status != MT_OK) {
        g_mt.native = false;
        mt_engine_note("warning", "no memory for the module map: no native stacks");
    }
    mt_engine_python_found();
    if (config->late && !config->fork_child) {
        mt_footprint_note_before();
    }
    mt_cost_calibrate(config->budget_parts != 0, mt_clock_scale());
    mt_chores_begin(config);
    mt_maplog_clear();
    if (config->mode == MT_MODE_SAMPLE) {
        mt_totals_clear(g_mt.start_clock, !config->python_allocators);
    }
    mt_bound_start(config->mode == MT_MODE_SAMPLE);
    mt_store_relaxed(&g_mt.held, 0u);
    mt_store_relaxed(&g_mt.rate, config->rate_bytes);
    mt_store_release(&g_mt.rate_generation, g_mt.rate_generation + 1);
    mt_store_release(&g_mt.generation, (g_mt.generation | 1) + 1);
    mt_livetab_show(config->mode == MT_MODE_SAMPLE ? MT_FILTER_TABLE : MT_FILTER_ALL); /* first: a sample's free is seen */
    mt_state_publish_mode(config->mode);
    mt_rate_end_countdowns();
    t_mt.left = 0;
    return MT_OK;
}

enum mt_engine_mode mt_engine_mode(void)
{
    return mt_load_relaxed(&g_mt.mode);
}

uint32_t mt_engine_end_reason(void)
{
    return g_mt.header != NULL ? mt_load_acquire(&g_mt.header->end_reason) : (uint32_t)MT_END_NONE;
}

uint64_t mt_engine_live_samples(void)
{
    return mt_livetab_count();
}

/* Without a tool nobody else puts the journal into the trace; what comes now would not be in it. */
static void end_without_tool(enum mt_trace_state state)
{
    if (g_mt.config.open_again == NULL) {
        mt_engine_stop(state);
        mt_tracefile_end();
    }
}

void mt_engine_exit_seen(void)
{
    if (mt_mode() == MT_MODE_OFF || mt_is_unnoticed_child() || g_mt.header == NULL) {
        return;
    }
    mt_engine_enter();
    mt_left_out_look(true);
    mt_engine_leave();
    mt_touch_ends();
    mt_engine_enter();
    mt_snapshot_look(mt_clock_now());
    mt_footprint_sample(mt_clock_now(), true);
    mt_engine_leave();
    mt_store_relaxed(&g_mt.header->end_clock, mt_clock_now());
    mt_store_release(&g_mt.header->state, (uint32_t)MT_STATE_ENDED);
    mt_journal_settle();
    end_without_tool(MT_STATE_ENDED);
}

/* While nobody else is there the clock of events may be behind the time: the last event is then as good an end. */
void mt_engine_exec_seen(void)
{
    if (mt_mode() == MT_MODE_OFF || mt_is_unnoticed_child() || g_mt.header == NULL) {
        return;
    }
    if (g_mt.header->pid != (uint64_t)mt_os_pid()) { /* a vfork child: the process goes on */
        mt_engine_before_fork();
    } else if (mt_clock_is_ordered()) {
        mt_store_relaxed(&g_mt.header->end_clock, mt_clock_now());
    }
}

void mt_engine_exec_failed(void)
{
    if (mt_mode() != MT_MODE_OFF && !mt_is_unnoticed_child() && g_mt.header != NULL &&
        g_mt.header->pid == (uint64_t)mt_os_pid()) {
        mt_store_relaxed(&g_mt.header->end_clock, (uint64_t)0);
    }
}

void mt_engine_end_seen(void)
{
    if (mt_mode() == MT_MODE_OFF || mt_is_unnoticed_child() || g_mt.header == NULL ||
        g_mt.header->pid != (uint64_t)mt_os_pid()) { /* a vfork child: the process goes on */
        return;
    }
    mt_touch_ends();
    mt_store_relaxed(&g_mt.header->end_clock, mt_clock_now());
    end_without_tool((enum mt_trace_state)g_mt.header->state);
}
