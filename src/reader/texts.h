/* texts.h: what a recording gives as bytes in memory instead of a file: for a server.
 *
 * As the functions of memtap/profile.h: failures are codes with a sentence, never the end of the process; several threads may ask.
 * Context: [tool].
 */
#ifndef MT_READER_TEXTS_H
#define MT_READER_TEXTS_H

#include "memtap/profile.h"

/* As mt_recording_export, format not NULL; release with mt_profile_release. */
int mt_recording_export_text(struct mt_recording *recording, const char *format, const struct mt_profile_query *query,
                             char **ret_text, size_t *ret_bytes, struct mt_profile_failure *failure);
/* The data of the page of the recording as it is now (docs/formats/report.md), deflated; alike. max_bytes: of a page with it; 0: any. */
int mt_recording_page_block(struct mt_recording *recording, uint64_t max_bytes, char **ret_packed, size_t *ret_bytes,
                            struct mt_profile_failure *failure);

#endif
