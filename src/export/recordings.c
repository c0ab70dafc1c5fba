/* recordings.c: see recordings.h. */
#include "export/recordings.h"

#include "export/report.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The process that a recording begins with, and its file. */
struct recording {
    const struct mt_trace_info *first;
    size_t path_bytes; /* without what stands behind FILE, of a process in FILE.d */
};

static size_t file_bytes(const char *path)
{
    const char *folder = strstr(path, ".mtap.d/");
    return folder != NULL ? (size_t)(folder - path) + strlen(".mtap") : strlen(path);
}

static bool is_child(const struct mt_trace_set *set, const struct mt_trace_info *info)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct mt_trace_info *other = mt_trace_info(set->traces[i]);
        if (other->pid == info->parent_pid && other->start_realtime_ns <= info->start_realtime_ns) {
            return true;
        }
    }
    return false;
}

static struct recording *find(struct recording *all, size_t count, const struct mt_trace_info *info)
{
    size_t bytes = file_bytes(info->path);
    for (size_t i = 0; i < count; i++) {
        if (all[i].path_bytes == bytes && memcmp(all[i].first->path, info->path, bytes) == 0) {
            return &all[i];
        }
    }
    return NULL;
}

/* In the order of the set. malloc'ed. */
static struct recording *make(const struct mt_trace_set *set, size_t *ret_count)
{
    struct recording *all = mt_alloc((set->count + 1) * sizeof *all);
    *ret_count = 0;
    for (size_t i = 0; i < set->count; i++) {
        const struct mt_trace_info *info = mt_trace_info(set->traces[i]);
        struct recording *known = find(all, *ret_count, info);
        if (known != NULL) {
            known->first = info->start_realtime_ns < known->first->start_realtime_ns ? info : known->first;
        } else if (!is_child(set, info)) {
            all[(*ret_count)++] = (struct recording){ info, file_bytes(info->path) };
        }
    }
    return all;
}

size_t mt_recordings_count(const struct mt_trace_set *set)
{
    size_t count;
    free(make(set, &count));
    return count > 0 ? count : set->count > 0;
}

/* "app.py of 2026-11-30 19:01:02 (process 4242)". */
static void put_one(struct mt_out *out, const struct mt_trace_info *info)
{
    char when[64] = "?";
    time_t seconds = (time_t)(info->start_realtime_ns / 1000000000);
    struct tm at;
    char *program = mt_report_program(info);
    if (localtime_r(&seconds, &at) != NULL) {
        (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &at);
    }
    mt_out_print(out, "%s of %s (process %llu)", program, when, (unsigned long long)info->pid);
    free(program);
}

void mt_recordings_warn(const struct mt_trace_set *set, struct mt_strlist *ret)
{
    enum { SHOWN = 4 };
    size_t count;
    struct recording *all = make(set, &count);
    if (count > 1) {
        struct mt_out *text = mt_out_open_memory();
        size_t shown = count > SHOWN + 1 ? SHOWN : count;
        for (size_t i = 0; i < shown; i++) {
            mt_out_string(text, i == 0 ? "" : i + 1 == count ? " and " : ", ");
            put_one(text, all[i].first);
        }
        if (shown < count) {
            mt_out_print(text, " and %zu more", count - shown);
        }
        mt_strlist_print(ret, "amounts are sums over %zu recordings: %s; give one FILE for one of them, `memtap diff A B` for what changed", count,
                         mt_out_text(text, NULL));
        mt_out_discard(text);
    }
    free(all);
}
