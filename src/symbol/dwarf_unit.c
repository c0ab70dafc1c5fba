/* dwarf_unit.c: the units of a file: which one an entry is in, and its functions and lines, read when they are first asked for.
 * Context: [tool]. */
#include "symbol/dwarf_unit.h"

#include <dwarf.h>

/* Addresses of a unit that cannot be read fall back to the symbol table. */
void mt_unit_read(struct mt_dwarf *dwarf, struct mt_unit *unit)
{
    Dwarf_Die root;
    if (unit->state == MT_UNIT_READ) {
        return;
    }
    unit->state = MT_UNIT_READ;
    if (dwarf_offdie(dwarf->dw, unit->die, &root) == NULL) {
        return;
    }
    /* The assembler describes every label of a wrapper, internal aliases too; the symbol table has the public name. */
    if (dwarf_srclang(&root) != DW_LANG_Mips_Assembler && mt_scopes_read(dwarf, unit, &root) != MT_OK) {
        mt_scopes_fini(&unit->scopes);
    }
    if (mt_lines_read(dwarf, unit, &root) != MT_OK) {
        mt_lines_fini(&unit->lines);
    }
}

struct mt_unit *mt_unit_of_die(struct mt_dwarf *dwarf, Dwarf_Off die)
{
    size_t low = 0, high = dwarf->unit_count; /* the last unit that begins at or before die, in [low, high) */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (dwarf->units[middle].die <= die) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    struct mt_unit *unit = low > 0 ? &dwarf->units[low - 1] : NULL;
    return unit != NULL && die - unit->die < unit->bytes ? unit : NULL;
}
