/* owner.h: whose code maps memory.
 *
 * Decides: an anonymous mapping is not the program's when the code that asked for it is an allocator whose blocks are
 * recorded one by one: its bytes would be counted twice. Three kinds of code are known: the library that defines a malloc
 * our hooks forward to (one a bank), an interpreter's own allocator, and the functions of an allocator inside an object
 * whose entry points are patched (own.h). An executable that defines malloc is otherwise mostly program, and libc maps by
 * system calls of its own: neither is taken for an allocator.
 * A caller is known by its return address alone: no stack is walked for it.
 */
#ifndef MT_HOOK_OWNER_H
#define MT_HOOK_OWNER_H

#include "wire/format.h"

/* The kind of an anonymous mapping made by the code that returns to pc: ANONYMOUS, ARENA or ALLOCATOR. Context: [hook]. */
enum mt_map_kind mt_owner_kind(uint64_t pc);

/* Mappings made by code in [low, high) are arenas of an interpreter; one such range; 0, 0 for none. Context: [agent],
 * loader hooks. */
void mt_owner_set_arenas(uint64_t low, uint64_t high);

/* Mappings made by code in [low, high) are those of an allocator inside an object, from now on; eight such ranges, more are
 * left out. Context: [agent] start, loader hooks, under the loader's lock. */
void mt_owner_add_inside(uint64_t low, uint64_t high);

/* Looks up the libraries that define the malloc of each bank, and what its realloc's blocks are measured by (measure.h). Takes the loader's lock. Context: [agent] start, loader
 * hooks, after the banks may have changed. */
void mt_owner_find_allocators(void);

#endif
