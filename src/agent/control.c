/* control.c: the agent's interface inside its process (include/memtap/agent.h).
 *
 * Decides: hooks are put in place at the first start, by patching slots when the agent came late, and stay until
 * remove_hooks. One caller at a time, by a flag that is tried and never waited for. Whatever these functions allocate (loader,
 * thread keys) is on our account. Context: [agent].
 */
#include "agent/control.h"

#include "agent/asked.h"
#include "agent/recording.h"
#include "agent/torch.h"
#include "base/atomic.h"
#include "hook/hook.h"
#include "memtap/agent.h"

#include <string.h>

static struct {
    uint32_t busy; /* taken by CAS, released with a release store */
    bool preloaded, by_command;
    bool by_attach;    /* attach began the recording */
    bool attach_hooks; /* attach put the hooks in place */
    bool hooked, python_allocators;
    uint32_t ended_early; /* as in memtap_agent_state */
    uint64_t began_ns; /* since 1970 */
    bool keep_hooks;
    const struct mt_control_arming *arming;
} g_control;

static const enum memtap_agent_code CODE_OF[MT_STATUS__COUNT] = {
    [MT_OK] = MEMTAP_AGENT_OK,
    [MT_E_NOMEM] = MEMTAP_AGENT_NO_MEMORY,
    [MT_E_IO] = MEMTAP_AGENT_IO,
    [MT_E_NOSPACE] = MEMTAP_AGENT_NO_SPACE,
    [MT_E_PERM] = MEMTAP_AGENT_PERMISSION,
    [MT_E_NOENT] = MEMTAP_AGENT_NO_FOLDER,
    [MT_E_EXIST] = MEMTAP_AGENT_FILE_EXISTS,
    [MT_E_INVAL] = MEMTAP_AGENT_ARGUMENT,
    [MT_E_CORRUPT] = MEMTAP_AGENT_IO,
    [MT_E_VERSION] = MEMTAP_AGENT_IO,
    [MT_E_TRUNCATED] = MEMTAP_AGENT_IO,
    [MT_E_FULL] = MEMTAP_AGENT_NO_MEMORY,
    [MT_E_BUSY] = MEMTAP_AGENT_BUSY,
    [MT_E_UNSUPPORTED] = MEMTAP_AGENT_NO_HOOKS,
    [MT_E_INTERRUPTED] = MEMTAP_AGENT_BUSY,
    [MT_E_NOFILES] = MEMTAP_AGENT_IO,
    [MT_E_TOO_LARGE] = MEMTAP_AGENT_NO_SPACE,
    [MT_E_READONLY] = MEMTAP_AGENT_PERMISSION,
    [MT_E_REPLACED] = MEMTAP_AGENT_IO,
    [MT_E_SIZE] = MEMTAP_AGENT_NO_SPACE,
};

void mt_control_set_preloaded(bool by_command)
{
    g_control.preloaded = true;
    g_control.by_command = by_command;
}

void mt_control_on_arming(const struct mt_control_arming *arming)
{
    g_control.arming = arming;
}

void mt_control_keep_hooks(bool keep)
{
    g_control.keep_hooks = keep;
}

bool mt_control_keeps_hooks(void)
{
    return g_control.keep_hooks;
}

bool mt_control_is_attached(void)
{
    return g_control.by_attach;
}

uint64_t mt_control_began_ns(void)
{
    return g_control.began_ns;
}

static bool begin_call(void)
{
    uint32_t expected = 0;
    if (!mt_cas_acq_rel(&g_control.busy, &expected, 1u)) {
        return false;
    }
    mt_engine_enter_own();
    return true;
}

static void end_call(void)
{
    mt_engine_leave_own();
    mt_store_release(&g_control.busy, 0u);
}

static bool is_recording(void)
{
    return mt_engine_mode() != MT_MODE_OFF;
}

/* ---- start -------------------------------------------------------------------------------------------------------- */

static bool is_valid(const struct memtap_recording *what)
{
    return what != NULL && what->struct_bytes >= sizeof *what && what->path != NULL && what->mode >= MEMTAP_SAMPLE &&
           what->mode <= MEMTAP_AGGREGATE && what->rate_bytes <= MT_RATE_MAX;
}

static const enum mt_engine_mode MODE_OF[] = {
    [MEMTAP_OFF] = MT_MODE_OFF,
    [MEMTAP_SAMPLE] = MT_MODE_SAMPLE,
    [MEMTAP_EXACT] = MT_MODE_EXACT,
    [MEMTAP_AGGREGATE] = MT_MODE_AGGREGATE,
};

static mt_status put_hooks(bool python_allocators)
{
    if (g_control.hooked && (g_control.python_allocators || !python_allocators)) {
        mt_hooks_look_for_company();
        return MT_OK;
    }
    enum mt_hook_method method = g_control.preloaded ? MT_HOOK_PRELOAD : MT_HOOK_GOT;
    mt_status status = mt_hooks_install(method, python_allocators);
    g_control.hooked = status == MT_OK;
    g_control.python_allocators = python_allocators;
    return status;
}

static void recording_began(bool by_attach)
{
    g_control.by_command = false;
    g_control.by_attach = by_attach;
    g_control.began_ns = mt_os_realtime_ns();
    mt_recording_look_for_python();
    mt_hooks_on_load(mt_recording_look_for_python);
}

static mt_status begin_recording(const struct memtap_recording *what)
{
    mt_status status = put_hooks(what->python_allocators);
    if (status != MT_OK) {
        return status;
    }
    mt_engine_on_fork(NULL);
    uint64_t rate = what->rate_bytes != 0 ? what->rate_bytes : MT_RATE_DEFAULT;
    status = mt_recording_start((struct mt_engine_config){
        .mode = MODE_OF[what->mode],
        .rate_bytes = rate,
        .native = what->native,
        .python_allocators = what->python_allocators,
        .max_file_bytes = what->max_file_bytes,
        .path = what->path,
        .late = true,
        .fork_child = what->parent_pid != 0,
        .parent_pid = what->parent_pid,
        .seed = what->seed,
    });
    if (status == MT_OK) {
        recording_began(false);
    }
    return status;
}

static int start(const struct memtap_recording *what)
{
    if (!is_valid(what)) {
        return MEMTAP_AGENT_ARGUMENT;
    }
    if (!begin_call()) {
        return MEMTAP_AGENT_BUSY;
    }
    int code = is_recording() ? MEMTAP_AGENT_RECORDING : (int)CODE_OF[begin_recording(what)];
    end_call();
    return code;
}

/* ---- from outside ------------------------------------------------------------------------------------------------- */

static void take_hooks_back(void)
{
    mt_hooks_uninstall();
    mt_tensors_forget();
    g_control.hooked = false;
    g_control.attach_hooks = false;
}

static mt_status begin_attached(const struct mt_agent_config *config)
{
    bool had_hooks = g_control.hooked || g_control.preloaded;
    mt_status status = put_hooks(config->asked.python_allocators);
    if (status == MT_OK) {
        g_control.attach_hooks = g_control.attach_hooks || !had_hooks;
        mt_engine_on_fork(NULL);
        status = mt_recording_start_attached(config);
    }
    if (status == MT_OK) {
        recording_began(true);
        mt_asked_note("attach", config->asked.asker);
    } else if (g_control.attach_hooks && !g_control.keep_hooks) {
        take_hooks_back();
    }
    return status;
}

/* One that attach began and that has ended by itself (the disk is full), whether its threads know of it yet or not. */
static bool has_ended_early(void)
{
    return g_control.by_attach && mt_engine_end_reason() != MT_END_NONE;
}

/* Before the next one, or none. */
static mt_status settle_early_end(void)
{
    g_control.ended_early = has_ended_early() ? 1 + mt_engine_end_reason() : 0;
    return g_control.ended_early != 0 ? mt_engine_finish(MT_STATE_FILE_FULL) : MT_OK;
}

static int attach(char *const *settings)
{
    static struct mt_agent_config config; /* too large for a small stack; one caller at a time */
    if (!begin_call()) {
        return MEMTAP_AGENT_BUSY;
    }
    mt_agent_config_read(settings, &config);
    mt_status settled = settle_early_end();
    int code = settled != MT_OK ? (int)CODE_OF[settled]
               : is_recording() ? MEMTAP_AGENT_RECORDING
               : !config.wanted ? MEMTAP_AGENT_ARGUMENT
                                 : (int)CODE_OF[begin_attached(&config)];
    if (code == MEMTAP_AGENT_OK || code == MEMTAP_AGENT_RECORDING) {
        (void)g_control.arming->arm(&config, true);
    }
    end_call();
    return code;
}

static mt_status end_attached(void)
{
    mt_hooks_look_for_company();
    mt_status status = mt_engine_finish(MT_STATE_ENDED);
    if (status == MT_OK) {
        g_control.by_attach = false;
        if (g_control.attach_hooks && !g_control.keep_hooks) {
            take_hooks_back();
        }
    }
    return status;
}

static int end_attach(bool disarm)
{
    if (!begin_call()) {
        return MEMTAP_AGENT_BUSY;
    }
    if (disarm) {
        g_control.arming->disarm();
    }
    mt_status settled = settle_early_end();
    bool is_over = settled == MT_OK && !is_recording() && g_control.ended_early == 0;
    int code = settled != MT_OK       ? (int)CODE_OF[settled]
               : is_over              ? MEMTAP_AGENT_IDLE
               : !g_control.by_attach ? MEMTAP_AGENT_FOREIGN
                                      : (int)CODE_OF[end_attached()];
    if (is_over && g_control.attach_hooks && !g_control.keep_hooks) {
        take_hooks_back();
    }
    end_call();
    return code;
}

static int detach(void)
{
    return end_attach(true);
}

int mt_control_end_attached(void)
{
    return end_attach(false);
}

/* What the program asks for by itself. */
static int listen_at(const char *where)
{
    static struct mt_agent_config config; /* too large for a small stack; one caller at a time */
    size_t length = where != NULL ? strlen(where) : 0;
    if (where == NULL || length == 0 || length >= sizeof config.asked.listen) {
        return MEMTAP_AGENT_ARGUMENT;
    }
    if (!begin_call()) {
        return MEMTAP_AGENT_BUSY;
    }
    mt_config_default(&config.asked);
    memcpy(config.asked.listen, where, length + 1);
    config.asked.follow = false;
    mt_status status = put_hooks(g_control.python_allocators);
    int code = status != MT_OK ? (int)CODE_OF[status] : g_control.arming->arm(&config, false) ? MEMTAP_AGENT_OK : MEMTAP_AGENT_PERMISSION;
    end_call();
    return code;
}

/* ---- the others --------------------------------------------------------------------------------------------------- */

static int stop(void)
{
    if (!begin_call()) {
        return MEMTAP_AGENT_BUSY;
    }
    bool was_recording = is_recording();
    mt_hooks_look_for_company();
    mt_status status = mt_engine_finish(MT_STATE_ENDED);
    end_call();
    if (status != MT_OK) {
        return (int)CODE_OF[status];
    }
    return was_recording ? MEMTAP_AGENT_OK : MEMTAP_AGENT_IDLE;
}

static int change_rate(uint64_t rate_bytes)
{
    if (!begin_call()) {
        return MEMTAP_AGENT_BUSY;
    }
    int code = MEMTAP_AGENT_IDLE;
    if (is_recording()) {
        mt_status status = rate_bytes == 0 ? mt_engine_pause() : mt_engine_set_rate(rate_bytes);
        code = (int)CODE_OF[status];
    }
    end_call();
    return code;
}

static int pause_sampling(void)
{
    return change_rate(0);
}

static int resume(uint64_t rate_bytes)
{
    return rate_bytes == 0 || rate_bytes > MT_RATE_MAX ? MEMTAP_AGENT_ARGUMENT : change_rate(rate_bytes);
}

static const enum memtap_agent_mode MODE_SHOWN[] = {
    [MT_MODE_OFF] = MEMTAP_OFF,
    [MT_MODE_SAMPLE] = MEMTAP_SAMPLE,
    [MT_MODE_EXACT] = MEMTAP_EXACT,
    [MT_MODE_AGGREGATE] = MEMTAP_AGGREGATE,
};

static int state(struct memtap_agent_state *ret)
{
    if (ret == NULL || ret->struct_bytes < sizeof *ret) {
        return MEMTAP_AGENT_ARGUMENT;
    }
    ret->mode = MODE_SHOWN[mt_engine_mode()];
    ret->rate_bytes = ret->mode == MEMTAP_SAMPLE ? mt_engine_rate() : 0;
    ret->live_samples = mt_engine_live_samples();
    ret->dropped_events = mt_engine_counter(MT_COUNTER_DROPPED_EVENTS);
    ret->by_command = g_control.by_command && ret->mode != MEMTAP_OFF;
    ret->preloaded = g_control.preloaded;
    ret->ended_early = g_control.ended_early;
    memcpy(ret->path, mt_recording_path(), strlen(mt_recording_path()) + 1);
    return MEMTAP_AGENT_OK;
}

static int remove_hooks(void)
{
    if (!begin_call()) {
        return MEMTAP_AGENT_BUSY;
    }
    int code = MEMTAP_AGENT_RECORDING;
    if (!is_recording()) {
        if (!g_control.keep_hooks) {
            mt_hooks_uninstall();
            mt_tensors_forget();
            g_control.hooked = false;
        }
        code = MEMTAP_AGENT_OK;
    }
    end_call();
    return code;
}

static void enter(void)
{
    mt_engine_enter_own();
}

static void leave(void)
{
    mt_engine_leave_own();
}

static_assert((int)MEMTAP_LABEL_USER == MT_LABEL_USER && (int)MEMTAP_LABEL_TASK == MT_LABEL_TASK &&
                  (int)MEMTAP_LABEL_THREAD == MT_LABEL_THREAD && (int)MEMTAP_LABEL_REQUEST == MT_LABEL_REQUEST,
              "kinds of labels go into the trace as they are");

static int label(int kind, const char *text, size_t bytes)
{
    if (kind < MEMTAP_LABEL_USER || kind > MEMTAP_LABEL_REQUEST || (text == NULL && bytes != 0)) {
        return MEMTAP_AGENT_ARGUMENT;
    }
    return mt_engine_label((enum mt_label_kind)kind, text, bytes) ? MEMTAP_AGENT_OK : MEMTAP_AGENT_NO_MEMORY;
}

MT_EXPORT const struct memtap_agent_api *memtap_agent_api(void)
{
    static const struct memtap_agent_api api = {
        .struct_bytes = sizeof api,
        .version = MEMTAP_VERSION,
        .start = start,
        .stop = stop,
        .pause = pause_sampling,
        .resume = resume,
        .state = state,
        .remove_hooks = remove_hooks,
        .enter = enter,
        .leave = leave,
        .label = label,
        .attach = attach,
        .detach = detach,
        .recording = mt_torch_recording,
        .note = mt_agent_torch_note,
        .torch_row = mt_agent_torch_row,
        .count_tensors = mt_tensors_count,
        .tensors = mt_agent_torch_tensors,
        .listen = listen_at,
    };
    return &api;
}
