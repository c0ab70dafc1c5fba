/* elf.h: symbols of loaded objects, read from their dynamic sections in memory.
 *
 * Decides: what "the definition of a name" is: a dynamic symbol with a section (a non-PIE executable exports its own PLT
 * stub under the same name without one, and calling that would come back to us), the default version before any other,
 * an IFUNC resolved. dlsym is never used: it allocates, and it may answer with that stub.
 * Never looked into: ourselves, the dynamic linker (old ones export their own malloc), the vDSO.
 * Contexts as said; nothing here allocates or changes errno.
 */
#ifndef MT_HOOK_ELF_H
#define MT_HOOK_ELF_H

#include "base/status.h"

#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A loaded object, as its dynamic section describes it. Pointers are into the object: valid while it is loaded. */
struct mt_elf_object {
    uint64_t base; /* load bias */
    const ElfW(Dyn) *dynamic;
    const ElfW(Sym) *symbols;
    const char *strings;
    const uint32_t *gnu_hash;  /* NULL when absent */
    const uint32_t *sysv_hash; /* NULL when absent */
    const ElfW(Half) *versions; /* NULL when absent */
    const ElfW(Rela) *rela;
    size_t rela_count;
    size_t relative_count; /* leading entries of rela without a symbol */
    const ElfW(Rela) *plt_rela;
    size_t plt_rela_count;
    bool has_search_path; /* DT_RUNPATH or DT_RPATH */
    bool has_rpath;       /* DT_RPATH, which objects loaded by it inherit */
};

/* Reads a dynamic section; false when it has no symbol table. Context: any. */
bool mt_elf_parse(uint64_t base, const ElfW(Dyn) *dynamic, struct mt_elf_object *ret);
/* As above from what dl_iterate_phdr reports; false for objects that are never looked into (see above). */
bool mt_elf_from_phdr(const struct dl_phdr_info *info, struct mt_elf_object *ret);
/* As above for a link map. */
bool mt_elf_from_link_map(const struct link_map *map, struct mt_elf_object *ret);
/* True when the dynamic section, or the object, is the agent's own. */
bool mt_elf_is_self(const ElfW(Dyn) *dynamic);
bool mt_elf_info_is_self(const struct dl_phdr_info *info);

uint32_t mt_elf_gnu_hash(const char *name);
/* Index of the defined symbol of this name; 0 when there is none. */
uint32_t mt_elf_find(const struct mt_elf_object *object, const char *name, uint32_t hash);
/* Indices of the hashed symbols of this name, every version, defined or not (a non-PIE executable's stubs are hashed, and
 * undefined). Returns how many there are, at most capacity. */
size_t mt_elf_named(const struct mt_elf_object *object, const char *name, uint32_t hash, uint32_t *ret_symbols,
                    size_t capacity);
/* Address of a defined symbol; an IFUNC's resolver is called. */
uint64_t mt_elf_address(const struct mt_elf_object *object, uint32_t symbol);
/* True when the object defines name at address, whatever the version. */
bool mt_elf_defines_at(const struct mt_elf_object *object, const char *name, uint32_t hash, uint64_t address);

/* The definition a lookup would reach if the agent were not there: the first behind the agent in load order (the meaning
 * of RTLD_NEXT) or, when there is none, the first anywhere. NULL when nobody defines it.
 * ret_beside_malloc: the defining object also defines malloc. May be NULL.
 * unlocked: walk the link map without the loader's lock; only for the first malloc of a process, which is called by the
 * loader itself. Otherwise the loader's lock is taken for the walk. Context: outside allocator hooks, lock-free of ours. */
void *mt_elf_next(const char *name, bool unlocked, bool *ret_beside_malloc);
/* The first definition in load order, NULL when there is none. Context: [agent], start of process, loader hooks. */
void *mt_elf_lookup(const char *name);
/* True when the loader is not busy adding objects: at start, that all are relocated and constructors may run. Any
 * context. */
bool mt_elf_loader_is_done(void);
/* Tells base/objects where the loader's list lock is. Context: [agent] start. */
void mt_elf_learn_loader_lock(void);
/* True when [address, address + bytes) lies in a writable segment of a loaded object. Takes the loader's lock. */
bool mt_elf_is_data(uint64_t address, size_t bytes);
/* Address range of the loaded object that holds address; false when none does. Takes the loader's lock. */
bool mt_elf_range_of(uint64_t address, uint64_t *ret_low, uint64_t *ret_high);

#endif
