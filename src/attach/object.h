/* object.h: a shared object in another process, read from that process's memory.
 *
 * Decides: symbols come from the mapped dynamic section and never from a file: the file of a mapping may be in another root, deleted
 * or replaced. Everything there may be damaged: counts are bounded, addresses are only read from. Context: [tool].
 */
#ifndef MT_ATTACH_OBJECT_H
#define MT_ATTACH_OBJECT_H

#include "attach/remote.h"
#include "util/mappings.h"

struct mt_object {
    uint64_t bias;      /* what is added to its own addresses */
    uint64_t low, high; /* all of its segments */
    uint64_t symbols, strings, gnu_hash; /* addresses there; 0: none */
    uint64_t unwind, unwind_low, unwind_high; /* .eh_frame_hdr, and the segment that it is in; 0: none */
    uint64_t print;     /* of its first page: headers, as a rule the build ID; 0: not to be read */
    char soname[64];    /* "" for none */
    const char *path;   /* of its first mapping, borrowed from the mappings */
};

/* A defined function of an object. */
struct mt_object_symbol {
    uint64_t address;
    char *name; /* malloc'ed */
};

struct mt_object_symbols {
    struct mt_object_symbol *items; /* in order of addresses */
    size_t count;
    size_t capacity;
};

struct mt_objects {
    struct mt_object *items; /* in order of addresses */
    size_t count;
    size_t capacity;
};

/* Every mapped object that has a dynamic section. Borrows from mappings. */
void mt_objects_read(const struct mt_remote *remote, const struct mt_mappings *mappings, struct mt_objects *ret);
void mt_objects_clear(struct mt_objects *objects);
/* The first of that soname, or NULL. */
const struct mt_object *mt_objects_named(const struct mt_objects *objects, const char *soname);
/* The one whose segments span address, or NULL. */
const struct mt_object *mt_objects_at(const struct mt_objects *objects, uint64_t address);

/* What the first page of an object at this address is told by; 0: it cannot be read. */
uint64_t mt_object_print(const struct mt_remote *remote, uint64_t low);
/* Is it still what was read? One page is looked at: the list of a process's mappings may be long, and threads stand still meanwhile. */
bool mt_object_is_there(const struct mt_remote *remote, const struct mt_object *object);
/* Address of a function the object defines; 0: it defines none of that name. */
uint64_t mt_object_find(const struct mt_remote *remote, const struct mt_object *object, const char *name);
/* All functions it defines. */
void mt_object_symbols_read(const struct mt_remote *remote, const struct mt_object *object, struct mt_object_symbols *ret);
void mt_object_symbols_clear(struct mt_object_symbols *symbols);

#endif
