/* rights.c: processes that have given up rights before they allocate for the first time.
 *
 * Usage: rights worker nobody|root     a child becomes nobody, or changes its root to an empty folder, then works
 *        rights behind PROGRAM…        becomes nobody and then PROGRAM, as setpriv, gosu and `sudo -u` do
 *        rights work                   works
 * The truth is that of the work. Exit status 77: not permitted here.
 */
#include "truth.h"

#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { BLOCKS = 1000, NOBODY = 65534, NOT_PERMITTED = 77 };

CASE static void case_work(void)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        TRUTH_ALLOC(malloc(1000 + i), 1000 + i);
    }
    truth_print(1);
}

static void become_nobody(void)
{
    if (setgroups(0, NULL) != 0 || setgid(NOBODY) != 0 || setuid(NOBODY) != 0) {
        _exit(NOT_PERMITTED);
    }
}

static void change_root(const char *folder)
{
    if (chroot(folder) != 0 || chdir("/") != 0) {
        _exit(NOT_PERMITTED);
    }
}

static int worker(const char *how)
{
    int status = 0;
    char folder[] = "/tmp/memtap-root-XXXXXX";
    if (mkdtemp(folder) == NULL) {
        return NOT_PERMITTED;
    }
    if (fork() == 0) {
        if (strcmp(how, "nobody") == 0) {
            become_nobody();
        } else {
            change_root(folder);
        }
        case_work();
        exit(0);
    }
    wait(&status);
    rmdir(folder);
    return WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "worker") == 0) {
        return worker(argv[2]);
    }
    if (argc >= 3 && strcmp(argv[1], "behind") == 0) {
        become_nobody();
        execvp(argv[2], argv + 2);
        return NOT_PERMITTED;
    }
    case_work();
    return 0;
}
