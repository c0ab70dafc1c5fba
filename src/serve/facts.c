/* facts.c: see facts.h. */
#include "serve/facts.h"

#include "util/json_read.h"
#include "util/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What was read of finished recordings, by the target's place. */
static struct {
    bool known;
    size_t number;
    struct mt_target_version version;
    struct mt_facts_read facts;
} g_kept[MT_TARGETS_MAX];
static pthread_mutex_t g_lock = PTHREAD_MUTEX_INITIALIZER;

double mt_facts_resident(uint64_t pid)
{
    char path[64];
    unsigned long size, resident;
    (void)snprintf(path, sizeof path, "/proc/%llu/statm", (unsigned long long)pid);
    FILE *file = fopen(path, "re");
    int fields = file != NULL ? fscanf(file, "%lu %lu", &size, &resident) : 0;
    if (file != NULL) {
        (void)fclose(file);
    }
    return fields == 2 ? (double)resident * (double)sysconf(_SC_PAGESIZE) : (double)NAN;
}

static double number_of(const struct mt_json_value *stats, const char *name)
{
    const struct mt_json_value *value = mt_json_member(stats, name);
    return value != NULL && value->type == MT_JSON_NUMBER ? value->number : (double)NAN;
}

static bool parse(const char *text, size_t bytes, struct mt_facts_read *ret)
{
    struct mt_json_value *stats;
    if (mt_json_read(text, bytes, &stats, NULL) != MT_OK) {
        return false;
    }
#define X(name) ret->name = number_of(stats, #name);
    MT_FACTS(X)
#undef X
    mt_json_value_free(stats);
    return true;
}

static bool read_stats(struct mt_opened *opened, struct mt_facts_read *ret)
{
    struct mt_recording_info info;
    char *text;
    size_t bytes;
    if (mt_recording_info(opened->recording, &info, NULL) != MT_PROFILE_OK ||
        mt_recording_report(opened->recording, MT_PROFILE_STATS, NULL, &text, &bytes, NULL) != MT_PROFILE_OK) {
        return false;
    }
    ret->pid = info.live ? info.process : info.pid;
    ret->growing = info.live;
    bool good = parse(text, bytes, ret);
    mt_profile_release(text);
    return good;
}

static bool find_kept(const struct mt_target *target, const struct mt_target_version *now, struct mt_facts_read *ret)
{
    (void)pthread_mutex_lock(&g_lock);
    size_t place = mt_target_place(target->number);
    bool kept = g_kept[place].known && g_kept[place].number == target->number && memcmp(&g_kept[place].version, now, sizeof *now) == 0;
    if (kept) {
        *ret = g_kept[place].facts;
    }
    (void)pthread_mutex_unlock(&g_lock);
    return kept;
}

bool mt_facts_read(struct mt_target *target, struct mt_facts_read *ret)
{
    struct mt_target_version now = { 0 };
    struct mt_opened *opened;
    if (!mt_target_version(target, &now)) {
        return false;
    }
    if (find_kept(target, &now, ret)) {
        return true;
    }
    if (mt_target_open(target, MT_USE_QUESTIONS, &opened, NULL) != MT_PROFILE_OK) {
        return false;
    }
    *ret = (struct mt_facts_read){ 0 };
    bool good = read_stats(opened, ret);
    mt_target_close(target, MT_USE_QUESTIONS, opened);
    ret->resident_bytes = ret->growing ? mt_facts_resident(ret->pid) : (double)NAN;
    if (good && !ret->growing) {
        (void)pthread_mutex_lock(&g_lock);
        size_t place = mt_target_place(target->number);
        g_kept[place].known = true;
        g_kept[place].number = target->number;
        g_kept[place].version = now;
        g_kept[place].facts = *ret;
        (void)pthread_mutex_unlock(&g_lock);
    }
    return good;
}
