/* head.h: the first lines of a frame: whose memory, how much, how fast, how long still. Private to top/. Context: [tool], pure. */
#ifndef MT_TOP_HEAD_H
#define MT_TOP_HEAD_H

#include "top/frame.h"

void mt_top_head(const struct mt_top_look *look, size_t columns, struct mt_screen *ret);
/* "+35.0 MiB/min", "steady": growth over what was seen. */
struct mt_top_text {
    char text[64];
};
struct mt_top_text mt_top_growth(double bytes_per_s, double per_s);

#endif
