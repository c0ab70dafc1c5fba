/* signals.c: handlers that allocate, on the thread's own stack and on an alternate one.
 *
 * Signals are raised where the thread is not inside the allocator, so this is legal with any malloc; what is tested is the
 * stack across a signal frame, and the second stack. Nested: a handler raises another signal.
 */
#include "truth.h"

#include <signal.h>

CASE static void case_on_stack(int signal)
{
    (void)signal;
    TRUTH_ALLOC(malloc(811), 811);
}

CASE static void case_on_alternate(int signal)
{
    (void)signal;
    free(TRUTH_ALLOC(malloc(822), 822));
    TRUTH_FREED(822);
    TRUTH_ALLOC(malloc(823), 823);
}

CASE static void case_nested(int signal)
{
    (void)signal;
    TRUTH_ALLOC(malloc(833), 833);
    raise(SIGUSR2); /* to the alternate stack */
    TRUTH_ALLOC(malloc(834), 834);
}

static void handle(int signal, void (*handler)(int), int flags)
{
    struct sigaction action = { .sa_handler = handler, .sa_flags = flags };
    if (sigaction(signal, &action, NULL) != 0) {
        abort();
    }
}

CASE static void case_raise(int signal)
{
    TRUTH_ALLOC(malloc(844), 844);
    raise(signal);
}

int main(void)
{
    static char alternate[64 * 1024];
    stack_t stack = { .ss_sp = alternate, .ss_size = sizeof alternate };
    if (sigaltstack(&stack, NULL) != 0) {
        abort();
    }
    handle(SIGUSR1, case_on_stack, 0);
    handle(SIGUSR2, case_on_alternate, SA_ONSTACK);
    handle(SIGALRM, case_nested, 0);
    for (int i = 0; i < 3; i++) {
        case_raise(SIGUSR1);
        case_raise(SIGUSR2);
        case_raise(SIGALRM);
    }
    truth_print(1);
    return 0;
}
