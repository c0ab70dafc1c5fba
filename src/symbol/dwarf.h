/* dwarf.h: functions, inlined calls and lines of one file's DWARF, indexed one compilation unit at a time.
 *
 * Decides: how much is read and when. Opening reads the address ranges of all units (their root entries only); the first
 * address asked in a unit reads that unit's functions, inlined calls and line table into sorted arrays; names are resolved
 * when a frame is first shown. So a library of 10,000 units costs what the units asked about cost. DWARF 2 to 5, with
 * .gnu_debugaltlink; the contents of split DWARF (.dwo) are not followed: lines come from the skeleton, functions from
 * the symbol table. Work and memory are bounded by the file's size whatever its contents claim (struct mt_dwarf.budget).
 * Context: [tool].
 */
#ifndef MT_SYMBOL_DWARF_H
#define MT_SYMBOL_DWARF_H

#include "symbol/elf_file.h"
#include "symbol/names.h"
#include "symbol/symbol.h"

enum { MT_DWARF_DEPTH_MAX = 256 }; /* nesting of entries followed; frames of one address */

struct mt_dwarf;

/* file and alt (the file its .gnu_debugaltlink names, or NULL) are borrowed and must outlive the result; so must names.
 * MT_E_NOENT when the file has no debug information, MT_E_CORRUPT when it cannot be used. */
mt_status mt_dwarf_open(const struct mt_elf_file *file, const struct mt_elf_file *alt, struct mt_names *names,
                        struct mt_dwarf **ret) MT_CHECKED;
void mt_dwarf_close(struct mt_dwarf *dwarf);
/* Frames at an address, innermost first, at most MT_DWARF_DEPTH_MAX; returns their number, 0 when the file knows nothing
 * of it. The function of the last frame is NULL when only its line is known. */
size_t mt_dwarf_lookup(struct mt_dwarf *dwarf, uint64_t vaddr, struct mt_symbol_frame *frames);
/* The alternate file's name and build-id, as .gnu_debugaltlink gives them (borrowed from the file). */
bool mt_dwarf_alt_link(const struct mt_elf_file *file, const char **ret_name, const uint8_t **ret_build_id,
                       size_t *ret_build_id_bytes);
/* What reads debug information in this build, for people; NULL when nothing does (dwarf_none.c). */
const char *mt_dwarf_origin(void);

#endif
