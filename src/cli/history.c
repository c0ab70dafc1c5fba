/* history.c: see history.h. */
#include "cli/history.h"

#include "util/memory.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Its folders are made. NULL: there is no home. malloc'ed. */
static char *make_path(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    bool given = state != NULL && state[0] == '/';
    if (!given && (home == NULL || home[0] != '/')) {
        return NULL;
    }
    char *path = given ? mt_format("%s/memtap/history", state) : mt_format("%s/.local/state/memtap/history", home);
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    return path;
}

/* A regular file of this user's, not by way of a link. */
static int open_file(const char *path, int flags)
{
    struct stat info;
    int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
    if (fd >= 0 && (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_uid != geteuid())) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

static void read_lines(struct mt_history *history)
{
    char *line = NULL;
    size_t room = 0;
    int fd = open_file(history->path, O_RDONLY);
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    for (ssize_t bytes; file != NULL && (bytes = getline(&line, &room, file)) > 0;) {
        line[bytes - 1] = line[bytes - 1] == '\n' ? '\0' : line[bytes - 1];
        mt_strlist_add(&history->lines, line);
    }
    free(line);
    if (file != NULL) {
        (void)fclose(file);
    }
}

static void forget_oldest(struct mt_history *history)
{
    struct mt_strlist *lines = &history->lines;
    size_t over = lines->count - MT_HISTORY_MAX;
    for (size_t i = 0; i < over; i++) {
        free(lines->items[i]);
    }
    memmove(lines->items, lines->items + over, (lines->count - over + 1) * sizeof *lines->items);
    lines->count -= over;
}

/* The file anew, in one step: a reader meets the old one or the new one. */
static void write_all(const struct mt_history *history)
{
    char *made = mt_format("%s.%d", history->path, (int)getpid());
    int fd = open_file(made, O_WRONLY | O_CREAT | O_EXCL);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    bool good = file != NULL;
    for (size_t i = 0; good && i < history->lines.count; i++) {
        good = fprintf(file, "%s\n", history->lines.items[i]) >= 0;
    }
    if (file != NULL) {
        good = fclose(file) == 0 && good;
        if (!good || rename(made, history->path) != 0) {
            (void)unlink(made);
        }
    }
    free(made);
}

void mt_history_open(struct mt_history *history)
{
    *history = (struct mt_history){ .path = make_path() };
    if (history->path != NULL) {
        read_lines(history);
        if (history->lines.count > MT_HISTORY_MAX) {
            forget_oldest(history);
            write_all(history);
        }
    }
}

/* Behind what other prompts have written meanwhile. */
static void append(const struct mt_history *history, const char *line)
{
    int fd = history->path != NULL ? open_file(history->path, O_WRONLY | O_CREAT | O_APPEND) : -1;
    if (fd >= 0) {
        char *text = mt_format("%s\n", line);
        ssize_t wrote = write(fd, text, strlen(text));
        (void)wrote; /* a full disk costs the history, nothing else */
        free(text);
        (void)close(fd);
    }
}

void mt_history_add(struct mt_history *history, const char *line)
{
    size_t count = history->lines.count;
    if (line[strspn(line, " \t")] != '\0' && (count == 0 || strcmp(history->lines.items[count - 1], line) != 0)) {
        mt_strlist_add(&history->lines, line);
        append(history, line);
    }
}

void mt_history_close(struct mt_history *history)
{
    mt_strlist_clear(&history->lines);
    free(history->path);
    *history = (struct mt_history){ 0 };
}
