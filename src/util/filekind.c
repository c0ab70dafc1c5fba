/* filekind.c: see filekind.h. Signatures are those of the formats' own documents; memray's is "memray", mostly in an LZ4
 * frame, whose first block begins with it as it is; heaptrack's raw text begins with "v VERSION FORMAT", massif's with
 * "desc:". */
#include "util/filekind.h"

#include "base/status.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIGNATURE(bytes, words) { bytes, sizeof bytes - 1, words }

static const struct {
    const char *bytes;
    size_t count;
    const char *words;
} g_signatures[] = {
    SIGNATURE("memray", "a memray capture, which memray's own commands read"),
    SIGNATURE("\x7f" "ELF", "a program or library (ELF); `memtap run` records one"),
    SIGNATURE("\x1f\x8b", "gzip data, such as pprof and heaptrack write"),
    SIGNATURE("\x28\xb5\x2f\xfd", "zstd data, such as heaptrack writes; a trace is packed by `memtap pack`, not whole"),
    SIGNATURE("\xfd" "7zXZ", "xz data"),
    SIGNATURE("\x04\x22\x4d\x18", "LZ4 data"),
    SIGNATURE("BZh", "bzip2 data"),
    SIGNATURE("PK\x03\x04", "a zip archive"),
    SIGNATURE("PERFILE2", "a recording of perf"),
    SIGNATURE("heap profile:", "a heap profile of gperftools"),
    SIGNATURE("heap_v2/", "a heap profile of jemalloc"),
    SIGNATURE("desc:", "a massif file, which ms_print reads"),
    SIGNATURE("v 1", "heaptrack's raw text"),
    SIGNATURE("SQLite format 3", "an SQLite database"),
    SIGNATURE("\x80\x02", "a Python pickle, such as tracemalloc's snapshots are"),
    SIGNATURE("\x80\x03", "a Python pickle, such as tracemalloc's snapshots are"),
    SIGNATURE("\x80\x04", "a Python pickle, such as tracemalloc's snapshots are"),
    SIGNATURE("\x80\x05", "a Python pickle, such as tracemalloc's snapshots are"),
    SIGNATURE("#!", "a script; `memtap run` records one"),
    SIGNATURE("<", "HTML or XML"),
    SIGNATURE("{", "JSON"),
    SIGNATURE("[", "JSON"),
};

static bool is_lz4_memray(const char *head, size_t bytes)
{
    static const char frame[] = "\x04\x22\x4d\x18";
    return bytes > 4 && memcmp(head, frame, 4) == 0 && memmem(head, bytes < 64 ? bytes : 64, "memray", 6) != NULL;
}

static bool is_text(const unsigned char *head, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        bool space = head[i] == '\n' || head[i] == '\r' || head[i] == '\t';
        if ((head[i] < 0x20 && !space) || head[i] == 0x7F) {
            return false;
        }
    }
    return true;
}

const char *mt_filekind_of(const void *head, size_t bytes)
{
    if (bytes == 0) {
        return "empty";
    }
    if (is_lz4_memray(head, bytes)) {
        return g_signatures[0].words;
    }
    for (size_t i = 0; i < MT_COUNTOF(g_signatures); i++) {
        if (bytes >= g_signatures[i].count && memcmp(head, g_signatures[i].bytes, g_signatures[i].count) == 0) {
            return g_signatures[i].words;
        }
    }
    return is_text(head, bytes) ? "text" : "";
}

const char *mt_filekind(const char *path)
{
    char head[256];
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    ssize_t got = fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode) ? pread(fd, head, sizeof head, 0) : -1;
    if (fd >= 0) {
        (void)close(fd);
    }
    return got >= 0 ? mt_filekind_of(head, (size_t)got) : "";
}
