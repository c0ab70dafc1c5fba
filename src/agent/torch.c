/* torch.c: see torch.h. */
#include "agent/torch.h"

#include "heap/engine.h"
#include "hook/hook.h"

int mt_agent_torch_note(const char *key, const char *value)
{
    if (key == NULL || value == NULL) {
        return MEMTAP_AGENT_ARGUMENT;
    }
    if (mt_torch_recording() == 0) {
        return MEMTAP_AGENT_IDLE;
    }
    mt_engine_enter_own();
    mt_engine_note(key, value);
    mt_engine_leave_own();
    return MEMTAP_AGENT_OK;
}

int mt_agent_torch_row(const struct memtap_torch_row *row)
{
    if (row == NULL || row->struct_bytes < sizeof *row || row->module == NULL || row->stage == NULL || row->source == NULL) {
        return MEMTAP_AGENT_ARGUMENT;
    }
    if (mt_torch_recording() == 0) {
        return MEMTAP_AGENT_IDLE;
    }
    const struct mt_record_torch record = { .step = row->step,
                                            .micro_step = row->micro_step,
                                            .seq = row->seq,
                                            .allocated = row->allocated,
                                            .max_allocated = row->max_allocated,
                                            .cached = row->cached,
                                            .max_cached = row->max_cached,
                                            .offset_ns = row->offset_ns,
                                            .duration_ns = row->duration_ns,
                                            .allocated_delta = row->allocated_delta,
                                            .max_allocated_delta = row->max_allocated_delta };
    const struct mt_torch_names names = { row->module, row->stage, row->source };
    return mt_torch_row(&record, &names) ? MEMTAP_AGENT_OK : MEMTAP_AGENT_NO_SPACE;
}

bool mt_agent_torch_tensors(uint64_t *ret_bytes, uint64_t *ret_most)
{
    return mt_hooks_see_tensors() && mt_tensors_read(ret_bytes, ret_most);
}
