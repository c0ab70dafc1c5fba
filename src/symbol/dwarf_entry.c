/* dwarf_entry.c: what every reader of entries needs: their strings, and the budget of what may be made of them; see dwarf_unit.h.
 * Context: [tool]. */
#include "symbol/dwarf_unit.h"

#include <dwarf.h>
#include <string.h>

bool mt_dwarf_spend(struct mt_dwarf *dwarf, uint64_t n)
{
    if (n > dwarf->budget) {
        dwarf->budget = 0;
        return false;
    }
    dwarf->budget -= n;
    return true;
}

static bool ends_inside(const struct mt_section_bytes *section, const uint8_t *text)
{
    uintptr_t start = (uintptr_t)section->data, at = (uintptr_t)text;
    return at >= start && at - start < section->bytes && memchr(text, '\0', section->bytes - (at - start)) != NULL;
}

/* libdw vouches for strings in string sections, but a string inside the entry itself (DW_FORM_string) is handed out
 * before anybody has looked for its end. */
const char *mt_die_text(const struct mt_dwarf *dwarf, Dwarf_Die *die, unsigned attribute)
{
    Dwarf_Attribute found;
    const char *text = dwarf_attr(die, attribute, &found) != NULL ? dwarf_formstring(&found) : NULL;
    if (text == NULL || dwarf_whatform(&found) != DW_FORM_string) {
        return text;
    }
    const uint8_t *bytes = (const uint8_t *)text;
    return ends_inside(&dwarf->info, bytes) || ends_inside(&dwarf->alt_info, bytes) ? text : NULL;
}

const char *mt_die_linkage_name(const struct mt_dwarf *dwarf, Dwarf_Die *die)
{
    const char *name = mt_die_text(dwarf, die, DW_AT_linkage_name);
    return name != NULL ? name : mt_die_text(dwarf, die, DW_AT_MIPS_linkage_name);
}
