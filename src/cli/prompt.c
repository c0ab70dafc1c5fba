/* prompt.c: see prompt.h. */
#include "cli/prompt.h"

#include "cli/answer.h"
#include "cli/history.h"
#include "cli/prompt_words.h"
#include "util/exitcode.h"
#include "util/memory.h"
#include "util/say.h"
#include "util/terminal.h"
#include "util/text.h"
#include "util/typing.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char first_prompt[] = "memtap> ", next_prompt[] = "   ...> ";
enum { PROMPT_COLUMNS = sizeof first_prompt - 1 };

struct prompt {
    struct mt_query_session *session;
    enum mt_format format;
    bool plain; /* the terminal cannot move its cursor: lines come whole */
    struct mt_history history;
    struct mt_strlist words; /* for completion; empty until it is asked for */
    struct mt_line line;
    char *unfinished; /* the line that was being typed when one looks at older ones; malloc'ed */
    size_t place;     /* in the history; its end: the line itself */
    char *statement;  /* lines before this one, malloc'ed; NULL: none */
};

/* ---- one line ----------------------------------------------------------------------------------------------------- */

static const char *prompt_text(const struct prompt *p)
{
    return p->statement != NULL ? next_prompt : first_prompt;
}

static void show_line(const struct prompt *p)
{
    size_t columns, rows, from, to;
    mt_terminal_size(&columns, &rows);
    mt_line_window(&p->line, columns > PROMPT_COLUMNS + 1 ? columns - PROMPT_COLUMNS : 1, &from, &to);
    char *left = mt_line_shown(&p->line, from, p->line.at), *right = mt_line_shown(&p->line, p->line.at, to);
    (void)printf("\r%s%s%s\x1b[K\r%s%s", prompt_text(p), left, right, prompt_text(p), left);
    (void)fflush(stdout);
    free(left);
    free(right);
}

/* To an older line (-1) or a newer one (1). */
static void look_back(struct prompt *p, int by)
{
    size_t count = p->history.lines.count;
    if ((by < 0 && p->place == 0) || (by > 0 && p->place >= count)) {
        return;
    }
    if (p->place == count) {
        free(p->unfinished);
        p->unfinished = mt_strdup(mt_line_text(&p->line));
    }
    p->place = by < 0 ? p->place - 1 : p->place + 1;
    mt_line_set(&p->line, p->place == count ? p->unfinished : p->history.lines.items[p->place]);
}

static void list_choices(const struct mt_strlist *choices)
{
    size_t columns, rows, used = 0;
    mt_terminal_size(&columns, &rows);
    (void)printf("\n");
    for (size_t i = 0; i < choices->count; i++) {
        size_t width = strlen(choices->items[i]) + 2;
        if (used > 0 && used + width > columns) {
            (void)printf("\n");
            used = 0;
        }
        (void)printf("%s  ", choices->items[i]);
        used += width;
    }
    (void)printf("\n");
}

static void complete(struct prompt *p)
{
    struct mt_strlist choices = { 0 };
    if (mt_typing_more()) { /* pasted */
        mt_line_insert(&p->line, " ", 1);
        return;
    }
    if (p->words.count == 0) {
        mt_prompt_words_read(p->session->sql, &p->words);
    }
    mt_prompt_words_complete(&p->words, &p->line, &choices);
    if (choices.count > 0) {
        list_choices(&choices);
    }
    mt_strlist_clear(&choices);
}

enum typed { TYPED_LINE, TYPED_NOTHING, TYPED_END };

/* False: the line is over. */
static bool take_key(struct prompt *p, int key, enum typed *ret)
{
    switch (key) {
    case MT_KEY_ENTER:
        *ret = TYPED_LINE;
        return false;
    case MT_KEY_CTRL('c'):
        *ret = TYPED_NOTHING;
        return false;
    case MT_KEY_CLOSED:
        *ret = TYPED_END;
        return false;
    case MT_KEY_CTRL('p'):
    case MT_KEY_UP:
        look_back(p, -1);
        return true;
    case MT_KEY_CTRL('n'):
    case MT_KEY_DOWN:
        look_back(p, 1);
        return true;
    case MT_KEY_TAB:
        complete(p);
        return true;
    default:
        *ret = TYPED_END;
        if (key == MT_KEY_CTRL('d') && p->line.bytes == 0) {
            return false;
        }
        (void)mt_line_key(&p->line, key);
        return true;
    }
}

static enum typed type_line(struct prompt *p)
{
    enum typed typed = TYPED_END;
    mt_line_set(&p->line, "");
    p->place = p->history.lines.count;
    if (!mt_typing_begin()) {
        return TYPED_END;
    }
    do {
        if (!mt_typing_more()) {
            show_line(p);
        }
    } while (take_key(p, mt_typing_key(), &typed));
    p->line.at = p->line.bytes;
    show_line(p);
    mt_typing_end();
    (void)printf(typed == TYPED_NOTHING ? "^C\n" : "\n");
    (void)fflush(stdout);
    return typed;
}

static enum typed read_line(struct prompt *p)
{
    char *text = NULL;
    size_t room = 0;
    (void)printf("%s", prompt_text(p));
    (void)fflush(stdout);
    ssize_t bytes = getline(&text, &room, stdin);
    if (bytes > 0) {
        text[bytes - 1] = text[bytes - 1] == '\n' ? '\0' : text[bytes - 1];
        mt_line_set(&p->line, text);
    }
    free(text);
    return bytes > 0 ? TYPED_LINE : TYPED_END;
}

/* ---- a statement -------------------------------------------------------------------------------------------------- */

static struct mt_sql *g_running;

static void on_interrupt(int number)
{
    (void)number;
    mt_sql_interrupt(g_running);
}

static mt_status write_answer(const struct prompt *p, const char *text, struct mt_error *err)
{
    struct mt_sql_rows *rows;
    struct mt_out *out;
    mt_status status = mt_sql_ask(p->session->sql, text, &rows, err);
    if (status != MT_OK) {
        return status;
    }
    status = mt_out_open(NULL, &out, err);
    if (status == MT_OK) {
        status = mt_answer_write(out, rows, p->format, err);
        if (status == MT_OK) {
            status = mt_out_commit(out, err);
        } else {
            mt_out_discard(out);
        }
    }
    mt_sql_rows_free(rows);
    return status;
}

/* False: the target cannot be read any more. */
static bool answer(struct prompt *p, const char *text)
{
    struct sigaction interrupt = { .sa_handler = on_interrupt }, before;
    struct mt_error err = { 0 };
    if (mt_query_session_refresh(p->session, &err) != MT_OK) {
        mt_say("memtap query: %s", mt_error_text(&err));
        return false;
    }
    g_running = p->session->sql;
    (void)sigaction(SIGINT, &interrupt, &before);
    mt_status status = write_answer(p, text, &err);
    (void)sigaction(SIGINT, &before, NULL);
    if (status != MT_OK) {
        mt_say("memtap query: %s", mt_error_text(&err));
    }
    mt_query_session_say(p->session);
    return true;
}

static const char help_text[] =
    "A query ends with ; and may have several lines. Tables and columns: .tables, DESCRIBE memory.sites;\n"
    "Tab completes, up and down are the lines typed before, Ctrl-C ends the query or the line, Ctrl-D or .quit the prompt.\n"
    "  SELECT * FROM leaks LIMIT 10;\n"
    "  SELECT function, file, line, peak_bytes FROM memory.sites ORDER BY peak_bytes DESC LIMIT 10;\n";

/* A line that begins with a dot, or one of the words that people end prompts with. */
static bool obey(struct prompt *p, const char *line, bool *ret_goes_on)
{
    char word[16];
    size_t begin = strspn(line, " \t"), bytes = strcspn(line + begin, " \t;");
    (void)snprintf(word, sizeof word, "%.*s", (int)(bytes < sizeof word ? bytes : sizeof word - 1), line + begin);
    if (strcmp(word, ".quit") == 0 || strcmp(word, ".exit") == 0 || strcmp(word, ".q") == 0 || strcmp(word, "quit") == 0 || strcmp(word, "exit") == 0) {
        *ret_goes_on = false;
    } else if (strcmp(word, ".help") == 0 || strcmp(word, "help") == 0) {
        (void)printf("%s", help_text);
    } else if (strcmp(word, ".tables") == 0) {
        *ret_goes_on = answer(p, "SELECT CASE table_schema WHEN 'temp' THEN '' ELSE table_schema || '.' END || table_name AS \"table\", description "
                                 "FROM information_schema.tables");
    } else if (word[0] == '.') {
        mt_say("memtap query: there is no %s: .help, .tables, .quit", word);
    } else {
        return false;
    }
    return true;
}

/* False: the prompt is over. */
static bool take_line(struct prompt *p, const char *line)
{
    bool goes_on = true;
    mt_history_add(&p->history, line);
    if (p->statement == NULL && (line[strspn(line, " \t")] == '\0' || obey(p, line, &goes_on))) {
        return goes_on;
    }
    char *whole = p->statement != NULL ? mt_format("%s\n%s", p->statement, line) : mt_strdup(line);
    free(p->statement);
    p->statement = whole;
    if (mt_sql_is_done(whole)) {
        goes_on = answer(p, whole);
        free(p->statement);
        p->statement = NULL;
    }
    return goes_on;
}

int mt_prompt_run(struct mt_query_session *session, enum mt_format format)
{
    const char *term = getenv("TERM");
    struct prompt p = { .session = session, .format = format, .plain = term == NULL || strcmp(term, "dumb") == 0 };
    enum typed typed;
    bool goes_on = true;
    mt_history_open(&p.history);
    (void)printf(".help says what can be typed\n");
    do {
        typed = p.plain ? read_line(&p) : type_line(&p);
        if (typed == TYPED_NOTHING) {
            free(p.statement);
            p.statement = NULL;
        }
        goes_on = typed != TYPED_LINE || take_line(&p, mt_line_text(&p.line));
    } while (typed != TYPED_END && goes_on);
    mt_history_close(&p.history);
    mt_strlist_clear(&p.words);
    mt_line_fini(&p.line);
    free(p.unfinished);
    free(p.statement);
    return goes_on ? MT_EXIT_OK : session->sql != NULL ? MT_EXIT_OK : MT_EXIT_FAILED;
}
