/* bundle.h: the page as `make web` built it: style, script and an empty place for data (web/README.md). Context: [tool]. */
#ifndef MT_PAGE_BUNDLE_H
#define MT_PAGE_BUNDLE_H

#include "base/compiler.h"

#include <stdbool.h>
#include <stddef.h>

struct mt_page_bundle {
    const char *data;
    size_t bytes;
};

struct mt_page_bundle mt_page_bundle(void);
/* What is before and behind the place where the data goes, which it has once. False: this is no page. */
bool mt_page_bundle_split(const struct mt_page_bundle *bundle, size_t *ret_before_bytes, const char **ret_behind);

#endif
