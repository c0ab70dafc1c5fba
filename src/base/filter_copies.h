/* filter_copies.h: may this system call be made? Internal to base/; rawcall.h asks before each one, once there is a filter.
 *
 * A filter may kill the program for a system call it does not expect, and ours are such. So every raw call is put to copies of
 * the program's filters first, with its arguments, by the same little machine that the kernel runs (classic BPF over struct
 * seccomp_data: linux/filter.h, linux/seccomp.h; net/core/filter.c says which instructions it takes). A call that any of them
 * does not simply allow is not made; a copy that looks at the address of the instruction forbids everything.
 * Filters are only ever added. A place is taken first, where it forbids everything, and filled then. Pairing F1: a copy is whole
 * before its state says so (release; acquire in the reader). Context: any.
 */
#ifndef MT_BASE_FILTER_COPIES_H
#define MT_BASE_FILTER_COPIES_H

#include <stdbool.h>
#include <stdint.h>

struct sock_filter;

struct mt_filter_code {
    const struct sock_filter *code; /* NULL: not known */
    uint32_t length;                /* instructions */
};

/* Whether this filter lets a call pass. */
bool mt_filter_code_allows(const struct mt_filter_code *filter, long number, const long arguments[6]);
/* From now on every call is put to it; code stays valid, and NULL forbids everything. Returns its place (mt_os_filter_undo). */
uint32_t mt_filter_enter(const struct mt_filter_code *filter);

#endif
