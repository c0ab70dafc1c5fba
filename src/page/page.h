/* page.h: one HTML file that shows a recording in a browser, without a network.
 *
 * Decides: the page is the bundle (web/dist/report.html, as it was built) with one block of data put in: columns and dictionaries as
 * JSON, deflated, in base64 (docs/formats/report.md). So no text of the target is ever part of the markup. What a row is,
 * and whose line it is, analysis/ says; the page only adds rows up. A page has a budget; of what is exact, what nobody could see on a screen
 * of 65,536 pixels is folded anyhow. Context: [tool].
 */
#ifndef MT_PAGE_PAGE_H
#define MT_PAGE_PAGE_H

#include "export/report.h"
#include "util/error.h"

enum { MT_PAGE_TIMELINE_POINTS = 1000, MT_PAGE_EDGES = 250 };

/* Borrowed. */
struct mt_page_input {
    /* Analysed for the peak (reader/selection.h), with a timeline of MT_PAGE_TIMELINE_POINTS and edges where they can be known; with
     * places. */
    const struct mt_report *report;
    const uint64_t *edges_ns; /* MT_PAGE_EDGES of them; NULL: none */
    bool confidential;        /* without paths (confidential.h) */
    uint64_t max_bytes;       /* of the file: what is small is folded until it fits (fold.h); 0: no limit */
    const struct mt_page_input *before; /* the page shows what changed since that one; its max_bytes does not count. NULL: no difference */
    bool is_difference; /* settled by mt_page_write: of what is compared nothing is folded that fits, since both sides would not fold the same */
};

/* The data of a page alone, deflated; malloc'ed. beside_bytes: of max_bytes, what something else needs. */
mt_status mt_page_pack(const struct mt_page_input *input, size_t beside_bytes, unsigned char **ret_packed, size_t *ret_bytes,
                       struct mt_error *err) MT_CHECKED;
/* MT_E_INVAL: this build has no page that it can use. */
mt_status mt_page_write(struct mt_out *out, const struct mt_page_input *input, struct mt_error *err) MT_CHECKED;

#endif
