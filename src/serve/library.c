/* library.c: see library.h. The library is never closed. */
#include "serve/library.h"

#include <dlfcn.h>
#include <string.h>

struct mt_http mt_http;

/* ISO C has no cast from object to function pointer. */
static bool take(void *library, const char *name, void *field)
{
    void *symbol = dlsym(library, name);
    memcpy(field, &symbol, sizeof symbol);
    return symbol != NULL;
}

mt_status mt_http_load(struct mt_error *err)
{
    void *library = dlopen("libmicrohttpd.so.12", RTLD_NOW | RTLD_LOCAL);
    bool found = library != NULL;
#define X(name) found = found && take(library, "MHD_" #name, &mt_http.name);
    MT_HTTP_FUNCTIONS(X)
#undef X
    return found ? MT_OK
                 : mt_error_set(err, MT_E_NOENT, "libmicrohttpd.so.12 is needed to serve HTTP and was not found: install it "
                                                 "(Debian, Ubuntu: apt install libmicrohttpd12)");
}
