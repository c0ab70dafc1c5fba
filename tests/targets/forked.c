/* forked.c: a parent holds BYTES, touched; each of CHILDREN fork children has its pages too, and 4 MiB of its own. All live
 * together, and nobody ends before all have been. Usage: forked BYTES CHILDREN */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OWN_BYTES = 4 << 20 };

static void *volatile g_kept;

static void hold(size_t bytes)
{
    g_kept = malloc(bytes);
    memset(g_kept, 1, bytes);
}

int main(int argc, char **argv)
{
    int ready[2], go[2];
    char byte;
    int children = argc == 3 ? atoi(argv[2]) : 0;
    hold(argc == 3 ? strtoull(argv[1], NULL, 10) : 0);
    if (pipe(ready) != 0 || pipe(go) != 0) {
        return 2;
    }
    for (int i = 0; i < children; i++) {
        if (fork() == 0) {
            close(go[1]);
            hold(OWN_BYTES);
            (void)!write(ready[1], "", 1);
            (void)!read(go[0], &byte, 1); /* until the parent closes it */
            exit(0);
        }
    }
    for (int i = 0; i < children; i++) {
        (void)!read(ready[0], &byte, 1);
    }
    close(go[1]);
    while (wait(NULL) > 0) {
    }
    return 0;
}
