/* trace_modules.c: the objects loaded in this process, described for a trace, so that native stacks can be resolved later and
 * elsewhere: path, load bias, build-id and segments, as dl_iterate_phdr tells them. Context: [tool], not in allocators. */
#include "base/objects.h"
#include "base/os.h"
#include "tracker/trace.h"

#include <elf.h>
#include <string.h>

enum { PATH_BYTES = 4096, RECORD_BYTES = 3 * PATH_BYTES, NOTE_ALIGN = 4 };

struct modules {
    mt_put_module *put;
    void *context;
    uint32_t count;
};

static size_t aligned(size_t bytes)
{
    return (bytes + NOTE_ALIGN - 1) & ~(size_t)(NOTE_ALIGN - 1);
}

/* The build-id note (NT_GNU_BUILD_ID of owner GNU) in a mapped PT_NOTE. */
static const uint8_t *build_id_in(const uint8_t *notes, size_t bytes, size_t *ret_bytes)
{
    size_t at = 0;
    while (at + sizeof(ElfW(Nhdr)) <= bytes) {
        ElfW(Nhdr) note;
        memcpy(&note, notes + at, sizeof note);
        size_t name = at + sizeof note;
        size_t data = name + aligned(note.n_namesz);
        if (note.n_descsz > bytes || data + note.n_descsz > bytes) {
            break;
        }
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof ELF_NOTE_GNU &&
            memcmp(notes + name, ELF_NOTE_GNU, sizeof ELF_NOTE_GNU) == 0) {
            *ret_bytes = note.n_descsz;
            return notes + data;
        }
        at = data + aligned(note.n_descsz);
    }
    return NULL;
}

static const uint8_t *build_id_of(const struct dl_phdr_info *info, size_t *ret_bytes)
{
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type == PT_NOTE) {
            const uint8_t *notes = (const uint8_t *)(uintptr_t)(info->dlpi_addr + segment->p_vaddr);
            const uint8_t *found = build_id_in(notes, segment->p_memsz, ret_bytes);
            if (found != NULL) {
                return found;
            }
        }
    }
    *ret_bytes = 0;
    return NULL;
}

static uint32_t count_segments(const struct dl_phdr_info *info)
{
    uint32_t count = 0;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        count += info->dlpi_phdr[i].p_type == PT_LOAD;
    }
    return count;
}

static void put_segments(struct mt_meta_builder *record, const struct dl_phdr_info *info)
{
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type == PT_LOAD) {
            const struct mt_record_segment put = { .vaddr = segment->p_vaddr,
                                                   .bytes = segment->p_memsz,
                                                   .file_offset = segment->p_offset,
                                                   .flags = segment->p_flags };
            mt_record_put_segment(record, &put);
        }
    }
}

static int put_module(struct dl_phdr_info *info, size_t bytes, void *context)
{
    struct modules *modules = context;
    uint8_t buffer[RECORD_BYTES];
    char path[PATH_BYTES];
    struct mt_meta_builder record;
    size_t id_bytes = 0;
    (void)bytes;
    const char *name = info->dlpi_name;
    size_t length = strlen(name);
    if (length == 0) {
        length = modules->count == 0 ? mt_os_readlink("/proc/self/exe", path, sizeof path) : 0;
        name = path;
    }
    const uint8_t *id = build_id_of(info, &id_bytes);
    mt_meta_begin(&record, buffer, sizeof buffer);
    const struct mt_record_module module = { .number = ++modules->count,
                                             .bias = info->dlpi_addr,
                                             .path = { name, length },
                                             .build_id = { id, id_bytes },
                                             .segments = count_segments(info) };
    mt_record_put_module(&record, &module);
    put_segments(&record, info);
    modules->put(modules->context, &record);
    return 0;
}

void mt_describe_modules(mt_put_module *put, void *context)
{
    struct modules modules = { .put = put, .context = context };
    (void)mt_objects_walk(put_module, &modules);
}
