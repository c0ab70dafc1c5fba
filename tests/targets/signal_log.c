/* signal_log.c: prints a line for every signal it gets, taken synchronously: number, si_code, queued value. Ends on SIGTERM.
 * With a number it first sends that signal to its own process group; with `own-group` it first makes itself another one.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    sigset_t all;
    siginfo_t info = { 0 };
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    bool leaves = argc > 1 && strcmp(argv[1], "own-group") == 0;
    if (leaves && setpgid(0, 0) != 0) {
        return 1;
    }
    printf("ready\n");
    fflush(stdout);
    if (argc > 1 && !leaves && kill(0, atoi(argv[1])) != 0) {
        return 1;
    }
    while (info.si_signo != SIGTERM) {
        if (sigwaitinfo(&all, &info) > 0) {
            printf("%d %d %d\n", info.si_signo, info.si_code, info.si_code == SI_QUEUE ? info.si_value.sival_int : 0);
            fflush(stdout);
        }
    }
    return 0;
}
