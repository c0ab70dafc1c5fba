/* entered.c: an allocation whose caller has not called it: the return address is the first byte of case_entered, as that of
 * a signal's trampoline and of a context's first function is. What lies before that byte belongs to nobody.
 *
 * Usage: entered
 */
#include "truth.h"

CASE void case_below(void)
{
    TRUTH_ALLOC(malloc(4321), 4321);
}

/* Goes into case_below with case_entered as the place to return to; that leaves for the caller of enter. */
void enter(void);
__asm__(".pushsection .text.case_entered, \"ax\", @progbits\n"
        ".skip 64, 0x90\n"
        ".globl case_entered\n"
        ".type case_entered, @function\n"
        "case_entered:\n"
        "    add $8, %rsp\n"
        "    ret\n"
        ".size case_entered, . - case_entered\n"
        ".globl enter\n"
        ".type enter, @function\n"
        "enter:\n"
        "    sub $8, %rsp\n"
        "    lea case_entered(%rip), %rax\n"
        "    push %rax\n"
        "    jmp case_below\n"
        ".size enter, . - enter\n"
        ".popsection\n");

int main(void)
{
    enter();
    truth_print(STDOUT_FILENO);
    return 0;
}
