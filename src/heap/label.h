/* label.h: whose memory it is: what each thread says that it works for.
 *
 * Decides: a thread has at most one text of each kind (enum mt_label_kind): one that the program gave it, the name of the
 * task it runs, its own name, a request's. They are kept in a piece of memory that a thread has while it has any. Setting one
 * writes nothing; it takes the thread's journal its limit, so that the next event looks (mt_label_note), and an event of a
 * thread whose labels have not changed pays nothing. Only then a label gets its number and is written to the trace: a label
 * under which nothing is recorded costs no byte. Numbers are remembered in a table of fixed size; what falls out of it is
 * written again under another number when it comes back, and readers go by the text.
 * Invariant: a thread's labels are read and written by that thread alone, and by signal handlers on it: version is odd while
 * they change. Internal to heap/. Context: [hook] in a recording section, unless said otherwise.
 */
#ifndef MT_HEAP_LABEL_H
#define MT_HEAP_LABEL_H

#include "heap/thread.h"

enum { MT_LABEL_MAX_BYTES = 120 }; /* of one text; what is longer is cut behind a whole character */

/* Labels without a text; NULL: no memory. Guard set, as give_back. */
struct mt_labels *mt_labels_take(void);
void mt_labels_give_back(struct mt_labels *labels);
/* bytes 0: no text of this kind. text is copied. */
void mt_labels_set(struct mt_labels *labels, enum mt_label_kind kind, const char *text, size_t bytes);
bool mt_labels_are(const struct mt_labels *labels, enum mt_label_kind kind, const char *text, size_t bytes);
bool mt_labels_have_text(const struct mt_labels *labels);

/* Writes the labels of the thread whose block this is (NULL: none) in front of its next event, if they have changed since the
 * last one in this block. There must be room for that and the event. Where it cannot be told now, takes the journal its limit. */
void mt_label_note(struct mt_thread *t, struct mt_labels *labels);
/* A new trace has no numbers yet. Context: [agent], nobody records. */
void mt_label_clear_numbers(void);
/* In a fork child, whose thread keeps the labels it had. Context: [fork-child]. */
void mt_label_after_fork(void);

#endif
