/* bundle.c: the page as `make web` built it, inside this program. Context: [tool]. */
#include "page/bundle.h"

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
