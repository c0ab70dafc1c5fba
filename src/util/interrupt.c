/* interrupt.c: removal of temporary files on a deadly signal.
 *
 * The list is an array of fixed slots, each with a "used" word that the handler reads; a slot is filled before it is
 * marked used and unmarked before it is emptied, so a handler that runs in between sees a whole path or none.
 */
#include "util/interrupt.h"

#include "base/atomic.h"
#include "base/status.h"

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

enum { SLOTS = 8 };

struct slot {
    int used;
    char path[PATH_MAX];
};
static struct slot g_slots[SLOTS];

static const int g_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ };
static struct sigaction g_before[MT_COUNTOF(g_signals)];
static int g_installed;

static void remove_and_die(int number)
{
    for (size_t i = 0; i < SLOTS; i++) {
        if (mt_load_acquire(&g_slots[i].used) != 0) {
            (void)unlink(g_slots[i].path);
        }
    }
    (void)signal(number, SIG_DFL); /* the handler runs with the signal blocked: it is delivered on return */
    (void)raise(number);
}

void mt_interrupt_install(void)
{
    for (size_t i = 0; i < MT_COUNTOF(g_signals); i++) {
        struct sigaction action = { 0 };
        (void)sigemptyset(&action.sa_mask);
        bool error_instead = g_signals[i] == SIGPIPE || g_signals[i] == SIGXFSZ; /* EPIPE, EFBIG */
        action.sa_handler = error_instead ? SIG_IGN : remove_and_die;
        if (sigaction(g_signals[i], NULL, &g_before[i]) == 0 && g_before[i].sa_handler == SIG_IGN) {
            continue; /* nohup and background shells ask us to live on */
        }
        (void)sigaction(g_signals[i], &action, NULL);
    }
    g_installed = 1;
}

void mt_interrupt_restore(void)
{
    for (size_t i = 0; g_installed != 0 && i < MT_COUNTOF(g_signals); i++) {
        (void)sigaction(g_signals[i], &g_before[i], NULL);
    }
    g_installed = 0;
}

void mt_interrupt_remove_later(const char *path)
{
    size_t bytes = strlen(path) + 1;
    for (size_t i = 0; i < SLOTS && bytes <= PATH_MAX; i++) {
        if (g_slots[i].used == 0) {
            memcpy(g_slots[i].path, path, bytes);
            mt_store_release(&g_slots[i].used, 1);
            return;
        }
    }
}

void mt_interrupt_keep(const char *path)
{
    for (size_t i = 0; i < SLOTS; i++) {
        if (g_slots[i].used != 0 && strcmp(g_slots[i].path, path) == 0) {
            mt_store_release(&g_slots[i].used, 0);
        }
    }
}
