/* chain.h: the functions that a stopped thread is in, by their return addresses.
 *
 * Decides: a chain counts only if every frame of it has a rule and the last one is said to be the last (clone and _start have no
 * caller); everything else is a part that is not to be relied on. Words on the stack that are no return addresses play no part.
 * Context: [tool], the thread stopped.
 */
#ifndef MT_ATTACH_CHAIN_H
#define MT_ATTACH_CHAIN_H

#include "attach/tables.h"

#include <sys/user.h>

enum { MT_CHAIN_MAX = 4096 };

struct mt_chain {
    uint64_t *addresses; /* in each function, innermost first: where it stands, or the last byte of the call it made */
    size_t count;
    size_t capacity;
    bool is_whole;   /* the last one has no caller */
    bool in_handler; /* it ended at the frame of a signal handler */
};

/* registers: of the thread, which is in a system call. signal_return: where a handler returns to. stack_high: the end of its stack. */
void mt_chain_read(struct mt_tables *tables, const struct user_regs_struct *registers, uint64_t signal_return, uint64_t stack_high,
                   struct mt_chain *ret);
void mt_chain_clear(struct mt_chain *chain);

/* The function that is called by the instruction before a return address, directly or through a stub of the procedure linkage table;
 * 0: that is not written there (a call through a register). A function that is left by a jump has no frame, its caller names it. */
uint64_t mt_chain_called(const struct mt_remote *remote, uint64_t return_address);

#endif
