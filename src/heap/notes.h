/* notes.h: small records of the metadata stream: modules, threads, Python, sampling rates, free-form notes.
 *
 * Decides: what each of them holds (docs/formats/trace.md 5). None is worth waiting for: where the lock is not had or the
 * trace has no room, the record is lost; the latter is counted. Contexts: [hook] with the guard set, [agent].
 */
#ifndef MT_HEAP_NOTES_H
#define MT_HEAP_NOTES_H

#include "heap/modules.h"
#include "heap/thread.h"
#include "wire/records.h"

/* Modules that come and go. */
extern const struct mt_module_sink mt_notes_of_modules MT_HIDDEN;
/* Writes a THREAD record with the present name when it is new or changed: the kernel's, where the program has no own.
 * Calling thread's block. */
void mt_notes_thread(struct mt_thread *t);
/* The same with the name that the program itself has for it, if it is a thread of Python's; its frames were captured in this
 * hook. Called when it records from a place that is new to it. */
void mt_notes_thread_within(struct mt_thread *t);
/* Where the evaluation loop lies. */
void mt_notes_eval_range(const struct mt_python_info *info);
/* Why the stacks are native only. */
void mt_notes_unknown_python(const struct mt_python_info *info);
/* Something happened once; see marks.h. */
void mt_notes_mark(const struct mt_record_mark *mark);
/* A new sampling rate. */
void mt_notes_rate(uint64_t rate_bytes);

#endif
