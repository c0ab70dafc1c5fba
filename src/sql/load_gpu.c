/* load_gpu.c: the GPUs of this machine, as their driver tells them now. Context: [tool]. */
#include "sql/catalog.h"

#include "sql/nvml.h"
#include "util/memory.h"

#include <stdlib.h>
#include <time.h>

static const char backend[] = "nvml";

/* A text of the session, NULL for an empty one. */
static const char *text_of(struct mt_sql *sql, const char *text)
{
    return text[0] != '\0' ? mt_sql_keep(sql, mt_strdup(text)) : NULL;
}

static int64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void add_utilization(struct mt_sql_load *load, unsigned index, const struct mt_nvml_device *d)
{
    struct mt_row_gpu_utilization *row = mt_sql_add_row(load);
    row->ts = now_us();
    row->backend = backend;
    row->device_id = index;
    row->name = text_of(load->sql, d->name);
    row->free_bytes = d->has_memory ? d->free_bytes : MT_NULL_U64;
    row->total_bytes = d->has_memory ? d->total_bytes : MT_NULL_U64;
    row->used_bytes = d->has_memory ? d->used_bytes : MT_NULL_U64;
    row->mem_used_pct = d->has_memory && d->total_bytes > 0 ? 100.0 * (double)d->used_bytes / (double)d->total_bytes : MT_NULL_F64;
    row->gpu_util_pct = d->has_utilization ? (double)d->utilization_percent : -1;
    row->driver_mem_bytes = d->has_processes ? d->processes_bytes : MT_NULL_U64;
}

static void add_device(struct mt_sql_load *load, unsigned index, const struct mt_nvml_device *d)
{
    struct mt_row_gpu_devices *row = mt_sql_add_row(load);
    row->backend = backend;
    row->device_id = index;
    row->name = text_of(load->sql, d->name);
    row->uuid = text_of(load->sql, d->uuid);
    row->compute_capability = d->has_capability ? mt_sql_keep(load->sql, mt_format("%d.%d", d->capability_major, d->capability_minor)) : NULL;
    row->total_mem_bytes = d->has_memory ? d->total_bytes : MT_NULL_U64;
}

static mt_status add_all(struct mt_sql_load *load, const char *table, void (*add)(struct mt_sql_load *, unsigned, const struct mt_nvml_device *))
{
    const char *why;
    size_t pid_count;
    pid_t *pids = mt_sql_live_pids(load->sql, &pid_count);
    unsigned count = mt_nvml_count(&why);
    if (why != NULL) {
        mt_sql_note(load->sql, "gpu.%s has no rows: %s", table, why);
    }
    for (unsigned i = 0; i < count; i++) {
        struct mt_nvml_device device;
        if (mt_nvml_device(i, pids, pid_count, &device)) {
            add(load, i, &device);
        } else {
            mt_sql_note(load->sql, "gpu.%s lacks device %u, which does not answer", table, i);
        }
    }
    free(pids);
    return MT_OK;
}

mt_status mt_sql_load_gpu_utilization(struct mt_sql_load *load)
{
    return add_all(load, "utilization", add_utilization);
}

mt_status mt_sql_load_gpu_devices(struct mt_sql_load *load)
{
    return add_all(load, "devices", add_device);
}
