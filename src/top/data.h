/* data.h: a look as JSON. Context: [tool], pure. */
#ifndef MT_TOP_DATA_H
#define MT_TOP_DATA_H

#include "top/look.h"
#include "util/out.h"

/* One object on one line. sites: at most so many, in the order of ui; 0: all. */
void mt_top_write_json(const struct mt_top_look *look, const struct mt_top_ui *ui, size_t sites, struct mt_out *out);

#endif
