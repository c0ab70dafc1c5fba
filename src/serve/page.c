/* page.c: the page and its data. The bundle is the one of `memtap flamegraph` (page/bundle.h), with nothing where the data goes: it
 * asks /page/block then. Its policy lets it talk to this server and nobody else. */
#include "serve/answers.h"
#include "serve/server.h"

#include "page/bundle.h"
#include "reader/texts.h"
#include "util/memory.h"

#include <string.h>

static const char g_policy[] = "default-src 'none';";
static const char g_live[] = " connect-src 'self'; frame-ancestors 'none';";

/* The policy that the page itself has, with what a header may say too; malloc'ed. */
static char *policy_of(const char *page)
{
    const char *begin = strstr(page, g_policy);
    size_t bytes = begin != NULL ? strcspn(begin, "\"") : 0;
    return bytes > 0 ? mt_format("%s%s%.*s", g_policy, g_live, (int)(bytes - (sizeof g_policy - 1)), begin + sizeof g_policy - 1) : mt_strdup(g_policy);
}

/* The page without data; its own policy may connect to where it came from. */
static struct mt_out *compose(const struct mt_page_bundle *bundle, size_t before_bytes, const char *behind)
{
    struct mt_out *out = mt_out_open_memory();
    const char *policy = memmem(bundle->data, before_bytes, g_policy, sizeof g_policy - 1);
    size_t head = policy != NULL ? (size_t)(policy - bundle->data) + sizeof g_policy - 1 : 0;
    mt_out_write(out, bundle->data, head);
    mt_out_string(out, policy != NULL ? " connect-src 'self';" : "");
    mt_out_write(out, bundle->data + head, before_bytes - head);
    mt_out_write(out, behind, bundle->bytes - (size_t)(behind - bundle->data));
    return out;
}

void mt_serve_page(struct mt_request *request)
{
    struct mt_page_bundle bundle = mt_page_bundle();
    const char *behind;
    size_t before_bytes;
    if (!mt_page_bundle_split(&bundle, &before_bytes, &behind)) {
        mt_response_fail(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "NO_PAGE", "this memtap was built without its page");
        return;
    }
    char *head = mt_strndup(bundle.data, before_bytes);
    char *policy = policy_of(head);
    mt_response_text(request, MHD_HTTP_OK, "text/html; charset=utf-8", compose(&bundle, before_bytes, behind));
    mt_response_header(request, "Content-Security-Policy", policy);
    free(policy);
    free(head);
}
