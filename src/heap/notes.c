/* notes.c: see notes.h. */
#include "heap/notes.h"

#include "heap/clock.h"
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
    const struct mt_record_module put = { .number = module->number,
                                          .bias = module->bias,
                                          .path = { module->path, module->path_bytes },
                                          .build_id = { module->build_id, module->build_id_bytes },
                                          .segments = module->segment_count };
    mt_record_put_module(record, &put);
    for (uint32_t i = 0; i < module->segment_count; i++) {
        const struct mt_record_segment segment = { .vaddr = module->segments[i].vaddr,
                                                   .bytes = module->segments[i].bytes,
                                                   .file_offset = module->segments[i].offset,
                                                   .flags = module->segments[i].flags };
        mt_record_put_segment(record, &segment);
    }
    append_and_unlock(MT_META_MODULE, record);
}

static void module_gone(const struct mt_module *module)
{
    if (!mt_meta_lock()) {
        return;
    }
    struct mt_meta_builder *record = mt_meta_new_locked();
    mt_record_put_module_gone(record, &(struct mt_record_module_gone){ module->number });
    append_and_unlock(MT_META_MODULE_GONE, record);
}

const struct mt_module_sink mt_notes_of_modules = { module_appeared, module_gone };

void mt_engine_note(const char *key, const char *value)
{
    if (g_mt.header == NULL || !mt_meta_lock()) {
        return;
    }
    struct mt_meta_builder *record = mt_meta_new_locked();
    mt_record_put_note(record, &(struct mt_record_note){ { key, strlen(key) }, { value, strlen(value) } });
    append_and_unlock(MT_META_NOTE, record);
}

void mt_notes_rate(uint64_t rate_bytes)
{
    if (!mt_meta_lock()) {
        return;
    }
    struct mt_meta_builder *record = mt_meta_new_locked();
    mt_record_put_rate(record, &(struct mt_record_rate){ .clock = mt_clock_now(), .rate_bytes = rate_bytes });
    append_and_unlock(MT_META_RATE, record);
}

void mt_notes_eval_range(const struct mt_python_info *info)
{
    if (info->eval_low == 0 || !mt_meta_lock()) {
        return;
    }
    struct mt_meta_builder *record = mt_meta_new_locked();
    mt_record_put_eval_range(record, &(struct mt_record_eval_range){ info->eval_low, info->eval_high });
    append_and_unlock(MT_META_EVAL_RANGE, record);
}

void mt_notes_mark(const struct mt_record_mark *mark)
{
    if (!mt_meta_lock()) {
        return;
    }
    struct mt_meta_builder *record = mt_meta_new_locked();
    mt_record_put_mark(record, mark);
    append_and_unlock(MT_META_MARK, record);
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

/* The thread is called so from now on. */
static void rename_thread(struct mt_thread *t, const char *name, size_t bytes)
{
    memcpy(t->name, name, bytes);
    t->name_bytes = (uint8_t)bytes;
    t->renamed_clock = mt_load_relaxed(&t->clock) | 1;
    if (!mt_meta_lock()) {
        return;
    }
    struct mt_meta_builder *record = mt_meta_new_locked();
    const struct mt_record_thread put = { .stream = t->journal.stream,
                                          .tid = (uint64_t)mt_os_tid(),
                                          .name = { t->name, bytes },
                                          .clock = mt_load_relaxed(&t->clock) };
    mt_record_put_thread(record, &put);
    append_and_unlock(MT_META_THREAD, record);
}

static bool is_called(const struct mt_thread *t, const char *name, size_t bytes)
{
    return t->renamed_clock != 0 && t->name_bytes == bytes && memcmp(t->name, name, bytes) == 0;
}

void mt_notes_thread(struct mt_thread *t)
{
    char name[16] = "";
    if (t->renamed_clock != 0 && t->named_within) {
        return;
    }
    if (t->named_within) { /* in the trace before */
        rename_thread(t, t->name, t->name_bytes);
        return;
    }
    t->is_first = t->renamed_clock != 0 ? t->is_first : mt_os_tid() == mt_os_pid();
    mt_os_thread_name(name);
    bool unknown = name[0] == '\0' && mt_os_is_restricted();
    if ((t->renamed_clock == 0 || !unknown) && !is_called(t, name, strlen(name))) {
        rename_thread(t, name, strlen(name));
    }
}

void mt_notes_thread_within(struct mt_thread *t)
{
    char name[MT_THREAD_NAME_BYTES];
    size_t bytes = t->is_first ? 0 : mt_pystack_thread_name(&t->python, &t->known, name, sizeof name);
    if (bytes > 0 && !is_called(t, name, bytes)) {
        t->named_within = true;
        rename_thread(t, name, bytes);
    }
}
