/* layout.h: the enabled interpreter and checked loads from its memory.
 *
 * Decides: what a plausible pointer is, and how words of a foreign struct are read (memcpy: no aliasing, no alignment
 * assumptions of the compiler). Invariant: nobody dereferences an address of the interpreter except through
 * mt_py_load_*, and only after mt_py_plausible said yes for the start of its struct. Context: [hook].
 */
#ifndef MT_PYSTACK_LAYOUT_H
#define MT_PYSTACK_LAYOUT_H

#include "base/atomic.h"
#include "base/hash.h"
#include "pystack/offsets.h"
#include "pystack/pystack.h"

#include <string.h>

/* No string or line table of a code object is longer; a larger length is not one. */
enum { MT_PY_TEXT_MAX = 1 << 24, MT_PY_MAX_ENABLED = 16 };

struct mt_py_enabled;
typedef enum mt_pystack_result (*mt_py_walk)(struct mt_pystack *p, const struct mt_py_enabled *e);

/* What captures work with: published once, never changed afterwards. */
struct mt_py_enabled {
    struct mt_python_info info;
    struct mt_py_offsets offsets;
    mt_py_walk walk; /* compiled for these offsets */
    const uint64_t *dealloc_slot; /* holds mt_py_code_dies while deaths of code objects are counted */
};

/* Writer: mt_pystack_enable. Pairing Y1: release store of a filled slot, acquire load. */
extern const struct mt_py_enabled *mt_g_py_enabled MT_HIDDEN;

/* NULL while not enabled. offsets are valid only when info.frames_supported. */
MT_INLINE const struct mt_py_enabled *mt_py_enabled(void)
{
    return mt_load_acquire(&mt_g_py_enabled);
}

/* The walk for this layout; never NULL. NULL: the walk that finds nothing. */
mt_py_walk mt_py_find_walk(const struct mt_py_offsets *offsets);
/* The calling thread's state; 0 when it has none or it must not be touched now. Context: [hook]. */
uint64_t mt_py_find_tstate(const struct mt_py_enabled *e);

/* The text of a str as UTF-8 into to, as many whole characters as fit; its bytes. 0: empty, or a check failed. */
size_t mt_py_text(const struct mt_py_offsets *o, uint64_t object, char *to, size_t bytes);

/* Makes the deaths of this interpreter's code objects be counted, if they can be. Returns the value of dealloc_slot.
 * Context: [agent], one caller at a time. */
const uint64_t *mt_py_watch_codes(const struct mt_py_enabled *e);
/* What stands in the slot. Context: a thread that holds Python's lock (or its like). */
void mt_py_code_dies(void *code) MT_HIDDEN;
/* Code objects that died, and other events after which nothing captured before may be believed. Writers: any thread,
 * relaxed; readers: captures, relaxed. Pairing Y2: a death is counted before its memory is reused, and whoever sees a
 * new frame there got it from Python, whose own locks lie between. */
extern uint64_t mt_g_code_deaths MT_HIDDEN;

/* A non-NULL, 8-aligned user-space address outside the first 64 KiB, which no process maps (vm.mmap_min_addr). */
MT_INLINE bool mt_py_plausible(uint64_t address)
{
    return (address & 0xFFFF800000000007u) == 0 && address >= 0x10000u;
}

MT_INLINE uint64_t mt_py_load_u64(uint64_t base, unsigned offset)
{
    uint64_t value;
    memcpy(&value, (const void *)(uintptr_t)(base + offset), sizeof value);
    return value;
}

MT_INLINE uint32_t mt_py_load_u32(uint64_t base, unsigned offset)
{
    uint32_t value;
    memcpy(&value, (const void *)(uintptr_t)(base + offset), sizeof value);
    return value;
}

MT_INLINE uint8_t mt_py_load_u8(uint64_t base, unsigned offset)
{
    return *(const uint8_t *)(uintptr_t)(base + offset);
}

/* True when the object at a plausible address is of type PyCode_Type. */
MT_INLINE bool mt_py_is_code(const struct mt_py_enabled *e, uint64_t object)
{
    return e->info.code_type == NULL ||
           mt_py_load_u64(object, e->offsets.object.type) == (uint64_t)(uintptr_t)e->info.code_type;
}

/* First and last eight bytes and length of the line table. Before 3.12 nothing numbers code objects, and a code
 * object made of the same source pattern often gets every address of the one freed just before it (exec in a loop).
 * A shorter table gives bytes of its own object header and rounding, which stay what they are while it lives. */
MT_INLINE uint64_t mt_py_sample_linetable(const struct mt_py_offsets *o, uint64_t linetable)
{
    if (MT_UNLIKELY(!mt_py_plausible(linetable))) {
        return 0;
    }
    uint64_t bytes = mt_py_load_u64(linetable, o->object.bytes_size);
    if (MT_UNLIKELY(bytes > MT_PY_TEXT_MAX)) {
        return bytes;
    }
    uint64_t last = mt_py_load_u64(linetable + bytes - 8, o->object.bytes_data);
    return mt_py_load_u64(linetable, o->object.bytes_data) ^ (last << 23 | last >> 41) ^ bytes << 48;
}

/* See mt_pystack_fingerprint. code: a plausible address of a code object. From 3.12 on co_version numbers code
 * objects, so that name and file need only be there for files renamed in place (_imp._fix_co_filename). One
 * multiplication. */
MT_INLINE uint64_t mt_py_fingerprint(const struct mt_py_offsets *o, uint64_t code)
{
    uint64_t filename = mt_py_load_u64(code, o->code.filename);
    uint64_t name = mt_py_load_u64(code, o->code.name);
    if (o->code.version != 0) {
        return mt_hash_step(filename ^ (uint64_t)mt_py_load_u32(code, o->code.version) << 32, name);
    }
    uint64_t linetable = mt_py_load_u64(code, o->code.linetable);
    uint64_t identity = mt_py_sample_linetable(o, linetable);
    uint64_t first_line = mt_py_load_u32(code, o->code.first_line);
    uint64_t names = filename ^ (name << 32 | name >> 32) ^ first_line << 17;
    return mt_hash_step(names, linetable ^ (identity << 40 | identity >> 24));
}

#endif
