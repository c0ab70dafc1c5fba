/* frames.c: code locations to frames, and the resolver's door. Context: [tool]. */
#include "model/frames.h"

#include "base/hash.h"
#include "model/frames_private.h"
#include "symbol/pyline.h"
#include "util/memory.h"
#include "util/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ADDRESS_TEXT = 320, SPOT_UNKNOWN = 0 };

static uint64_t location_hash(const struct mt_location *l)
{
    return mt_hash_pair(l->address, (uint64_t)l->trace_idx << 33 ^ (uint64_t)l->owner << 1 ^ (uint64_t)l->python);
}

static const struct mt_location *find_location(const struct mt_frames *f, const struct mt_location *key)
{
    uint64_t hash = location_hash(key);
    size_t probe = 0;
    uint32_t at;
    while ((at = mt_index_next(&f->location_index, hash, &probe)) != MT_INDEX_NONE) {
        const struct mt_location *l = &f->locations[at];
        if (l->address == key->address && l->owner == key->owner && l->trace_idx == key->trace_idx &&
            l->python == key->python) {
            return l;
        }
    }
    return NULL;
}

static const struct mt_location *add_location(struct mt_frames *f, const struct mt_location *location)
{
    f->locations = mt_alloc_grow(f->locations, &f->location_capacity, f->location_count + 1, sizeof *f->locations);
    f->locations[f->location_count] = *location;
    mt_index_add(&f->location_index, location_hash(location), (uint32_t)f->location_count);
    return &f->locations[f->location_count++];
}

static void push_spot(struct mt_frames *f, uint32_t id, uint64_t address)
{
    f->spots = mt_alloc_grow(f->spots, &f->spot_capacity, f->spot_count + 1, sizeof *f->spots);
    f->spots[f->spot_count++] = (struct mt_frame_spot){ id, address };
}

uint32_t mt_frames_add_spot(struct mt_frames *f, uint32_t id, uint64_t address)
{
    push_spot(f, id, address);
    return (uint32_t)f->spot_count - 1;
}

static void push_frame(struct mt_frames *f, struct mt_location *l, struct mt_frame frame)
{
    push_spot(f, mt_frame_table_add(&f->table, frame), l->python ? 0 : l->address);
    l->count++;
}

/* CPython's evaluation loop, also when the compiler split it (".cold", ".part.0"). */
static bool is_eval_name(const char *name)
{
    static const char eval[] = "_PyEval_EvalFrameDefault";
    return name != NULL && strncmp(name, eval, sizeof eval - 1) == 0 &&
           (name[sizeof eval - 1] == '\0' || name[sizeof eval - 1] == '.');
}

static void push_address(struct mt_frames *f, struct mt_location *l, const struct mt_trace_module *module)
{
    char text[ADDRESS_TEXT];
    bool known = module->number != 0;
    (void)snprintf(text, sizeof text, known ? "0x%" PRIx64 " (%s)" : "0x%" PRIx64 "%s",
                   known ? l->address - module->bias : l->address, known ? mt_text_base_name(module->path.data) : "");
    push_frame(f, l, (struct mt_frame){ .function = text, .module = module->path.data, .kind = MT_FRAME_NATIVE });
}

static void note_replaced(struct mt_frames *f, const char *path)
{
    for (size_t i = 0; i < f->replaced.count; i++) {
        if (strcmp(f->replaced.items[i], path) == 0) {
            return;
        }
    }
    mt_strlist_add(&f->replaced, path);
}

static bool is_named(const struct mt_symbol_frames *found)
{
    return found->count > 0 && found->frames[found->count - 1].function != NULL;
}

/* A return address may lie behind the function that made the call (its last instruction), so the byte before it is asked.
 * Where that belongs to nobody the address is no return address: a signal's trampoline and a context's start are entered
 * at their first byte. */
static struct mt_symbol_frames symbols_of(struct mt_frames *f, const struct mt_module_ref *ref, uint64_t vaddr)
{
    struct mt_symbol_frames found = mt_symbolize(f->symbolizer, ref, vaddr - 1);
    if (!is_named(&found)) {
        found = mt_symbolize(f->symbolizer, ref, vaddr);
    }
    if (!is_named(&found) && mt_symbolizer_replaced(f->symbolizer, ref)) {
        note_replaced(f, ref->path);
    }
    return found;
}

static void push_symbols(struct mt_frames *f, struct mt_location *l, const struct mt_trace_module *module)
{
    struct mt_module_ref ref = { .path = module->path.data,
                                 .build_id = module->build_id,
                                 .build_id_bytes = module->build_id_bytes };
    struct mt_symbol_frames found = { NULL, 0 };
    if (f->symbolizer != NULL && module->number != 0) {
        found = symbols_of(f, &ref, l->address - module->bias);
    }
    for (size_t i = 0; i < found.count; i++) {
        const struct mt_symbol_frame *s = &found.frames[i];
        if (s->function == NULL) {
            continue;
        }
        l->evaluates = l->evaluates || is_eval_name(s->function);
        push_frame(f, l, (struct mt_frame){ .function = s->function,
                                            .file = s->file,
                                            .module = module->path.data,
                                            .line = s->line,
                                            .kind = MT_FRAME_NATIVE,
                                            .inlined = s->inlined,
                                            .made = s->made });
    }
    if (l->count == 0) {
        push_address(f, l, module);
    }
}

const struct mt_location *mt_frames_native(struct mt_frames *f, uint32_t trace_idx, const struct mt_native_node *node)
{
    struct mt_location location = { .trace_idx = trace_idx, .owner = node->module_idx, .address = node->pc };
    const struct mt_location *known = find_location(f, &location);
    if (known != NULL) {
        return known;
    }
    location.first = f->spot_count;
    uint64_t eval_low, eval_high;
    mt_trace_eval_range(f->set->traces[trace_idx], &eval_low, &eval_high);
    location.evaluates = node->pc > eval_low && node->pc <= eval_high;
    if (node->pc == 0) {
        push_spot(f, f->truncated, 0);
        location.count = 1;
    } else {
        push_symbols(f, &location, mt_trace_module(f->set->traces[trace_idx], node->module_idx));
    }
    return add_location(f, &location);
}

static struct mt_pyline_place *place_of_code(struct mt_frames *f, uint32_t trace_idx, uint32_t code)
{
    if (f->code_places == NULL) {
        f->code_places = mt_alloc_zero(f->set->count, sizeof *f->code_places);
    }
    struct mt_code_places *places = &f->code_places[trace_idx];
    if (code >= places->count) {
        size_t had = places->count, capacity = had;
        places->data = mt_alloc_grow(places->data, &capacity, (size_t)code + 1, sizeof *places->data);
        memset(places->data + had, 0, (capacity - had) * sizeof *places->data);
        places->count = capacity;
    }
    return &places->data[code];
}

static struct mt_frame python_frame(struct mt_frames *f, uint32_t trace_idx, const struct mt_python_node *node)
{
    const struct mt_trace *trace = f->set->traces[trace_idx];
    struct mt_trace_code code = mt_trace_code(trace, node->code);
    struct mt_text name = mt_trace_string(trace, code.qualname != 0 ? code.qualname : code.name);
    uint32_t line = mt_pyline_lookup_on(place_of_code(f, trace_idx, node->code), code.linetable_kind, code.linetable,
                                        code.linetable_bytes, code.first_line, node->lasti);
    return (struct mt_frame){ .function = name.data,
                              .file = mt_trace_string(trace, code.filename).data,
                              .line = line,
                              .kind = MT_FRAME_PYTHON };
}

/* Nodes of one instruction share a location. */
static const struct mt_location *python_location(struct mt_frames *f, uint32_t trace_idx, const struct mt_python_node *node)
{
    struct mt_location location = { .trace_idx = trace_idx,
                                    .owner = node->code,
                                    .address = (uint64_t)(int64_t)node->lasti,
                                    .python = true };
    const struct mt_location *known = find_location(f, &location);
    if (known != NULL) {
        return known;
    }
    location.first = f->spot_count;
    if (node->code == 0) {
        push_spot(f, f->truncated, 0);
        location.count = 1;
    } else {
        push_frame(f, &location, python_frame(f, trace_idx, node));
    }
    return add_location(f, &location);
}

uint32_t mt_frames_python(struct mt_frames *f, uint32_t trace_idx, uint32_t number, const struct mt_python_node *node)
{
    if (f->python_spots == NULL) {
        f->python_spots = mt_alloc_zero(f->set->count, sizeof *f->python_spots);
    }
    struct mt_numbers *spots = &f->python_spots[trace_idx];
    while (spots->count <= number) {
        mt_numbers_push(spots, SPOT_UNKNOWN);
    }
    if (spots->data[number] == SPOT_UNKNOWN) {
        spots->data[number] = (uint32_t)python_location(f, trace_idx, node)->first;
    }
    return spots->data[number];
}

mt_status mt_frames_new(const struct mt_trace_set *set, const struct mt_frames_options *options, struct mt_frames **ret)
{
    struct mt_frames *f = mt_alloc_zero(1, sizeof *f);
    f->set = set;
    f->options = options != NULL ? *options : (struct mt_frames_options){ 0 };
    f->unknown = mt_frame_table_add(&f->table, (struct mt_frame){ .function = "<unknown>", .kind = MT_FRAME_MARKER });
    f->truncated =
        mt_frame_table_add(&f->table, (struct mt_frame){ .function = "<truncated>", .kind = MT_FRAME_MARKER });
    push_spot(f, f->unknown, 0);
    mt_bound_make(set, &f->bound);
    mt_status status = MT_OK;
    if (!f->options.no_symbols) {
        status = mt_symbolizer_new(f->options.symbol_dirs, &f->symbolizer);
    }
    if (status != MT_OK) {
        mt_frames_free(f);
        return status;
    }
    *ret = f;
    return MT_OK;
}

void mt_frames_free(struct mt_frames *f)
{
    if (f == NULL) {
        return;
    }
    if (f->symbolizer != NULL) {
        mt_symbolizer_free(f->symbolizer);
    }
    mt_bound_fini(&f->bound);
    mt_strlist_clear(&f->replaced);
    mt_frame_table_fini(&f->table);
    mt_index_fini(&f->location_index);
    free(f->locations);
    free(f->spots);
    mt_frames_fold_fini(f);
    for (size_t i = 0; f->python_spots != NULL && i < f->set->count; i++) {
        free(f->python_spots[i].data);
    }
    free(f->python_spots);
    for (size_t i = 0; f->code_places != NULL && i < f->set->count; i++) {
        free(f->code_places[i].data);
    }
    free(f->code_places);
    free(f->native.data);
    free(f->python.data);
    free(f->origins.data);
    free(f->folded.data);
    free(f->notes);
    for (size_t i = 0; i < MT_LIST_BUFFERS; i++) {
        free(f->lists[i].data);
        free(f->places[i].data);
    }
    free(f);
}

/* Frames of a stack that are all Python's depend on nothing else: where a line allocates in several ways, its stacks, asked one
 * after the other, have one list. */
static bool is_last(const struct mt_frames *f, size_t trace_idx, const struct mt_stack *row)
{
    return f->options.python_only && row->python != 0 && row->python == f->last_python && trace_idx == f->last_trace_idx;
}

struct mt_frame_list mt_frames_stack(struct mt_frames *f, size_t trace_idx, uint32_t stack)
{
    const struct mt_trace *trace = f->set->traces[trace_idx];
    struct mt_stack row = mt_trace_stack(trace, stack);
    if (is_last(f, trace_idx, &row)) {
        return f->last;
    }
    struct mt_numbers *ids = &f->lists[f->list_at % MT_LIST_BUFFERS];
    struct mt_numbers *spots = &f->places[f->list_at++ % MT_LIST_BUFFERS];
    spots->count = 0;
    f->origins.count = 0;
    mt_frames_merge(f, (uint32_t)trace_idx, &row, spots);
    if (!f->options.all_frames) {
        mt_frames_fold(f, (uint32_t)trace_idx, spots);
    }
    if (spots->count == 0) {
        mt_numbers_push(spots, SPOT_UNKNOWN);
    }
    ids->count = 0;
    for (size_t i = 0; i < spots->count; i++) {
        mt_numbers_push(ids, f->spots[spots->data[i]].id);
    }
    f->last = (struct mt_frame_list){ ids->data, spots->data, ids->count };
    f->last_trace_idx = trace_idx;
    f->last_python = row.python;
    return f->last;
}

bool mt_frames_need_symbols(const struct mt_frames *f, size_t trace_idx, uint32_t stack)
{
    return f->symbolizer != NULL && !(f->options.python_only && mt_trace_stack(f->set->traces[trace_idx], stack).python != 0);
}

struct mt_frame_spot mt_frames_spot(const struct mt_frames *f, uint32_t spot)
{
    return f->spots[spot < f->spot_count ? spot : SPOT_UNKNOWN];
}

size_t mt_frames_spot_count(const struct mt_frames *f)
{
    return f->spot_count;
}

uint32_t mt_frames_label(struct mt_frames *f, const char *text, size_t bytes)
{
    char *function = mt_strndup(text, bytes);
    uint32_t id = mt_frame_table_add(&f->table, (struct mt_frame){ .function = function, .kind = MT_FRAME_LABEL });
    free(function);
    return id;
}

const struct mt_frame *mt_frames_frame(const struct mt_frames *f, uint32_t id)
{
    return mt_frame_table_frame(&f->table, id < f->table.frame_count ? id : f->unknown);
}

const struct mt_strlist *mt_frames_replaced(const struct mt_frames *f)
{
    return &f->replaced;
}

uint64_t mt_frames_shortened(const struct mt_frames *f)
{
    return f->shortened;
}

uint64_t mt_frames_visited(const struct mt_frames *f)
{
    return f->visited;
}

size_t mt_frames_count(const struct mt_frames *f)
{
    return f->table.frame_count;
}
