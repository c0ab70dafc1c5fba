/* prefixed.c: a program with allocators inside it, under the names that jemalloc, mimalloc, tcmalloc and rpmalloc have in
 * programs, and functions whose first instructions are hard to move. libc's malloc is beside them, and counts as ever.
 * Arguments: plugins to be loaded while another thread runs, and the case that allocates in each (plugin.c, plugin_early.c).
 */
#include "truth.h"

#include "own/bump.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

#define ENTRY __attribute__((noinline, noclone, used))

ENTRY void *_rjem_malloc(size_t size) { return bump(size); }
ENTRY void *_rjem_mallocx(size_t size, int flags) { return bump_aligned(size, (size_t)1 << (flags & 63)); }
ENTRY void *_rjem_rallocx(void *old, size_t size, int flags) { (void)flags; return bump_moved(old, size); }
ENTRY void _rjem_sdallocx(void *block, size_t size, int flags) { (void)size; (void)flags; bump_free(block); }
ENTRY void *mi_malloc_aligned(size_t size, size_t alignment) { return bump_aligned(size, alignment); }
ENTRY void *mi_calloc(size_t count, size_t size) { return bump(count * size); }
ENTRY void *mi_heap_malloc(void *heap, size_t size) { (void)heap; return bump(size); }
ENTRY void *mi_realloc_aligned(void *old, size_t size, size_t alignment) { (void)alignment; return bump_moved(old, size); }
ENTRY void mi_free(void *block) { bump_free(block); }
ENTRY int tc_posix_memalign(void **ret, size_t alignment, size_t size)
{
    *ret = bump_aligned(size, alignment);
    return *ret != NULL ? 0 : ENOMEM;
}
ENTRY void *rpmalloc(size_t size) { return malloc(size); } /* calls another: counted once */
ENTRY void rpfree(void *block) { free(block); }
ENTRY void tc_free(void *block) { __asm__ volatile("" : : "r"(block)); } /* a lone ret, and padding */

/* lea relative to itself; changes nothing but rax, and its callers may count on that. */
void *mi_zalloc_small(size_t size);
static char g_block[64];
__asm__(".text\n.balign 16\n.type mi_zalloc_small, @function\nmi_zalloc_small:\nlea g_block(%rip), %rax\nret\n"
        ".size mi_zalloc_small, .-mi_zalloc_small\n.balign 16\n");

CASE static void case_jemalloc(void)
{
    for (size_t i = 1; i <= 100; i++) {
        void *block = TRUTH_ALLOC(_rjem_malloc(i), i);
        _rjem_sdallocx(block, i, 0);
        TRUTH_FREED(i);
        block = TRUTH_ALLOC(_rjem_mallocx(i * 8, 6), i * 8);
        block = TRUTH_ALLOC(_rjem_rallocx(block, i * 9, 0), i * 9);
        TRUTH_FREED(i * 8);
    }
}

CASE static void case_mimalloc(void)
{
    for (size_t i = 1; i <= 100; i++) {
        void *block = TRUTH_ALLOC(mi_malloc_aligned(i * 3, 64), i * 3);
        block = TRUTH_ALLOC(mi_realloc_aligned(block, i * 7, 64), i * 7);
        TRUTH_FREED(i * 3);
        mi_free(block);
        TRUTH_FREED(i * 7);
        truth_keep(TRUTH_ALLOC(mi_calloc(3, i), 3 * i));
        truth_keep(TRUTH_ALLOC(mi_heap_malloc(NULL, i), i));
    }
}

CASE static void case_others(void)
{
    void *block = NULL;
    if (tc_posix_memalign(&block, 256, 1000) != 0) {
        abort();
    }
    truth_keep(TRUTH_ALLOC(block, 1000));
    tc_free(TRUTH_ALLOC(rpmalloc(70), 70));
    TRUTH_FREED(70);
    rpfree(TRUTH_ALLOC(rpmalloc(80), 80));
    TRUTH_FREED(80);
    truth_keep(TRUTH_ALLOC(malloc(90), 90));
}

/* All registers a call may change hold what they held, but for rax. */
CASE static void case_registers(void)
{
    uint64_t differences = 0;
    __asm__ volatile("mov $48, %%edi; mov $0x1234, %%esi; mov $0x2345, %%edx; mov $0x3456, %%ecx\n"
                     "mov $0x4567, %%r8d; mov $0x5678, %%r9d; mov $0x6789, %%r10d; mov $0x789a, %%r11d\n"
                     "movq %%r8, %%xmm0; movq %%r9, %%xmm7; movq %%r10, %%xmm15\n"
                     "sub $128, %%rsp\n"
                     "call mi_zalloc_small\n"
                     "add $128, %%rsp\n"
                     "xor $48, %%rdi; xor $0x1234, %%rsi; xor $0x2345, %%rdx; xor $0x3456, %%rcx\n"
                     "or %%rdi, %%rsi; or %%rdx, %%rcx; or %%rcx, %%rsi\n"
                     "movq %%xmm0, %%rax; xor %%r8, %%rax; or %%rax, %%rsi\n"
                     "movq %%xmm7, %%rax; xor %%r9, %%rax; or %%rax, %%rsi\n"
                     "movq %%xmm15, %%rax; xor %%r10, %%rax; or %%rax, %%rsi\n"
                     "xor $0x4567, %%r8; xor $0x5678, %%r9; xor $0x6789, %%r10; xor $0x789a, %%r11\n"
                     "or %%r8, %%r9; or %%r10, %%r11; or %%r11, %%r9; or %%r9, %%rsi\n"
                     : "=&S"(differences)
                     :
                     : "rax", "rdi", "rdx", "rcx", "r8", "r9", "r10", "r11", "xmm0", "xmm7", "xmm15", "memory", "cc");
    truth_keep(TRUTH_ALLOC(g_block, 48));
    if (differences != 0) {
        abort();
    }
}

static pthread_mutex_t g_go = PTHREAD_MUTEX_INITIALIZER;

static void *wait_for_go(void *nothing)
{
    pthread_mutex_lock(&g_go);
    pthread_mutex_unlock(&g_go);
    return nothing;
}

static void load_plugin(const char *path, const char *function)
{
    pthread_t other;
    pthread_mutex_lock(&g_go);
    pthread_create(&other, NULL, wait_for_go, NULL);
    void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    uint64_t (*work)(void) = (uint64_t(*)(void))dlsym(plugin, "plugin_work");
    uint64_t bytes = work();
    struct truth *row = truth_row(function);
    row->allocations = 10;
    row->bytes = bytes;
    pthread_mutex_unlock(&g_go);
    pthread_join(other, NULL);
}

int main(int argc, char **argv)
{
    case_jemalloc();
    case_mimalloc();
    case_others();
    case_registers();
    for (int i = 1; i + 1 < argc; i += 2) {
        load_plugin(argv[i], argv[i + 1]);
    }
    truth_print(1);
    return 0;
}
