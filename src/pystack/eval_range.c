/* eval_range.c: the end of the evaluation function, for the interpreters (<= 3.10) whose Python frames are matched 1:1
 * with the C frames of that function.
 *
 * Decides: the end is the start of the next function in the binary search table of .eh_frame_hdr (Linux Standard Base
 * 5.0, "The .eh_frame_hdr section"). Every C function of the interpreter has an entry there, so what lies between is
 * padding, in which no return address can be. Rejected: symbol sizes (.dynsym of a stripped interpreter has them, but
 * its hash tables must be walked for them) and decoding the FDE itself (needs the CIE for the pointer encoding, same
 * answer). The compiler may have moved unlikely blocks of the function elsewhere (_PyEval_EvalFrameDefault.cold);
 * return addresses there are outside of the range, and the tool finds them by symbol.
 * Context: [agent]; dl_iterate_phdr takes the loader's lock.
 */
#include "pystack/eval_range.h"

#include "base/objects.h"
#include "base/status.h"

#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { ENCODING_UDATA4 = 0x03, ENCODING_DATAREL_SDATA4 = 0x3B, HEADER_BYTES = 12 };

struct table_entry {
    int32_t start, fde; /* both relative to the start of .eh_frame_hdr */
};

struct query {
    uint64_t address;
    uint64_t end;
};

static uint64_t search_table(const uint8_t *header, uint64_t address, uint64_t text_end)
{
    uint32_t count;
    memcpy(&count, header + 8, sizeof count);
    const uint8_t *table = header + HEADER_BYTES;
    int64_t wanted = (int64_t)(address - (uint64_t)(uintptr_t)header);
    uint32_t low = 0, high = count;
    while (low < high) { /* first entry behind the address */
        uint32_t middle = low + (high - low) / 2;
        struct table_entry entry;
        memcpy(&entry, table + (size_t)middle * sizeof entry, sizeof entry);
        if (entry.start <= wanted) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == count) {
        return text_end;
    }
    struct table_entry next;
    memcpy(&next, table + (size_t)low * sizeof next, sizeof next);
    return (uint64_t)(uintptr_t)header + (uint64_t)(int64_t)next.start;
}

static bool has_search_table(const uint8_t *header)
{
    return header[0] == 1 && header[2] == ENCODING_UDATA4 && header[3] == ENCODING_DATAREL_SDATA4;
}

static int visit_object(struct dl_phdr_info *object, size_t bytes, void *context)
{
    (void)bytes;
    struct query *query = context;
    const uint8_t *header = NULL;
    uint64_t text_end = 0;
    for (unsigned i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        uint64_t start = object->dlpi_addr + segment->p_vaddr;
        if (segment->p_type == PT_LOAD && query->address - start < segment->p_memsz) {
            text_end = start + segment->p_memsz;
        }
        if (segment->p_type == PT_GNU_EH_FRAME) {
            header = (const uint8_t *)(uintptr_t)start;
        }
    }
    if (text_end == 0) {
        return 0;
    }
    if (header != NULL && has_search_table(header)) {
        query->end = search_table(header, query->address, text_end);
    }
    return 1;
}

uint64_t mt_py_function_end(uint64_t address)
{
    struct query query = { .address = address, .end = 0 };
    (void)mt_objects_walk(visit_object, &query);
    return query.end;
}
