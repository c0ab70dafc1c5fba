/* engine_label.c: the engine's door for labels (label.h): what the calling thread works for, from its next event on. */
#include "heap/label.h"

/* The next event of the calling thread looks. */
static void have_next_event_look(void)
{
    mt_fence_compiler();
    if (t_mt.thread != NULL && (t_mt.state & MT_THREAD_HAS_BLOCK) != 0) {
        t_mt.thread->journal.limit = NULL;
    }
}

void mt_engine_forget_labels(void)
{
    struct mt_labels *labels = t_mt.labels;
    t_mt.labels = NULL;
    mt_fence_compiler();
    if (labels != NULL) {
        mt_labels_give_back(labels);
    }
}

/* A handler that interrupts this and labels the thread itself is done before it goes on. */
static void have_labels(void)
{
    struct mt_labels *labels = mt_labels_take();
    if (t_mt.labels == NULL) {
        t_mt.labels = labels;
    } else if (labels != NULL) {
        mt_labels_give_back(labels);
    }
}

static bool set_label(enum mt_label_kind kind, const char *text, size_t bytes)
{
    if (t_mt.labels == NULL && bytes != 0) {
        have_labels();
    }
    if (t_mt.labels == NULL || mt_labels_are(t_mt.labels, kind, text, bytes)) {
        return t_mt.labels != NULL || bytes == 0;
    }
    mt_labels_set(t_mt.labels, kind, text, bytes);
    if (!mt_labels_have_text(t_mt.labels)) {
        mt_engine_forget_labels();
    }
    have_next_event_look();
    return true;
}

bool mt_engine_label(enum mt_label_kind kind, const char *text, size_t bytes)
{
    if (kind < MT_LABEL_USER || kind > MT_LABEL_REQUEST || t_mt.state == MT_THREAD_DEAD) {
        return false;
    }
    mt_engine_enter();
    bool set = set_label(kind, text, text != NULL ? bytes : 0);
    mt_engine_leave();
    return set;
}
