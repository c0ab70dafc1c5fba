/* page.c: see page.h. Context: [tool]. */
#include "page/page.h"

#include "page/block.h"
#include "page/bundle.h"
#include "page/deflate.h"
#include "page/fold.h"
#include "util/human.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

/* A part of all that no screen shows. */
#define SMALLEST_SHARE (1.0 / 65536)

static size_t base64_bytes(size_t bytes)
{
    return (bytes + 2) / 3 * 4;
}

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

/* The block of the rows, deflated; malloc'ed. */
static unsigned char *pack(const struct mt_page_input *input, const struct mt_page_rows *rows, size_t *ret_bytes)
{
    struct mt_out *text = mt_out_open_memory();
    size_t bytes;
    mt_page_block_write(text, input, rows);
    const char *json = mt_out_text(text, &bytes);
    unsigned char *packed = mt_deflate(json, bytes, ret_bytes);
    mt_out_discard(text);
    return packed;
}

static unsigned char *pack_folded(const struct mt_page_input *input, const struct mt_page_rows *all, double share, size_t *ret_bytes)
{
    struct mt_page_rows rows;
    mt_page_fold(all, share, &rows);
    unsigned char *packed = pack(input, &rows, ret_bytes);
    mt_page_rows_fini(&rows);
    return packed;
}

/* Folds more until it fits, or until there is no more to fold. A page that is far too large needs a share that is as much larger. */
static unsigned char *pack_to_fit(const struct mt_page_input *input, const struct mt_page_rows *all, size_t room, size_t *ret_bytes)
{
    double share = input->report->analysis->sampled || input->is_difference ? 0 : SMALLEST_SHARE;
    unsigned char *packed = pack_folded(input, all, share, ret_bytes);
    while (input->max_bytes > 0 && base64_bytes(*ret_bytes) > room && share < 1) {
        double over = (double)base64_bytes(*ret_bytes) / (double)(room > 0 ? room : 1);
        free(packed);
        share = (share > 0 ? share : SMALLEST_SHARE) * (over > 4 ? over / 2 : 2);
        packed = pack_folded(input, all, share, ret_bytes);
    }
    return packed;
}

mt_status mt_page_pack(const struct mt_page_input *input, size_t beside_bytes, unsigned char **ret_packed, size_t *ret_bytes,
                       struct mt_error *err)
{
    struct mt_page_strings names;
    struct mt_page_rows all;
    mt_page_strings_init(&names);
    mt_status status = mt_page_rows_make(input->report, &names, &all);
    size_t room = input->max_bytes > beside_bytes ? (size_t)input->max_bytes - beside_bytes : 0;
    if (status == MT_OK) {
        *ret_packed = pack_to_fit(input, &all, room, ret_bytes);
    } else {
        (void)mt_error_set(err, status, "cannot list the leaks: %s", mt_status_text(status));
    }
    mt_page_rows_fini(&all);
    mt_page_strings_fini(&names);
    return status;
}

/* What follows the data of a difference: those of the earlier one. */
static const char g_before[] = "</script>\n<script type=\"application/octet-stream\" id=\"before\">";

/* Of one page: one recording, or two. */
struct packed {
    unsigned char *data[2];
    size_t bytes[2];
    size_t count;
};

static mt_status pack_all(const struct mt_page_input *input, size_t beside_bytes, struct packed *ret, struct mt_error *err)
{
    const struct mt_page_input *of[2] = { input, input->before };
    size_t count = input->before != NULL ? 2 : 1;
    mt_status status = MT_OK;
    for (size_t i = 0; i < count && status == MT_OK; i++) {
        struct mt_page_input one = *of[i];
        one.is_difference = count > 1;
        one.max_bytes = input->max_bytes > beside_bytes ? (input->max_bytes - beside_bytes) / count + beside_bytes : input->max_bytes;
        status = mt_page_pack(&one, beside_bytes, &ret->data[i], &ret->bytes[i], err);
        ret->count += status == MT_OK;
    }
    return status;
}

static mt_status check_size(const struct mt_page_input *input, uint64_t whole_bytes, struct mt_error *err)
{
    if (input->max_bytes == 0 || whole_bytes <= input->max_bytes) {
        return MT_OK;
    }
    return mt_error_set(err, MT_E_INVAL, "--max-size: %s is too small: with everything folded into one the page has %s; give %lluK or more, or 0 for no limit",
                        mt_human_bytes((double)input->max_bytes).text, mt_human_bytes((double)whole_bytes).text,
                        (unsigned long long)(whole_bytes / 1024 + 1));
}

mt_status mt_page_write(struct mt_out *out, const struct mt_page_input *input, struct mt_error *err)
{
    struct mt_page_bundle bundle = mt_page_bundle();
    const char *behind;
    size_t before_bytes;
    if (!mt_page_bundle_split(&bundle, &before_bytes, &behind)) {
        return mt_error_set(err, MT_E_INVAL, "this memtap was built without its page: web/dist/report.html was not a report");
    }
    size_t behind_bytes = bundle.bytes - (size_t)(behind - bundle.data);
    size_t page_bytes = before_bytes + behind_bytes + (input->before != NULL ? sizeof g_before - 1 : 0);
    struct packed packed = { 0 };
    mt_status status = pack_all(input, page_bytes, &packed, err);
    if (status == MT_OK) {
        status = check_size(input, page_bytes + base64_bytes(packed.bytes[0]) + base64_bytes(packed.bytes[1]), err);
    }
    if (status == MT_OK) {
        mt_out_write(out, bundle.data, before_bytes);
        for (size_t i = 0; i < packed.count; i++) {
            mt_out_string(out, i > 0 ? g_before : "");
            put_base64(out, packed.data[i], packed.bytes[i]);
        }
        mt_out_write(out, behind, behind_bytes);
    }
    free(packed.data[0]);
    free(packed.data[1]);
    return status;
}
