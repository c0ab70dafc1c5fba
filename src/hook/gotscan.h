/* gotscan.h: which slots of an object name a hooked function.
 *
 * Decides nothing about patching: reads symbol table and relocations. The symbols before the
 * hashed part of the symbol table are compared by name, the others are looked up.
 * Relocations seen: JUMP_SLOT (addend ignored: linkers may store a PLT offset there), GLOB_DAT, and plain 64-bit words
 * without an addend (tables of function pointers). Context: under the loader's lock.
 */
#ifndef MT_HOOK_GOTSCAN_H
#define MT_HOOK_GOTSCAN_H

#include "hook/elf.h"
#include "hook/originals.h"

enum mt_slot_kind { MT_SLOT_CALL, MT_SLOT_DATA };

struct mt_slot {
    uint64_t *address;
    enum mt_hook_index index;
    enum mt_slot_kind kind;
};

typedef void (*mt_slot_visitor)(const struct mt_slot *slot, void *context);

void mt_got_scan(const struct mt_elf_object *object, mt_slot_visitor visit, void *context);

/* True when the object calls for one of these names, a list that ends with NULL. */
bool mt_got_imports_any(const struct mt_elf_object *object, const char *const *names);

#endif
