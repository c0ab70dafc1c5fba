/* frames_fold.c: one frame for those that only bring code in or start it.
 *
 *     recorded:  f  <module> json  exec_module … _find_and_load  <module> app.py  _run_code  _run_module_as_main
 *     folded:    f  <module> json  import json                   <module> app.py
 *
 * A run of frames of the import system becomes "import NAME" at the line that imports. NAME is that of the module whose
 * code ran further in. Where the import system itself allocated (it reads files, it makes code objects) no such code is in
 * the stack; then it is the first module that the same import ran in any recorded stack: an import is one instruction of
 * one call, which is one Python node, and its modules' nodes are below it. Frames that start a thread become "thread";
 * those that start the program are left out where they are outermost. Native frames between two frames of a run belong to
 * it. What Python does before it runs any code of the program (its types, its paths, site) is below "Python itself", and what
 * a library's constructor does before main below "load NAME". Context: [tool].
 */
#include "model/frames_private.h"

#include "base/hash.h"
#include "model/role.h"
#include "util/memory.h"
#include "util/syslib.h"
#include "util/text.h"

#include <stdlib.h>
#include <string.h>

enum { NOTES_A_STEP = 256 };

static struct mt_frame_note *note_of(struct mt_frames *f, uint32_t id)
{
    if (id >= f->note_count) {
        size_t count = (size_t)id + NOTES_A_STEP;
        f->notes = mt_alloc_grow(f->notes, &f->note_capacity, count, sizeof *f->notes);
        memset(f->notes + f->note_count, 0, (count - f->note_count) * sizeof *f->notes);
        f->note_count = count;
    }
    return &f->notes[id];
}

/* A C library without symbols has no name for its function between __libc_start_main and main. */
static bool is_nameless(const struct mt_frame *frame)
{
    return frame->kind == MT_FRAME_NATIVE && strncmp(frame->function, "0x", 2) == 0 && mt_syslib_of(frame->module) == MT_SYSLIB_C;
}

enum mt_role mt_frames_role(struct mt_frames *f, uint32_t id)
{
    struct mt_frame_note *note = note_of(f, id);
    if (note->role == 0) {
        const struct mt_frame *frame = mt_frames_frame(f, id);
        note->role = (uint8_t)(mt_role_of(frame) + 1);
        note->nameless = is_nameless(frame);
    }
    return (enum mt_role)(note->role - 1);
}

/* ---- what an import imported ------------------------------------------------------------------------------------ */

/* By Python node: the code object of the first module whose code its import ran; 0 none. */
struct mt_imports {
    uint32_t *module_of;
};

/* What a code object is to an import. */
enum code_part { CODE_OTHER, CODE_IMPORT, CODE_MODULE };

static enum code_part part_of(const struct mt_trace *trace, uint32_t number)
{
    struct mt_trace_code code = mt_trace_code(trace, number);
    struct mt_frame frame = { .function = mt_trace_string(trace, code.name).data,
                              .file = mt_trace_string(trace, code.filename).data,
                              .module = "",
                              .kind = MT_FRAME_PYTHON };
    if (mt_role_of(&frame) == MT_ROLE_IMPORT) {
        return CODE_IMPORT;
    }
    return strcmp(frame.function, "<module>") == 0 ? CODE_MODULE : CODE_OTHER;
}

/* Parents come before their nodes, so one walk over the nodes in order is enough. importer: of a node of the import system,
 * the node that called it. */
static void find_imports(const struct mt_trace *trace, struct mt_imports *ret)
{
    size_t codes = mt_trace_code_count(trace), nodes = mt_trace_python_count(trace);
    uint8_t *parts = mt_alloc_zero(codes + 1, 1);
    uint32_t *importer = mt_alloc_zero(nodes + 1, sizeof *importer);
    ret->module_of = mt_alloc_zero(nodes + 1, sizeof *ret->module_of);
    for (size_t i = 1; i < codes; i++) {
        parts[i] = (uint8_t)part_of(trace, (uint32_t)i);
    }
    for (size_t i = 1; i < nodes; i++) {
        struct mt_python_node node = mt_trace_python(trace, (uint32_t)i);
        struct mt_python_node parent = mt_trace_python(trace, node.parent);
        uint8_t part = node.code < codes ? parts[node.code] : CODE_OTHER;
        bool below = parent.code < codes && parts[parent.code] == CODE_IMPORT;
        if (part == CODE_IMPORT) {
            importer[i] = below ? importer[node.parent] : node.parent;
        } else if (part == CODE_MODULE && below && ret->module_of[importer[node.parent]] == 0) {
            ret->module_of[importer[node.parent]] = node.code;
        }
    }
    free(parts);
    free(importer);
}

/* The file of the module that the import of a node ran; "" none. */
static const char *imported_file(struct mt_frames *f, uint32_t trace_idx, uint32_t node)
{
    const struct mt_trace *trace = f->set->traces[trace_idx];
    if (f->imports == NULL) {
        f->imports = mt_alloc_zero(f->set->count, sizeof *f->imports);
    }
    struct mt_imports *imports = &f->imports[trace_idx];
    if (imports->module_of == NULL) {
        find_imports(trace, imports);
    }
    uint32_t code = node < mt_trace_python_count(trace) ? imports->module_of[node] : 0;
    return mt_trace_string(trace, mt_trace_code(trace, code).filename).data;
}

void mt_frames_fold_fini(struct mt_frames *f)
{
    for (size_t i = 0; f->imports != NULL && i < f->set->count; i++) {
        free(f->imports[i].module_of);
    }
    free(f->imports);
    f->imports = NULL;
    free(f->made);
    mt_index_fini(&f->made_index);
}

/* ---- one stack -------------------------------------------------------------------------------------------------- */

struct folding {
    struct mt_frames *f;
    uint32_t trace_idx;
    const struct mt_numbers *spots; /* as merged */
};

static uint32_t frame_at(const struct folding *w, size_t i)
{
    return w->f->spots[w->spots->data[i]].id;
}

static enum mt_role role_at(const struct folding *w, size_t i)
{
    enum mt_role role = mt_frames_role(w->f, frame_at(w, i));
    bool starts = w->f->notes[frame_at(w, i)].nameless && i + 1 < w->spots->count &&
                  mt_frames_role(w->f, frame_at(w, i + 1)) == MT_ROLE_START;
    return starts ? MT_ROLE_START : role;
}

/* May a frame lie between two of a run? The interpreter's own functions do where native frames are shown. */
static bool may_lie_between(const struct folding *w, size_t i, enum mt_role role)
{
    enum mt_role own = role_at(w, i);
    return role != MT_ROLE_START && mt_frames_frame(w->f, frame_at(w, i))->kind == MT_FRAME_NATIVE &&
           (own == MT_ROLE_LIBRARY || own == MT_ROLE_WRAPPER);
}

/* The end of the run of frames of one role that begins at `from`. */
static size_t run_end(const struct folding *w, size_t from)
{
    enum mt_role role = role_at(w, from);
    size_t end = from + 1;
    for (size_t i = end; i < w->spots->count && (role_at(w, i) == role || may_lie_between(w, i, role)); i++) {
        end = role_at(w, i) == role ? i + 1 : end;
    }
    return end;
}

static void emit(const struct folding *w, uint32_t spot)
{
    mt_numbers_push(&w->f->folded, spot);
}

/* The spot of a frame that stands for others. */
static uint32_t made_spot(const struct folding *w, struct mt_frame frame)
{
    struct mt_frame_note *note = note_of(w->f, mt_frame_table_add(&w->f->table, frame));
    if (note->made_spot == 0) {
        note->made_spot = mt_frames_add_spot(w->f, (uint32_t)(note - w->f->notes), 0);
    }
    return note->made_spot;
}

/* The module whose code ran inside the run that begins at `from`; NULL: none is to be seen. malloc'ed. */
static char *module_inside(const struct folding *w, size_t from)
{
    if (from == 0) {
        return NULL;
    }
    const struct mt_frame *inner = mt_frames_frame(w->f, frame_at(w, from - 1));
    if (inner->kind == MT_FRAME_PYTHON) {
        return strcmp(inner->function, "<module>") == 0 ? mt_role_module_name(inner->file) : NULL;
    }
    bool extension = inner->kind == MT_FRAME_NATIVE && strncmp(inner->function, "PyInit_", 7) == 0;
    return extension ? mt_strdup(inner->function + 7) : NULL;
}

/* What Python does between two frames of code, what it does before a program, and all else. */
enum part_of_python { PART_UNKNOWN, PART_BETWEEN, PART_BEFORE, PART_OTHER };

static enum part_of_python find_part(struct mt_frames *f, uint32_t id)
{
    const struct mt_frame *frame = mt_frames_frame(f, id);
    bool imported = frame->kind == MT_FRAME_IMPORT && frame->file[0] == '\0' && strncmp(frame->function, "import", 6) == 0;
    if (mt_role_is_interpreter(frame) || mt_role_is_c_library(frame) || mt_frames_role(f, id) == MT_ROLE_WRAPPER) {
        return PART_BETWEEN;
    }
    return imported || mt_role_starts_python(frame) ? PART_BEFORE : PART_OTHER;
}

/* Remembered by frame. */
static enum part_of_python python_part(struct mt_frames *f, uint32_t id)
{
    struct mt_frame_note *note = note_of(f, id);
    if (note->part == PART_UNKNOWN) {
        enum part_of_python part = find_part(f, id);
        note = note_of(f, id);
        note->part = (uint8_t)part;
    }
    return (enum part_of_python)note->part;
}

/* Who imports: the first frame of code from `end` outwards; the number of frames where there is none. */
static size_t importer_at(const struct folding *w, size_t end)
{
    while (end < w->spots->count && python_part(w->f, frame_at(w, end)) == PART_BETWEEN) {
        end++;
    }
    return end;
}

static uint32_t make_import(const struct folding *w, size_t from, size_t importer)
{
    struct mt_frame frame = { .file = "", .module = "", .kind = MT_FRAME_IMPORT };
    char *name = module_inside(w, from);
    if (importer < w->spots->count) {
        const struct mt_frame *code = mt_frames_frame(w->f, frame_at(w, importer));
        frame.file = code->file;
        frame.line = code->line;
        name = name != NULL ? name : mt_role_module_name(imported_file(w->f, w->trace_idx, w->f->origins.data[importer]));
    }
    char *text = name != NULL ? mt_format("import %s", name) : mt_strdup("import");
    frame.function = text;
    uint32_t spot = made_spot(w, frame);
    free(text);
    free(name);
    return spot;
}

static uint64_t import_hash(const struct mt_import_made *import)
{
    return mt_hash_pair((uint64_t)import->inner << 32 | import->importer, (uint64_t)import->trace_idx << 32 | import->node);
}

/* The same imports are in thousands of stacks. */
static void emit_import(const struct folding *w, size_t from, size_t end)
{
    struct mt_frames *f = w->f;
    size_t importer = importer_at(w, end);
    bool imported = importer < w->spots->count;
    struct mt_import_made import = { .inner = from > 0 ? frame_at(w, from - 1) + 1 : 0,
                                     .importer = imported ? frame_at(w, importer) + 1 : 0,
                                     .trace_idx = w->trace_idx,
                                     .node = imported ? f->origins.data[importer] : 0 };
    uint64_t hash = import_hash(&import);
    size_t probe = 0;
    uint32_t at;
    while ((at = mt_index_next(&f->made_index, hash, &probe)) != MT_INDEX_NONE) {
        const struct mt_import_made *made = &f->made[at];
        if (made->inner == import.inner && made->importer == import.importer && made->trace_idx == import.trace_idx &&
            made->node == import.node) {
            emit(w, made->spot);
            return;
        }
    }
    import.spot = make_import(w, from, importer);
    f->made = mt_alloc_grow(f->made, &f->made_capacity, f->made_count + 1, sizeof *f->made);
    f->made[f->made_count] = import;
    mt_index_add(&f->made_index, hash, (uint32_t)f->made_count++);
    emit(w, import.spot);
}

static void emit_runpy(const struct folding *w, size_t from)
{
    const struct mt_frame *inner = from > 0 ? mt_frames_frame(w->f, frame_at(w, from - 1)) : NULL;
    char *text = mt_format("run %s", inner != NULL ? mt_text_base_name(inner->file) : "a program");
    emit(w, made_spot(w, (struct mt_frame){ .function = text, .file = "", .module = "", .kind = MT_FRAME_STARTER }));
    free(text);
}

/* Does the stack end outside all code of a program, in what Python does by itself? Read from the outermost frame inwards. */
static bool is_python_itself(const struct folding *w)
{
    struct mt_frames *f = w->f;
    size_t i = f->folded.count;
    while (i > 0 && python_part(f, f->spots[f->folded.data[i - 1]].id) == PART_BETWEEN) {
        i--;
    }
    if (i > 0) {
        return python_part(f, f->spots[f->folded.data[i - 1]].id) == PART_BEFORE;
    }
    return f->folded.count > 0 && mt_role_is_interpreter(mt_frames_frame(f, f->spots[f->folded.data[f->folded.count - 1]].id));
}

static void emit_load(const struct folding *w, const struct mt_frame *library)
{
    char *text = mt_format("load %s", mt_text_base_name(library->module));
    emit(w, made_spot(w, (struct mt_frame){ .function = text, .file = "", .module = "", .kind = MT_FRAME_IMPORT }));
    free(text);
}

/* What starts the program is outermost: only a library's constructor is worth a frame. */
static void drop_start(const struct folding *w, size_t from)
{
    const struct mt_frame *start = mt_frames_frame(w->f, frame_at(w, from));
    bool loader = mt_syslib_of(start->module) == MT_SYSLIB_LOADER;
    if (loader && from > 0 && role_at(w, from - 1) == MT_ROLE_LIBRARY) {
        emit_load(w, mt_frames_frame(w->f, frame_at(w, from - 1)));
    }
}

static void keep(const struct folding *w, size_t from, size_t end)
{
    for (size_t i = from; i < end; i++) {
        emit(w, w->spots->data[i]);
    }
}

/* Folds the run that begins at `from`; returns its end. */
static size_t fold_run(const struct folding *w, size_t from)
{
    enum mt_role role = role_at(w, from);
    if (role == MT_ROLE_PROGRAM || role == MT_ROLE_LIBRARY || role == MT_ROLE_WRAPPER || role == MT_ROLE_MARKER) {
        emit(w, w->spots->data[from]);
        return from + 1;
    }
    size_t end = run_end(w, from);
    bool starts_all = end == w->spots->count && w->f->folded.count > 0;
    switch (role) {
    case MT_ROLE_MEMTAP:
        return from + 1;
    case MT_ROLE_IMPORT:
        emit_import(w, from, end);
        return end;
    case MT_ROLE_THREAD:
        emit(w, made_spot(w, (struct mt_frame){ .function = "thread", .file = "", .module = "", .kind = MT_FRAME_STARTER }));
        return end;
    case MT_ROLE_RUNPY:
        if (!starts_all) {
            emit_runpy(w, from);
        }
        return end;
    case MT_ROLE_START:
        if (starts_all) {
            drop_start(w, from);
        } else {
            keep(w, from, end);
        }
        return end;
    case MT_ROLE_PROGRAM:
    case MT_ROLE_LIBRARY:
    case MT_ROLE_WRAPPER:
    case MT_ROLE_MARKER:
    default:
        return end;
    }
}

void mt_frames_fold(struct mt_frames *f, uint32_t trace_idx, struct mt_numbers *spots)
{
    struct folding w = { .f = f, .trace_idx = trace_idx, .spots = spots };
    f->folded.count = 0;
    for (size_t i = 0; i < spots->count;) {
        i = fold_run(&w, i);
    }
    if (is_python_itself(&w)) {
        struct mt_frame itself = { .function = "Python itself", .file = "", .module = "", .kind = MT_FRAME_IMPORT };
        emit(&w, made_spot(&w, itself));
    }
    struct mt_numbers made = f->folded;
    f->folded = *spots;
    *spots = made;
}
