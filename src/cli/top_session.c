/* top_session.c: see top_session.h. */
#include "cli/top_session.h"

#include "attach/recorded.h"
#include "export/report.h"
#include "launch/runfiles.h"
#include "util/exitcode.h"
#include "util/human.h"
#include "util/memory.h"
#include "util/process.h"
#include "util/say.h"
#include "util/text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUSY_TRIES_MAX = 3 }; /* each stops threads for a moment, and takes its time */

static mt_status attach(struct mt_top_session *s, int *ret_code, struct mt_error *err)
{
    static struct mt_config config;
    struct mt_injected done;
    mt_status status = mt_join_begin(&s->how, s->pid, &config, &done, ret_code, err);
    if (status != MT_OK) {
        return status;
    }
    if (done.code != MEMTAP_AGENT_OK && done.code != MEMTAP_AGENT_RECORDING) {
        *ret_code = MT_EXIT_FAILED;
        return mt_error_set(err, MT_E_UNSUPPORTED, "process %d is not recorded: %s", (int)s->pid, mt_join_failure(done.code));
    }
    s->attached = done.code == MEMTAP_AGENT_OK;
    s->path = mt_strdup(s->attached ? config.output : done.state.path);
    if (s->attached) {
        mt_strlist_add(&s->made, s->path);
    }
    return MT_OK;
}

/* The trace of the process as it is now. */
static mt_status find(struct mt_top_session *s, bool may_attach, int *ret_code, struct mt_error *err)
{
    struct mt_error unreadable = { 0 };
    s->image = mt_process_image(s->pid);
    mt_status status = mt_recorded_trace(s->pid, &s->path, &unreadable);
    if (status == MT_OK) {
        s->attached = false;
        return status;
    }
    return may_attach ? attach(s, ret_code, err) : status;
}

mt_status mt_top_session_open(struct mt_top_session *s, const char *operand, int *ret_code, struct mt_error *err)
{
    uint64_t pid;
    mt_status status = MT_OK;
    bool number = mt_parse_count(operand, &pid) && pid > 0 && pid <= INT32_MAX && access(operand, F_OK) != 0;
    if (number) {
        s->pid = (pid_t)pid;
        s->started = mt_process_started(s->pid);
        status = find(s, true, ret_code, err);
    } else {
        s->path = mt_strdup(operand);
    }
    if (status == MT_OK) {
        s->watch = mt_top_watch_new(s->path);
    }
    return status;
}

static void say_of(struct mt_top_session *s, char *take_message)
{
    free(s->message);
    s->message = take_message;
}

/* The trace of a process that is attached to again: "x.2.mtap" behind "x.mtap". malloc'ed; NULL: nobody asked for a name. */
static char *next_output(const struct mt_top_session *s)
{
    static const char suffix[] = ".mtap";
    const char *output = s->how.output;
    size_t length = output != NULL ? strlen(output) : 0, tail = sizeof suffix - 1;
    size_t stem = length > tail && strcmp(output + length - tail, suffix) == 0 ? length - tail : length;
    char *name = NULL;
    for (unsigned n = 2; output != NULL && (name == NULL || access(name, F_OK) == 0); n++) {
        free(name);
        name = mt_format("%.*s.%u%s", (int)stem, output, n, suffix);
    }
    return name;
}

/* After exec the old trace does not grow any more. A program that has just begun has no trace or cannot be joined yet: the
 * next looks try again. */
static void follow_exec(struct mt_top_session *s)
{
    char *before = s->path, *output = next_output(s);
    const char *asked = s->how.output;
    struct mt_error err = { 0 };
    bool attached = s->attached;
    uint64_t image = s->image;
    int code;
    s->path = NULL;
    s->how.output = output;
    mt_status status = find(s, attached, &code, &err);
    s->how.output = asked;
    free(output);
    if (status != MT_OK) {
        s->path = before;
        s->attached = attached;
        s->busy_tries += status == MT_E_BUSY;
        s->image = s->busy_tries < BUSY_TRIES_MAX ? image : s->image;
        say_of(s, mt_format("the process executed another program, which is not recorded%s%s", err.text[0] != '\0' ? ": " : "", err.text));
        return;
    }
    s->busy_tries = 0;
    free(before);
    mt_top_watch_free(s->watch);
    s->watch = mt_top_watch_new(s->path);
    say_of(s, mt_format("the process executed another program: this is its trace from then on"));
}

/* False: it has ended; another process may have its number by now. */
static bool is_same(const struct mt_top_session *s)
{
    return mt_process_started(s->pid) == s->started;
}

/* Whether exec has been, or a recording ended and another one was begun. */
static bool is_another(const struct mt_top_session *s)
{
    uint64_t image = s->pid != 0 && is_same(s) ? mt_process_image(s->pid) : 0;
    return image != 0 && (image != s->image || (s->has_look && !s->look.recording));
}

mt_status mt_top_session_look(struct mt_top_session *s, const struct mt_top_ui *ui, struct mt_error *err)
{
    struct mt_top_look look;
    if (is_another(s)) {
        follow_exec(s);
    }
    mt_status status = mt_top_watch_look(s->watch, ui, &look, err);
    if (status == MT_OK) {
        mt_top_look_fini(&s->look);
        s->look = look;
        s->has_look = true;
    } else if (status == MT_E_NOENT && s->has_look) { /* the run has ended and put it into its one file */
        s->look.recording = s->look.process.alive = false;
        status = MT_OK;
    }
    return status;
}

/* Of a process that a child of the watched one is recorded into, nothing is removed. True: nothing is left. */
static bool remove_made(const struct mt_top_session *s)
{
    bool all = s->keeps_nothing;
    for (size_t i = 0; i < s->made.count; i++) {
        bool live = mt_runfiles_have_live(s->made.items[i]);
        if (s->keeps_nothing && !live) {
            mt_runfiles_remove(s->made.items[i]);
        }
        all = all && !live;
    }
    return all;
}

static void say_detached(const struct mt_top_session *s, bool ended)
{
    const char *how = ended ? "has ended" : "is not recorded any more";
    if (remove_made(s)) {
        mt_say("memtap: process %d %s; what was recorded is removed (-o FILE keeps it)", (int)s->pid, how);
        return;
    }
    struct mt_out *names = mt_out_open_memory();
    for (size_t i = 0; i < s->made.count; i++) {
        mt_out_byte(names, ' ');
        mt_report_put_argument(names, mt_text_base_name(s->made.items[i]));
    }
    mt_say("memtap: process %d %s; `memtap leaks%s` reads what was", (int)s->pid, how, mt_out_text(names, NULL));
    mt_out_discard(names);
}

static void detach(struct mt_top_session *s)
{
    struct mt_injected done;
    struct mt_error err = { 0 };
    int code;
    mt_status status = is_same(s) ? mt_join_end(&s->how, s->pid, &done, &code, &err) : MT_E_NOENT;
    if (status == MT_OK || status == MT_E_NOENT) {
        say_detached(s, status == MT_E_NOENT);
    } else {
        mt_say("memtap: the recording of process %d goes on: %s; `memtap detach %d` ends it", (int)s->pid, mt_error_text(&err), (int)s->pid);
    }
}

void mt_top_session_close(struct mt_top_session *s)
{
    if (s->attached) {
        detach(s);
    }
    mt_top_look_fini(&s->look);
    mt_top_watch_free(s->watch);
    mt_strlist_clear(&s->made);
    free(s->message);
    free(s->path);
}
