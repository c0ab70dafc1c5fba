/* typing.c: see typing.h. */
#include "util/typing.h"

#include "util/line.h"
#include "util/memory.h"
#include "util/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { REST_OF_KEY_MS = 50 }; /* a key that begins like a longer one is alone when nothing follows for so long */

static const int g_ending[] = { SIGTERM, SIGHUP, SIGQUIT };
static struct termios g_before;
static struct sigaction g_actions_before[MT_COUNTOF(g_ending)], g_resize_before;
static volatile sig_atomic_t g_taken;
static char g_typed[256];
static size_t g_typed_bytes;

static void give_back(void)
{
    if (g_taken != 0) {
        g_taken = 0;
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &g_before);
    }
}

static void on_ending(int number)
{
    give_back();
    for (size_t i = 0; i < MT_COUNTOF(g_ending); i++) {
        if (g_ending[i] == number) {
            (void)sigaction(number, &g_actions_before[i], NULL);
        }
    }
    (void)raise(number); /* delivered when this returns */
}

static void on_resize(int number)
{
    (void)number; /* it has ended a read */
}

bool mt_typing_begin(void)
{
    struct sigaction ending = { .sa_handler = on_ending }, resize = { .sa_handler = on_resize };
    struct termios raw;
    if (tcgetattr(STDIN_FILENO, &g_before) != 0) {
        return false;
    }
    for (size_t i = 0; i < MT_COUNTOF(g_ending); i++) {
        if (sigaction(g_ending[i], NULL, &g_actions_before[i]) == 0 && g_actions_before[i].sa_handler != SIG_IGN) { /* nohup asks us to live on */
            (void)sigaction(g_ending[i], &ending, NULL);
        }
    }
    (void)sigaction(SIGWINCH, &resize, &g_resize_before);
    raw = g_before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG | IEXTEN);
    raw.c_iflag &= ~(tcflag_t)(IXON | ICRNL);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    g_taken = 1;
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    return true;
}

void mt_typing_end(void)
{
    if (g_taken != 0) {
        give_back();
        for (size_t i = 0; i < MT_COUNTOF(g_ending); i++) {
            (void)sigaction(g_ending[i], &g_actions_before[i], NULL);
        }
        (void)sigaction(SIGWINCH, &g_resize_before, NULL);
    }
}

static void stop(void)
{
    mt_typing_end();
    (void)raise(SIGTSTP); /* and, later, goes on */
    (void)mt_typing_begin();
}

static bool is_typed(int timeout_ms)
{
    struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
    return poll(&input, 1, timeout_ms) > 0;
}

bool mt_typing_more(void)
{
    return g_typed_bytes > 0 || is_typed(0);
}

/* The key at the beginning of what was typed. False: it is not whole. */
static bool take_key(bool alone, int *ret)
{
    const char *at = g_typed;
    bool whole = mt_key_parse(&at, g_typed + g_typed_bytes, ret);
    if (whole && *ret == MT_KEY_ESCAPE && g_typed_bytes == 1 && !alone) {
        return false;
    }
    if (!whole && (alone || g_typed_bytes == sizeof g_typed) && g_typed_bytes > 0) {
        *ret = MT_KEY_ESCAPE;
        at = g_typed + g_typed_bytes;
        whole = true;
    }
    if (whole) {
        g_typed_bytes -= (size_t)(at - g_typed);
        memmove(g_typed, at, g_typed_bytes);
    }
    return whole;
}

int mt_typing_key(void)
{
    int key;
    for (bool alone = false; !take_key(alone, &key);) {
        if (g_typed_bytes > 0 && !is_typed(REST_OF_KEY_MS)) {
            alone = true;
            continue;
        }
        ssize_t got = read(STDIN_FILENO, g_typed + g_typed_bytes, sizeof g_typed - g_typed_bytes);
        if (got <= 0) {
            return got < 0 && errno == EINTR ? MT_KEY_RESIZED : MT_KEY_CLOSED;
        }
        g_typed_bytes += (size_t)got;
    }
    if (key == MT_KEY_CTRL('z')) {
        stop();
        return MT_KEY_RESIZED;
    }
    return key;
}
