/* torch.c: see torch.h. */
#include "heap/torch.h"

#include "heap/clock.h"
#include "heap/marks.h"
#include "heap/meta.h"

#include <string.h>

uint64_t mt_torch_recording(void)
{
    return mt_marks_are_kept() ? mt_load_relaxed(&g_mt.key_salt) | 1 : 0;
}

static uint32_t number_locked(const char *text)
{
    return mt_meta_string_locked(text, strlen(text));
}

static bool append_locked(struct mt_record_torch *row, const struct mt_torch_names *names)
{
    row->module = number_locked(names->module);
    row->stage = number_locked(names->stage);
    row->source = number_locked(names->source);
    struct mt_meta_builder *record = mt_meta_new_locked();
    mt_record_put_torch(record, row);
    return mt_meta_append_locked(MT_META_TORCH, record);
}

bool mt_torch_row(const struct mt_record_torch *row, const struct mt_torch_names *names)
{
    if (!mt_marks_are_kept()) {
        return false;
    }
    struct mt_record_torch put = *row;
    mt_engine_enter_own();
    bool written = mt_meta_lock();
    if (written) {
        put.clock = mt_clock_now();
        written = append_locked(&put, names);
        mt_meta_unlock();
    }
    if (!written) {
        mt_engine_count(MT_COUNTER_DROPPED_NO_SPACE, 1);
    }
    mt_engine_leave_own();
    return written;
}
