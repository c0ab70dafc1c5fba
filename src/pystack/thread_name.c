/* thread_name.c: what threading.Thread calls the calling thread.
 *
 * Decides: the name is the attribute `_name` of the object whose Thread._bootstrap is the thread's outermost Python frame. The
 * kernel knows 15 bytes of it, and only from 3.14 on. It is read where the instance keeps it (PEP 412: a dictionary of its own
 * or one that shares its keys with the class; Objects/dictobject.c, 3.8 to 3.14), without the C API: asking an instance for its
 * dictionary may make one.
 * Invariant: another thread may rename it at any time and so free the text, but not while the calling thread holds the GIL:
 * otherwise nothing is read. Builds without a GIL have no offsets for this. Greenlets bring other outermost frames to a thread;
 * the first object that was seen stays the thread's. Bounded: ENTRIES_MAX attributes. Context: [hook], own thread.
 */
#include "pystack/layout.h"

enum { ENTRIES_MAX = 256, NAME_BYTES = 64, INDEX_BITS_MAX = 16 };
enum { FLAG_INLINE_VALUES = 1 << 2, FLAG_MANAGED_DICT = 1 << 4, UNICODE_KEYS = 1, SPLIT_KEYS = 2 };
enum { MANAGED_DICT = 24, MANAGED_VALUES = 32, VALUES_VALID = 3 }; /* bytes before an instance; of inline values */

static const char ATTRIBUTE[] = "_name", FUNCTION[] = "_bootstrap", FILE_NAME[] = "threading.py";

/* Where the attributes of an instance lie. */
struct attributes {
    uint64_t keys;
    uint64_t values; /* 0: beside the keys */
};

/* ---- where an instance keeps its attributes -------------------------------------------------------------------------- */

static bool take_dictionary(const struct mt_py_offsets *o, uint64_t dictionary, struct attributes *ret)
{
    if (!mt_py_plausible(dictionary)) {
        return false;
    }
    uint64_t values = mt_py_load_u64(dictionary, o->instance.dict_values);
    ret->keys = mt_py_load_u64(dictionary, o->instance.dict_keys);
    ret->values = values != 0 ? values + o->instance.values_first : 0;
    return true;
}

static void take_values(const struct mt_py_offsets *o, uint64_t type, uint64_t values, struct attributes *ret)
{
    ret->keys = mt_py_load_u64(type, o->instance.type_keys);
    ret->values = values + o->instance.values_first;
}

/* 3.11 and 3.12: a word before the instance holds its values until it needs a dictionary; in 3.12 one word for both. */
static bool take_managed(const struct mt_py_offsets *o, uint64_t object, uint64_t type, struct attributes *ret)
{
    uint64_t dictionary = mt_py_load_u64(object - MANAGED_DICT, 0);
    uint64_t values = o->minor == 11 ? mt_py_load_u64(object - MANAGED_VALUES, 0) : 0;
    if (o->minor == 12 && (dictionary & 1) != 0) {
        values = dictionary + 1;
    }
    if (mt_py_plausible(values)) {
        take_values(o, type, values, ret);
        return true;
    }
    return take_dictionary(o, dictionary, ret);
}

static bool find_attributes(const struct mt_py_offsets *o, uint64_t object, struct attributes *ret)
{
    uint64_t type = mt_py_load_u64(object, o->object.type);
    if (!mt_py_plausible(type)) {
        return false;
    }
    uint64_t flags = mt_py_load_u64(type, o->instance.type_flags);
    uint64_t inlined = object + mt_py_load_u64(type, o->instance.type_size);
    if (o->minor >= 13 && (flags & FLAG_INLINE_VALUES) != 0 && mt_py_load_u8(inlined, VALUES_VALID) != 0) {
        take_values(o, type, inlined, ret);
        return true;
    }
    if (o->minor >= 11 && (flags & FLAG_MANAGED_DICT) != 0) {
        return take_managed(o, object, type, ret);
    }
    uint64_t offset = mt_py_load_u64(type, o->instance.type_dict);
    bool has_one = offset >= sizeof(uint64_t) && offset < (1u << 16);
    return has_one && take_dictionary(o, mt_py_load_u64(object + offset, 0), ret);
}

/* ---- one attribute ---------------------------------------------------------------------------------------------------- */

/* Bytes of the index before the entries; 0: not a table of keys. */
static uint64_t index_bytes(const struct mt_py_offsets *o, uint64_t keys)
{
    if (o->minor >= 11) {
        unsigned bits = mt_py_load_u8(keys, o->instance.keys_size);
        return bits <= INDEX_BITS_MAX ? (uint64_t)1 << bits : 0;
    }
    uint64_t size = mt_py_load_u64(keys, o->instance.keys_size);
    return size <= 0xFF ? size : size <= 0xFFFF ? 2 * size : 0;
}

static bool is_attribute(const struct mt_py_enabled *e, uint64_t key, uint64_t text_type)
{
    char text[sizeof ATTRIBUTE];
    return mt_py_plausible(key) && mt_py_load_u64(key, e->offsets.object.type) == text_type &&
           mt_py_text(&e->offsets, key, text, sizeof text) == sizeof ATTRIBUTE - 1 &&
           memcmp(text, ATTRIBUTE, sizeof ATTRIBUTE - 1) == 0;
}

/* The value of `_name`; 0: it has none. text_type: str, whose exact instances alone are looked at. */
static uint64_t find_value(const struct mt_py_enabled *e, const struct attributes *a, uint64_t text_type)
{
    const struct mt_py_offsets *o = &e->offsets;
    if (!mt_py_plausible(a->keys)) {
        return 0;
    }
    unsigned kind = o->minor >= 11 ? mt_py_load_u8(a->keys, o->instance.keys_kind) : 0;
    bool bare = kind == UNICODE_KEYS || kind == SPLIT_KEYS; /* entries without a hash */
    uint64_t entry_bytes = bare ? 16 : 24, before = index_bytes(o, a->keys);
    uint64_t count = mt_py_load_u64(a->keys, o->instance.keys_count);
    uint64_t entry = a->keys + o->instance.keys_index + before + (bare ? 0 : 8);
    for (uint64_t i = 0; before != 0 && count <= ENTRIES_MAX && i < count; i++, entry += entry_bytes) {
        if (is_attribute(e, mt_py_load_u64(entry, 0), text_type)) {
            uint64_t value = mt_py_load_u64(a->values != 0 ? a->values + 8 * i : entry + 8, 0);
            bool is_text = mt_py_plausible(value) && mt_py_load_u64(value, o->object.type) == text_type;
            return is_text ? value : 0;
        }
    }
    return 0;
}

/* ---- the calling thread ----------------------------------------------------------------------------------------------- */

static bool ends_with(const void *text, size_t bytes, const char *end, size_t end_bytes)
{
    return bytes >= end_bytes && memcmp((const char *)text + bytes - end_bytes, end, end_bytes) == 0;
}

static bool is_bootstrap(uint64_t code)
{
    char text[NAME_BYTES];
    struct mt_code_description d;
    return mt_pystack_describe(code, text, sizeof text, &d) && d.name_bytes == sizeof FUNCTION - 1 &&
           memcmp(d.name, FUNCTION, sizeof FUNCTION - 1) == 0 &&
           ends_with(d.filename, d.filename_bytes, FILE_NAME, sizeof FILE_NAME - 1);
}

/* The object that the outermost frame is a method of; 0: that starts no thread. */
static uint64_t find_object(const struct mt_py_offsets *o, const struct mt_py_frame *outermost)
{
    if (!is_bootstrap(outermost->code)) {
        return 0;
    }
    uint64_t self = mt_py_load_u64(outermost->frame, o->instance.frame_locals) & ~(uint64_t)7; /* 3.14 marks borrowed ones */
    return mt_py_plausible(self) ? self : 0;
}

static bool holds_the_lock(const struct mt_py_enabled *e, const struct mt_pystack *p)
{
    return p->tstate > 1 && (uint64_t)(uintptr_t)e->info.get_tstate_unchecked() == p->tstate;
}

size_t mt_pystack_thread_name(const struct mt_pystack *p, struct mt_py_thread *known, char *text, size_t text_bytes)
{
    const struct mt_py_enabled *e = mt_py_enabled();
    if (e == NULL || !e->info.frames_supported || e->offsets.instance.frame_locals == 0 || p->count == 0 ||
        !holds_the_lock(e, p)) {
        return 0;
    }
    const struct mt_py_frame *outermost = &p->frames[0];
    if (known->frame != outermost->frame) {
        uint64_t object = find_object(&e->offsets, outermost);
        if (object == 0 || (known->object != 0 && known->object != object)) {
            return 0;
        }
        *known = (struct mt_py_thread){ outermost->frame, object };
    }
    uint64_t text_type = mt_py_load_u64(mt_py_load_u64(outermost->code, e->offsets.code.name), e->offsets.object.type);
    struct attributes where;
    uint64_t value = find_attributes(&e->offsets, known->object, &where) ? find_value(e, &where, text_type) : 0;
    return value != 0 ? mt_py_text(&e->offsets, value, text, text_bytes) : 0;
}
