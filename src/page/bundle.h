/* bundle.h: the page as `make web` built it: style, script and an empty place for data (web/README.md). Context: [tool]. */
#ifndef MT_PAGE_BUNDLE_H
#define MT_PAGE_BUNDLE_H

#include "base/compiler.h"

#include <stddef.h>

struct mt_page_bundle {
    const char *data;
    size_t bytes;
};

struct mt_page_bundle mt_page_bundle(void);

#endif
