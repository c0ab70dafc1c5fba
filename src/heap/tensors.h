/* tensors.h: how much memory torch's CPU allocator has given out, in bytes as it was asked for.
 *
 * Decides: blocks are known by address, so that one that was given out unseen takes nothing away when it comes back. Nothing is
 * counted until somebody asks. Where a block could not be noted (no memory, the lock was not had) nothing is told any more until
 * counting begins anew: a number is right or is none. Internal to heap/; hooks come through engine.h. Contexts: [hook], [agent].
 */
#ifndef MT_HEAP_TENSORS_H
#define MT_HEAP_TENSORS_H

#include <stdbool.h>
#include <stdint.h>

/* Begins anew, or ends; on while on does nothing. */
void mt_tensors_count(bool on);
/* What was counted so far is not to be gone on with: calls were missed. Counting goes on from nothing. */
void mt_tensors_forget(void);
/* Bytes now and at most since counting began. False: they are not known. */
bool mt_tensors_read(uint64_t *ret_bytes, uint64_t *ret_most);
void mt_tensors_after_fork(void);

#endif
