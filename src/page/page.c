/* page.c: see page.h. Context: [tool]. */
#include "page/page.h"

#include "page/block.h"
#include "page/bundle.h"
#include "page/deflate.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

/* Where the data goes: the bundle has it once. */
static const char g_place[] = "@MEMTAP-DATA@";

static void put_base64(struct mt_out *out, const unsigned char *data, size_t bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes; i += 3) {
        size_t left = bytes - i;
        unsigned group = (unsigned)data[i] << 16 | (left > 1 ? (unsigned)data[i + 1] << 8 : 0) | (left > 2 ? data[i + 2] : 0);
        char text[4] = { digits[group >> 18], digits[group >> 12 & 63], left > 1 ? digits[group >> 6 & 63] : '=',
                         left > 2 ? digits[group & 63] : '=' };
        mt_out_write(out, text, sizeof text);
    }
}

static void put_data(struct mt_out *out, const struct mt_page_input *input)
{
    struct mt_out *text = mt_out_open_memory();
    size_t bytes, packed_bytes;
    mt_page_block_write(text, input);
    const char *json = mt_out_text(text, &bytes);
    unsigned char *packed = mt_deflate(json, bytes, &packed_bytes);
    mt_out_discard(text);
    put_base64(out, packed, packed_bytes);
    free(packed);
}

mt_status mt_page_write(struct mt_out *out, const struct mt_page_input *input, struct mt_error *err)
{
    struct mt_page_bundle bundle = mt_page_bundle();
    const char *place = memmem(bundle.data, bundle.bytes, g_place, sizeof g_place - 1);
    if (place == NULL) {
        return mt_error_set(err, MT_E_INVAL, "this memtap was built without its page: web/dist/report.html was not a report");
    }
    const char *behind = place + sizeof g_place - 1;
    mt_out_write(out, bundle.data, (size_t)(place - bundle.data));
    put_data(out, input);
    mt_out_write(out, behind, bundle.bytes - (size_t)(behind - bundle.data));
    return MT_OK;
}
