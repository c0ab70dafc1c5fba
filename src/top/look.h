/* look.h: what `memtap top` knows of a process at one moment, and how a person looks at it.
 *
 * Decides: the one struct between who reads (watch.h) and who shows (frame.h, data.c), so that a frame is a function of it alone.
 * A number that is not known is NaN or UINT64_MAX. Context: [tool].
 */
#ifndef MT_TOP_LOOK_H
#define MT_TOP_LOOK_H

#include "util/strlist.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MT_TOP_UNKNOWN UINT64_MAX

/* Who holds memory: a line of the program, or a thread. */
struct mt_top_site {
    char *key;  /* the same from look to look; "cache.py:31 handle" with the whole path */
    char *line; /* as it is shown; not clean */
    char *by;   /* what allocated there; "" nothing is known */
    const char *function, *file; /* of a line, whole; NULL of a thread. The watch's, good until its next look */
    uint32_t line_number;
    bool import; /* start-up or an import: stays on purpose */
    uint64_t bytes, count;
    double bytes_ci95;         /* half width of the 95 % interval; 0 exact */
    double since_mark_bytes;   /* NaN: was not watched at the mark */
    double rate_bytes_per_s;   /* growth of what is alive */
    double age_s;              /* of the oldest one alive; NaN unknown */
    uint32_t stack_trace, stack; /* the heaviest */
};

/* The process from outside. */
struct mt_top_process {
    bool alive;
    uint64_t rss_bytes;    /* MT_TOP_UNKNOWN */
    uint64_t anonymous_bytes; /* of it */
    uint64_t threads;      /* MT_TOP_UNKNOWN */
    uint64_t limit_bytes;  /* of its control group, the tightest; MT_TOP_UNKNOWN none */
    uint64_t charged_bytes; /* to that group */
};

struct mt_top_look {
    /* the recording */
    uint64_t pid;
    char *path;            /* of the trace */
    char *program;         /* not clean */
    char python[16];       /* "3.12", "" none */
    uint64_t rate_bytes;   /* of sampling; 0 exact */
    bool aggregate;
    double own_share;      /* of the processor time; NaN unknown */
    uint64_t own_bytes;    /* resident memory of the agent; MT_TOP_UNKNOWN */
    uint64_t dropped_events;
    size_t processes;      /* in the same file; this is one of them */
    bool recording;        /* false: it ended */
    double watched_s;      /* since the recording began */
    struct mt_top_process process;
    /* the heap */
    uint64_t heap_bytes, heap_count, peak_bytes;
    uint64_t arena_bytes; /* that allocators keep for blocks which are recorded one by one */
    double heap_ci95;
    double growth_bytes_per_s; /* over the last seconds watched */
    double allocated_bytes_per_s, freed_bytes_per_s;
    double seconds_to_limit;   /* NaN: not in sight */
    double marked_s;           /* how long ago the mark was set; NaN never */
    uint64_t *history;         /* the heap over the recording, oldest first */
    size_t history_count;
    struct mt_top_site *sites; /* largest first */
    size_t site_count;
};
void mt_top_look_fini(struct mt_top_look *look);

enum mt_top_sort { MT_TOP_BY_ALIVE, MT_TOP_BY_MARK, MT_TOP_BY_RATE, MT_TOP_BY_BLOCKS, MT_TOP_BY_AGE, MT_TOP_SORT__COUNT };
const char *mt_top_sort_name(enum mt_top_sort sort);

enum { MT_TOP_SEARCH_MAX = 64 };
/* How it is looked at. All zero is the beginning. */
struct mt_top_ui {
    enum mt_top_sort sort;
    bool by_thread, native, paused, searching;
    char search[MT_TOP_SEARCH_MAX]; /* only rows with it; "" all */
    char *selected;                 /* key of the row under the cursor; NULL the first */
    bool expanded;                  /* its stack is shown */
    struct mt_strlist stack;        /* of the selected row, as far as it is expanded: lines outwards from the allocation */
    const char *message;            /* one line; NULL none */
};

/* What a key asks for beyond what it changed. */
enum mt_top_wish { MT_TOP_NOTHING, MT_TOP_SHOW, MT_TOP_READ, MT_TOP_MARK, MT_TOP_WRITE, MT_TOP_QUIT };
/* page: rows of the list on the screen. */
enum mt_top_wish mt_top_key(struct mt_top_ui *ui, const struct mt_top_look *look, int key, size_t page);
void mt_top_ui_fini(struct mt_top_ui *ui);

/* The sites to show, in order: numbers of look->sites; malloc'ed. */
size_t *mt_top_order(const struct mt_top_look *look, const struct mt_top_ui *ui, size_t *ret_count);
/* The row under the cursor, by its place in that order; 0 where it is gone. */
size_t mt_top_cursor(const struct mt_top_look *look, const struct mt_top_ui *ui, const size_t *order, size_t count);

#endif
