/* pymem.c: see pymem.h; the wrappers themselves are in pydomain.c.
 *
 * Decides: which allocator Python uses and so which sizes are counted here, whether our wrappers are still in the chain,
 * and when to put them there again. Being below another wrapper is being in the chain: tracemalloc and Python's debug
 * hooks keep what they wrap in a struct that their ctx leads to, and that is followed. Our place is always the same, directly
 * above the allocator and Python's debug hooks: where tracemalloc was there first, we go below it, into the struct it
 * keeps (why: docs/decisions/0016). A wrapper of somebody else's gets a layer of ours above it, and the guard keeps a layer
 * of ours that he may hide from counting a second time.
 */
#include "hook/pymem.h"

#include "base/atomic.h"
#include "base/objects.h"
#include "heap/engine.h"
#include "hook/company.h"
#include "hook/elf.h"
#include "hook/owner.h"
#include "hook/pydomain.h"
#include "hook/pynote.h"
#include "hook/table.h"

#include <string.h>
#include <unistd.h>

/* CPython's SMALL_REQUEST_THRESHOLD, the same in 3.8 to 3.15. */
enum { PYMALLOC_LARGEST = 512, WRAPPING_DEPTH_MAX = 8 };
enum { DEBUG_HEADERS = 2 }; /* Python's debug hooks, of the domain and of RAW below it: 16 bytes each */
enum { PYTHON_DOMAIN_RAW = 0, PYTHON_DOMAIN_MEM = 1 }; /* PyMemAllocatorDomain; OBJ follows MEM */

/* PyObjectArenaAllocator */
struct arena_allocator {
    void *ctx;
    void *(*alloc)(void *ctx, size_t bytes);
    void (*free)(void *ctx, void *ptr, size_t bytes);
};

static struct {
    void (*get)(int domain, struct mt_python_allocator *ret);
    void (*set)(int domain, const struct mt_python_allocator *allocator);
    void (*get_arena)(struct arena_allocator *ret);
    void (*set_arena)(const struct arena_allocator *allocator);
    int (*may_call)(void); /* PyGILState_Check: 1 with the GIL, and before there is one */
    uint64_t low, high;    /* the object that holds Python */
    bool free_threaded;
    bool installed;
    bool used[MT_PYTHON_LAYERS][MT_PYTHON_DOMAIN__COUNT]; /* layers that have an original */
    struct arena_allocator arena;             /* the original; never changed once ours is installed */
    bool arena_installed;
} g_python;

/* ---- chains of wrappers --------------------------------------------------------------------------------------------- */

static bool is_ours(const struct mt_python_allocator *allocator, enum mt_python_domain domain)
{
    for (unsigned layer = 0; layer < MT_PYTHON_LAYERS; layer++) {
        if (mt_python_wrappers(layer, domain).malloc == allocator->malloc) {
            return true;
        }
    }
    return false;
}

/* One step down a chain. */
struct step {
    const struct mt_python_allocator *below; /* NULL: nothing known to be below */
    bool debug;                              /* the step went through Python's debug hooks */
};

/* Python's debug hooks keep {char id; PyMemAllocatorEx}, with id 'r', 'm' or 'o'; tracemalloc and others keep the
 * PyMemAllocatorEx itself. */
static struct step step_down(const struct mt_python_allocator *allocator)
{
    const uint64_t *words = allocator->ctx;
    uint64_t address = (uint64_t)(uintptr_t)words;
    if (words == NULL || address % sizeof *words != 0 || !mt_elf_is_data(address, sizeof *allocator)) {
        return (struct step){ NULL, false };
    }
    bool debug = words[0] == 'r' || words[0] == 'm' || words[0] == 'o';
    if (debug && !mt_elf_is_data(address, sizeof *words + sizeof *allocator)) {
        return (struct step){ NULL, false };
    }
    return (struct step){ (const struct mt_python_allocator *)(const void *)(debug ? words + 1 : words), debug };
}

static bool in_chain(const struct mt_python_allocator *outermost, enum mt_python_domain domain)
{
    const struct mt_python_allocator *at = outermost;
    for (int depth = 0; at != NULL && depth < WRAPPING_DEPTH_MAX; depth++) {
        if (is_ours(at, domain)) {
            return true;
        }
        at = step_down(at).below;
    }
    return false;
}

static bool is_pythons(uint64_t address)
{
    return address >= g_python.low && address < g_python.high;
}

static bool is_pythons_function(mt_function function)
{
    return is_pythons((uint64_t)(uintptr_t)function);
}

/* Python has two wrappers of its own; the one that is not the debug hooks is tracemalloc. The struct it keeps, or NULL. */
static struct mt_python_allocator *kept_by_tracemalloc(const struct mt_python_allocator *allocator)
{
    struct step step = step_down(allocator);
    bool is_tracemalloc = step.below != NULL && !step.debug && step.below->malloc != NULL &&
                          is_pythons_function((mt_function)allocator->malloc) &&
                          is_pythons((uint64_t)(uintptr_t)allocator->ctx);
    return is_tracemalloc ? allocator->ctx : NULL;
}

/* Where our wrapper of a domain is or belongs. */
struct place {
    struct mt_python_allocator *kept; /* in tracemalloc's hands; NULL: Python's own record */
    struct mt_python_allocator holds; /* what is there now */
};

static struct place place_of(enum mt_python_domain domain)
{
    struct place place = { .kept = NULL };
    g_python.get(PYTHON_DOMAIN_MEM + (int)domain, &place.holds);
    struct mt_python_allocator *kept = kept_by_tracemalloc(&place.holds);
    for (int depth = 0; kept != NULL && depth < WRAPPING_DEPTH_MAX; depth++) {
        place = (struct place){ kept, *kept };
        kept = kept_by_tracemalloc(&place.holds);
    }
    return place;
}

/* The ctx stays, so that who reads the struct meanwhile finds a valid mixture (pydomain.h). */
static void put(enum mt_python_domain domain, const struct place *place, struct mt_python_allocator allocator)
{
    if (place->kept == NULL) {
        g_python.set(PYTHON_DOMAIN_MEM + (int)domain, &allocator);
        return;
    }
    mt_store_release(&place->kept->malloc, allocator.malloc);
    mt_store_release(&place->kept->calloc, allocator.calloc);
    mt_store_release(&place->kept->realloc, allocator.realloc);
    mt_store_release(&place->kept->free, allocator.free);
}

/* ---- what Python uses ----------------------------------------------------------------------------------------------- */

struct kind {
    enum mt_python_family family;
    bool debug;
};

/* The malloc at the bottom of a domain's chain. */
static mt_function innermost(int domain, bool *ret_debug)
{
    struct mt_python_allocator outermost = { 0 };
    g_python.get(domain, &outermost);
    mt_function found = (mt_function)outermost.malloc;
    struct step step = step_down(&outermost);
    for (int depth = 0; step.below != NULL && depth < WRAPPING_DEPTH_MAX; depth++) {
        found = (mt_function)step.below->malloc;
        *ret_debug |= step.debug;
        step = step_down(step.below);
    }
    return found;
}

/* Value of a variable; name ends in '='. NULL when it is not set. */
static const char *environment(const char *name)
{
    size_t length = strlen(name);
    for (char *const *entry = environ; entry != NULL && *entry != NULL; entry++) {
        if (strncmp(*entry, name, length) == 0) {
            return *entry + length;
        }
    }
    return NULL;
}

/* Told from the functions: with PYTHONMALLOC=malloc, objects and raw memory come from the same one. Python can name its
 * allocator too, but not before it is initialised (3.12 takes a lock there that does not exist yet), and not once it is
 * wrapped. mimalloc in a build with the GIL is only to be had through the environment. */
static struct kind current_kind(void)
{
    bool ignored = false;
    struct kind kind = { MT_PYTHON_PYMALLOC, false };
    mt_function object = innermost(PYTHON_DOMAIN_MEM + MT_PYTHON_OBJECT, &kind.debug);
    const char *asked = environment("PYTHONMALLOC=");
    if (object == innermost(PYTHON_DOMAIN_RAW, &ignored)) {
        kind.family = MT_PYTHON_MALLOC;
    } else if (g_python.free_threaded || (asked != NULL && strncmp(asked, "mimalloc", 8) == 0)) {
        kind.family = MT_PYTHON_MIMALLOC;
    }
    return kind;
}

/* 3.13 and later describe themselves at the start of _PyRuntime: cookie, version, free-threaded flag (8 bytes each). */
static bool is_free_threaded(void)
{
    const uint64_t *runtime = mt_elf_lookup("_PyRuntime");
    uint64_t cookie = 0;
    memcpy(&cookie, "xdebugpy", sizeof cookie);
    return runtime != NULL && runtime[0] == cookie && runtime[2] == 1;
}

static void find_functions(void)
{
    g_python.get = (void (*)(int, struct mt_python_allocator *))(uintptr_t)mt_elf_lookup("PyMem_GetAllocator");
    g_python.set = (void (*)(int, const struct mt_python_allocator *))(uintptr_t)mt_elf_lookup("PyMem_SetAllocator");
    g_python.get_arena =
        (void (*)(struct arena_allocator *))(uintptr_t)mt_elf_lookup("PyObject_GetArenaAllocator");
    g_python.set_arena =
        (void (*)(const struct arena_allocator *))(uintptr_t)mt_elf_lookup("PyObject_SetArenaAllocator");
    g_python.may_call = (int (*)(void))(uintptr_t)mt_elf_lookup("PyGILState_Check");
    g_python.free_threaded = is_free_threaded();
    (void)mt_elf_range_of((uint64_t)(uintptr_t)g_python.set, &g_python.low, &g_python.high);
}

static bool has_functions(void)
{
    return g_python.get != NULL && g_python.set != NULL;
}

/* One thread changes allocators at a time; another that comes meanwhile goes on. Not to be waited for: the holder may be
 * waiting for Python. Pairing H4: taken by CAS, released with a release store after the last change. */
static uint32_t g_busy;

static bool begin_change(void)
{
    uint32_t expected = 0;
    return mt_cas_acq_rel(&g_busy, &expected, 1u);
}

static void end_change(void)
{
    mt_store_release(&g_busy, 0u);
}

/* ---- wrapping ------------------------------------------------------------------------------------------------------- */

/* What we put above somebody else's wrapper guards as well, and counts every size: what is below is not known. */
static bool is_guarding(const struct mt_python_allocator *original, struct kind kind)
{
    return kind.debug || !is_pythons_function((mt_function)original->malloc);
}

static struct mt_python_layer describe(const struct mt_python_allocator *original, struct kind kind,
                                       enum mt_python_domain domain)
{
    bool all = is_guarding(original, kind) || kind.family == MT_PYTHON_MIMALLOC;
    return (struct mt_python_layer){
        .original = *original,
        .largest = all ? SIZE_MAX : PYMALLOC_LARGEST,
        .allocator = domain == MT_PYTHON_MEM ? MT_ALLOCATOR_PYMEM_MEM : MT_ALLOCATOR_PYMEM_OBJECT,
        .headers = kind.debug ? DEBUG_HEADERS : 0,
    };
}

static bool is_same_layer(const struct mt_python_layer *a, const struct mt_python_layer *b)
{
    return memcmp(&a->original, &b->original, sizeof a->original) == 0 && a->largest == b->largest;
}

/* The layer that already describes this original, else a new one; MT_PYTHON_LAYERS when none is left. */
static unsigned layer_for(const struct mt_python_layer *wanted, bool guarding, enum mt_python_domain domain)
{
    unsigned first = guarding ? MT_PYTHON_PLAIN_LAYERS : 0;
    unsigned end = guarding ? MT_PYTHON_LAYERS : MT_PYTHON_PLAIN_LAYERS;
    for (unsigned layer = first; layer < end; layer++) {
        if (!g_python.used[layer][domain]) {
            mt_g_python_layers[layer][domain] = *wanted;
            g_python.used[layer][domain] = true;
            return layer;
        }
        if (is_same_layer(&mt_g_python_layers[layer][domain], wanted)) {
            return layer;
        }
    }
    return MT_PYTHON_LAYERS;
}

static bool wrap(enum mt_python_domain domain, struct kind kind)
{
    struct mt_python_allocator outermost = { 0 };
    g_python.get(PYTHON_DOMAIN_MEM + (int)domain, &outermost);
    if (outermost.malloc == NULL) {
        return false;
    }
    if (in_chain(&outermost, domain)) {
        return true;
    }
    struct place place = place_of(domain);
    struct mt_python_layer wanted = describe(&place.holds, kind, domain);
    unsigned layer = layer_for(&wanted, is_guarding(&place.holds, kind), domain);
    if (layer == MT_PYTHON_LAYERS) {
        return false;
    }
    struct mt_python_allocator ours = mt_python_wrappers(layer, domain);
    ours.ctx = place.holds.ctx;
    mt_fence_seq_cst(); /* the layer before the functions that read it */
    put(domain, &place, ours);
    return true;
}

static void unwrap(enum mt_python_domain domain)
{
    struct place place = place_of(domain);
    for (unsigned layer = 0; layer < MT_PYTHON_LAYERS; layer++) {
        if (mt_python_wrappers(layer, domain).malloc == place.holds.malloc) {
            put(domain, &place, mt_g_python_layers[layer][domain].original);
        }
    }
}

static bool needs_wrapping(enum mt_python_domain domain)
{
    struct mt_python_allocator current = { 0 };
    g_python.get(PYTHON_DOMAIN_MEM + (int)domain, &current);
    return !in_chain(&current, domain);
}

/* ---- arenas --------------------------------------------------------------------------------------------------------- */

/* Arenas are made and dropped inside Python's malloc, free and realloc, and so often under the guard of our own hook. They
 * are records of their own all the same; the engine is not in the middle of one here. */
static MT_NOINLINE void *arena_alloc(void *ctx, size_t bytes)
{
    MT_CAPTURE_CALLER(regs);
    (void)ctx;
    uint32_t depth = t_mt.depth;
    uint64_t guard = t_mt.guard;
    t_mt.depth = 0;
    enum mt_verdict verdict = mt_engine_begin_range();
    mt_engine_enter();
    mt_pymem_check();
    mt_company_look();
    void *arena = g_python.arena.alloc(g_python.arena.ctx, bytes);
    mt_engine_leave();
    if (verdict == MT_RECORD && arena != NULL) {
        mt_engine_end_map(arena, bytes, MT_MAP_ARENA, &regs);
    } else if (verdict == MT_RECORD) {
        mt_engine_abandon();
    }
    t_mt.guard = guard;
    t_mt.depth = depth;
    return arena;
}

static void arena_free(void *ctx, void *arena, size_t bytes)
{
    (void)ctx;
    uint32_t depth = t_mt.depth;
    uint64_t guard = t_mt.guard;
    t_mt.depth = 0;
    enum mt_verdict verdict = mt_engine_begin_range();
    if (verdict == MT_RECORD) {
        mt_engine_note_unmap(arena, bytes);
    }
    mt_engine_enter();
    g_python.arena.free(g_python.arena.ctx, arena, bytes);
    mt_engine_leave();
    if (verdict == MT_RECORD) {
        mt_engine_abandon();
    }
    t_mt.guard = guard;
    t_mt.depth = depth;
}

static void wrap_arenas(void)
{
    struct arena_allocator current = { 0 };
    if (g_python.get_arena == NULL || g_python.set_arena == NULL || g_python.arena_installed) {
        return;
    }
    g_python.get_arena(&current);
    if (current.alloc == NULL || current.alloc == arena_alloc) {
        return;
    }
    struct arena_allocator ours = { current.ctx, arena_alloc, arena_free };
    g_python.arena = current;
    g_python.arena_installed = true;
    mt_fence_seq_cst();
    g_python.set_arena(&ours);
}

static void unwrap_arenas(void)
{
    struct arena_allocator current = { 0 };
    if (!g_python.arena_installed) {
        return;
    }
    g_python.get_arena(&current);
    if (current.alloc == arena_alloc) {
        g_python.set_arena(&g_python.arena);
        g_python.arena_installed = false;
    }
}

/* mimalloc maps its segments itself, from code inside Python. */
static void mark_mimalloc_arenas(struct kind kind)
{
    uint64_t low = 0, high = 0;
    if (kind.family == MT_PYTHON_MIMALLOC && mt_elf_range_of((uint64_t)(uintptr_t)g_python.set, &low, &high)) {
        mt_owner_set_arenas(low, high);
    }
}

/* ---- lifecycle ------------------------------------------------------------------------------------------------------ */

static bool wrap_domains(void)
{
    struct kind kind = current_kind();
    mt_python_note(kind.family, kind.debug);
    if (kind.family == MT_PYTHON_MALLOC) {
        return false;
    }
    mark_mimalloc_arenas(kind);
    bool mem = wrap(MT_PYTHON_MEM, kind);
    bool object = wrap(MT_PYTHON_OBJECT, kind);
    return mem && object;
}

bool mt_pymem_install(void)
{
    if (!begin_change()) {
        return false;
    }
    if (!g_python.installed) {
        find_functions();
    }
    bool wrapped = false;
    if (has_functions()) {
        g_python.installed = true;
        wrap_arenas();
        wrapped = wrap_domains();
    }
    end_change();
    return wrapped;
}

static void note_current(void)
{
    struct kind kind = current_kind();
    mt_python_note(kind.family, kind.debug);
}

void mt_pymem_check(void)
{
    if (!g_python.installed || !mt_objects_walkable() || !begin_change()) {
        return;
    }
    bool allowed = g_python.may_call == NULL || g_python.may_call() != 0;
    if (allowed && (needs_wrapping(MT_PYTHON_MEM) || needs_wrapping(MT_PYTHON_OBJECT))) {
        (void)wrap_domains();
    } else if (allowed && !mt_python_is_noted()) {
        note_current();
    }
    end_change();
}

void mt_pymem_tell(void)
{
    if (!g_python.installed || !begin_change()) {
        return;
    }
    if (g_python.may_call == NULL || g_python.may_call() != 0) {
        note_current();
    }
    end_change();
}

void mt_pymem_after_fork(void)
{
    end_change();
}

void mt_pymem_uninstall(void)
{
    if (!g_python.installed) {
        return;
    }
    for (int i = 0; i < MT_PYTHON_DOMAIN__COUNT; i++) {
        unwrap((enum mt_python_domain)i);
    }
    unwrap_arenas();
    mt_owner_set_arenas(0, 0);
    g_python.installed = false;
}

void mt_pymem_objects_gone(void)
{
    if (!g_python.installed || mt_elf_lookup("PyMem_SetAllocator") == (void *)(uintptr_t)g_python.set) {
        return;
    }
    memset(&g_python, 0, sizeof g_python);
    mt_python_forget_noted();
    mt_owner_set_arenas(0, 0);
}
