/* footprint.c: see footprint.h. */
#include "heap/footprint.h"

#include "base/decimal.h"
#include "base/os.h"
#include "heap/account.h"
#include "heap/cost.h"
#include "heap/meta.h"
#include "heap/state.h"

enum { STATM_BYTES = 128 };

struct statm {
    uint64_t resident_bytes, shared_bytes;
};

/* The number at text[*at], which is moved behind it and one separator. */
static uint64_t take_number(const char *text, size_t bytes, size_t *at)
{
    uint64_t value = 0;
    for (; *at < bytes && text[*at] >= '0' && text[*at] <= '9'; (*at)++) {
        value = value * 10 + (uint64_t)(text[*at] - '0');
    }
    (*at)++;
    return value;
}

/* Size, resident and shared (file-backed and shmem) pages; false when unreadable. */
static bool read_statm(struct statm *ret)
{
    int fd = -1;
    char text[STATM_BYTES];
    size_t bytes = 0, at = 0;
    if (mt_os_open("/proc/self/statm", MT_OPEN_READ, &fd) != MT_OK) {
        return false;
    }
    mt_status status = mt_os_read(fd, text, sizeof text - 1, &bytes);
    mt_os_close(fd);
    if (status != MT_OK) {
        return false;
    }
    (void)take_number(text, bytes, &at);
    ret->resident_bytes = take_number(text, bytes, &at) * mt_os_page_bytes();
    ret->shared_bytes = take_number(text, bytes, &at) * mt_os_page_bytes();
    return ret->resident_bytes > 0;
}

void mt_footprint_note_before(void)
{
    struct statm now;
    char digits[MT_DECIMAL_BYTES];
    if (read_statm(&now)) {
        uint64_t beside = now.shared_bytes + mt_os_own_resident_bytes();
        mt_engine_note("recording.before", mt_decimal(now.resident_bytes > beside ? now.resident_bytes - beside : 0, digits));
    }
}

/* The agent's own memory is measured when it will be asked for: near the largest RSS. */
static bool is_high(uint64_t resident_bytes)
{
    uint64_t highest = g_mt.header->rss_peak_bytes;
    return resident_bytes > highest + highest / 16;
}

void mt_footprint_sample(uint64_t clock, bool last)
{
    struct statm now;
    mt_cost_note_cpu();
    if (!read_statm(&now) || !mt_meta_lock()) {
        return;
    }
    struct mt_meta_builder *record = mt_meta_new_locked();
    struct mt_record_rss rss = { .clock = clock, .bytes = now.resident_bytes };
    if (last || is_high(now.resident_bytes)) {
        rss.parted = true;
        rss.file = now.shared_bytes;
        rss.own = mt_os_own_resident_bytes();
        mt_account_set(MT_COUNTER_AGENT_BYTES, rss.own);
    }
    mt_record_put_rss(record, &rss);
    if (mt_meta_append_locked(MT_META_RSS, record) && now.resident_bytes > g_mt.header->rss_peak_bytes) {
        g_mt.header->rss_peak_bytes = now.resident_bytes;
    }
    mt_meta_unlock();
}
