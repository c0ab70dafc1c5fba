/* top.c: `memtap top`: options, and the loop of looks, frames and keys. */
#include "base/os.h"
#include "cli/command.h"
#include "cli/top_session.h"
#include "top/data.h"
#include "top/frame.h"
#include "util/grid.h"
#include "util/human.h"
#include "util/memory.h"
#include "util/out.h"
#include "util/say.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct values {
    const char *output;
    uint64_t interval_ns;
    uint64_t batch;
    uint64_t rows;
    uint64_t max_stop_ns, timeout_ns; /* 0: the default */
    int format;
    bool once, json, native, by_thread;
};
#define FIELD(name) offsetof(struct values, name)

static const char *const formats[] = { "table", "json", NULL };

static const struct mt_option options[] = {
    { "interval", 'i', MT_OPTION_DURATION, FIELD(interval_ns), NULL, NULL, 0, "T", "time between two looks, at least 100ms; default 1s" },
    { "once", 0, MT_OPTION_FLAG, FIELD(once), NULL, NULL, 0, NULL, "one look as text, and end; what is done where output is no terminal" },
    { "batch", 'b', MT_OPTION_COUNT, FIELD(batch), NULL, NULL, 0, "N", "N looks as text, one below the other; 0: until the recording ends" },
    { "format", 'f', MT_OPTION_CHOICE, FIELD(format), formats, NULL, 0, "FORMAT", "table (default) or json: an object a look, each on its line" },
    { "json", 0, MT_OPTION_FLAG, FIELD(json), NULL, NULL, 0, NULL, "the same as -f json" },
    { "rows", 'n', MT_OPTION_COUNT, FIELD(rows), NULL, NULL, 0, "N", "lines of the program to show as text or JSON; default 20, 0 all" },
    { "threads", 0, MT_OPTION_FLAG, FIELD(by_thread), NULL, NULL, 0, NULL, "begin with a row a thread (key t)" },
    { "native", 0, MT_OPTION_FLAG, FIELD(native), NULL, NULL, 0, NULL, "begin with native frames in Python stacks (key n)" },
    { "output", 'o', MT_OPTION_TEXT, FIELD(output), NULL, NULL, 0, "FILE",
      "trace to write where PID has to be attached to; default memtap-NAME.PID.mtap in the current folder" },
    { "max-stop", 0, MT_OPTION_DURATION, FIELD(max_stop_ns), NULL, NULL, 0, "T", "of attach: no thread is stopped for longer; default 20ms" },
    { "timeout", 0, MT_OPTION_DURATION, FIELD(timeout_ns), NULL, NULL, 0, "T", "of attach: of all tries together; default 5s" },
    { 0 },
};
static const struct mt_option *const tables[] = { options, NULL };
static const char *const one_of[] = { "once", "batch", NULL };

static const struct mt_command_doc doc = {
    .name = "top",
    .summary = "watch which lines hold the memory, live",
    .synopsis = "memtap top [OPTIONS] PID\n"
                "memtap top [OPTIONS] FILE",
    .description =
        "Shows a process while it runs: its heap, how fast that grows and when it meets the limit of its control group, and a line for each "
        "line of the program that holds memory. PID is a process that is recorded (memtap run, attach, memprof); one that is not is "
        "attached to, with samples, and detached at the end; as text or JSON the first look then waits up to 5 s for something to show, and no trace is left unless -o was given. FILE is a trace that grows. Several viewers may watch one process: they "
        "read its trace, and it does not know of them. Of a run of several processes one is watched; give the PID of another for that.\n"
        "\n"
        "A look costs what is new since the one before. One that takes long makes the next come later, so that watching takes at most 2 % "
        "of a processor.\n"
        "\n"
        "alive is what a line holds now, in so many blocks, the oldest of that age. since mark is how it changed since top began or m was "
        "pressed; rate is its growth over the last 10 s that were watched, in the first look over the whole recording. other, in the second "
        "line, is anonymous memory that is resident and neither recorded heap nor memtap's: free blocks and rounding of the allocator, stacks, "
        "static data, and all that was allocated before the recording began.",
    .notes = "Keys: ↑ ↓ (or k j), PgUp, PgDn, Home, End move; ↵ shows the stack of the row; m sets the mark; s sorts by the next column; t shows "
             "threads, n native frames; / finds; p (or space) pauses; w writes what is shown, with every row, to a file in the current folder; q quits; ^Z stops. Imports stand last.\n"
             "\n"
             "-f json has pid, trace, program, mode, rate_bytes, recording, recorded_s, own_cpu_share, own_bytes, dropped_events, threads, "
             "rss_bytes, anonymous_bytes, limit_bytes, limit_in_s, heap_bytes, heap_count, peak_bytes, growth_bytes_per_s, "
             "allocated_bytes_per_s, freed_bytes_per_s, marked_s, and sites[] with function, file, line, by, import, bytes, count, "
             "since_mark_bytes, rate_bytes_per_s, age_s; null is not known; estimates have NAME_ci95 beside them.",
    .exit_codes = "0  done\n"
                  "1  the trace cannot be read\n"
                  "2  wrong usage\n"
                  "3  no such process, or it may not or cannot be joined; the message says what to do\n"
                  "4  no thread could be borrowed in time; nothing has changed in the process",
    .examples = "memtap top 1234\n"
                "memtap top --once app.mtap\n"
                "memtap top -f json --batch 10 1234 | jq .heap_bytes",
    .tables = tables,
    .one_of = one_of,
};

static const uint64_t INTERVAL_LEAST_NS = 100000000;
static const uint64_t PAUSE_MOST_NS = 10000000000;
static const uint64_t FIRST_WAIT_NS = 5000000000;
enum { DUTY = 50, ROWS = 20, BUSY_TRIES = 1200 }; /* a look may take a fiftieth of the time */

struct top {
    const struct values *values;
    struct mt_top_session session;
    struct mt_top_ui ui;
    uint64_t looks, look_at_ns; /* so far, and when the next one is due */
};

static uint64_t own_cpu_ns(void)
{
    struct timespec time = { 0 };
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* And when the next one is due. What the first costs, reading all so far and opening binaries, comes once. */
static mt_status look(struct top *t, struct mt_error *err)
{
    uint64_t begun = mt_os_monotonic_ns(), cpu = own_cpu_ns();
    mt_status status = mt_top_session_look(&t->session, &t->ui, err);
    uint64_t pause = t->looks++ > 0 ? (own_cpu_ns() - cpu) * DUTY : 0;
    pause = pause < PAUSE_MOST_NS ? pause : PAUSE_MOST_NS;
    t->look_at_ns = begun + (pause > t->values->interval_ns ? pause : t->values->interval_ns);
    return status;
}

/* ---- as text ------------------------------------------------------------------------------------------------------ */

/* As lines of text. */
static void put_frame(const struct top *t, const struct mt_top_space *space, struct mt_out *out)
{
    struct mt_screen screen = { 0 };
    mt_top_frame(&t->session.look, &t->ui, space, &screen);
    for (size_t i = 0; i < screen.count; i++) {
        mt_out_print(out, "%s\n", screen.lines[i].text);
    }
    mt_screen_clear(&screen);
}

static mt_status write_look(struct top *t, bool first, struct mt_error *err)
{
    struct mt_out *out;
    mt_status status = mt_out_open(NULL, &out, err);
    if (status != MT_OK) {
        return status;
    }
    if (t->values->format == 1) {
        mt_top_write_json(&t->session.look, &t->ui, (size_t)t->values->rows, out);
        return mt_out_commit(out, err);
    }
    const struct mt_top_space space = { .columns = mt_terminal_columns(out), .limit = (size_t)t->values->rows };
    mt_out_string(out, first ? "" : "\n");
    put_frame(t, &space, out);
    return mt_out_commit(out, err);
}

/* Waits for the next look; false: a signal ends the program. */
static bool wait_for_look(const struct top *t)
{
    uint64_t now;
    while ((now = mt_os_monotonic_ns()) < t->look_at_ns) {
        if (mt_terminal_wait(t->look_at_ns - now) == MT_KEY_CLOSED) {
            return false;
        }
    }
    return true;
}

/* A trace that is being packed, as it is once, has to be waited for. */
static mt_status look_patiently(struct top *t, struct mt_error *err)
{
    mt_status status = look(t, err);
    for (unsigned tries = 0; status == MT_E_BUSY && tries < BUSY_TRIES; tries++) {
        if (mt_terminal_wait(INTERVAL_LEAST_NS) == MT_KEY_CLOSED) {
            break;
        }
        *err = (struct mt_error){ 0 };
        status = look(t, err);
    }
    return status;
}

/* A recording that has just begun has nothing to show: waits until it has, for a while. */
static mt_status look_at_something(struct top *t, struct mt_error *err)
{
    mt_status status = look_patiently(t, err); /* which waits until there is a trace: the time is counted from then on */
    uint64_t until_ns = mt_os_monotonic_ns() + FIRST_WAIT_NS;
    while (status == MT_OK && t->session.look.site_count == 0 && t->session.look.recording && mt_os_monotonic_ns() < until_ns &&
           mt_terminal_wait(INTERVAL_LEAST_NS) != MT_KEY_CLOSED) {
        status = look_patiently(t, err);
    }
    if (status == MT_OK) {
        mt_say("memtap: process %d was not recorded; its recording began %s ago, and what it held before is not known", (int)t->session.pid,
               mt_human_duration((uint64_t)(t->session.look.watched_s * 1e9)).text);
    }
    return status;
}

static mt_status run_batch(struct top *t, struct mt_error *err)
{
    mt_status status = MT_OK;
    uint64_t looks = t->values->batch, done = 0;
    bool goes_on = true;
    while (status == MT_OK && goes_on) {
        status = done == 0 && t->session.attached ? look_at_something(t, err) : look_patiently(t, err);
        status = status == MT_OK ? write_look(t, done == 0, err) : status;
        done++;
        goes_on = status == MT_OK && (looks == 0 || done < looks) && t->session.look.recording && wait_for_look(t);
    }
    return status;
}

/* ---- on a terminal ---------------------------------------------------------------------------------------------------- */

static struct mt_top_space space_now(void)
{
    struct mt_top_space space = { 0 };
    mt_terminal_size(&space.columns, &space.rows);
    return space;
}

static void show(struct top *t)
{
    struct mt_screen screen = { 0 };
    struct mt_top_space space = space_now();
    size_t count;
    mt_strlist_clear(&t->ui.stack);
    size_t *order = mt_top_order(&t->session.look, &t->ui, &count);
    if (t->ui.expanded && count > 0) {
        size_t at = mt_top_cursor(&t->session.look, &t->ui, order, count);
        mt_top_watch_stack(t->session.watch, &t->ui, &t->session.look.sites[order[at]], &t->ui.stack);
    }
    free(order);
    t->ui.message = t->session.message;
    mt_top_frame(&t->session.look, &t->ui, &space, &screen);
    mt_terminal_show(&screen);
    mt_screen_clear(&screen);
}

/* What cannot be read now may be read later: a trace that is being packed. */
static void look_and_show(struct top *t)
{
    struct mt_error err = { 0 };
    if (look(t, &err) != MT_OK) {
        free(t->session.message);
        t->session.message = mt_strdup(mt_error_text(&err));
    }
    show(t);
}

/* "memtap-top-1234.txt", or the next number that is free. malloc'ed. */
static char *free_name(uint64_t pid)
{
    char *name = mt_format("memtap-top-%llu.txt", (unsigned long long)pid);
    for (unsigned n = 2; access(name, F_OK) == 0; n++) {
        free(name);
        name = mt_format("memtap-top-%llu.%u.txt", (unsigned long long)pid, n);
    }
    return name;
}

/* What is shown, with every row and nothing cut. */
static void write_shown(struct top *t)
{
    const struct mt_top_space whole = { 0 };
    struct mt_error err = { 0 };
    struct mt_out *out;
    char *name = free_name(t->session.look.pid);
    mt_status status = mt_out_open(name, &out, &err);
    if (status == MT_OK) {
        t->ui.message = NULL; /* which is of the screen */
        put_frame(t, &whole, out);
        status = mt_out_commit(out, &err);
    }
    free(t->session.message);
    t->session.message = status == MT_OK ? mt_format("what is shown was written to %s", name) : mt_strdup(mt_error_text(&err));
    free(name);
    show(t);
}

static bool obey(struct top *t, int key)
{
    struct mt_top_space space = space_now();
    switch (mt_top_key(&t->ui, &t->session.look, key, mt_top_page(&t->session.look, &t->ui, &space))) {
    case MT_TOP_QUIT:
        return false;
    case MT_TOP_MARK:
        mt_top_watch_mark(t->session.watch, &t->ui);
        look_and_show(t);
        return true;
    case MT_TOP_READ:
        look_and_show(t);
        return true;
    case MT_TOP_WRITE:
        write_shown(t);
        return true;
    case MT_TOP_SHOW:
        show(t);
        return true;
    case MT_TOP_NOTHING:
    default:
        return true;
    }
}

static mt_status run_screen(struct top *t, struct mt_error *err)
{
    static const uint64_t FOR_EVER_NS = 3600000000000;
    mt_status status = look(t, err);
    status = status == MT_OK ? mt_terminal_open(err) : status;
    if (status != MT_OK) {
        return status;
    }
    show(t);
    for (bool goes_on = true; goes_on;) {
        uint64_t now = mt_os_monotonic_ns();
        if (!t->ui.paused && now >= t->look_at_ns) {
            look_and_show(t);
            now = mt_os_monotonic_ns();
        }
        uint64_t wait = t->ui.paused ? FOR_EVER_NS : t->look_at_ns > now ? t->look_at_ns - now : 0;
        goes_on = obey(t, mt_terminal_wait(wait));
    }
    return MT_OK;
}

/* ---- the command -------------------------------------------------------------------------------------------------------- */

/* Signals wait from before attach on, so that what is attached is detached whenever they come. */
static int run(struct top *t, const char *operand, bool screen)
{
    struct mt_error err = { 0 };
    int code;
    mt_terminal_open_none();
    if (mt_top_session_open(&t->session, operand, &code, &err) != MT_OK) {
        mt_terminal_close();
        mt_top_session_close(&t->session);
        return mt_command_fail(&doc, code, &err);
    }
    mt_status status = MT_OK;
    if (mt_terminal_wait(0) != MT_KEY_CLOSED) { /* nobody has ended it meanwhile */
        status = screen ? run_screen(t, &err) : run_batch(t, &err);
    }
    mt_terminal_close();
    mt_top_session_close(&t->session);
    mt_top_ui_fini(&t->ui);
    if (status != MT_OK) {
        return mt_command_fail(&doc, MT_EXIT_FAILED, &err);
    }
    int signal_number = mt_terminal_signal();
    if (signal_number != 0 && signal_number != SIGINT) {
        (void)signal(signal_number, SIG_DFL);
        (void)raise(signal_number);
    }
    return MT_EXIT_OK;
}

static int top_main(int argc, char **argv)
{
    struct values values = { .interval_ns = 1000000000, .batch = UINT64_MAX, .rows = ROWS };
    struct mt_operands operands;
    struct mt_error err = { 0 };
    int code;
    if (!mt_command_options(&doc, argc, argv, &values, &operands, &code)) {
        return code;
    }
    if (operands.count != 1) {
        (void)mt_error_set(&err, MT_E_INVAL, "give one PID, or one FILE that is being recorded");
        return mt_command_fail(&doc, MT_EXIT_USAGE, &err);
    }
    if (values.interval_ns < INTERVAL_LEAST_NS) {
        (void)mt_error_set(&err, MT_E_INVAL, "--interval: at least 100ms");
        return mt_command_fail(&doc, MT_EXIT_USAGE, &err);
    }
    values.format = values.json ? 1 : values.format;
    bool screen = !values.once && values.batch == UINT64_MAX && values.format == 0 && mt_terminal_is_here();
    values.batch = values.once || values.batch == UINT64_MAX ? 1 : values.batch;
    struct top top = { .values = &values, .session = { .how = MT_JOIN_DEFAULTS } };
    top.session.how.output = values.output;
    top.session.keeps_nothing = !screen && values.output == NULL;
    top.session.how.max_stop_ns = values.max_stop_ns > 0 ? values.max_stop_ns : top.session.how.max_stop_ns;
    top.session.how.timeout_ns = values.timeout_ns > 0 ? values.timeout_ns : top.session.how.timeout_ns;
    top.ui.by_thread = values.by_thread;
    top.ui.native = values.native;
    return run(&top, operands.items[0], screen);
}

const struct mt_command mt_command_top = { &doc, top_main };
