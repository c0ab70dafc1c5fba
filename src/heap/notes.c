/* notes.c: see notes.h. */
#include "heap/notes.h"

#include "heap/meta.h"

#include <string.h>

/* A record that finds no room is lost and counted. */
static void append_and_unlock(enum mt_meta_tag tag, const struct mt_meta_builder *record)
{
    if (!mt_meta_append_locked(tag, record)) {
        mt_engine_count(MT_COUNTER_DROPPED_NO_SPACE, 1);
    }
    mt_meta_unlock();
}

static void module_appeared(const struct mt_module *module)
{
    if (!mt_meta_lock()) {
        return;
    }
    struct mt_meta_builder *record = mt_meta_new_locked();
    mt_meta_u64(record, module->number);
    mt_meta_u64(record, module->bias);
    mt_meta_string(record, module->path, module->path_bytes);
    mt_meta_string(record, module->build_id, module->build_id_bytes);
    mt_meta_u64(record, module->segment_count);
    for (uint32_t i = 0; i < module->segment_count; i++) {
        mt_meta_u64(record, module->segments[i].vaddr);
        mt_meta_u64(record, module->segments[i].bytes);
        mt_meta_u64(record, module->segments[i].offset);
        mt_meta_u64(record, module->segments[i].flags);
    }
    append_and_unlock(MT_META_MODULE, record);
}

static void module_gone(const struct mt_module *module)
{
    if (!mt_meta_lock()) {
        return;
    }
    struct mt_meta_builder *record = mt_meta_new_locked();
    mt_meta_u64(record, module->number);
    append_and_unlock(MT_META_MODULE_GONE, record);
}

const struct mt_module_sink mt_notes_of_modules = { module_appeared, module_gone };

void mt_engine_note(const char *key, const char *value)
{
    if (g_mt.header == NULL || !mt_meta_lock()) {
        return;
    }
    struct mt_meta_builder *record = mt_meta_new_locked();
    mt_meta_string(record, key, strlen(key));
    mt_meta_string(record, value, strlen(value));
    append_and_unlock(MT_META_NOTE, record);
}

void mt_notes_rate(uint64_t rate_bytes)
{
    if (!mt_meta_lock()) {
        return;
    }
    struct mt_meta_builder *record = mt_meta_new_locked();
    mt_meta_u64(record, mt_clock_now());
    mt_meta_u64(record, rate_bytes);
    append_and_unlock(MT_META_RATE, record);
}

void mt_notes_eval_range(const struct mt_python_info *info)
{
    if (info->eval_low == 0 || !mt_meta_lock()) {
        return;
    }
    struct mt_meta_builder *record = mt_meta_new_locked();
    mt_meta_u64(record, info->eval_low);
    mt_meta_u64(record, info->eval_high);
    append_and_unlock(MT_META_EVAL_RANGE, record);
}

void mt_notes_unknown_python(const struct mt_python_info *info)
{
    static const char rest[] = " is a version this memtap does not know: stacks are native only";
    char text[sizeof rest + 64] = "Python ";
    size_t length = strlen(text);
    size_t digits = info->version_text != NULL ? strcspn(info->version_text, " ") : 0;
    if (digits > 0 && digits < 32) {
        memcpy(text + length, info->version_text, digits);
        length += digits;
    }
    memcpy(text + length, rest, sizeof rest);
    mt_engine_note("warning", text);
}

void mt_notes_thread(struct mt_thread *t)
{
    char name[16] = "";
    mt_os_thread_name(name);
    bool unknown = name[0] == '\0' && mt_os_is_restricted();
    if (t->renamed_clock != 0 && (unknown || strcmp(name, t->name) == 0)) {
        return;
    }
    memcpy(t->name, name, sizeof name);
    t->renamed_clock = mt_load_relaxed(&t->clock) | 1;
    if (!mt_meta_lock()) {
        return;
    }
    struct mt_meta_builder *record = mt_meta_new_locked();
    mt_meta_u64(record, t->journal.stream);
    mt_meta_u64(record, (uint64_t)mt_os_tid());
    mt_meta_string(record, name, strlen(name));
    mt_meta_u64(record, mt_load_relaxed(&t->clock));
    append_and_unlock(MT_META_THREAD, record);
}

void mt_engine_thread_name(const char *name)
{
    (void)name;
    if (t_mt.thread != NULL && t_mt.depth == 0) {
        t_mt.depth++;
        mt_notes_thread(t_mt.thread);
        t_mt.depth--;
    }
}
