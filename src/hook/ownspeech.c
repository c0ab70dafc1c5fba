/* ownspeech.c: see ownspeech.h. All messages have the word malloc in them: it is searched for by its last letter, six bytes at a
 * step where that letter is none of it. */
#include "hook/ownspeech.h"

#include <stdint.h>
#include <string.h>

enum { WORD_BYTES = 6, AROUND_BYTES = 16 };
#define SEARCH_MAX_BYTES ((uint64_t)16 << 20) /* an object; 0.2 ms a MiB */

static const char WORD[] = "malloc";

/* Before and behind the word: "<jemalloc>: ", "mimalloc: warning: ", "tcmalloc: large alloc" and Google's "tcmalloc: ". */
static const struct {
    const char *before, *behind;
} MESSAGES[] = { { "<je", ">: " }, { "mi", ": warning: " }, { "tc", ": large alloc" }, { "tc", ": allocation failed" } };

/* at: of the word, AROUND_BYTES away from either end. */
static bool is_message(const char *at)
{
    for (size_t i = 0; i < sizeof MESSAGES / sizeof MESSAGES[0]; i++) {
        size_t before = strlen(MESSAGES[i].before);
        size_t behind = strlen(MESSAGES[i].behind);
        if (memcmp(at - before, MESSAGES[i].before, before) == 0 &&
            memcmp(at + WORD_BYTES, MESSAGES[i].behind, behind) == 0) {
            return true;
        }
    }
    return false;
}

/* How far the word may be moved when its last letter stands before this one; 0: it may be here. */
static size_t step_after(unsigned char last)
{
    switch (last) {
    case 'c':
        return 0;
    case 'o':
        return 1;
    case 'l':
        return 2;
    case 'a':
        return 4;
    case 'm':
        return 5;
    default:
        return WORD_BYTES;
    }
}

static bool speaks(const char *data, size_t bytes)
{
    size_t at = AROUND_BYTES;
    while (at + WORD_BYTES + AROUND_BYTES <= bytes) {
        size_t step = step_after((unsigned char)data[at + WORD_BYTES - 1]);
        if (step == 0 && memcmp(data + at, WORD, WORD_BYTES) == 0 && is_message(data + at)) {
            return true;
        }
        at += step == 0 ? WORD_BYTES : step;
    }
    return false;
}

/* Looks through the segments with these permissions; ret_any: there was one. */
static bool search(const struct dl_phdr_info *info, ElfW(Word) permissions, bool *ret_any)
{
    uint64_t left = SEARCH_MAX_BYTES;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type != PT_LOAD || (header->p_flags & (PF_R | PF_W | PF_X)) != permissions) {
            continue;
        }
        uint64_t bytes = header->p_filesz < left ? header->p_filesz : left;
        *ret_any = true;
        left -= bytes;
        if (speaks((const char *)(info->dlpi_addr + header->p_vaddr), bytes)) {
            return true;
        }
    }
    return false;
}

/* Old linkers put constants and code into one segment. */
bool mt_own_speaks(const struct dl_phdr_info *info)
{
    bool any = false;
    return search(info, PF_R, &any) || (!any && search(info, PF_R | PF_X, &any));
}
