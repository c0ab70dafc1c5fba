/* confidential.h: a page without the paths of the machine it was made on.
 *
 * Decides: of a path the last name stays, also in the name of what starts a program. In texts for people a path cannot be told from
 * what is around it (it may have blanks), so a text with a slash is left out whole. Functions keep their names. Context: [tool].
 */
#ifndef MT_PAGE_CONFIDENTIAL_H
#define MT_PAGE_CONFIDENTIAL_H

#include "model/frames.h"
#include "util/json.h"

/* What is shown of a path; borrowed from it. */
const char *mt_confidential_path(const char *path);
/* The same of a frame's function, which is a path where the frame stands for a program. */
const char *mt_confidential_function(const struct mt_frame *frame, const char *function);
/* Writes JSON, as it came from json.h, as a value, with other texts for those with a slash. */
void mt_confidential_put(struct mt_json *json, const char *text);

#endif
