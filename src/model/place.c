/* place.c: see place.h. Context: [tool]. */
#include "model/place.h"

#include "model/role.h"
#include "util/memory.h"
#include "util/text.h"

#include <stdlib.h>
#include <string.h>

/* Is a frame one of the names the caller gave? Remembered by frame id. */
enum { WRAPPER_UNKNOWN, WRAPPER_NO, WRAPPER_YES, MARKS_A_STEP = 256, BELOW_MAX = 24 };

struct mt_places {
    struct mt_frames *frames;
    struct mt_places_options options;
    uint8_t *given; /* by frame id */
    size_t given_count, given_capacity;
};

struct mt_places *mt_places_new(struct mt_frames *frames, const struct mt_places_options *options)
{
    struct mt_places *p = mt_alloc_zero(1, sizeof *p);
    p->frames = frames;
    p->options = options != NULL ? *options : (struct mt_places_options){ 0 };
    return p;
}

void mt_places_free(struct mt_places *p)
{
    if (p != NULL) {
        free(p->given);
        free(p);
    }
}

struct mt_frames *mt_places_frames(const struct mt_places *p)
{
    return p->frames;
}

/* ---- whose ------------------------------------------------------------------------------------------------------- */

static bool name_matches(const char *name, const char *wanted)
{
    size_t bytes = strlen(wanted);
    bool any = bytes > 0 && wanted[bytes - 1] == '*';
    return any ? strncmp(name, wanted, bytes - 1) == 0 : strcmp(name, wanted) == 0;
}

static bool is_named(const struct mt_places *p, const struct mt_frame *frame)
{
    bool native = frame->kind == MT_FRAME_NATIVE;
    char *name = native ? mt_role_short_name(frame->function) : mt_strdup(frame->function);
    bool found = false;
    for (const char *const *wanted = p->options.wrappers; *wanted != NULL && !found; wanted++) {
        found = name_matches(name, *wanted);
    }
    free(name);
    return found;
}

static bool is_given(struct mt_places *p, uint32_t id)
{
    if (p->options.wrappers == NULL) {
        return false;
    }
    if (id >= p->given_count) {
        size_t count = (size_t)id + MARKS_A_STEP;
        p->given = mt_alloc_grow(p->given, &p->given_capacity, count, 1);
        memset(p->given + p->given_count, WRAPPER_UNKNOWN, count - p->given_count);
        p->given_count = count;
    }
    if (p->given[id] == WRAPPER_UNKNOWN) {
        p->given[id] = is_named(p, mt_frames_frame(p->frames, id)) ? WRAPPER_YES : WRAPPER_NO;
    }
    return p->given[id] == WRAPPER_YES;
}

static enum mt_role role_of(struct mt_places *p, const struct mt_frame_list *list, size_t i)
{
    return is_given(p, list->ids[i]) ? MT_ROLE_WRAPPER : mt_frames_role(p->frames, list->ids[i]);
}

/* Code that a library made as text and ran, as for a named tuple. */
static bool is_made_by_library(struct mt_places *p, const struct mt_frame_list *list, size_t i)
{
    size_t outer = i;
    while (outer < list->count && strcmp(mt_frames_frame(p->frames, list->ids[outer])->file, "<string>") == 0) {
        outer++;
    }
    enum mt_role role = outer > i && outer < list->count ? role_of(p, list, outer) : MT_ROLE_PROGRAM;
    return role == MT_ROLE_LIBRARY || role == MT_ROLE_IMPORT;
}

/* No frame is the program's. */
static void find_without_program(struct mt_places *p, const struct mt_frame_list *list, struct mt_place *ret)
{
    ret->at = ret->by = ret->code;
    for (size_t i = list->count; i > 0; i--) {
        enum mt_role role = role_of(p, list, i - 1);
        if (role == MT_ROLE_IMPORT) {
            *ret = (struct mt_place){ .at = i - 1, .by = i - 1, .code = ret->code, .import = true };
            return;
        }
    }
    for (size_t i = list->count; i > 0 && mt_role_is_interpreter(mt_frames_frame(p->frames, list->ids[ret->code])); i--) {
        if (mt_role_is_interpreter(mt_frames_frame(p->frames, list->ids[i - 1]))) {
            ret->at = ret->by = i - 1;
            return;
        }
    }
}

struct mt_place mt_places_find(struct mt_places *p, const struct mt_frame_list *list)
{
    struct mt_place place = { .code = SIZE_MAX };
    if (p->options.all_frames) {
        return (struct mt_place){ 0 };
    }
    for (size_t i = 0; i < list->count; i++) {
        enum mt_role role = role_of(p, list, i);
        bool code = role == MT_ROLE_PROGRAM || role == MT_ROLE_LIBRARY;
        place.code = code && place.code == SIZE_MAX ? i : place.code;
        if (role != MT_ROLE_PROGRAM || is_made_by_library(p, list, i)) {
            continue;
        }
        place.import = i > 0 && role_of(p, list, i - 1) == MT_ROLE_IMPORT;
        place.at = place.import ? i - 1 : i;
        place.by = place.at > 0 && !place.import ? place.at - 1 : place.at;
        return place;
    }
    place.code = place.code == SIZE_MAX ? 0 : place.code;
    find_without_program(p, list, &place);
    return place;
}

/* ---- what allocated ---------------------------------------------------------------------------------------------- */

const char *mt_place_object(const char *function)
{
    static const struct {
        const char *prefix, *object;
    } makers[] = {
        { "PyByteArray_", "bytearray" }, { "bytearray_", "bytearray" },   { "PyBytes_", "bytes" },
        { "_PyBytes", "bytes" },         { "bytes_", "bytes" },           { "PyUnicode_", "str" },
        { "_PyUnicode", "str" },         { "unicode_", "str" },           { "resize_compact", "str" },
        { "PyList_", "list" },           { "_PyList_", "list" },          { "list_", "list" },
        { "PyDict_", "dict" },           { "_PyDict_", "dict" },          { "dict_", "dict" },
        { "new_dict", "dict" },          { "new_keys_object", "dict" },   { "insertdict", "dict" },
        { "insert_to_emptydict", "dict" }, { "dictresize", "dict" },      { "clone_combined_dict", "dict" },
        { "PySet_", "set" },             { "set_", "set" },               { "make_new_set", "set" },
        { "PyTuple_", "tuple" },         { "_PyTuple_", "tuple" },        { "tuple_", "tuple" },
        { "PyLong_", "int" },            { "_PyLong_", "int" },           { "long_", "int" },
        { "x_add", "int" },              { "k_mul", "int" },              { "PyFloat_", "float" },
        { "float_", "float" },           { "PyComplex_", "complex" },     { "PyCode_New", "code" },
        { "_PyCode_New", "code" },       { "PyFunction_New", "function" }, { "PyCFunction_New", "function" },
        { "PyMethod_New", "method" },    { "PyCell_New", "cell" },        { "gen_new", "generator" },
        { "_Py_MakeCoro", "coroutine" }, { "make_gen", "generator" },     { "type_new", "class" },
        { "PyType_FromSpec", "class" },  { "deque_", "deque" },           { "array_", "array" },
        { "PySlice_New", "slice" },      { "PyMemoryView_", "memoryview" }, { "_PyMemoryView", "memoryview" },
        { "mmap_", "mmap" },             { "odict", "OrderedDict" },      { "PyODict", "OrderedDict" },
        { "_PyObject_InitializeDict", "dict" }, { "init_inline_values", "object" }, { "PyType_GenericAlloc", "object" },
        { "_PyType_AllocNoTrack", "object" }, { "PyType_GenericNew", "object" },
    };
    for (size_t i = 0; i < MT_COUNTOF(makers); i++) {
        if (strncmp(function, makers[i].prefix, strlen(makers[i].prefix)) == 0) {
            return makers[i].object;
        }
    }
    return NULL;
}

/* What a C extension is called: "numpy.core._multiarray_umath" of the installed file, "fast" of one of the program. */
static char *extension_call(const struct mt_frame *frame)
{
    char *module = mt_role_module_name(frame->module);
    const char *base = mt_text_base_name(frame->module);
    char *name = module != NULL ? module : mt_format("%.*s", (int)strcspn(base, "."), base);
    bool named = strncmp(frame->function, "0x", 2) != 0;
    char *call = named ? mt_format("%s.%s", name, frame->function) : mt_strdup(name);
    free(name);
    return call;
}

/* What a Python line allocated itself, by the native frames below it: the innermost maker of an object, or the extension
 * that the line called. */
static char *made_by_line(struct mt_places *p, size_t trace_idx, uint32_t stack)
{
    uint32_t ids[BELOW_MAX];
    size_t count = mt_frames_below_python(p->frames, trace_idx, stack, ids, BELOW_MAX);
    const struct mt_frame *extension = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct mt_frame *frame = mt_frames_frame(p->frames, ids[i]);
        bool inside = mt_role_is_interpreter(frame);
        const char *object = inside && extension == NULL ? mt_place_object(frame->function) : NULL;
        if (object != NULL) {
            return mt_strdup(object);
        }
        bool counts = !inside && frame->kind == MT_FRAME_NATIVE && !mt_role_is_c_library(frame) &&
                      mt_frames_role(p->frames, ids[i]) != MT_ROLE_WRAPPER;
        extension = counts ? frame : extension;
    }
    return extension != NULL && extension->module[0] != '\0' ? extension_call(extension) : NULL;
}

static char *call_name(const struct mt_frame *frame)
{
    char *function = mt_role_shown_name(frame);
    char *module = frame->kind == MT_FRAME_PYTHON ? mt_role_module_name(frame->file) : NULL;
    char *name = module != NULL ? mt_format("%s.%s", module, function) : mt_strdup(function);
    free(function);
    free(module);
    return name;
}

char *mt_places_by(struct mt_places *p, size_t trace_idx, uint32_t stack, const struct mt_frame_list *list,
                   const struct mt_place *place)
{
    if (p->options.all_frames || place->import) {
        return NULL;
    }
    if (place->by != place->at) {
        size_t by = place->by; /* code without a file passes a call on */
        while (by > 0 && mt_frames_frame(p->frames, list->ids[by])->file[0] == '<') {
            by--;
        }
        return call_name(mt_frames_frame(p->frames, list->ids[by]));
    }
    const struct mt_frame *frame = mt_frames_frame(p->frames, list->ids[place->at]);
    return frame->kind == MT_FRAME_PYTHON && place->at == 0 ? made_by_line(p, trace_idx, stack) : NULL;
}
