/* bundle.c: the page as `make web` built it, inside this program. Context: [tool]. */
#include "page/bundle.h"

#include <string.h>

/* MT_PAGE_BUNDLE is the path of web/dist/report.html, from CMake. */
__asm__(".pushsection .rodata.mt_page_bundle,\"a\",@progbits\n"
        ".globl mt_page_bundle_begin\n"
        ".hidden mt_page_bundle_begin\n"
        "mt_page_bundle_begin:\n"
        ".incbin \"" MT_PAGE_BUNDLE "\"\n"
        ".globl mt_page_bundle_end\n"
        ".hidden mt_page_bundle_end\n"
        "mt_page_bundle_end:\n"
        ".popsection\n");

extern const char mt_page_bundle_begin[] MT_HIDDEN;
extern const char mt_page_bundle_end[] MT_HIDDEN;

struct mt_page_bundle mt_page_bundle(void)
{
    return (struct mt_page_bundle){ mt_page_bundle_begin, (size_t)(mt_page_bundle_end - mt_page_bundle_begin) };
}

bool mt_page_bundle_split(const struct mt_page_bundle *bundle, size_t *ret_before_bytes, const char **ret_behind)
{
    static const char place[] = "@MEMTAP-DATA@";
    const char *found = memmem(bundle->data, bundle->bytes, place, sizeof place - 1);
    if (found == NULL) {
        return false;
    }
    *ret_before_bytes = (size_t)(found - bundle->data);
    *ret_behind = found + sizeof place - 1;
    return true;
}
