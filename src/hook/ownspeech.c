/* ownspeech.c: see ownspeech.h. All messages have a colon behind the word malloc, at most a letter away: the C library looks for
 * the colons, many bytes at a step. */
#include "hook/ownspeech.h"

#include "base/os.h"
#include "hook/symtab.h"

#include <stdint.h>
#include <string.h>

enum { WORD_BYTES = 6, AROUND_BYTES = 16, PIECE_BYTES = 32 * 1024, OVERLAP_BYTES = 2 * AROUND_BYTES + WORD_BYTES + 2 };
#define SEARCH_MAX_BYTES ((uint64_t)16 << 20) /* an object; the largest compilers have 15 MiB of constants */

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

static bool speaks(const char *data, size_t bytes)
{
    if (bytes < WORD_BYTES + 2 * AROUND_BYTES) {
        return false;
    }
    const char *first = data + AROUND_BYTES + WORD_BYTES; /* where a colon may stand */
    const char *end = data + bytes - AROUND_BYTES;
    for (const char *at = first; at < end && (at = memchr(at, ':', (size_t)(end - at))) != NULL; at++) {
        const char *word = at - WORD_BYTES - (at[-1] == '>');
        if (word >= first - WORD_BYTES && memcmp(word, WORD, WORD_BYTES) == 0 && is_message(word)) {
            return true;
        }
    }
    return false;
}

/* The same of a part of a file, piece by piece; what lies across two of them is in both. */
static bool file_speaks(int fd, uint64_t offset, uint64_t bytes)
{
    static char piece[PIECE_BYTES]; /* one walk of the loader's list at a time */
    while (bytes > OVERLAP_BYTES) {
        size_t now = bytes < sizeof piece ? bytes : sizeof piece;
        if (!mt_symtab_read(fd, offset, piece, now)) {
            return false;
        }
        if (speaks(piece, now)) {
            return true;
        }
        offset += now - OVERLAP_BYTES;
        bytes -= now - OVERLAP_BYTES;
    }
    return false;
}

/* Looks through the segments with these permissions, in the file or, without one (below 0), in memory; ret_any: there was one. */
static bool search(const struct dl_phdr_info *info, int fd, ElfW(Word) permissions, bool *ret_any)
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
        if (fd >= 0 ? file_speaks(fd, header->p_offset, bytes)
                    : speaks((const char *)(info->dlpi_addr + header->p_vaddr), bytes)) {
            return true;
        }
    }
    return false;
}

/* Old linkers put constants and code into one segment. */
bool mt_own_speaks(const struct dl_phdr_info *info, bool executable)
{
    bool any = false;
    int fd = -1;
    (void)mt_symtab_open(info, executable, &fd);
    bool found = search(info, fd, PF_R, &any) || (!any && search(info, fd, PF_R | PF_X, &any));
    if (fd >= 0) {
        mt_os_close(fd);
    }
    return found;
}
