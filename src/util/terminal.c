/* terminal.c: see terminal.h. */
#include "util/terminal.h"

#include "util/memory.h"
#include "util/out.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static const char ENTER[] = "\x1b[?1049h\x1b[?25l\x1b[2J";
static const char LEAVE[] = "\x1b[0m\x1b[?25h\x1b[?1049l";
/* A key that begins like a longer one is alone when nothing follows for so long. */
static const uint64_t REST_OF_KEY_NS = 50000000;

static const int g_ending[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
static const int g_waking[] = { SIGWINCH, SIGTSTP, SIGCONT };
static const int g_faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };

static struct termios g_before;      /* how it was */
static volatile sig_atomic_t g_taken; /* it is not as it was */
static volatile sig_atomic_t g_ended_by, g_resized, g_stopped, g_continued;
static sigset_t g_outside; /* signals that were blocked before it was taken */
static bool g_exit_noted, g_open, g_has_terminal;
static char g_typed[64]; /* bytes not yet made keys of */
static size_t g_typed_bytes;

/* ---- screens ---------------------------------------------------------------------------------------------------- */

void mt_screen_take(struct mt_screen *screen, enum mt_style style, char *take_text)
{
    screen->lines = mt_alloc_grow(screen->lines, &screen->capacity, screen->count + 1, sizeof *screen->lines);
    screen->lines[screen->count++] = (struct mt_screen_line){ take_text, style };
}

void mt_screen_clear(struct mt_screen *screen)
{
    for (size_t i = 0; i < screen->count; i++) {
        free(screen->lines[i].text);
    }
    free(screen->lines);
    *screen = (struct mt_screen){ 0 };
}

/* ---- taking and giving back -------------------------------------------------------------------------------------- */

static void write_all(const char *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t wrote = write(STDOUT_FILENO, data, bytes);
        if (wrote < 0 && errno != EINTR) {
            return;
        }
        data += wrote > 0 ? wrote : 0;
        bytes -= wrote > 0 ? (size_t)wrote : 0;
    }
}

/* Also from a signal handler. */
static void give_back(void)
{
    if (g_taken != 0) {
        g_taken = 0;
        write_all(LEAVE, sizeof LEAVE - 1);
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &g_before); /* not TCSADRAIN: nobody may be reading what was written */
    }
}

static void take(void)
{
    struct termios raw = g_before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_iflag &= ~(tcflag_t)(IXON | ICRNL);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    g_taken = 1;
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    write_all(ENTER, sizeof ENTER - 1);
}

static void on_ending(int number)
{
    g_ended_by = number;
}

static void on_waking(int number)
{
    g_resized = 1;
    g_stopped = number == SIGTSTP ? 1 : g_stopped;
    g_continued = number == SIGCONT ? 1 : g_continued;
}

static void on_fault(int number)
{
    give_back();
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static void handle(int number, void (*handler)(int))
{
    struct sigaction action = { .sa_handler = handler };
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(number, &action, NULL);
}

static bool is_ignored(int number)
{
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static void handle_signals(sigset_t *ret_waited)
{
    (void)sigemptyset(ret_waited);
    for (size_t i = 0; i < MT_COUNTOF(g_ending); i++) {
        if (g_ending[i] != SIGHUP || !is_ignored(SIGHUP)) { /* nohup asks us to live on */
            handle(g_ending[i], on_ending);
        }
        (void)sigaddset(ret_waited, g_ending[i]);
    }
    for (size_t i = 0; i < MT_COUNTOF(g_waking); i++) {
        handle(g_waking[i], on_waking);
        (void)sigaddset(ret_waited, g_waking[i]);
    }
    for (size_t i = 0; i < MT_COUNTOF(g_faults); i++) {
        handle(g_faults[i], on_fault);
    }
}

bool mt_terminal_is_here(void)
{
    return isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;
}

static void take_signals(void)
{
    sigset_t waited;
    if (g_open) {
        return;
    }
    g_ended_by = g_resized = g_stopped = g_continued = 0;
    handle_signals(&waited);
    (void)sigprocmask(SIG_BLOCK, &waited, &g_outside);
    g_open = true;
}

void mt_terminal_open_none(void)
{
    take_signals();
    g_has_terminal = false;
}

mt_status mt_terminal_open(struct mt_error *err)
{
    if (!mt_terminal_is_here() || tcgetattr(STDIN_FILENO, &g_before) != 0) {
        return mt_error_set(err, MT_E_UNSUPPORTED, "standard input and output are no terminal");
    }
    take_signals();
    g_has_terminal = true;
    if (!g_exit_noted) {
        g_exit_noted = atexit(give_back) == 0;
    }
    take();
    return MT_OK;
}

void mt_terminal_close(void)
{
    give_back();
    if (g_open) { /* what came meanwhile is handled, and asks for nothing any more */
        (void)sigprocmask(SIG_SETMASK, &g_outside, NULL);
        g_open = false;
    }
}

int mt_terminal_signal(void)
{
    return g_ended_by;
}

/* ^Z: the terminal is the shell's until we go on. */
static void stop(void)
{
    sigset_t one, before;
    g_stopped = 0;
    give_back();
    (void)signal(SIGTSTP, SIG_DFL);
    (void)raise(SIGTSTP);
    (void)sigemptyset(&one);
    (void)sigaddset(&one, SIGTSTP);
    (void)sigprocmask(SIG_UNBLOCK, &one, &before); /* here it stops, and goes on */
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    handle(SIGTSTP, on_waking);
    if (g_has_terminal) {
        take();
    }
}

/* ---- showing ---------------------------------------------------------------------------------------------------- */

void mt_terminal_size(size_t *ret_columns, size_t *ret_rows)
{
    struct winsize size = { 0 };
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
    *ret_columns = known && size.ws_col > 0 ? size.ws_col : 80;
    *ret_rows = known && size.ws_row > 0 ? size.ws_row : 24;
}

static void put_line(struct mt_out *out, const struct mt_screen_line *line)
{
    static const char *const styles[] = { [MT_STYLE_PLAIN] = "", [MT_STYLE_BOLD] = "\x1b[1m", [MT_STYLE_DIM] = "\x1b[2m",
                                          [MT_STYLE_REVERSE] = "\x1b[7m" };
    mt_out_print(out, "%s%s%s\x1b[K", styles[line->style], line->text, line->style != MT_STYLE_PLAIN ? "\x1b[0m" : "");
}

void mt_terminal_show(const struct mt_screen *screen)
{
    size_t columns, rows, bytes;
    struct mt_out *out = mt_out_open_memory();
    mt_terminal_size(&columns, &rows);
    size_t shown = screen->count < rows ? screen->count : rows;
    mt_out_string(out, "\x1b[H");
    for (size_t i = 0; i < shown; i++) {
        mt_out_string(out, i > 0 ? "\r\n" : "");
        put_line(out, &screen->lines[i]);
    }
    mt_out_string(out, "\x1b[J");
    const char *text = mt_out_text(out, &bytes);
    write_all(text, bytes);
    mt_out_discard(out);
}

/* ---- keys ------------------------------------------------------------------------------------------------------- */

/* Bytes from the terminal, if there are any within the time; false: it is gone. Signals are taken meanwhile. */
static bool read_typed(uint64_t timeout_ns)
{
    struct pollfd terminal = { .fd = STDIN_FILENO, .events = POLLIN };
    struct timespec timeout = { .tv_sec = (time_t)(timeout_ns / 1000000000), .tv_nsec = (long)(timeout_ns % 1000000000) };
    if (ppoll(&terminal, g_has_terminal ? 1 : 0, &timeout, &g_outside) <= 0) {
        return true;
    }
    ssize_t bytes = read(STDIN_FILENO, g_typed + g_typed_bytes, sizeof g_typed - g_typed_bytes);
    g_typed_bytes += bytes > 0 ? (size_t)bytes : 0;
    return bytes > 0 || (bytes < 0 && (errno == EINTR || errno == EAGAIN));
}

/* The first key of what was typed. alone: nothing follows. */
static bool take_key(bool alone, int *ret)
{
    const char *at = g_typed, *end = g_typed + g_typed_bytes;
    bool whole = mt_key_parse(&at, end, ret);
    if (!whole && alone && g_typed_bytes > 0) {
        *ret = (unsigned char)*at++;
        whole = true;
    }
    if (whole) {
        g_typed_bytes = (size_t)(end - at);
        memmove(g_typed, at, g_typed_bytes);
    }
    return whole;
}

/* A lone ESC is a key, too. */
static bool next_key(uint64_t timeout_ns, int *ret)
{
    bool here = g_typed_bytes > 0 || read_typed(timeout_ns);
    if (g_typed_bytes == 1 && g_typed[0] == MT_KEY_ESCAPE) {
        here = read_typed(REST_OF_KEY_NS);
    }
    if (g_typed_bytes > 0 && !take_key(false, ret)) {
        here = read_typed(REST_OF_KEY_NS);
        (void)take_key(true, ret);
    }
    return here;
}

int mt_terminal_wait(uint64_t timeout_ns)
{
    int key = MT_KEY_NONE;
    bool here = next_key(timeout_ns, &key);
    if (g_stopped != 0) {
        stop();
    }
    if (g_ended_by != 0 || !here) {
        return MT_KEY_CLOSED;
    }
    if (key == MT_KEY_NONE && g_resized != 0) {
        g_resized = 0;
        if (g_continued != 0) { /* whoever stopped us may have used the terminal */
            g_continued = 0;
            if (g_has_terminal) {
                take();
            }
        }
        return MT_KEY_RESIZED;
    }
    return key;
}
