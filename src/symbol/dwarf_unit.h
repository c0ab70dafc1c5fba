/* dwarf_unit.h: what the files that implement dwarf.h share: the index of one compilation unit.
 *
 * An entry ("DIE") of a function or of an inlined call that has code becomes a scope; scopes form a tree by `parent`, and
 * the segments say which scope is innermost at an address. Qualifiers are the namespaces, classes and functions around
 * entries that have no linkage name (GCC gives none to functions with internal linkage: lambdas, static functions,
 * templates over local types), so that these read `main::{lambda}::operator()` and not `operator()`. Context: [tool].
 */
#ifndef MT_SYMBOL_DWARF_UNIT_H
#define MT_SYMBOL_DWARF_UNIT_H

#include "symbol/dwarf.h"
#include "symbol/intervals.h"

#include <elfutils/libdw.h>

struct mt_scope {
    Dwarf_Off die;     /* offset in .debug_info */
    const char *name;  /* readable, interned; NULL until resolved, or when it has none */
    uint32_t parent;   /* scope it is inlined into; MT_SEGMENT_NONE for a function */
    uint32_t call_file; /* of the call, for an inlined scope: index into the unit's files */
    uint32_t call_line;
    bool inlined;
    bool made;        /* see struct mt_symbol_frame; known once resolved */
    bool resolved;
};

struct mt_qualifier {
    Dwarf_Off die;
    uint32_t parent; /* enclosing qualifier, MT_SEGMENT_NONE at the top */
};

/* A function entry without linkage name, and what is around it. */
struct mt_qualified {
    Dwarf_Off die;
    uint32_t qualifier;
};

struct mt_scopes {
    struct mt_scope *items;
    size_t count, capacity;
    struct mt_segments index;
    struct mt_qualifier *qualifiers;
    size_t qualifier_count, qualifier_capacity;
    struct mt_qualified *qualified; /* ascending by die */
    size_t qualified_count, qualified_capacity;
};

struct mt_line_row {
    uint64_t address;
    uint32_t file;
    uint32_t line;
};

/* Rows of non-decreasing address from one to the next end_sequence. */
struct mt_line_sequence {
    size_t first, count;
};

struct mt_line_file {
    const char *directory; /* borrowed from the section, may be NULL or relative to the compilation directory */
    const char *name;      /* same; NULL: no such file */
    const char *joined;    /* interned absolute path; NULL until asked for */
};

struct mt_lines {
    const char *compilation_directory; /* borrowed; may be NULL */
    const char **directories; /* borrowed strings, while reading */
    size_t directory_count, directory_capacity;
    struct mt_line_file *files;
    size_t file_count, file_capacity;
    struct mt_line_row *rows;
    size_t row_count, row_capacity;
    struct mt_line_sequence *sequences;
    size_t sequence_count, sequence_capacity;
    struct mt_intervals ranges; /* of the sequences, while reading */
    struct mt_segments index;   /* values are sequence numbers */
};

enum mt_unit_state { MT_UNIT_UNREAD, MT_UNIT_READ };

struct mt_unit {
    Dwarf_Off die;  /* of the root entry */
    uint64_t bytes; /* from there to the next unit: bounds the entries it can have */
    enum mt_unit_state state;
    bool mangled; /* language with linkage names (C++, Rust …): those are preferred to plain names */
    struct mt_scopes scopes;
    struct mt_lines lines;
};

struct mt_section_bytes {
    const uint8_t *data;
    size_t bytes;
};

struct mt_dwarf {
    const struct mt_elf_file *file;
    struct mt_names *names;
    Dwarf *dw;
    Dwarf *alt;             /* stand-in or real, NULL without .gnu_debugaltlink */
    Elf *alt_elf;           /* of the stand-in only */
    void *alt_image;        /* of the stand-in only */
    struct mt_section_bytes info, alt_info, line, line_str, str;
    struct mt_unit *units;
    size_t unit_count, unit_capacity;
    struct mt_segments index; /* values are unit numbers */
    uint64_t budget; /* scopes, intervals and line rows that may still be made, over all units. A file of n bytes starts
                        with max(1 Mi, n / 4). All units of CPython, glibc and Rust programs together need n / 36 to
                        n / 117, and n / 27 when compressed; a hostile file that points a million entries at one long
                        range list is cut off, and its other units get names from the symbol table only */
};

/* dwarf_entry.c: takes n from the budget; false when it is used up. */
bool mt_dwarf_spend(struct mt_dwarf *dwarf, uint64_t n);
/* A string attribute of an entry, or NULL. Borrowed from the section; proven to end inside it. */
const char *mt_die_text(const struct mt_dwarf *dwarf, Dwarf_Die *die, unsigned attribute);
/* The linkage name an entry itself has, or NULL. */
const char *mt_die_linkage_name(const struct mt_dwarf *dwarf, Dwarf_Die *die);

/* dwarf_unit.c: reads a unit's functions and lines unless that has been done; what cannot be read stays empty. */
void mt_unit_read(struct mt_dwarf *dwarf, struct mt_unit *unit);
/* The unit an entry at this offset of .debug_info belongs to, or NULL. */
struct mt_unit *mt_unit_of_die(struct mt_dwarf *dwarf, Dwarf_Off die);

/* dwarf_scopes.c: fills unit->scopes from the entries under root. A corrupt part is left out. */
mt_status mt_scopes_read(struct mt_dwarf *dwarf, struct mt_unit *unit, Dwarf_Die *root) MT_CHECKED;
void mt_scopes_fini(struct mt_scopes *scopes);
/* Adds the address ranges of an entry to a list; returns how many. Ranges that do not start in code are left out. */
size_t mt_dwarf_add_ranges(struct mt_dwarf *dwarf, Dwarf_Die *die, uint32_t value, uint32_t rank,
                           struct mt_intervals *list);

/* dwarf_names.c: the readable name of a scope, NULL when it has none. May read the unit that declares the function. */
const char *mt_scope_name(struct mt_dwarf *dwarf, struct mt_unit *unit, struct mt_scope *scope);

/* dwarf_lines.c: fills unit->lines from the line table of the unit. A corrupt part is left out. */
mt_status mt_lines_read(struct mt_dwarf *dwarf, struct mt_unit *unit, Dwarf_Die *root) MT_CHECKED;
void mt_lines_fini(struct mt_lines *lines);
const struct mt_line_row *mt_lines_find(const struct mt_lines *lines, uint64_t vaddr);
/* Absolute path of a file number, or NULL. */
const char *mt_lines_file(struct mt_lines *lines, uint32_t number, struct mt_names *names);

#endif
