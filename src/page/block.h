/* block.h: the data of a page as one JSON text (docs/formats/report.md). Context: [tool]. */
#ifndef MT_PAGE_BLOCK_H
#define MT_PAGE_BLOCK_H

#include "page/page.h"
#include "page/rows.h"

void mt_page_block_write(struct mt_out *out, const struct mt_page_input *input, const struct mt_page_rows *rows);

#endif
