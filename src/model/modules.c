/* modules.c: which module holds an address at this point of the metadata stream, and which one is the interpreter.
 *
 * A sorted array of disjoint places; a module that appears where another one still is has replaced it. Bounded, so that
 * a hostile trace cannot make insertion quadratic. Context: [tool].
 */
#include "model/trace_private.h"
#include "util/memory.h"

#include <string.h>

enum { PLACES_MAX = 16384 };

/* First place that ends after addr. */
static size_t place_after(const struct mt_trace *trace, uint64_t addr)
{
    size_t low = 0, high = trace->place_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (trace->places[middle].high <= addr) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void remove_places(struct mt_trace *trace, size_t from, size_t to)
{
    size_t tail = trace->place_count - to;
    if (from < to && tail > 0) {
        memmove(&trace->places[from], &trace->places[to], tail * sizeof *trace->places);
    }
    trace->place_count -= to - from;
    trace->place_hit = 0;
}

void mt_trace_place_module(struct mt_trace *trace, uint32_t module_idx)
{
    const struct mt_trace_module *module = &trace->modules[module_idx];
    if (module->low >= module->high) {
        return;
    }
    size_t from = place_after(trace, module->low);
    size_t to = from;
    while (to < trace->place_count && trace->places[to].low < module->high) {
        to++;
    }
    remove_places(trace, from, to);
    if (trace->place_count >= PLACES_MAX) {
        return;
    }
    trace->places = mt_alloc_grow(trace->places, &trace->place_capacity, trace->place_count + 1, sizeof *trace->places);
    struct mt_module_place *at = &trace->places[from];
    memmove(at + 1, at, (trace->place_count - from) * sizeof *at);
    *at = (struct mt_module_place){ module->low, module->high, module_idx };
    trace->place_count++;
}

void mt_trace_unplace_module(struct mt_trace *trace, uint32_t module_idx)
{
    struct mt_trace_module *module = &trace->modules[module_idx];
    module->gone = true;
    size_t at = place_after(trace, module->low);
    if (at < trace->place_count && trace->places[at].module_idx == module_idx) {
        remove_places(trace, at, at + 1);
    }
}

uint32_t mt_trace_module_at(struct mt_trace *trace, uint64_t pc)
{
    uint64_t addr = pc - 1; /* a return address may be one past the end of a function that does not return */
    if (trace->place_hit < trace->place_count) {
        const struct mt_module_place *hit = &trace->places[trace->place_hit];
        if (addr >= hit->low && addr < hit->high) {
            return hit->module_idx;
        }
    }
    size_t at = place_after(trace, addr);
    if (at == trace->place_count || trace->places[at].low > addr) {
        return MT_MODULE_UNKNOWN;
    }
    trace->place_hit = at;
    return trace->places[at].module_idx;
}

/* libpython3.11.so.1.0, python3.11, python3.13t, python: the files CPython lives in. */
static bool named_like_python(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    if (strncmp(name, "libpython", 9) == 0) {
        return strstr(name, ".so") != NULL;
    }
    if (strncmp(name, "python", 6) != 0) {
        return false;
    }
    name += 6;
    name += strspn(name, "0123456789.");
    name += strspn(name, "dtm");
    return *name == '\0' || strcmp(name, "-dbg") == 0;
}

void mt_trace_mark_interpreters(struct mt_trace *trace)
{
    if (trace->info.python_version == 0 && trace->code_count <= 1) {
        return;
    }
    for (size_t i = 1; i < trace->module_count; i++) {
        struct mt_trace_module *module = &trace->modules[i];
        bool evaluates = trace->eval_low != 0 && trace->eval_low >= module->low && trace->eval_low < module->high;
        module->interpreter = evaluates || named_like_python(module->path.data);
    }
}
