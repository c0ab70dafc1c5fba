/* engine.c: an engine that keeps books instead of a trace, to test the hooks alone.
 *
 * Every allocation and free goes to a table of live blocks; what cannot be true of a correct hook layer is counted: an
 * allocation at an address that is live (somebody counted a block twice or missed its free), an end without a begin, a
 * guard left set. fake_agent.c prints the books at exit.
 * Mode exact: everything is recorded. Mode sample: about every FAKE_RATE bytes (a fixed step), and only those are in the
 * table. Not for speed: one lock for all.
 */
#include "fakes/engine.h"

#include "base/hash.h"
#include "base/lock.h"
#include "base/os.h"
#include "heap/modules.h"

enum { LIVE_SLOTS = 1 << 22, FILTER_BYTES = 4096 };

__thread struct mt_tls t_mt;
static uint8_t g_filter_all[64] __attribute__((aligned(64)));
static uint8_t g_filter_none[64] __attribute__((aligned(64)));
/* Valid before any constructor ran: a place in a table aligned to 64 whose low 5 bits are the shift, 31. */
uint64_t mt_g_filter = (uint64_t)(uintptr_t)&g_filter_none[31];
struct fake_books mt_g_fake;

struct live_block {
    uint64_t address; /* 0 empty, 1 deleted */
    uint64_t size;
};
static struct live_block *g_live;
static struct mt_spinlock g_lock = MT_SPINLOCK_INIT(MT_RANK_LIVE);
static uint64_t g_rate; /* 0: exact */
static bool g_on;

static void add(uint64_t *counter, uint64_t amount)
{
    (void)mt_fetch_add_relaxed(counter, amount);
}

/* ---- live blocks ---------------------------------------------------------------------------------------------------- */

static struct live_block *find_block(uint64_t address, bool inserting)
{
    struct live_block *deleted = NULL;
    for (uint64_t i = mt_hash_u64(address);; i++) {
        struct live_block *block = &g_live[i % LIVE_SLOTS];
        if (block->address == address) {
            return block;
        }
        if (block->address == 1 && deleted == NULL) {
            deleted = block;
        }
        if (block->address == 0) {
            return !inserting ? NULL : deleted != NULL ? deleted : block;
        }
    }
}

static void insert_block(void *ptr, size_t size)
{
    while (!mt_spinlock_lock(&g_lock)) {
    }
    struct live_block *block = find_block((uint64_t)(uintptr_t)ptr, true);
    if (block->address > 1) {
        mt_g_fake.counted_twice++;
        mt_g_fake.twice_size = size;
        mt_g_fake.live_bytes -= block->size;
        mt_g_fake.live--;
    }
    block->address = (uint64_t)(uintptr_t)ptr;
    block->size = size;
    mt_g_fake.live++;
    mt_g_fake.live_bytes += size;
    mt_spinlock_unlock(&g_lock);
}

static bool is_known(const void *ptr)
{
    while (!mt_spinlock_lock(&g_lock)) {
    }
    bool known = find_block((uint64_t)(uintptr_t)ptr, false) != NULL;
    mt_spinlock_unlock(&g_lock);
    return known;
}

static bool remove_block(void *ptr)
{
    while (!mt_spinlock_lock(&g_lock)) {
    }
    struct live_block *block = find_block((uint64_t)(uintptr_t)ptr, false);
    if (block != NULL) {
        mt_g_fake.live--;
        mt_g_fake.live_bytes -= block->size;
        block->address = 1;
    }
    mt_spinlock_unlock(&g_lock);
    return block != NULL;
}

/* ---- the door ------------------------------------------------------------------------------------------------------- */

static bool may_enter(size_t size)
{
    if (g_rate == 0 || !g_on) {
        t_mt.left = g_on ? 0 : UINT64_MAX / 2;
    }
    if (t_mt.depth != 0 || !g_on) {
        t_mt.left += g_rate != 0 ? size : 0;
        return false;
    }
    return true;
}

enum mt_verdict mt_engine_begin(size_t size)
{
    if (!may_enter(size)) {
        return MT_SKIP;
    }
    if (g_rate != 0) {
        t_mt.left = g_rate;
    }
    t_mt.depth++;
    return MT_RECORD;
}

static void leave(void)
{
    if (t_mt.depth != 1) {
        add(&mt_g_fake.unbalanced, 1);
    }
    t_mt.depth--;
}

static void note_caller(const struct mt_frame_regs *regs)
{
    mt_g_fake.last_pc = regs->pc;
    if (regs->sp % 16 != 0 || regs->pc == 0) {
        add(&mt_g_fake.bad_caller, 1);
    }
}

void mt_engine_failed(size_t size, enum mt_allocator allocator, const struct mt_frame_regs *regs)
{
    if (size > 0) {
        add(&mt_g_fake.failed[allocator], 1);
        note_caller(regs);
    }
    leave();
}

void mt_engine_memory_error(const struct mt_frame_regs *regs)
{
    note_caller(regs);
}

void mt_engine_end_alloc(void *ptr, size_t size, enum mt_allocator allocator, const struct mt_frame_regs *regs)
{
    if (ptr == NULL) {
        mt_engine_failed(size, allocator, regs);
        return;
    }
    add(&mt_g_fake.allocations[allocator], 1);
    add(&mt_g_fake.bytes[allocator], size);
    insert_block(ptr, size);
    note_caller(regs);
    leave();
}

void mt_engine_abandon(void)
{
    add(&mt_g_fake.abandoned, 1);
    leave();
}

/* As the real one: what a guarded call ends besides its own block is recorded. */
static bool ends_beside(const void *ptr)
{
    return t_mt.depth != 0 && g_on && !mt_engine_is_ending(ptr);
}

void mt_engine_free(void *ptr)
{
    if (may_enter(0) || ends_beside(ptr)) {
        add(remove_block(ptr) ? &mt_g_fake.frees : &mt_g_fake.unknown_frees, 1);
    }
}

enum mt_verdict mt_engine_begin_realloc(void *old, size_t size, enum mt_realloc_way way)
{
    (void)size;
    (void)way;
    if (!may_enter(0)) {
        if (ends_beside(old)) {
            mt_engine_free(old);
        }
        return MT_SKIP;
    }
    if (g_rate != 0 && !is_known(old)) {
        return MT_SKIP;
    }
    t_mt.depth++;
    t_mt.ending = (uint64_t)(uintptr_t)old;
    if (remove_block(old)) {
        add(&mt_g_fake.frees, 1);
    }
    return MT_RECORD;
}

void mt_engine_end_growth(void *ptr, size_t size, enum mt_realloc_way way, enum mt_allocator allocator,
                          const struct mt_frame_regs *regs)
{
    (void)way;
    mt_engine_end_alloc(ptr, size, allocator, regs);
}

void mt_engine_end_watched(void *old, void *new_ptr, size_t size, enum mt_realloc_way way, enum mt_allocator allocator,
                           const struct mt_frame_regs *regs)
{
    (void)old; /* the fake one asks nobody to watch */
    (void)new_ptr;
    (void)size;
    (void)way;
    (void)allocator;
    (void)regs;
    add(&mt_g_fake.unbalanced, 1);
}

void mt_engine_end_realloc(void *old, void *new_ptr, size_t size, enum mt_realloc_way way, enum mt_allocator allocator,
                           const struct mt_frame_regs *regs)
{
    (void)way;
    t_mt.ending = 0;
    if (new_ptr == NULL) {
        insert_block(old, 1);
        mt_g_fake.frees--;
        leave();
        return;
    }
    mt_engine_end_alloc(new_ptr, size, allocator, regs);
}

enum mt_verdict mt_engine_begin_range(void)
{
    if (!may_enter(0)) {
        return MT_SKIP;
    }
    t_mt.depth++;
    return MT_RECORD;
}

void mt_engine_end_map(void *addr, size_t bytes, enum mt_map_kind kind, const struct mt_frame_regs *regs)
{
    (void)addr;
    add(&mt_g_fake.maps[kind], 1);
    add(&mt_g_fake.mapped_bytes, bytes);
    note_caller(regs);
    leave();
}

void mt_engine_end_map_untouched(void *addr, size_t bytes, const struct mt_frame_regs *regs)
{
    add(&mt_g_fake.untouched, 1);
    mt_engine_end_map(addr, bytes, MT_MAP_RESERVED, regs);
}

void mt_engine_end_access(void *addr, size_t bytes, enum mt_map_kind kind, const struct mt_frame_regs *regs)
{
    (void)addr;
    add(&mt_g_fake.maps[kind], 1);
    add(&mt_g_fake.access_bytes, bytes);
    note_caller(regs);
    leave();
}

void mt_engine_note_pages(void *addr, size_t bytes)
{
    (void)addr;
    (void)bytes;
}

void mt_engine_end_remap(void *old_addr, size_t old_bytes, void *addr, size_t bytes, const struct mt_frame_regs *regs)
{
    (void)old_addr;
    add(&mt_g_fake.unmapped_bytes, old_bytes);
    mt_engine_end_map(addr, bytes, MT_MAP_MREMAP, regs);
}

void mt_engine_note_unmap(void *addr, size_t bytes)
{
    (void)addr;
    add(&mt_g_fake.unmaps, 1);
    add(&mt_g_fake.unmapped_bytes, bytes);
}

/* ---- lifecycle ------------------------------------------------------------------------------------------------------ */

void fake_engine_start(uint64_t rate)
{
    void *memory = NULL;
    if (mt_os_map_anonymous(LIVE_SLOTS * sizeof(struct live_block), &memory) != MT_OK) {
        return;
    }
    g_live = memory;
    g_rate = rate;
    for (size_t i = 0; i < sizeof g_filter_all; i++) {
        g_filter_all[i] = 1;
    }
    mt_g_filter = (uint64_t)(uintptr_t)&g_filter_all[31];
    t_mt.left = 0;
    g_on = true;
}

void fake_engine_stop(void)
{
    g_on = false;
    mt_g_filter = (uint64_t)(uintptr_t)&g_filter_none[31];
}

enum mt_engine_mode mt_engine_mode(void)
{
    return !g_on ? MT_MODE_OFF : g_rate == 0 ? MT_MODE_EXACT : MT_MODE_SAMPLE;
}

void mt_engine_on_thread(bool (*announce)(void))
{
    (void)announce;
}

void mt_engine_end_guard(void)
{
    t_mt.depth = 0;
}

void mt_engine_forget_labels(void)
{
}

void mt_engine_thread_exit(void)
{
    add(&mt_g_fake.thread_exits, 1);
    if (t_mt.depth != 0) {
        add(&mt_g_fake.unbalanced, 1);
    }
}

void mt_engine_threads_begin(void)
{
    add(&mt_g_fake.thread_starts, 1);
}

void mt_engine_exec_seen(void)
{
}

void mt_engine_exec_failed(void)
{
}

void mt_engine_end_seen(void)
{
}

void mt_engine_python_begins(void)
{
}

void mt_engine_python_ends(void)
{
}

void mt_engine_main_ends(int status)
{
    (void)status;
}

void mt_engine_before_fork(void)
{
}

void mt_engine_fork_child(void)
{
    mt_spinlock_reset(&g_lock);
    add(&mt_g_fake.forks, 1);
}

uint64_t mt_engine_work_begins(void)
{
    return 0;
}

uint64_t mt_engine_work_ends(uint64_t from_ns)
{
    return from_ns;
}

uint32_t mt_g_tensors_counted;

void mt_engine_tensor_made(const void *ptr, size_t bytes)
{
    (void)ptr;
    (void)bytes;
}

void mt_engine_tensor_gone(const void *ptr)
{
    (void)ptr;
}

void mt_engine_note(const char *key, const char *value)
{
    (void)key;
    (void)value;
    add(&mt_g_fake.notes, 1);
}

void mt_modules_refresh(void)
{
    add(&mt_g_fake.refreshes, 1);
}

void mt_unwind_forget_range(uint64_t addr, uint64_t bytes)
{
    (void)addr;
    (void)bytes;
}

uint32_t mt_engine_filter_begin(const void *program)
{
    (void)program;
    return 0;
}

void mt_engine_filter_unknown(void)
{
}

void mt_engine_forbid_tsc(void)
{
}

void mt_engine_filter_end(uint32_t place, bool installed)
{
    (void)place;
    (void)installed;
}
