/* symbolizer.c: modules, their files and the answers already given; implements symbol.h.
 *
 * Invariant: an address is resolved once; the answer is kept in a table of the module and its frames live in the name
 * set. A module's files are opened when its first address is asked, its symbol table is read when debug information has
 * no answer. One thread uses a symbolizer at a time. Context: [tool].
 */
#include "symbol/symbol.h"

#include "base/hash.h"
#include "symbol/dwarf.h"
#include "symbol/locate.h"
#include "symbol/minidebug.h"
#include "symbol/module_files.h"
#include "symbol/symtab.h"

#include <stdlib.h>
#include <string.h>

struct answer {
    uint64_t vaddr;
    const struct mt_symbol_frame *frames;
    uint32_t count;
    bool used;
};

struct module {
    struct module *next;
    uint64_t hash;
    const char *path; /* interned */
    uint8_t *build_id;
    size_t build_id_bytes;
    bool opened;
    bool replaced; /* the file at path is another one now, and no other speaks for the module */
    struct mt_module_files files;
    struct mt_dwarf *dwarf;
    bool symtab_read;
    struct mt_symtab symtab;
    struct answer *answers; /* open addressing, capacity a power of two, at most half full */
    size_t answer_count, answer_capacity;
};

enum { MODULE_BUCKETS = 256, FIRST_ANSWERS = 64 };

struct mt_symbolizer {
    struct mt_names names;
    struct mt_locator *locator;
    struct module *buckets[MODULE_BUCKETS];
    struct mt_symbol_frame scratch[MT_DWARF_DEPTH_MAX];
};

/* ---- life ---------------------------------------------------------------------------------------------------- */

enum { MAX_ENVIRONMENT_DIRS = 64 };

/* Directories of MEMTAP_DEBUG_PATH, separated by colons, as MEMTAP_* variables mirror options. text is cut up. */
static void split_path(char *text, const char **ret_dirs)
{
    size_t count = 0;
    char *rest = NULL;
    for (char *dir = strtok_r(text, ":", &rest); dir != NULL && count < MAX_ENVIRONMENT_DIRS;
         dir = strtok_r(NULL, ":", &rest)) {
        ret_dirs[count++] = dir;
    }
    ret_dirs[count] = NULL;
}

static mt_status new_locator(const char *const *search_dirs, struct mt_locator **ret)
{
    const char *variable = getenv("MEMTAP_DEBUG_PATH");
    if (search_dirs != NULL || variable == NULL) {
        return mt_locator_new(search_dirs, ret);
    }
    const char *dirs[MAX_ENVIRONMENT_DIRS + 1];
    char *text = strdup(variable);
    if (text == NULL) {
        return MT_E_NOMEM;
    }
    split_path(text, dirs);
    mt_status status = mt_locator_new(dirs, ret);
    free(text);
    return status;
}

mt_status mt_symbolizer_new(const char *const *search_dirs, struct mt_symbolizer **ret)
{
    struct mt_symbolizer *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return MT_E_NOMEM;
    }
    mt_names_init(&s->names);
    mt_status status = new_locator(search_dirs, &s->locator);
    if (status != MT_OK) {
        free(s);
        return status;
    }
    *ret = s;
    return MT_OK;
}

static void module_free(struct module *module)
{
    mt_dwarf_close(module->dwarf);
    mt_symtab_fini(&module->symtab);
    mt_module_files_fini(&module->files);
    free(module->answers);
    free(module->build_id);
    free(module);
}

void mt_symbolizer_free(struct mt_symbolizer *s)
{
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; i < MODULE_BUCKETS; i++) {
        while (s->buckets[i] != NULL) {
            struct module *next = s->buckets[i]->next;
            module_free(s->buckets[i]);
            s->buckets[i] = next;
        }
    }
    mt_locator_free(s->locator);
    mt_names_fini(&s->names);
    free(s);
}

/* ---- modules ------------------------------------------------------------------------------------------------- */

static bool module_is(const struct module *module, uint64_t hash, const struct mt_module_ref *ref)
{
    return module->hash == hash && module->build_id_bytes == ref->build_id_bytes &&
           (ref->build_id_bytes == 0 || memcmp(module->build_id, ref->build_id, ref->build_id_bytes) == 0) &&
           strcmp(module->path, ref->path) == 0;
}

static struct module *module_new(struct mt_symbolizer *s, uint64_t hash, const struct mt_module_ref *ref)
{
    struct module *module = calloc(1, sizeof *module);
    if (module == NULL) {
        return NULL;
    }
    module->hash = hash;
    module->path = mt_names_intern(&s->names, ref->path, strlen(ref->path));
    module->build_id_bytes = ref->build_id_bytes;
    module->build_id = malloc(ref->build_id_bytes + 1);
    if (module->path == NULL || module->build_id == NULL) {
        module_free(module);
        return NULL;
    }
    if (ref->build_id_bytes > 0) {
        memcpy(module->build_id, ref->build_id, ref->build_id_bytes);
    }
    module->next = s->buckets[hash % MODULE_BUCKETS];
    s->buckets[hash % MODULE_BUCKETS] = module;
    return module;
}

static void module_open(struct mt_symbolizer *s, struct module *module, const struct mt_module_ref *ref)
{
    module->opened = true;
    mt_module_files_find(&module->files, s->locator, ref);
    module->replaced = module->files.count == 0 && mt_locate_is_replaced(ref);
    const struct mt_elf_file *debug = module->files.dwarf;
    if (debug != NULL && mt_dwarf_open(debug, module->files.alt, &s->names, &module->dwarf) != MT_OK) {
        module->dwarf = NULL;
    }
}

static struct module *module_of(struct mt_symbolizer *s, const struct mt_module_ref *given)
{
    struct mt_module_ref ref = *given;
    ref.path = given->path != NULL ? given->path : "";
    uint64_t hash = mt_hash_bytes(ref.path, strlen(ref.path));
    hash = ref.build_id_bytes > 0 ? hash ^ mt_hash_bytes(ref.build_id, ref.build_id_bytes) : hash;
    struct module *module = s->buckets[hash % MODULE_BUCKETS];
    while (module != NULL && !module_is(module, hash, &ref)) {
        module = module->next;
    }
    if (module == NULL) {
        module = module_new(s, hash, &ref);
    }
    if (module != NULL && !module->opened) {
        module_open(s, module, &ref);
    }
    return module;
}

/* ---- answers ------------------------------------------------------------------------------------------------- */

static size_t answer_slot(const struct module *module, uint64_t vaddr)
{
    size_t mask = module->answer_capacity - 1, slot = (size_t)mt_hash_u64(vaddr) & mask;
    while (module->answers[slot].used && module->answers[slot].vaddr != vaddr) {
        slot = (slot + 1) & mask;
    }
    return slot;
}

static bool answers_make_room(struct module *module)
{
    if (module->answer_count * 2 < module->answer_capacity) {
        return true;
    }
    struct module bigger = {.answer_capacity = FIRST_ANSWERS};
    if (module->answer_capacity > 0) {
        bigger.answer_capacity = 2 * module->answer_capacity;
    }
    bigger.answers = calloc(bigger.answer_capacity, sizeof *bigger.answers);
    if (bigger.answers == NULL) {
        return false;
    }
    for (size_t i = 0; i < module->answer_capacity; i++) {
        if (module->answers[i].used) {
            bigger.answers[answer_slot(&bigger, module->answers[i].vaddr)] = module->answers[i];
        }
    }
    free(module->answers);
    module->answers = bigger.answers;
    module->answer_capacity = bigger.answer_capacity;
    return true;
}

static void read_symtab(struct mt_symbolizer *s, struct module *module)
{
    module->symtab_read = true;
    if (mt_module_files_read_symbols(&module->files, &module->symtab, &s->names) != MT_OK ||
        mt_symtab_index(&module->symtab) != MT_OK) {
        mt_symtab_fini(&module->symtab);
    }
}

/* Fills s->scratch; returns the number of frames. */
static size_t resolve(struct mt_symbolizer *s, struct module *module, uint64_t vaddr)
{
    size_t count = module->dwarf != NULL ? mt_dwarf_lookup(module->dwarf, vaddr, s->scratch) : 0;
    if (count > 0 && s->scratch[count - 1].function != NULL) {
        return count;
    }
    if (!module->symtab_read) {
        read_symtab(s, module);
    }
    const char *function = mt_symtab_find(&module->symtab, vaddr, &s->names);
    if (count == 0) {
        bool special = function == NULL && module->path[0] == '['; /* "[vdso]" itself is then the best name there is */
        s->scratch[0] = (struct mt_symbol_frame){.function = special ? module->path : function};
        return function != NULL || special ? 1 : 0;
    }
    s->scratch[count - 1].function = function;
    return count;
}

struct mt_symbol_frames mt_symbolize(struct mt_symbolizer *s, const struct mt_module_ref *ref, uint64_t vaddr)
{
    struct mt_symbol_frames nothing = {0};
    struct module *module = module_of(s, ref);
    if (module == NULL || !answers_make_room(module)) {
        return nothing;
    }
    struct answer *answer = &module->answers[answer_slot(module, vaddr)];
    if (answer->used) {
        return (struct mt_symbol_frames){.frames = answer->frames, .count = answer->count};
    }
    size_t count = resolve(s, module, vaddr);
    struct mt_symbol_frame *frames = mt_names_alloc(&s->names, count * sizeof *frames);
    if (frames == NULL) {
        return nothing;
    }
    memcpy(frames, s->scratch, count * sizeof *frames);
    *answer = (struct answer){.vaddr = vaddr, .frames = frames, .count = (uint32_t)count, .used = true};
    module->answer_count++;
    return (struct mt_symbol_frames){.frames = frames, .count = count};
}

enum mt_symbol_quality mt_symbolizer_quality(struct mt_symbolizer *s, const struct mt_module_ref *ref)
{
    const struct module *module = module_of(s, ref);
    if (module == NULL) {
        return MT_SYMBOLS_NONE;
    }
    if (module->dwarf != NULL) {
        return MT_SYMBOLS_DWARF;
    }
    if (module->files.symtab != NULL || module->files.minidebug != NULL) {
        return MT_SYMBOLS_SYMTAB;
    }
    return module->files.dynsym != NULL ? MT_SYMBOLS_DYNSYM : MT_SYMBOLS_NONE;
}

bool mt_symbolizer_replaced(struct mt_symbolizer *s, const struct mt_module_ref *ref)
{
    const struct module *module = module_of(s, ref);
    return module != NULL && module->replaced;
}
