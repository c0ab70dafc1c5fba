/* patch.c: see patch.h. */
#include "hook/patch.h"

#include "base/objects.h"
#include "base/os.h"

#include <string.h>

enum {
    STEP_BYTES = 1 << 20, /* between places that are tried for our pages */
    STEPS = 512,
};
_Static_assert(MT_PATCH_MOVED_AT + MT_DETOUR_MOVED_MAX <= MT_PATCH_SLOT_BYTES, "a function's slot holds its instructions");

/* Below the object: above an executable is its break. */
uint8_t *mt_patch_map_near(const struct dl_phdr_info *info, size_t bytes)
{
    uint64_t low, high;
    void *base = NULL;
    mt_objects_extent(info, &low, &high);
    low &= ~(uint64_t)(mt_os_page_bytes() - 1);
    for (uint64_t step = 1; step <= STEPS && low > step * STEP_BYTES; step++) {
        if (mt_os_map_anonymous_at(low - step * STEP_BYTES, bytes, &base) == MT_OK) {
            return base;
        }
    }
    return NULL;
}

bool mt_patch_plan(uint64_t address, size_t bytes, uint8_t *slot, struct mt_patch *ret)
{
    struct mt_detour detour;
    const uint8_t *code = (const uint8_t *)(uintptr_t)address;
    uint64_t moved = (uint64_t)(uintptr_t)slot + MT_PATCH_MOVED_AT;
    if (!mt_detour_plan(code, address, bytes, moved, &detour) ||
        !mt_detour_jump(detour.place, (uint64_t)(uintptr_t)slot, ret->jump)) {
        return false;
    }
    ret->place = detour.place;
    memcpy(ret->before, (const void *)(uintptr_t)detour.place, sizeof ret->before);
    memcpy(slot + MT_PATCH_MOVED_AT, detour.moved, detour.moved_bytes);
    return true;
}

static bool write_code(int fd, uint64_t place, const uint8_t *bytes)
{
    return mt_os_write_at(fd, bytes, MT_DETOUR_JUMP_BYTES, place) == MT_OK;
}

bool mt_patch_write(const struct mt_patch *patches, size_t count)
{
    int fd = -1;
    if (mt_os_open("/proc/self/mem", MT_OPEN_READ_WRITE, &fd) != MT_OK) {
        return false;
    }
    size_t done = 0;
    while (done < count && write_code(fd, patches[done].place, patches[done].jump)) {
        done++;
    }
    bool all = done == count;
    while (!all && done > 0) {
        done--;
        (void)write_code(fd, patches[done].place, patches[done].before);
    }
    mt_os_close(fd);
    return all;
}
