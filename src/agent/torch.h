/* torch.h: rows of training loops, as include/memtap/agent.h takes them. Context: [agent], any thread of the program. */
#ifndef MT_AGENT_TORCH_H
#define MT_AGENT_TORCH_H

#include "heap/tensors.h"
#include "heap/torch.h"
#include "memtap/agent.h"

int mt_agent_torch_note(const char *key, const char *value);
int mt_agent_torch_row(const struct memtap_torch_row *row);
bool mt_agent_torch_tensors(uint64_t *ret_bytes, uint64_t *ret_most);

#endif
