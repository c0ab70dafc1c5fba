/* moment.c: see moment.h. Context: [tool]. */
#include "model/moment.h"

/* The mark of this kind: the last one, as an interpreter may be begun and ended again; main ends once. NULL: none. */
static const struct mt_trace_mark *mark_of(const struct mt_trace *trace, uint32_t kind)
{
    size_t count;
    const struct mt_trace_mark *marks = mt_trace_marks(trace, &count), *found = NULL;
    for (size_t i = 0; i < count; i++) {
        bool first = found == NULL || kind != MT_MARK_MAIN_RETURNED;
        found = marks[i].kind == kind && first ? &marks[i] : found;
    }
    return found;
}

struct mt_moment_mark mt_moment_find(const struct mt_trace *trace, enum mt_moment moment)
{
    static const uint32_t kinds[] = { [MT_MOMENT_END] = MT_MARK_PROGRAM_END, [MT_MOMENT_MAIN_END] = MT_MARK_MAIN_RETURNED };
    const struct mt_trace_mark *mark = moment != MT_MOMENT_EXIT ? mark_of(trace, kinds[moment]) : NULL;
    if (mark == NULL) {
        return (struct mt_moment_mark){ UINT64_MAX, true };
    }
    return (struct mt_moment_mark){ mark->clock, moment != MT_MOMENT_END || mark->value != 0 };
}

const char *mt_moment_word(enum mt_moment moment)
{
    static const char *const words[] = { "end", "exit", "main-end" };
    return words[moment];
}
