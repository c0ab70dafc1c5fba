/* explain.c: see explain.h. */
#include "explain/explain.h"

#include "attach/refusal.h"
#include "explain/glibc.h"
#include "explain/pages.h"
#include "explain/pools.h"
#include "explain/stacks.h"
#include "util/memory.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* A large block of malloc's begins on a page, with its size and one flag. */
static const uint64_t MAPPED_FLAG = 2, MAPPED_LEAST = 64 << 10;

struct process {
    pid_t pid;
    struct mt_remote remote;
    struct mt_mappings mappings;
    struct mt_objects objects;
    struct mt_glibc glibc;
    struct mt_spans stacks;
    struct mt_spans mapped; /* blocks of malloc that are mapped by themselves */
    struct mt_pools pools;
    int pagemap_fd;
    bool python;
    struct mt_explained *out;
};

const char *mt_explain_key(enum mt_explain_part part)
{
    static const char *const keys[] = {
#define MT_EXPLAIN_KEY(name, key, text) key,
        MT_EXPLAIN_TABLE(MT_EXPLAIN_KEY)
    };
    return keys[part];
}

const char *mt_explain_text(enum mt_explain_part part)
{
    static const char *const texts[] = {
#define MT_EXPLAIN_TEXT(name, key, text) text,
        MT_EXPLAIN_TABLE(MT_EXPLAIN_TEXT)
    };
    return texts[part];
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* What a mapping has left to be claimed. */
struct claim {
    struct process *p;
    const struct mt_mapping *mapping;
    struct mt_pages pages;
    uint64_t left;
};

static void take(struct claim *c, enum mt_explain_part part, uint64_t bytes)
{
    bytes = bytes < c->left ? bytes : c->left;
    c->left -= bytes;
    c->p->out->bytes[part] += bytes;
}

/* ---- the parts of anonymous mappings -------------------------------------------------------------------------------- */

/* Resident bytes of spans, as far as they lie in the mapping. */
static uint64_t resident_of(const struct claim *c, const struct mt_spans *spans)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < spans->count; i++) {
        const struct mt_span *s = &spans->items[i];
        if (s->low < c->mapping->high && s->high > c->mapping->low) {
            bytes += mt_pages_resident(&c->pages, s->low, s->high);
        }
    }
    return bytes;
}

static void take_arenas(struct claim *c)
{
    const struct mt_glibc *g = &c->p->glibc;
    uint64_t all = resident_of(c, &g->memory);
    if (all == 0) {
        return;
    }
    uint64_t unused = resident_of(c, &g->free), tops = resident_of(c, &g->tops);
    take(c, MT_EXPLAIN_MALLOC_FREE, unused);
    take(c, MT_EXPLAIN_MALLOC_TOP, tops);
    take(c, MT_EXPLAIN_MALLOC_USED, all > unused + tops ? all - unused - tops : 0);
}

/* Pools stand between blocks of malloc in one mapping. */
static void take_pools(struct claim *c)
{
    const struct mt_spans *mapped = &c->p->mapped;
    struct mt_pools before = c->p->pools;
    uint64_t at = c->mapping->low;
    for (size_t i = 0; i < mapped->count && at < c->mapping->high; i++) {
        const struct mt_span *s = &mapped->items[i];
        if (s->high > at && s->low < c->mapping->high) {
            mt_pools_read(&c->p->remote, &c->pages, at, s->low, &c->p->pools);
            at = s->high;
        }
    }
    mt_pools_read(&c->p->remote, &c->pages, at, c->mapping->high, &c->p->pools);
    take(c, MT_EXPLAIN_PYTHON_USED, c->p->pools.used_bytes - before.used_bytes);
    take(c, MT_EXPLAIN_PYTHON_FREE, c->p->pools.free_bytes - before.free_bytes);
    take(c, MT_EXPLAIN_PYTHON_EMPTY, c->p->pools.empty_bytes - before.empty_bytes);
}

/* What an object has behind the bytes of its file (.bss). */
static void take_static(struct claim *c)
{
    for (size_t i = 0; i < c->p->objects.count; i++) {
        const struct mt_object *o = &c->p->objects.items[i];
        if (o->low < c->mapping->high && o->high > c->mapping->low) {
            take(c, MT_EXPLAIN_STATIC, mt_pages_resident(&c->pages, o->low, (o->high + MT_PAGE_BYTES - 1) / MT_PAGE_BYTES * MT_PAGE_BYTES));
        }
    }
}

static void take_anonymous(struct claim *c)
{
    bool is_brk = strcmp(c->mapping->path, "[heap]") == 0;
    if (!mt_pages_add(c->p->pagemap_fd, c->mapping->low, c->mapping->high, &c->pages)) {
        mt_pages_fini(&c->pages);
        take(c, is_brk ? MT_EXPLAIN_BRK : MT_EXPLAIN_UNEXPLAINED, c->left);
        return;
    }
    take(c, MT_EXPLAIN_STACKS, resident_of(c, &c->p->stacks));
    take_static(c);
    take_arenas(c);
    if (is_brk) {
        take(c, MT_EXPLAIN_BRK, c->left);
    } else {
        take(c, MT_EXPLAIN_MALLOC_MAPPED, resident_of(c, &c->p->mapped));
    }
    if (c->left > 0 && c->mapping->writable && c->p->python) {
        take_pools(c);
    }
    take(c, MT_EXPLAIN_UNEXPLAINED, c->left);
    mt_pages_fini(&c->pages);
}

/* ---- mappings ----------------------------------------------------------------------------------------------------- */

static bool is_shared_memory(const char *path)
{
    return begins(path, "/dev/shm/") || begins(path, "/memfd:") || begins(path, "/SYSV") || begins(path, "/dev/zero");
}

/* The agent's library and its journal (docs/formats/trace.md). */
static bool is_own(const char *path)
{
    const char *name = strrchr(path, '/');
    size_t length = name != NULL ? strlen(name) : 0;
    return strstr(path, "libmemtap-agent") != NULL || strstr(path, "memtap-landing") != NULL ||
           (length > 8 && name[1] == '.' && strcmp(name + length - 8, ".journal") == 0);
}

static void take_mapping(struct process *p, const struct mt_mapping *mapping)
{
    struct claim claim = { .p = p, .mapping = mapping, .left = mapping->rss_bytes };
    uint64_t of_file = mapping->rss_bytes > mapping->anonymous_bytes ? mapping->rss_bytes - mapping->anonymous_bytes : 0;
    p->out->rss_bytes += mapping->rss_bytes;
    if (mapping->rss_bytes == 0) {
        return;
    }
    if (is_own(mapping->path)) {
        take(&claim, MT_EXPLAIN_MEMTAP, claim.left);
    } else if (is_shared_memory(mapping->path)) {
        take(&claim, MT_EXPLAIN_SHARED, claim.left);
    } else if (begins(mapping->path, "[stack")) {
        take(&claim, MT_EXPLAIN_STACKS, claim.left);
    } else if (mapping->path[0] == '/') {
        take(&claim, MT_EXPLAIN_FILES, of_file);
        take(&claim, MT_EXPLAIN_STATIC, claim.left);
    } else {
        take(&claim, MT_EXPLAIN_FILES, of_file); /* [vdso] */
        take_anonymous(&claim);
    }
}

/* ---- large blocks ------------------------------------------------------------------------------------------------- */

static bool is_plain(const struct mt_mapping *m)
{
    return m->path[0] == '\0' && m->writable && m->readable;
}

/* The length of a block that was mapped for itself at a page; 0: there is none. */
static uint64_t mapped_block(const struct process *p, uint64_t at, uint64_t high)
{
    uint64_t words[2];
    if (!mt_remote_read(&p->remote, at, words, sizeof words)) {
        return 0;
    }
    uint64_t bytes = words[1] & ~(uint64_t)7;
    bool is_one = words[0] == 0 && (words[1] & 7) == MAPPED_FLAG && bytes >= MAPPED_LEAST && bytes % MT_PAGE_BYTES == 0 && bytes <= high - at;
    return is_one ? bytes : 0;
}

/* In mappings that lie beside each other: advice on a part of a block (huge pages) makes it several. */
static void find_blocks(struct process *p, const struct mt_mapping *mappings, size_t count)
{
    struct mt_pages pages = { 0 };
    uint64_t low = mappings[0].low, high = mappings[count - 1].high;
    for (size_t i = 0; i < count; i++) { /* one that has nothing resident may be an endless reservation */
        if (mappings[i].rss_bytes > 0 && !mt_pages_add(p->pagemap_fd, mappings[i].low, mappings[i].high, &pages)) {
            mt_pages_fini(&pages);
            return;
        }
    }
    for (uint64_t at = mt_pages_next(&pages, low); at < high;) {
        uint64_t bytes = mt_spans_at(&p->stacks, at) == NULL && mt_spans_at(&p->glibc.memory, at) == NULL ? mapped_block(p, at, high) : 0;
        if (bytes > 0) {
            mt_spans_add(&p->mapped, at, at + bytes);
            p->out->mapped_blocks++;
        }
        at = mt_pages_next(&pages, at + (bytes > 0 ? bytes : MT_PAGE_BYTES));
    }
    mt_pages_fini(&pages);
}

static void find_mapped(struct process *p)
{
    const struct mt_mappings *all = &p->mappings;
    for (size_t i = 0, next; p->glibc.unknown == NULL && i < all->count; i = next) {
        next = i + 1;
        if (is_plain(&all->items[i])) {
            while (next < all->count && is_plain(&all->items[next]) && all->items[next].low == all->items[next - 1].high) {
                next++;
            }
            find_blocks(p, &all->items[i], next - i);
        }
    }
}

static bool is_python(const struct mt_objects *objects)
{
    for (size_t i = 0; i < objects->count; i++) {
        if (strstr(objects->items[i].path, "python") != NULL) {
            return true;
        }
    }
    return false;
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

static uint64_t trim_bytes(struct process *p)
{
    static const uint64_t HEAD = 0x30, REST = 33; /* of a free block stays its head; of the top the smallest block and a byte */
    uint64_t bytes = 0;
    for (size_t i = 0; i < p->glibc.memory.count; i++) {
        const struct mt_span *memory = &p->glibc.memory.items[i];
        struct mt_pages pages = { 0 };
        if (!mt_pages_add(p->pagemap_fd, memory->low, memory->high, &pages)) {
            mt_pages_fini(&pages);
            continue;
        }
        for (size_t k = 0; k < p->glibc.free.count; k++) {
            const struct mt_span *s = &p->glibc.free.items[k];
            bool inside = s->low >= memory->low && s->high <= memory->high && s->high - s->low > MT_PAGE_BYTES;
            bytes += inside ? mt_pages_whole(&pages, s->low + HEAD, s->high) : 0;
        }
        for (size_t k = 0; k < p->glibc.tops.count; k++) {
            const struct mt_span *s = &p->glibc.tops.items[k];
            bytes += s->low >= memory->low && s->high <= memory->high ? mt_pages_whole(&pages, s->low + REST, s->high) : 0;
        }
        mt_pages_fini(&pages);
    }
    return bytes;
}

static void add_details(struct process *p)
{
    const struct mt_glibc *g = &p->glibc;
    struct mt_explained *out = p->out;
    out->malloc_known = g->unknown == NULL;
    out->malloc_unknown = g->unknown;
    out->arenas = g->arenas;
    out->system_bytes = g->system_bytes;
    out->free_bytes = g->free_bytes + g->fast_bytes;
    out->top_bytes = g->top_bytes;
    out->in_use_bytes = g->system_bytes - out->free_bytes - out->top_bytes;
    out->trim_bytes = trim_bytes(p);
    out->python_pools = p->pools.pools;
    out->stacks_found = p->stacks.count + 1;
}

static void explain(struct process *p)
{
    mt_objects_read(&p->remote, &p->mappings, &p->objects);
    p->python = is_python(&p->objects);
    mt_glibc_read(&p->remote, &p->mappings, &p->objects, &p->glibc);
    p->out->threads = mt_stacks_read(p->pid, &p->remote, &p->mappings, &p->stacks);
    find_mapped(p);
    for (size_t i = 0; i < p->mappings.count; i++) {
        take_mapping(p, &p->mappings.items[i]);
    }
    add_details(p);
}

mt_status mt_explain_process(pid_t pid, struct mt_explained *ret, struct mt_error *err)
{
    struct mt_explained out = { 0 };
    struct process p = { .pid = pid, .out = &out, .pagemap_fd = -1 };
    char *path = mt_format("/proc/%d/pagemap", (int)pid);
    struct mt_process_facts facts;
    mt_status status = mt_process_facts_read(pid, &facts, err);
    status = status == MT_OK ? mt_remote_open(pid, &p.remote, err) : status;
    if (status == MT_E_PERM) { /* with what would change it */
        struct mt_ptrace_rules rules;
        mt_ptrace_rules_here(&rules);
        status = mt_refusal_of_kernel(&facts, &rules, err);
    }
    if (status == MT_OK) {
        status = mt_mappings_read_resident(pid, &p.mappings, err);
        p.pagemap_fd = open(path, O_RDONLY | O_CLOEXEC);
        if (status == MT_OK && p.mappings.count == 0) {
            status = mt_error_set(err, MT_E_NOENT, "process %d has no memory: it has ended, or is one of the kernel's", (int)pid);
        }
        if (status == MT_OK) {
            explain(&p);
            *ret = out;
        }
        mt_remote_close(&p.remote);
    }
    if (p.pagemap_fd >= 0) {
        (void)close(p.pagemap_fd);
    }
    free(path);
    mt_spans_clear(&p.stacks);
    mt_spans_clear(&p.mapped);
    mt_pools_fini(&p.pools);
    mt_glibc_fini(&p.glibc);
    mt_objects_clear(&p.objects);
    mt_mappings_clear(&p.mappings);
    return status;
}

static uint64_t claim_of(struct mt_explained *e, enum mt_explain_part from, enum mt_explain_part part, uint64_t bytes)
{
    bytes = bytes < e->bytes[from] ? bytes : e->bytes[from];
    e->bytes[part] += bytes;
    e->bytes[from] -= bytes;
    return bytes;
}

static void claim_unexplained(struct mt_explained *e, enum mt_explain_part part, uint64_t bytes)
{
    (void)claim_of(e, MT_EXPLAIN_UNEXPLAINED, part, bytes);
}

static uint64_t beyond(uint64_t bytes, uint64_t known)
{
    return bytes > known ? bytes - known : 0;
}

/* Mappings first: tcmalloc has some of its memory by brk, jemalloc none unless it was told to. */
static void claim_anywhere(struct mt_explained *e, enum mt_explain_part part, uint64_t bytes)
{
    bytes -= claim_of(e, MT_EXPLAIN_UNEXPLAINED, part, bytes);
    (void)claim_of(e, MT_EXPLAIN_BRK, part, bytes);
}

void mt_explain_own_allocator(struct mt_explained *e, const struct mt_explain_allocator *said)
{
    e->own_allocator_known = true;
    e->own_allocator = *said;
    claim_anywhere(e, MT_EXPLAIN_OTHER_USED, said->in_use_bytes);
    claim_anywhere(e, MT_EXPLAIN_OTHER_SLACK, beyond(said->resident_bytes, said->in_use_bytes + said->own_bytes));
    claim_anywhere(e, MT_EXPLAIN_OTHER_OWN, said->own_bytes); /* much of its structures is never touched */
}

void mt_explain_recorded(struct mt_explained *e, const struct mt_explain_trace *trace)
{
    uint64_t python = e->bytes[MT_EXPLAIN_PYTHON_USED] + e->bytes[MT_EXPLAIN_PYTHON_FREE] + e->bytes[MT_EXPLAIN_PYTHON_EMPTY];
    uint64_t blocks = beyond(trace->heap_bytes, e->bytes[MT_EXPLAIN_MALLOC_USED] + e->bytes[MT_EXPLAIN_MALLOC_MAPPED] + e->bytes[MT_EXPLAIN_PYTHON_USED] +
                                                    e->bytes[MT_EXPLAIN_OTHER_USED]);
    claim_unexplained(e, MT_EXPLAIN_MEMTAP, beyond(trace->own_bytes, e->bytes[MT_EXPLAIN_MEMTAP]));
    claim_unexplained(e, MT_EXPLAIN_RECORDED, blocks);
    if (!e->malloc_known && !e->own_allocator_known) { /* arenas are address space: of glibc's and Python's it is known what is resident */
        claim_unexplained(e, MT_EXPLAIN_OTHER_FREE, beyond(trace->arena_bytes, python + blocks));
    }
}
