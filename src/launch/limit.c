/* limit.c: see limit.h. */
#include "launch/limit.h"

#include "base/os.h"
#include "launch/launch.h"
#include "launch/runfiles.h"

#include <string.h>
#include <unistd.h>

static const uint64_t LOOK_NS = 20000000, SLOW_NS = 1000000000, RATE_NS = 200000000, KILL_NS = 5000000000;
static const double SOON_S = 2, PRESSURE_PERCENT = 20;

/* ---- how near ------------------------------------------------------------------------------------------------------- */

enum { FAR, SOON, NEAR };

int mt_limit_level(uint64_t charged, uint64_t limit, double rate, int level)
{
    double share = (double)charged / (double)limit;
    if (share >= 0.9) {
        return NEAR;
    }
    if (share >= 0.5 && rate > 0 && (double)(limit - charged) / rate <= SOON_S) {
        return level > SOON ? level : SOON;
    }
    return share >= 0.8 || (level == SOON && share >= 0.4) ? level : FAR;
}

static void measure_rate(struct mt_limit *limit, uint64_t now)
{
    if (limit->rate_from_ns == 0 || now - limit->rate_from_ns >= RATE_NS) {
        limit->rate = limit->rate_from_ns == 0 ? 0
                                               : ((double)limit->charged_bytes - (double)limit->rate_from_bytes) * 1e9 /
                                                     (double)(now - limit->rate_from_ns);
        limit->rate_from_ns = now;
        limit->rate_from_bytes = limit->charged_bytes;
    }
}

static void say_low(const struct mt_limit *limit, struct mt_tick *tick)
{
    uint64_t left = limit->charged_bytes < limit->bytes ? limit->bytes - limit->charged_bytes : 0;
    mt_tick_say_low(tick, left, limit->group.tightest != NULL ? limit->group.tightest : "the machine");
    mt_tick_ask_snapshot(tick);
}

/* ---- looking -------------------------------------------------------------------------------------------------------- */

static uint64_t charged_now(const struct mt_limit *limit)
{
    if (limit->kind == MT_LIMIT_MACHINE) {
        uint64_t available = mt_machine_available();
        return available < limit->bytes ? limit->bytes - available : limit->charged_bytes;
    }
    uint64_t usage = mt_cgroup_usage(&limit->group);
    if (usage == MT_CGROUP_UNKNOWN || usage < limit->bytes / 2) { /* how much of it is cache does not matter yet */
        return usage != MT_CGROUP_UNKNOWN ? usage : limit->charged_bytes;
    }
    return mt_cgroup_charged(&limit->group);
}

/* False: the kernel has just killed one of the group, and what is charged now is what it has not taken apart yet. The counter is read after the
 * charge, because it rises before that falls. A neighbour of the run may be the one: so not for long. */
static bool take_charged(struct mt_limit *limit, const struct mt_tick *tick, uint64_t now)
{
    uint64_t clock = mt_tick_read(tick), charged = charged_now(limit);
    uint64_t kills = limit->charged_bytes >= limit->bytes / 2 ? mt_cgroup_kills(&limit->group) : limit->kills_seen;
    if (kills != limit->kills_seen) {
        limit->kills_seen = kills;
        limit->killed_ns = now;
    }
    if (limit->killed_ns != 0 && now - limit->killed_ns < KILL_NS) {
        return false;
    }
    limit->charged_bytes = charged;
    limit->charged_clock = clock;
    return true;
}

/* Limits of containers are changed while they run. */
static void find_limit(struct mt_limit *limit)
{
    uint64_t bound = mt_cgroup_bound(&limit->group);
    bool is_group = bound != MT_CGROUP_UNKNOWN;
    uint64_t machine = is_group ? 0 : mt_machine_memory();
    limit->bytes = is_group ? bound : machine != MT_CGROUP_UNKNOWN ? machine : 0;
    limit->kind = !is_group                                            ? limit->bytes != 0 ? MT_LIMIT_MACHINE : MT_LIMIT_UNKNOWN
                  : !limit->group.unified                              ? MT_LIMIT_OLDER
                  : limit->group.high_bytes < limit->group.limit_bytes ? MT_LIMIT_HIGH
                                                                       : MT_LIMIT_MAX;
}

static void find_limit_again(struct mt_limit *limit, pid_t pid)
{
    struct mt_cgroup now;
    mt_cgroup_find_of(pid, &now);
    if (now.own != NULL && limit->group.own != NULL && strcmp(now.own, limit->group.own) == 0) {
        mt_cgroup_fini(&limit->group);
        limit->group = now;
        find_limit(limit);
    } else {
        mt_cgroup_fini(&now); /* it is gone, or has moved: what was counted before is not that group's */
    }
}

void mt_limit_begin(struct mt_limit *limit, pid_t pid, const struct mt_snapshot_at *at)
{
    *limit = (struct mt_limit){ 0 };
    mt_cgroup_find_of(pid, &limit->group);
    find_limit(limit);
    limit->kills_before = limit->kills_seen = mt_cgroup_kills(&limit->group);
    limit->snapshot_bytes = at->bytes != 0 ? at->bytes : (uint64_t)(at->share * (double)limit->bytes);
}

void mt_limit_fini(struct mt_limit *limit)
{
    mt_cgroup_fini(&limit->group);
}

bool mt_limit_crosses(const struct mt_limit *limit, pid_t pid, bool *is_above)
{
    uint64_t resident = limit->snapshot_bytes != 0 ? mt_process_resident(pid) : MT_CGROUP_UNKNOWN;
    if (resident == MT_CGROUP_UNKNOWN) {
        return false;
    }
    bool was = *is_above;
    uint64_t below = limit->snapshot_bytes - limit->snapshot_bytes / 20;
    *is_above = resident >= limit->snapshot_bytes || (was && resident >= below); /* one that trembles crosses it once */
    return *is_above && !was;
}

static bool presses(const struct mt_limit *limit)
{
    double least = limit->is_pressed ? PRESSURE_PERCENT / 2 : PRESSURE_PERCENT;
    return mt_cgroup_pressure(&limit->group) >= least;
}

static bool is_time(uint64_t *next_ns, uint64_t now, uint64_t period_ns)
{
    bool due = now >= *next_ns;
    *next_ns = due ? now + period_ns : *next_ns;
    return due;
}

void mt_limit_look(struct mt_limit *limit, struct mt_tick *tick, pid_t pid, int trace_fd)
{
    uint64_t now = mt_os_monotonic_ns();
    bool slow = false;
    if (!is_time(&limit->next_ns, now, LOOK_NS)) {
        return;
    }
    if (mt_limit_crosses(limit, pid, &limit->is_above)) {
        mt_tick_ask_snapshot(tick);
    }
    slow = is_time(&limit->next_slow_ns, now, SLOW_NS);
    if (slow) {
        find_limit_again(limit, pid);
    }
    if (limit->bytes == 0 || (limit->kind == MT_LIMIT_MACHINE && !slow)) {
        return;
    }
    if (!take_charged(limit, tick, now)) {
        return;
    }
    measure_rate(limit, now);
    int level = mt_limit_level(limit->charged_bytes, limit->bytes, limit->rate, limit->level);
    bool is_pressed = slow ? presses(limit) : limit->is_pressed;
    if (level > limit->level || (is_pressed && !limit->is_pressed)) {
        say_low(limit, tick);
    }
    limit->level = level;
    limit->is_pressed = is_pressed;
    if (slow || level > FAR) {
        mt_limit_write(limit, trace_fd);
    }
}

/* ---- the headers ------------------------------------------------------------------------------------------------------ */

static void write_memory(const struct mt_limit *limit, int fd, enum mt_limit_kills kills)
{
    const struct mt_trace_memory memory = { .limit_bytes = limit->bytes,
                                            .charged_bytes = limit->charged_bytes,
                                            .clock = limit->charged_clock,
                                            .limit_kind = (uint32_t)limit->kind,
                                            .kills = (uint32_t)kills };
    struct mt_trace_header header;
    if (fd >= 0 && limit->bytes != 0 && mt_runfiles_read(fd, &header)) { /* somebody may have emptied it, or copied a file over it */
        (void)!pwrite(fd, &memory, sizeof memory, offsetof(struct mt_trace_header, memory));
    }
}

void mt_limit_write(const struct mt_limit *limit, int trace_fd)
{
    write_memory(limit, trace_fd, MT_KILLS_UNKNOWN);
}

void mt_limit_count_death(struct mt_limit *limit)
{
    limit->deaths++;
}

void mt_limit_write_death(const struct mt_limit *limit, int trace_fd)
{
    uint64_t kills = mt_cgroup_kills(&limit->group);
    bool known = kills != MT_CGROUP_UNKNOWN && limit->kills_before != MT_CGROUP_UNKNOWN && kills >= limit->kills_before;
    uint64_t rose = known ? kills - limit->kills_before : 0;
    write_memory(limit, trace_fd, !known ? MT_KILLS_UNKNOWN : rose == 0 ? MT_KILLS_NONE : rose >= limit->deaths ? MT_KILLS_ONE : MT_KILLS_UNKNOWN);
}
