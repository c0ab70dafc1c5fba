/* storm.c: preloaded; captures and describes the Python stack in every call of malloc, calloc, realloc.
 *
 * From the constructor (before Py_Initialize) to the last allocation of the process, with PYTHONMALLOC=malloc also
 * inside every allocation of objects. Each stack is captured with and without memo and compared. What went wrong is
 * counted and written to the file named by PYWALK_STORM when the process ends; a crash needs no report.
 */
#include "base/atomic.h"
#include "pystack/pystack.h"
#include "symbol/pyline.h"
#include "wire/format.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);

#define INITIAL_EXEC __attribute__((tls_model("initial-exec")))
static __thread struct mt_pystack t_memo INITIAL_EXEC, t_cold INITIAL_EXEC;
static __thread int t_inside INITIAL_EXEC;
static __thread unsigned t_turn INITIAL_EXEC;
static unsigned long g_walks, g_frames, g_none, g_bad, g_undescribed, g_different;
static int g_ready;

static void *lookup(const char *name)
{
    return dlsym(RTLD_DEFAULT, name);
}

__attribute__((constructor)) static void start(void)
{
    struct mt_python_info info;
    t_inside = 1;
    if (mt_pystack_detect(lookup, &info)) {
        mt_pystack_enable(&info);
        mt_store_release(&g_ready, 1);
    }
    t_inside = 0;
}

__attribute__((destructor)) static void report(void)
{
    const char *path = getenv("PYWALK_STORM");
    char text[300];
    t_inside = 1;
    int bytes = snprintf(text, sizeof text, "walks=%lu frames=%lu none=%lu bad=%lu undescribed=%lu different=%lu\n",
                         g_walks, g_frames, g_none, g_bad, g_undescribed, g_different);
    int fd = path != NULL ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (fd >= 0) {
        if (write(fd, text, (size_t)bytes) != bytes) {
            abort();
        }
        close(fd);
    }
}

static int is_different(void)
{
    mt_pystack_forget(&t_cold);
    mt_pystack_capture(&t_cold);
    int different = t_cold.count != t_memo.count;
    for (unsigned i = 0; !different && i < t_cold.count; i++) {
        different = memcmp(&t_cold.frames[i], &t_memo.frames[i], sizeof t_cold.frames[i]) != 0;
    }
    return different;
}

static int is_described(const struct mt_py_frame *frame)
{
    char names[1024];
    struct mt_code_description d;
    if (mt_pystack_fingerprint(frame->code) == 0 || !mt_pystack_describe(frame->code, names, sizeof names, &d)) {
        return 0;
    }
    int32_t lasti = mt_pystack_lasti(frame);
    uint32_t line = mt_pyline_lookup(d.linetable_kind, d.linetable, d.linetable_bytes, d.first_line, lasti);
    return d.name_bytes > 0 && d.filename_bytes > 0 && line >= 1;
}

static void *map_memory(void)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    return mmap(NULL, mt_pystack_memory_bytes(), PROT_READ | PROT_WRITE, flags, -1, 0);
}

static void walk_here(void)
{
    if (t_memo.frames == NULL) {
        mt_pystack_init(&t_memo, map_memory());
        mt_pystack_init(&t_cold, map_memory());
    }
    enum mt_pystack_result result = mt_pystack_capture(&t_memo);
    mt_fetch_add_relaxed(&g_walks, 1);
    mt_fetch_add_relaxed(&g_frames, t_memo.count);
    mt_fetch_add_relaxed(&g_none, result == MT_PYSTACK_NONE);
    mt_fetch_add_relaxed(&g_bad, result == MT_PYSTACK_BROKEN);
    if (t_turn++ % 8 == 0) {
        mt_fetch_add_relaxed(&g_different, (unsigned long)is_different());
    }
    for (unsigned i = t_memo.count, seen = 0; i-- > 0 && seen < 6; seen++) {
        mt_fetch_add_relaxed(&g_undescribed, (unsigned long)!is_described(&t_memo.frames[i]));
    }
}

static void on_allocation(void)
{
    if (mt_load_acquire(&g_ready) && !t_inside) {
        t_inside = 1;
        walk_here();
        t_inside = 0;
    }
}

void *malloc(size_t bytes)
{
    on_allocation();
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    on_allocation();
    return __libc_calloc(count, bytes);
}

void *realloc(void *block, size_t bytes)
{
    on_allocation();
    return __libc_realloc(block, bytes);
}
