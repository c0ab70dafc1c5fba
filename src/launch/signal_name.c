/* signal_name.c: see signal_name.h. */
#include "launch/signal_name.h"

#include "util/human.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>

static const struct {
    const char *name;
    int number;
} g_signals[] = {
    { "USR1", SIGUSR1 }, { "USR2", SIGUSR2 }, { "HUP", SIGHUP },   { "INT", SIGINT },   { "QUIT", SIGQUIT },
    { "TERM", SIGTERM }, { "ALRM", SIGALRM }, { "PROF", SIGPROF }, { "PWR", SIGPWR },   { "IO", SIGIO },
    { "URG", SIGURG },   { "XCPU", SIGXCPU }, { "WINCH", SIGWINCH }, { "VTALRM", SIGVTALRM },
};

static bool parse_real_time(const char *text, int *ret_number)
{
    static const char start[] = "RTMIN";
    uint64_t above = 0;
    if (strncmp(text, start, sizeof start - 1) != 0) {
        return false;
    }
    text += sizeof start - 1;
    bool good = *text == '\0' || (*text == '+' && mt_parse_count(text + 1, &above));
    *ret_number = SIGRTMIN + (int)(above < 64 ? above : 64);
    return good && *ret_number <= SIGRTMAX;
}

static bool is_known(int number)
{
    for (size_t i = 0; i < MT_COUNTOF(g_signals); i++) {
        if (g_signals[i].number == number) {
            return true;
        }
    }
    return number >= SIGRTMIN && number <= SIGRTMAX;
}

bool mt_signal_parse(const char *text, int *ret_number)
{
    uint64_t number;
    if (mt_parse_count(text, &number)) {
        *ret_number = (int)(number < 128 ? number : 0);
        return is_known(*ret_number);
    }
    text += strncmp(text, "SIG", 3) == 0 ? 3 : 0;
    for (size_t i = 0; i < MT_COUNTOF(g_signals); i++) {
        if (strcmp(text, g_signals[i].name) == 0) {
            *ret_number = g_signals[i].number;
            return true;
        }
    }
    return parse_real_time(text, ret_number);
}
