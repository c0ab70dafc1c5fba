/* modules.h: which file is mapped where, as the unwinder and the trace need it.
 *
 * Decides: when a module (executable, shared object, vDSO) is noticed and when it is gone, and the epoch that separates
 * two modules that used the same addresses one after the other. Readers never lock: they read a sorted array that is
 * never changed while it is current (modules_map.h; arrays grow by doubling and are kept, records of modules that
 * went away are reused after a long quarantine, so memory is bounded).
 * A pc outside every known module is looked up with _dl_find_object (glibc >= 2.35, lock-free); where that is missing,
 * only mt_modules_refresh finds new modules. dl_iterate_phdr is only called from mt_modules_refresh.
 */
#ifndef MT_HEAP_MODULES_H
#define MT_HEAP_MODULES_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MT_MODULE_SEGMENTS_MAX = 8, MT_MODULE_PATH_MAX = 512, MT_BUILD_ID_MAX = 32 };

struct mt_module_segment {
    uint64_t vaddr; /* as linked; address in memory = vaddr + bias */
    uint64_t bytes;
    uint64_t offset;
    uint32_t flags; /* PF_R | PF_W | PF_X */
};

struct mt_module {
    uint32_t number; /* 1, 2 … in order of discovery; never reused */
    uint32_t segment_count;
    uint64_t bias;
    uint64_t low, high;      /* addresses covered by PT_LOAD segments, absolute */
    uint64_t eh_frame_hdr;   /* absolute address, 0 when it has none */
    uint64_t eh_frame_hdr_bytes;
    uint32_t path_bytes;
    uint32_t build_id_bytes;
    char path[MT_MODULE_PATH_MAX]; /* absolute; "[vdso]" for the vDSO */
    uint8_t build_id[MT_BUILD_ID_MAX];
    struct mt_module_segment segments[MT_MODULE_SEGMENTS_MAX];
};

/* Told of every change, under the module lock, so that the trace's metadata stream can carry it in order. */
struct mt_module_sink {
    void (*appeared)(const struct mt_module *module);
    void (*gone)(const struct mt_module *module);
};

/* Finds what is loaded now. Context: [agent], process start; not in a hook (takes the loader's lock). */
mt_status mt_modules_init(const struct mt_module_sink *sink) MT_CHECKED;
/* Compares with dl_iterate_phdr and reports the differences; bumps the epoch when something went away. Cheap (0.1 ms)
 * when nothing changed. Context: after dlopen/dlclose in their hooks, [agent]; never inside malloc. */
void mt_modules_refresh(void);
/* The module holding pc, or NULL. May discover one module (see above). Context: [hook], guard set. */
const struct mt_module *mt_modules_find(uint64_t pc);
/* Same, but only among modules already known; never discovers, never locks. */
const struct mt_module *mt_modules_peek(uint64_t pc);
/* Number of times a module went away; salts stack hashes so that reused addresses are new frames. */
uint32_t mt_modules_epoch(void);
/* Replays `appeared` for all present modules, for a new trace file. Context: [fork-child], [agent]. */
void mt_modules_replay(void);
void mt_modules_after_fork(void);

#endif
