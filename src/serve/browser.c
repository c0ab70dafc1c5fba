/* browser.c: see browser.h. */
#include "serve/browser.h"

#include "util/say.h"

#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <unistd.h>

void mt_browser_open(const char *url)
{
    char command[] = "xdg-open", address[512];
    char *argv[] = { command, address, NULL };
    pid_t pid;
    strncpy(address, url, sizeof address - 1);
    address[sizeof address - 1] = '\0';
    (void)signal(SIGCHLD, SIG_IGN); /* nobody asks what became of it */
    if (posix_spawnp(&pid, command, NULL, NULL, argv, environ) != 0) {
        mt_say("memtap: there is no xdg-open here: open %s in a browser", url);
    }
}
