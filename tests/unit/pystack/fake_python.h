/* fake_python.h: the memory of an interpreter, made by hand at the offsets of one table row.
 *
 * A test picks a version, makes code objects and frames, and links them as that version does; mt_pystack_capture then
 * reads them through fake_tstate(). Everything lives in one static arena (fake_reset forgets it), so a stray pointer is
 * seen by ASan as soon as it leaves the arena.
 */
#ifndef MT_TESTS_UNIT_FAKE_PYTHON_H
#define MT_TESTS_UNIT_FAKE_PYTHON_H

#include "pystack/layout.h"
#include "wire/format.h"

#include <assert.h>
#include <string.h>

enum { FAKE_ARENA_BYTES = 8 << 20, FAKE_OBJECT_BYTES = 512, FAKE_SHIM_OWNER = 3 };

static struct {
    struct mt_py_offsets o;
    uint64_t tstate;
    uint64_t holder; /* what the unchecked getter gives */
    uint64_t type;   /* PyCode_Type */
    uint64_t runtime;
    size_t used;
    uint8_t arena[FAKE_ARENA_BYTES] __attribute__((aligned(64)));
} g_fake;

static inline uint64_t fake_alloc(size_t bytes)
{
    bytes = (bytes + 15) & ~(size_t)15;
    assert(g_fake.used + bytes <= FAKE_ARENA_BYTES);
    uint64_t at = (uint64_t)(uintptr_t)(g_fake.arena + g_fake.used);
    memset(g_fake.arena + g_fake.used, 0, bytes);
    g_fake.used += bytes;
    return at;
}

static inline void put64(uint64_t base, unsigned offset, uint64_t value)
{
    memcpy((void *)(uintptr_t)(base + offset), &value, sizeof value);
}

static inline void put32(uint64_t base, unsigned offset, uint32_t value)
{
    memcpy((void *)(uintptr_t)(base + offset), &value, sizeof value);
}

static inline void put8(uint64_t base, unsigned offset, uint8_t value)
{
    memcpy((void *)(uintptr_t)(base + offset), &value, sizeof value);
}

static void *fake_tstate(void)
{
    return (void *)(uintptr_t)g_fake.tstate;
}

static void *fake_holder(void)
{
    return (void *)(uintptr_t)g_fake.holder;
}

static inline struct mt_python_info fake_info(uint32_t version_hex, bool free_threaded)
{
    return (struct mt_python_info){
        .version_hex = version_hex,
        .free_threaded = free_threaded,
        .frames_supported = true,
        .get_tstate = fake_tstate,
        .get_tstate_unchecked = fake_holder,
        .runtime = (const void *)(uintptr_t)g_fake.runtime,
        .version_text = "fake",
        .code_type = (const void *)(uintptr_t)g_fake.type,
    };
}

static uint64_t g_fake_deaths;

static void fake_dealloc(void *code)
{
    (void)code;
    g_fake_deaths++;
}

/* What the interpreter does when nothing refers to a code object any more. */
static inline void fake_kill(uint64_t code)
{
    uint64_t type = mt_py_load_u64(code, g_fake.o.object.type);
    uint64_t slot = mt_py_load_u64(type, g_fake.o.object.bytes_size + 32u);
    ((void (*)(void *))(uintptr_t)slot)((void *)(uintptr_t)code);
}

/* A new interpreter of this version with one thread state and no frames, enabled. */
static inline void fake_start(unsigned minor, bool free_threaded)
{
    uint32_t version_hex = 0x030000F0u | minor << 16;
    memset(&g_fake, 0, sizeof g_fake);
    bool found = mt_py_offsets_find(version_hex, free_threaded, NULL, &g_fake.o);
    assert(found);
    (void)found;
    g_fake.type = fake_alloc(FAKE_OBJECT_BYTES);
    put64(g_fake.type, g_fake.o.object.bytes_size + 32u, (uint64_t)(uintptr_t)fake_dealloc);
    g_fake.runtime = fake_alloc(8192);
    g_fake.tstate = fake_alloc(FAKE_OBJECT_BYTES);
    struct mt_python_info info = fake_info(version_hex, free_threaded);
    mt_pystack_enable(&info);
}

static inline void fake_set_innermost(uint64_t frame, uint64_t cframe)
{
    if (g_fake.o.tstate.has_cframe) {
        put64(g_fake.tstate, g_fake.o.tstate.frame, cframe);
        put64(cframe, g_fake.o.tstate.cframe_current, frame);
    } else {
        put64(g_fake.tstate, g_fake.o.tstate.frame, frame);
    }
}

/* Innermost frame and, 3.11 and 3.12, a cframe for it. */
static inline void enter(uint64_t frame)
{
    fake_set_innermost(frame, g_fake.o.tstate.has_cframe ? fake_alloc(32) : 0);
}

static inline uint64_t fake_bytes(const void *data, size_t bytes)
{
    uint64_t object = fake_alloc(g_fake.o.object.bytes_data + bytes + 1);
    put64(object, g_fake.o.object.bytes_size, bytes);
    memcpy((void *)(uintptr_t)(object + g_fake.o.object.bytes_data), data, bytes);
    return object;
}

/* A str of `count` characters of `width` bytes. ascii: the flag, which also moves the characters. */
static inline uint64_t fake_string(const void *characters, size_t count, unsigned width, bool ascii)
{
    unsigned data = ascii ? g_fake.o.object.unicode_ascii_data : g_fake.o.object.unicode_compact_data;
    uint64_t object = fake_alloc(data + (count + 1) * width);
    uint32_t state = width | 1u << 3 | (ascii ? 1u << 4 : 0u);
    put64(object, g_fake.o.object.unicode_length, count);
    put32(object, g_fake.o.object.unicode_state, state << g_fake.o.unicode_kind_shift | 1u /* interned */);
    memcpy((void *)(uintptr_t)(object + data), characters, count * width);
    return object;
}

static inline uint64_t fake_text(const char *text)
{
    return fake_string(text, strlen(text), 1, true);
}

static inline void fake_fill_code(uint64_t code, uint64_t filename, uint64_t name, uint64_t linetable,
                                  uint32_t first_line)
{
    put64(code, g_fake.o.object.type, g_fake.type);
    put64(code, g_fake.o.object.bytes_size, 20); /* Py_SIZE: code units, 3.12+ */
    put64(code, g_fake.o.code.filename, filename);
    put64(code, g_fake.o.code.name, name);
    put64(code, g_fake.o.code.linetable, linetable);
    put32(code, g_fake.o.code.first_line, first_line);
    if (g_fake.o.code.qualname != 0) {
        put64(code, g_fake.o.code.qualname, name);
    }
}

static inline uint64_t fake_code(const char *name, uint32_t first_line)
{
    uint64_t code = fake_alloc(FAKE_OBJECT_BYTES);
    uint64_t linetable = fake_bytes("\x80\x00\x80\x00\x80\x00\x80\x00", 8);
    fake_fill_code(code, fake_text("file.py"), fake_text(name), linetable, first_line);
    return code;
}

/* Value of frame.instr for byte offset lasti. */
static inline uint64_t fake_instr(uint64_t code, int64_t lasti)
{
    if (g_fake.o.family == MT_PY_FRAME_OBJECTS) {
        return (uint64_t)(lasti < 0 ? -1 : lasti / g_fake.o.lasti_scale);
    }
    return code + g_fake.o.code.bytecode + (uint64_t)lasti;
}

static inline void fake_set_lasti(uint64_t frame, uint64_t code, int64_t lasti)
{
    if (g_fake.o.family == MT_PY_FRAME_OBJECTS) {
        put32(frame, g_fake.o.frame.instr, (uint32_t)fake_instr(code, lasti));
    } else {
        put64(frame, g_fake.o.frame.instr, fake_instr(code, lasti));
    }
}

static inline void fake_fill_frame(uint64_t frame, uint64_t previous, uint64_t code, int64_t lasti)
{
    put64(frame, g_fake.o.frame.code, code);
    put64(frame, g_fake.o.frame.previous, previous);
    fake_set_lasti(frame, code, lasti);
    if (g_fake.o.frame.owner != 0) {
        put8(frame, g_fake.o.frame.owner, 0);
    }
}

static inline uint64_t fake_frame(uint64_t previous, uint64_t code, int64_t lasti)
{
    uint64_t frame = fake_alloc(128);
    fake_fill_frame(frame, previous, code, lasti);
    return frame;
}

/* The frame of a C evaluation loop, 3.12+. */
static inline uint64_t fake_shim(uint64_t previous)
{
    uint64_t shim = fake_alloc(128);
    put64(shim, g_fake.o.frame.previous, previous);
    put8(shim, g_fake.o.frame.owner, FAKE_SHIM_OWNER);
    return shim;
}

#endif
