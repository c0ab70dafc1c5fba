/* serve_none.c: serve.h in a build without microhttpd.h. */
#include "serve/serve.h"

mt_status mt_serve(const struct mt_serve_options *options, struct mt_error *err)
{
    (void)options;
    return mt_error_set(err, MT_E_UNSUPPORTED, "this memtap was built without a server: install libmicrohttpd-dev and build it again");
}
