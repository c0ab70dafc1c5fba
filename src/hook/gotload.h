/* gotload.h: a picture of the loaded objects for the GOT patcher: address ranges, sealed (RELRO) ranges, identity.
 *
 * Decides: when an object is the same one as before. A base address is not enough: dlclose followed by dlopen reuses it.
 * Pointers in a picture are valid only while the loader's lock is held. Context: inside dl_iterate_phdr callbacks.
 */
#ifndef MT_HOOK_GOTLOAD_H
#define MT_HOOK_GOTLOAD_H

#include "hook/elf.h"

enum { MT_LOADED_MAX = 4096 };

struct mt_loaded {
    struct mt_elf_object elf;
    uint64_t low, high;
    uint64_t sealed_low, sealed_high; /* whole pages the loader makes read-only; equal when there are none */
    uint64_t identity;
    bool executable; /* first of the list */
    bool before_self;
    bool readable; /* false: known by range only (the loader, the vDSO, ourselves) */
    bool self;
};

struct mt_loaded_list {
    uint64_t adds, subs; /* the loader's counters at the time */
    uint32_t count;
    bool seen_self;
    struct mt_loaded objects[MT_LOADED_MAX];
};

/* A number for the object: of its place, name and program headers; another file at the same place differs in at least one of
 * them in practice, and the build-id note, where there is one, settles it. */
uint64_t mt_loaded_identity(const struct dl_phdr_info *info);
/* Appends what dl_iterate_phdr reports; beyond MT_LOADED_MAX objects are left out. */
void mt_loaded_add(struct mt_loaded_list *list, const struct dl_phdr_info *info);
/* The object holding address, or NULL. */
const struct mt_loaded *mt_loaded_find(const struct mt_loaded_list *list, uint64_t address);
/* The first definition of a name in load order, ourselves left out; ret_object may be NULL. 0 when there is none. */
uint64_t mt_loaded_define(const struct mt_loaded_list *list, const char *name, uint32_t hash,
                          const struct mt_loaded **ret_object);

#endif
