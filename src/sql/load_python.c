/* load_python.c: what a Python process that runs says of its objects: the collector, types, tensors.
 *
 * Decides: code runs there when a query reads one of these tables, and leaves nothing behind but, for memory.objects, the counts of its first
 * time. No code of the program's is called: types are asked by the slots of type and known by their address, sizes only computed where C does it,
 * and tensors are asked as torch's own class, subclasses too; only a tensor whose shape is computed by its own __torch_dispatch__ computes it. It
 * answers in lines, cells between tabs; texts have none in them. The process holds its GIL meanwhile, which is said. Context: [tool].
 */
#include "sql/catalog.h"

#include "util/human.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

enum { CELLS_MAX = 8 };

static const char gc_code[] =
    "def _memtap():\n"
    "    import gc\n"
    "    threshold, count, frozen = gc.get_threshold(), gc.get_count(), gc.get_freeze_count()\n"
    "    for i, s in enumerate(gc.get_stats()):\n"
    "        print(i, int(gc.isenabled()), threshold[i], count[i], s['collections'], s['collected'], s['uncollectable'], frozen, sep='\\t')\n"
    "_memtap()\n"
    "del _memtap\n";

static const char objects_code[] =
    "def _memtap():\n"
    "    import gc, sys, types\n"
    "    module, own, mro = type.__dict__['__module__'].__get__, type.__dict__['__qualname__'].__get__, type.__dict__['__mro__'].__get__\n"
    "    def size_of(t):\n"
    "        for base in mro(t):\n"
    "            size = type.__dict__['__dict__'].__get__(base).get('__sizeof__')\n"
    "            if size is not None:\n"
    "                return sys.getsizeof if type(size) is types.MethodDescriptorType else object.__sizeof__\n"
    "    found = {}\n" /* by address: a type may have a hash of its own, or none */
    "    for o in gc.get_objects():\n"
    "        t = type(o)\n"
    "        of = found.get(id(t))\n"
    "        if of is None:\n"
    "            of = found[id(t)] = [t, 0, 0, size_of(t)]\n"
    "        of[1] += 1\n"
    "        try:\n"
    "            of[2] += of[3](o)\n"
    "        except Exception:\n"
    "            pass\n"
    "    rows = {}\n"
    "    for t, n, size, _ in found.values():\n"
    "        where = module(t)\n"
    "        words = own(t) if type(where) is not str or where == 'builtins' else where + '.' + own(t)\n"
    "        row = rows.setdefault(' '.join(words.split()), [0, 0])\n"
    "        row[0] += n\n"
    "        row[1] += size\n"
    "    global _memtap_objects\n"
    "    try:\n"
    "        first = _memtap_objects\n"
    "    except NameError:\n"
    "        first = _memtap_objects = {name: n for name, (n, _) in rows.items()}\n"
    "    for name, (n, size) in sorted(rows.items(), key=lambda row: -row[1][1]):\n"
    "        print(n, size, n - first.get(name, 0), name, sep='\\t')\n"
    "    for name in first:\n"
    "        if name not in rows:\n"
    "            print(0, 0, -first[name], name, sep='\\t')\n"
    "_memtap()\n"
    "del _memtap\n";

/* REFERRERS is 1 or 0: they cost a look at every reference there is. */
static const char tensors_code[] =
    "def _memtap(referrers):\n"
    "    import contextlib, gc, sys\n"
    "    torch = sys.modules.get('torch')\n"
    "    if getattr(torch, 'Tensor', None) is None:\n"
    "        print('none')\n"
    "        return\n"
    "    objects = gc.get_objects()\n"
    "    tensors = [o for o in objects if issubclass(type(o), torch.Tensor)]\n"
    "    known = {id(o): 0 for o in tensors}\n"
    "    for o in objects if referrers else ():\n"
    "        for r in gc.get_referents(o):\n"
    "            if id(r) in known:\n"
    "                known[id(r)] += 1\n"
    "    c = getattr(torch, '_C', None)\n"
    "    base = getattr(c, 'TensorBase', None) or getattr(c, '_TensorBase', torch.Tensor)\n"
    "    as_plain = getattr(c, 'DisableTorchFunctionSubclass', None) or getattr(c, 'DisableTorchFunction', contextlib.nullcontext)\n"
    "    def get(o, name):\n"
    "        return getattr(base, name).__get__(o)\n"
    "    with as_plain():\n"
    "        for o in tensors:\n"
    "            try:\n"
    "                print(get(o, 'numel')() * get(o, 'element_size')(), int(get(o, 'requires_grad')), known[id(o)],\n"
    "                      list(get(o, 'shape')), get(o, 'dtype'), get(o, 'device'), sep='\\t')\n"
    "            except Exception:\n"
    "                pass\n";

/* ---- asking ------------------------------------------------------------------------------------------------------- */

/* Cuts a line at its tabs; the number of cells. */
static int cells_of(char *line, char *cells[CELLS_MAX])
{
    int count = 0;
    for (char *at = line; at != NULL && count < CELLS_MAX;) {
        cells[count++] = at;
        at = strchr(at, '\t');
        if (at != NULL) {
            *at++ = '\0';
        }
    }
    return count;
}

struct asking {
    const char *table, *code;
    int cells;
    void (*add)(struct mt_sql_load *load, pid_t pid, char *const *cells);
};

static void take_lines(struct mt_sql_load *load, const struct asking *asking, pid_t pid, char *text)
{
    char *rest = NULL;
    if (strcmp(text, "none\n") == 0) {
        mt_sql_note(load->sql, "memory.tensors has no rows of process %d, which has not imported torch", (int)pid);
        return;
    }
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        char *cells[CELLS_MAX];
        if (cells_of(line, cells) == asking->cells) {
            asking->add(load, pid, cells);
        }
    }
}

static mt_status ask_each(struct mt_sql_load *load, const struct asking *asking)
{
    struct mt_sql *sql = load->sql;
    size_t count;
    pid_t *pids = mt_sql_live_pids(sql, &count);
    if (count == 0) {
        mt_sql_note(sql, "memory.%s has rows of processes that run, and none was named", asking->table);
    } else if (sql->processes.run_python == NULL) {
        mt_sql_note(sql, "memory.%s has no rows here: `memtap query PID` asks a process", asking->table);
        count = 0;
    }
    for (size_t i = 0; i < count && !mt_sql_should_stop(sql); i++) {
        struct mt_error err = { 0 };
        char *text = NULL;
        if (sql->processes.run_python(sql->processes.context, pids[i], asking->code, &text, &err) == MT_OK) {
            take_lines(load, asking, pids[i], text);
        } else {
            mt_sql_note(sql, "memory.%s has no rows of process %d: %s", asking->table, (int)pids[i], mt_error_text(&err));
        }
        free(text);
    }
    free(pids);
    return MT_OK;
}

static uint64_t number(const char *cell)
{
    uint64_t value;
    return mt_parse_count(cell, &value) ? value : MT_NULL_U64;
}

/* ---- tables ------------------------------------------------------------------------------------------------------- */

static void add_gc(struct mt_sql_load *load, pid_t pid, char *const *cells)
{
    struct mt_row_gc *row = mt_sql_add_row(load);
    row->process = mt_sql_number_of(load->sql, pid);
    row->generation = number(cells[0]);
    row->enabled = number(cells[1]);
    row->threshold = number(cells[2]);
    row->pending = number(cells[3]);
    row->collections = number(cells[4]);
    row->collected = number(cells[5]);
    row->uncollectable = number(cells[6]);
    row->frozen = number(cells[7]);
}

static void add_objects(struct mt_sql_load *load, pid_t pid, char *const *cells)
{
    struct mt_row_objects *row = mt_sql_add_row(load);
    row->process = mt_sql_number_of(load->sql, pid);
    row->count = number(cells[0]);
    row->bytes = number(cells[1]);
    row->growth = strtoll(cells[2], NULL, 10);
    row->type = mt_sql_keep(load->sql, mt_strdup(cells[3]));
}

static void add_tensor(struct mt_sql_load *load, pid_t pid, char *const *cells)
{
    struct mt_row_tensors *row = mt_sql_add_row(load);
    row->process = mt_sql_number_of(load->sql, pid);
    row->size_mb = (double)number(cells[0]) / 0x1p20;
    row->requires_grad = number(cells[1]);
    row->referrers = MT_SQL_USES(load, tensors, referrers) ? number(cells[2]) : MT_NULL_U64;
    row->shape = mt_sql_keep(load->sql, mt_strdup(cells[3]));
    row->dtype = mt_sql_keep(load->sql, mt_strdup(cells[4]));
    row->device = mt_sql_keep(load->sql, mt_strdup(cells[5]));
}

mt_status mt_sql_load_gc(struct mt_sql_load *load)
{
    static const struct asking asking = { "gc", gc_code, 8, add_gc };
    return ask_each(load, &asking);
}

mt_status mt_sql_load_objects(struct mt_sql_load *load)
{
    static const struct asking asking = { "objects", objects_code, 4, add_objects };
    return ask_each(load, &asking);
}

mt_status mt_sql_load_tensors(struct mt_sql_load *load)
{
    bool referrers = MT_SQL_USES(load, tensors, referrers);
    char *code = mt_format("%s_memtap(%d)\ndel _memtap\n", tensors_code, referrers);
    const struct asking asking = { "tensors", code, 6, add_tensor };
    load->filled = referrers ? UINT64_MAX : load->used;
    mt_status status = ask_each(load, &asking);
    free(code);
    return status;
}
