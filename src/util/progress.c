/* progress.c: a bar on standard error. */
#include "util/progress.h"

#include "base/os.h"
#include "util/human.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BAR_COLUMNS = 30 };
static const uint64_t FIRST_SHOWN_NS = 500000000;
static const uint64_t SHOWN_EVERY_NS = 100000000;

void mt_progress_begin(struct mt_progress *progress, const char *label, bool quiet)
{
    uint64_t now = mt_os_monotonic_ns();
    *progress = (struct mt_progress){
        .label = label,
        .begun_ns = now,
        .shown_ns = now,
        .enabled = !quiet && isatty(STDERR_FILENO) == 1,
    };
}

static void draw(const struct mt_progress *progress, uint64_t done, uint64_t total, uint64_t now)
{
    static const char full[] = "##############################";
    if (total == 0) {
        (void)fprintf(stderr, "\r%s, %s\x1b[K", progress->label,
                      done > 0 ? mt_human_count((double)done).text : mt_human_clock((double)(now - progress->begun_ns) * 1e-9).text);
        return;
    }
    double part = done >= total ? 1.0 : (double)done / (double)total;
    int filled = (int)(part * BAR_COLUMNS);
    double elapsed = (double)(now - progress->begun_ns);
    uint64_t left_ns = part > 0.01 ? (uint64_t)(elapsed / part - elapsed) : 0;
    (void)fprintf(stderr, "\r%s [%-*.*s] %3.0f%%", progress->label, BAR_COLUMNS, filled, full, part * 100);
    if (left_ns > 0) {
        (void)fprintf(stderr, " %s left", mt_human_duration(left_ns).text);
    }
    (void)fputs("\x1b[K", stderr);
}

void mt_progress_update(struct mt_progress *progress, uint64_t done, uint64_t total)
{
    if (!progress->enabled) {
        return;
    }
    uint64_t now = mt_os_monotonic_ns();
    if (now - progress->begun_ns < FIRST_SHOWN_NS || now - progress->shown_ns < SHOWN_EVERY_NS) {
        return;
    }
    progress->shown_ns = now;
    progress->visible = true;
    draw(progress, done, total, now);
}

void mt_progress_show(struct mt_progress *progress)
{
    if (progress->enabled) {
        progress->visible = true;
        (void)fprintf(stderr, "\r%s\x1b[K", progress->label);
    }
}

void mt_progress_end(struct mt_progress *progress)
{
    if (progress->visible) {
        (void)fputs("\r\x1b[K", stderr);
    }
    progress->enabled = false;
    progress->visible = false;
}
