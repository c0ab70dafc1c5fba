/* confidential.c: see confidential.h. Context: [tool]. */
#include "page/confidential.h"

#include "util/text.h"

#include <string.h>

static const char g_left_out[] = "\"(left out: it has a path)\"";

const char *mt_confidential_path(const char *path)
{
    return path[0] != '<' ? mt_text_last_name(path) : path;
}

const char *mt_confidential_function(const struct mt_frame *frame, const char *function)
{
    const char *slash = strrchr(function, '/');
    bool stands_for = frame->kind == MT_FRAME_IMPORT || frame->kind == MT_FRAME_STARTER;
    return stands_for && slash != NULL ? slash + 1 : function;
}

/* Behind the quote that ends the string which begins at text. */
static const char *string_end(const char *text)
{
    text++;
    while (*text != '"' && *text != '\0') {
        text += *text == '\\' && text[1] != '\0' ? 2 : 1;
    }
    return *text == '"' ? text + 1 : text;
}

void mt_confidential_put(struct mt_json *json, const char *text)
{
    struct mt_out *out = mt_out_open_memory();
    while (*text != '\0') {
        size_t plain = strcspn(text, "\"");
        mt_out_write(out, text, plain);
        text += plain;
        if (*text == '"') {
            const char *end = string_end(text);
            bool path = memchr(text, '/', (size_t)(end - text)) != NULL;
            mt_out_write(out, path ? g_left_out : text, path ? sizeof g_left_out - 1 : (size_t)(end - text));
            text = end;
        }
    }
    mt_json_raw(json, mt_out_text(out, NULL));
    mt_out_discard(out);
}
