/* describe.c: what a code object says of itself: names, file, line table.
 *
 * Decides: how a str and a bytes object are read without the C API (PEP 393 layout: PyASCIIObject, then the characters
 * for compact ASCII, or PyCompactUnicodeObject, then 1, 2 or 4 bytes a character; or, for subclasses, a pointer), and
 * how text becomes UTF-8. ASCII, nearly always, is returned in place. A lone surrogate U+DC80..U+DCFF stands for an
 * undecodable byte of a file name (PEP 383) and becomes that byte again; other lone surrogates become U+FFFD.
 * Invariant: reads only objects a code object refers to, whose type was checked, and only as many bytes as they claim.
 * Context: [hook], own thread, while a frame of it holds the code object.
 */
#include "pystack/layout.h"
#include "wire/format.h"

enum { FIRST_ESCAPED = 0xDC80, LAST_ESCAPED = 0xDCFF, REPLACEMENT = 0xFFFD, LASTI_LIMIT = 1 << 28 };

/* A place in the caller's buffer that several strings share. */
struct text_buffer {
    char *next;
    size_t left;
};

struct text {
    const void *data;
    size_t bytes;
};

struct characters {
    uint64_t data;
    uint64_t count;
    unsigned width; /* 1, 2 or 4 bytes */
    bool ascii;
};

static bool read_string_header(const struct mt_py_offsets *o, uint64_t object, struct characters *ret)
{
    if (!mt_py_plausible(object)) {
        return false;
    }
    uint32_t state = mt_py_load_u32(object, o->object.unicode_state) >> o->unicode_kind_shift;
    bool compact = (state >> 3 & 1) != 0;
    ret->ascii = (state >> 4 & 1) != 0;
    ret->width = state & 7;
    ret->count = mt_py_load_u64(object, o->object.unicode_length);
    if (compact) {
        ret->data = object + (ret->ascii ? o->object.unicode_ascii_data : o->object.unicode_compact_data);
    } else {
        ret->data = mt_py_load_u64(object, o->object.unicode_compact_data); /* PyUnicodeObject.data */
    }
    bool width_known = ret->width == 1 || ret->width == 2 || ret->width == 4;
    return width_known && ret->count <= MT_PY_TEXT_MAX && ret->data >= 0x10000u;
}

static uint32_t character_at(const struct characters *c, uint64_t index)
{
    if (c->width == 1) {
        return mt_py_load_u8(c->data, (unsigned)index);
    }
    if (c->width == 2) {
        uint16_t value;
        memcpy(&value, (const void *)(uintptr_t)(c->data + 2 * index), sizeof value);
        return value;
    }
    return mt_py_load_u32(c->data, (unsigned)(4 * index));
}

/* Bytes written to `to` (at most 4). */
static size_t put_utf8(uint32_t c, char to[4])
{
    if (c >= FIRST_ESCAPED && c <= LAST_ESCAPED) {
        to[0] = (char)(c - 0xDC00);
        return 1;
    }
    if ((c >= 0xD800 && c <= 0xDFFF) || c > 0x10FFFF) {
        c = REPLACEMENT;
    }
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (char)(0xC0 | c >> 6);
        to[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (char)(0xE0 | c >> 12);
        to[1] = (char)(0x80 | (c >> 6 & 0x3F));
        to[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    to[0] = (char)(0xF0 | c >> 18);
    to[1] = (char)(0x80 | (c >> 12 & 0x3F));
    to[2] = (char)(0x80 | (c >> 6 & 0x3F));
    to[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

/* Appends the string to the buffer, cut at a character boundary when it is full. */
static struct text transcode(const struct characters *c, struct text_buffer *buffer)
{
    char *start = buffer->next;
    for (uint64_t i = 0; i < c->count; i++) {
        char utf8[4];
        size_t bytes = put_utf8(character_at(c, i), utf8);
        if (bytes > buffer->left) {
            break;
        }
        memcpy(buffer->next, utf8, bytes);
        buffer->next += bytes;
        buffer->left -= bytes;
    }
    return (struct text){ start, (size_t)(buffer->next - start) };
}

static bool read_string(const struct mt_py_offsets *o, uint64_t object, struct text_buffer *buffer, struct text *ret)
{
    struct characters c;
    if (!read_string_header(o, object, &c)) {
        return false;
    }
    if (c.ascii && c.width == 1) {
        *ret = (struct text){ (const void *)(uintptr_t)c.data, (size_t)c.count };
    } else {
        *ret = transcode(&c, buffer);
    }
    return true;
}

size_t mt_py_text(const struct mt_py_offsets *o, uint64_t object, char *to, size_t bytes)
{
    struct characters c;
    struct text_buffer buffer = { to, bytes };
    return read_string_header(o, object, &c) ? transcode(&c, &buffer).bytes : 0;
}

static bool read_bytes(const struct mt_py_offsets *o, uint64_t object, struct text *ret)
{
    if (!mt_py_plausible(object)) {
        return false;
    }
    uint64_t bytes = mt_py_load_u64(object, o->object.bytes_size);
    if (bytes > MT_PY_TEXT_MAX) {
        return false;
    }
    *ret = (struct text){ (const void *)(uintptr_t)(object + o->object.bytes_data), (size_t)bytes };
    return true;
}

/* The enabled interpreter, if `code` is a code object of it. */
static const struct mt_py_enabled *enabled_for(uint64_t code)
{
    const struct mt_py_enabled *e = mt_py_enabled();
    bool readable = e != NULL && e->info.frames_supported && mt_py_plausible(code) && mt_py_is_code(e, code);
    return readable ? e : NULL;
}

bool mt_pystack_describe(uint64_t code, char *text, size_t text_bytes, struct mt_code_description *ret)
{
    const struct mt_py_enabled *e = enabled_for(code);
    if (e == NULL) {
        return false;
    }
    const struct mt_py_offsets *o = &e->offsets;
    struct text_buffer buffer = { text, text_bytes };
    struct text filename, name, qualname = { NULL, 0 }, linetable;
    bool good = read_string(o, mt_py_load_u64(code, o->code.filename), &buffer, &filename) &&
                read_string(o, mt_py_load_u64(code, o->code.name), &buffer, &name) &&
                read_bytes(o, mt_py_load_u64(code, o->code.linetable), &linetable);
    if (good && o->code.qualname != 0) {
        good = read_string(o, mt_py_load_u64(code, o->code.qualname), &buffer, &qualname);
    }
    if (!good) {
        return false;
    }
    *ret = (struct mt_code_description){
        .filename = filename.data,
        .filename_bytes = filename.bytes,
        .name = name.data,
        .name_bytes = name.bytes,
        .qualname = qualname.data,
        .qualname_bytes = qualname.bytes,
        .linetable = linetable.data,
        .linetable_bytes = linetable.bytes,
        .linetable_kind = o->lines,
        .first_line = mt_py_load_u32(code, o->code.first_line),
    };
    return true;
}

uint64_t mt_pystack_fingerprint(uint64_t code)
{
    const struct mt_py_enabled *e = enabled_for(code);
    if (e == NULL) {
        return 0;
    }
    uint64_t fingerprint = mt_py_fingerprint(&e->offsets, code);
    return fingerprint != 0 ? fingerprint : 1;
}

int32_t mt_pystack_lasti(const struct mt_py_frame *frame)
{
    const struct mt_py_enabled *e = mt_py_enabled();
    if (e == NULL || !e->info.frames_supported) {
        return -1;
    }
    int64_t lasti;
    if (e->offsets.family == MT_PY_FRAME_OBJECTS) {
        lasti = (int64_t)frame->instr * e->offsets.lasti_scale;
    } else {
        lasti = (int64_t)(frame->instr - (frame->code + e->offsets.code.bytecode));
    }
    return lasti >= 0 && lasti < LASTI_LIMIT ? (int32_t)lasti : -1;
}
