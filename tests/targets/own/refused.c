/* refused.c: an allocator of its own whose entry cannot be patched: a loop is among its first instructions. */
#include "truth.h"

#include "own/bump.h"

void *mi_malloc(size_t size);
void mi_free(void *block);
__attribute__((used)) static void *take(size_t size)
{
    return bump(size);
}
__asm__(".text\n.balign 16\n.type mi_malloc, @function\nmi_malloc:\nmov %rdi, %rcx\njrcxz 1f\n1: jmp take\n"
        ".size mi_malloc, .-mi_malloc\n"
        ".balign 16\n.type mi_free, @function\nmi_free:\nxor %eax, %eax\nret\n.size mi_free, .-mi_free\n.balign 16\n");

CASE static void case_unseen(void)
{
    for (size_t i = 1; i <= 10; i++) {
        mi_free(truth_keep(mi_malloc(i)));
    }
}

int main(void)
{
    case_unseen();
    truth_print(1);
    return 0;
}
