/* select.h: which traces, which moment, which format: what all reading commands share.
 *
 * Decides: the options for a selection (reader/selection.h: --peak, --leaks, --temporary[=N], --at T,
 * --between T0,T1, --total, --thread T, --native, -f, -o, -n), and what a reading command does with them. Context: [tool].
 */
#ifndef MT_CLI_SELECT_H
#define MT_CLI_SELECT_H

#include "cli/command.h"
#include "reader/reports.h"

enum { MT_SELECT_WRAPPERS_MAX = 64 };

/* Values of the shared options; a command's own struct begins with it. */
struct mt_select {
    struct mt_selection what;
    struct mt_report_details details;
    const char *suppressions; /* NULL: those of LSAN_OPTIONS, if any */
    const char *output; /* NULL: standard output */
    uint64_t rows;      /* UINT64_MAX: not given */
    int format;         /* enum mt_format; -1: not given */
    bool native, all_frames;
    bool confidential;   /* of flamegraph, as page_bytes */
    uint64_t page_bytes;
    char *before; /* of flamegraph: the recording to compare with; NULL: none */
    bool quiet_progress;
    const char *wrappers[MT_SELECT_WRAPPERS_MAX + 1]; /* NULL-terminated */
    size_t wrapper_count;
};
#define MT_SELECT_DEFAULTS                                                                                             \
    ((struct mt_select){                                                                                               \
        .what = { .temporary_max = 1 }, .details = { .by = MT_BY_LINE }, .rows = UINT64_MAX, .format = -1 })

extern const struct mt_option mt_select_what[];      /* --peak … --thread, --native */
extern const char *const mt_select_one_of[];         /* of mt_select_what: those that say which memory */
extern const struct mt_option mt_select_temporary[]; /* --temporary alone */
extern const struct mt_option mt_select_frames[];    /* --all-frames alone */
extern const struct mt_option mt_select_places[];    /* --by, --invert, --stacks, --wrapper, --full-paths */
extern const struct mt_option mt_select_shown[];     /* --wrapper, --full-paths */
extern const struct mt_option mt_select_leaks[];     /* --all, --suppressions */
extern const struct mt_option mt_select_rows[];      /* -n */
extern const struct mt_option mt_select_output[];    /* -f, -o */
extern const char mt_select_notes[];                 /* what T means, for help pages */

/* FILE@T, unless there is a file of that name: path loses the moment, which becomes the selection. MT_E_INVAL: T is no time. */
mt_status mt_select_take_moment(char *path, struct mt_selection *selection, struct mt_error *err) MT_CHECKED;

/* Format asked for, else by the suffix of -o, else a table. */
enum mt_format mt_select_format(const struct mt_select *select);

/* One reading of one command. */
struct mt_reading {
    const struct mt_command_doc *doc;
    const struct mt_select *select;
    enum mt_profile_report report;
    const struct mt_exporter *exporter; /* of another tool's format, instead of report; else NULL */
    bool page;                          /* the page (page/page.h), instead of report */
    size_t default_rows;                /* of a table; 0: all */
    const char *const *next;            /* commands to go on with (next.h); NULL: none */
};
/* Opens the operands, loads what the report needs and writes it to -o; prints the warnings to standard error. Returns
 * the exit code. */
int mt_select_read(const struct mt_reading *reading, const struct mt_operands *operands);

/* What is missing or estimated, as notes on standard error. */
void mt_select_print_warnings(const struct mt_report *report);

/* A whole reading command: options into values (which begins with struct mt_select), then mt_select_read. settle turns
 * values into details (may be NULL). */
struct mt_reading_plan {
    const struct mt_command_doc *doc;
    void (*settle)(void *values);
    enum mt_profile_report report;
    size_t default_rows;
    const char *const *next; /* as in struct mt_reading */
};
int mt_select_main(const struct mt_reading_plan *plan, void *values, int argc, char **argv);
/* The same of a command whose only values are a struct mt_select. */
int mt_select_report(const struct mt_reading_plan *plan, int argc, char **argv);

#endif
