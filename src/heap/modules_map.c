/* modules_map.c: two tables and a version; see modules_map.h.
 *
 * Pairing M1: a writer's release store of an entry follows its (or an earlier lock holder's) release store of the
 * version that retired this table; a reader's acquire load of such an entry is followed by its second load of the
 * version, which then sees the change. Stress: test_modules.c, readers against dlopen and dlclose.
 */
#include "heap/modules_map.h"

#include "base/atomic.h"
#include "base/os.h"

enum { READ_ATTEMPTS = 16, RECORDS_A_CHUNK = 32, FIRST_CAPACITY = 128 };

struct map_entry {
    uint64_t low;
    uint64_t high;
    struct mt_module_record *record;
};

struct map_table {
    uint32_t capacity; /* fixed */
    uint32_t count;
    struct map_entry entries[];
};

static uint64_t g_version;           /* writers: lock holder; M1 */
static struct map_table *g_tables[2]; /* writers: lock holder, never the current one */
static struct mt_module_record *g_free; /* lock holder only, like all below */
static struct mt_module_record *g_quarantine_head;
static struct mt_module_record *g_quarantine_tail;
static uint32_t g_quarantined;

/* Index of the first entry that ends above address. */
static uint32_t first_above(const struct map_table *table, uint32_t count, uint64_t address)
{
    uint32_t low = 0;
    uint32_t high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (mt_load_acquire(&table->entries[middle].high) <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The lowest record that overlaps [low, high), read without a lock; false when writers were faster every time. */
static bool read_overlap(uint64_t low, uint64_t high, struct mt_module_record **ret_record)
{
    for (int attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
        uint64_t version = mt_load_acquire(&g_version);
        const struct map_table *table = mt_load_acquire(&g_tables[version & 1]);
        struct mt_module_record *found = NULL;
        if (table != NULL) {
            uint32_t count = mt_load_acquire(&table->count);
            uint32_t idx = first_above(table, count, low);
            if (idx < count && mt_load_acquire(&table->entries[idx].low) < high) {
                found = mt_load_acquire(&table->entries[idx].record);
            }
        }
        if (mt_load_acquire(&g_version) == version) {
            *ret_record = found;
            return true;
        }
        mt_cpu_relax();
    }
    return false;
}

struct mt_module_record *mt_modulemap_at(uint64_t address)
{
    struct mt_module_record *record = NULL;
    return read_overlap(address, address + 1, &record) ? record : NULL;
}

bool mt_modulemap_overlaps(uint64_t low, uint64_t high)
{
    struct mt_module_record *record = NULL;
    return !read_overlap(low, high, &record) || record != NULL;
}

static struct map_table *current_locked(void)
{
    return g_tables[g_version & 1];
}

uint32_t mt_modulemap_count_locked(void)
{
    const struct map_table *table = current_locked();
    return table == NULL ? 0 : table->count;
}

struct mt_module_record *mt_modulemap_nth_locked(uint32_t idx)
{
    return current_locked()->entries[idx].record;
}

struct mt_module_record *mt_modulemap_overlapping_locked(uint64_t low, uint64_t high)
{
    const struct map_table *table = current_locked();
    uint32_t count = mt_modulemap_count_locked();
    uint32_t idx = count == 0 ? 0 : first_above(table, count, low);
    return idx < count && table->entries[idx].low < high ? table->entries[idx].record : NULL;
}

static size_t table_bytes(uint32_t capacity)
{
    return sizeof(struct map_table) + capacity * sizeof(struct map_entry);
}

/* The spare table, emptied, with room for wanted entries; NULL: out of memory. */
static struct map_table *spare_locked(uint32_t wanted)
{
    struct map_table **slot = &g_tables[(g_version + 1) & 1];
    struct map_table *table = *slot;
    if (table == NULL || table->capacity < wanted) {
        uint32_t capacity = table == NULL ? FIRST_CAPACITY : table->capacity;
        void *memory;
        while (capacity < wanted) {
            capacity *= 2;
        }
        if (mt_os_map_anonymous(table_bytes(capacity), &memory) != MT_OK) {
            return NULL;
        }
        table = memory;
        table->capacity = capacity;
        mt_store_release(slot, table);
    }
    mt_store_release(&table->count, 0u);
    return table;
}

static void append_locked(struct map_table *table, struct mt_module_record *record)
{
    struct map_entry *entry = &table->entries[table->count];
    mt_store_release(&entry->low, record->module.low);
    mt_store_release(&entry->high, record->module.high);
    mt_store_release(&entry->record, record);
    mt_store_release(&table->count, table->count + 1);
}

static void publish_locked(void)
{
    mt_store_release(&g_version, g_version + 1);
}

mt_status mt_modulemap_insert_locked(struct mt_module_record *record)
{
    uint32_t count = mt_modulemap_count_locked();
    struct map_table *table = spare_locked(count + 1);
    bool placed = false;
    if (table == NULL) {
        return MT_E_NOMEM;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct mt_module_record *other = mt_modulemap_nth_locked(i);
        if (!placed && other->module.low > record->module.low) {
            append_locked(table, record);
            placed = true;
        }
        append_locked(table, other);
    }
    if (!placed) {
        append_locked(table, record);
    }
    publish_locked();
    return MT_OK;
}

static void quarantine_locked(struct mt_module_record *record)
{
    record->next = NULL;
    if (g_quarantine_tail == NULL) {
        g_quarantine_head = record;
    } else {
        g_quarantine_tail->next = record;
    }
    g_quarantine_tail = record;
    g_quarantined++;
}

void mt_modulemap_remove_locked(struct mt_module_record *record)
{
    uint32_t count = mt_modulemap_count_locked();
    struct map_table *table = spare_locked(count);
    if (table == NULL) {
        return; /* stays listed; the loader check of mt_modules_find keeps it from being believed */
    }
    for (uint32_t i = 0; i < count; i++) {
        struct mt_module_record *other = mt_modulemap_nth_locked(i);
        if (other != record) {
            append_locked(table, other);
        }
    }
    publish_locked();
    quarantine_locked(record);
}

static void add_records_locked(void)
{
    void *memory;
    if (mt_os_map_anonymous_now(RECORDS_A_CHUNK * sizeof(struct mt_module_record), &memory) != MT_OK) {
        return;
    }
    struct mt_module_record *records = memory;
    for (uint32_t i = 0; i < RECORDS_A_CHUNK; i++) {
        mt_modulemap_give_record_locked(&records[RECORDS_A_CHUNK - 1 - i]);
    }
}

struct mt_module_record *mt_modulemap_take_record_locked(void)
{
    if (g_quarantined > MT_MODULE_QUARANTINE) {
        struct mt_module_record *oldest = g_quarantine_head;
        g_quarantine_head = oldest->next;
        g_quarantined--;
        return oldest;
    }
    if (g_free == NULL) {
        add_records_locked();
    }
    struct mt_module_record *record = g_free;
    if (record != NULL) {
        g_free = record->next;
    }
    return record;
}

void mt_modulemap_give_record_locked(struct mt_module_record *record)
{
    record->next = g_free;
    g_free = record;
}
