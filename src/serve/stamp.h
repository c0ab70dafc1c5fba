/* stamp.h: the time as ISO 8601, in UTC, with the zone. Context: [tool]. */
#ifndef MT_SERVE_STAMP_H
#define MT_SERVE_STAMP_H

#include <stddef.h>

void mt_stamp_now(char *ret, size_t capacity); /* at least 33 bytes */

#endif
