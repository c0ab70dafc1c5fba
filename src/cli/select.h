/* select.h: which traces, which moment, which format: what all reading commands share.
 *
 * Decides: the meaning of the selection options (contract: --peak, --leaks, --temporary[=N], --at T, --between T0,T1,
 * --thread T, --native, -f, -o, -n), how they become an analysis, and how the traces are opened. Context: [tool].
 */
#ifndef MT_CLI_SELECT_H
#define MT_CLI_SELECT_H

#include "analysis/analysis.h"
#include "analysis/profile.h"
#include "cli/command.h"
#include "export/report.h"
#include "model/frames.h"
#include "model/trace.h"
#include "util/strlist.h"
#include "util/timepoint.h"

enum mt_selection { MT_SELECT_PEAK, MT_SELECT_LEAKS, MT_SELECT_TEMPORARY, MT_SELECT_AT, MT_SELECT_BETWEEN };

/* Values of the shared options; a command's own struct begins with it. */
struct mt_select {
    enum mt_selection selection;
    uint64_t temporary_max;
    struct mt_timepoint times[2];
    const char *thread; /* number or name; NULL: all */
    const char *output; /* NULL: standard output */
    uint64_t rows;      /* UINT64_MAX: not given */
    int format;         /* enum mt_format; -1: not given */
    bool native;
    bool quiet_progress;
};
#define MT_SELECT_DEFAULTS ((struct mt_select){ .temporary_max = 1, .rows = UINT64_MAX, .format = -1 })

extern const struct mt_option mt_select_what[];      /* --peak … --thread, --native */
extern const struct mt_option mt_select_temporary[]; /* --temporary alone */
extern const struct mt_option mt_select_rows[];      /* -n */
extern const struct mt_option mt_select_output[];    /* -f, -o */
extern const char mt_select_notes[];                 /* what T means, for help pages */

/* Everything a report needs, opened and analysed. */
struct mt_loaded {
    struct mt_strlist paths;
    struct mt_trace_set set;
    struct mt_analysis analysis;
    struct mt_profile profile;
    struct mt_frames *frames;
    enum mt_measure measure;
    uint64_t thread_tid;
    char *words; /* "at the peak (1.20 s)" */
};

/* Opens, analyses and resolves. operands: files and folders. want_frames: false leaves frames and profile unset.
 * points: of the timeline, 0 none. *ret_code: 1 or 2. ret must be given to mt_loaded_fini, also after a failure. */
struct mt_load_options {
    bool frames;
    bool by_thread, by_allocator;
    size_t timeline_points;
};
mt_status mt_select_load(const struct mt_select *select, const struct mt_operands *operands,
                         const struct mt_load_options *options, struct mt_loaded *ret, int *ret_code,
                         struct mt_error *err) MT_CHECKED;
void mt_loaded_fini(struct mt_loaded *loaded);

/* Format asked for, else by the suffix of -o, else a table. */
enum mt_format mt_select_format(const struct mt_select *select);
/* Rows to show: -n, else default_rows for a table and all for data formats. */
size_t mt_select_row_limit(const struct mt_select *select, size_t default_rows);
struct mt_report mt_select_report(const struct mt_select *select, const struct mt_loaded *loaded, size_t default_rows);

/* Writes a report of what was loaded; context is the command's own. */
typedef mt_status mt_select_writer(struct mt_out *out, const struct mt_report *report, void *context,
                                   struct mt_error *err);
/* Opens -o, calls write, commits; prints the warnings to standard error. Returns the exit code. */
int mt_select_write(const struct mt_command_doc *doc, const struct mt_select *select, const struct mt_report *report,
                    mt_select_writer *write, void *context);

/* A whole reading command: options into values (which begins with struct mt_select), load, write. prepare settles what
 * depends on the options (may be NULL). context given to write: struct mt_reading. */
struct mt_reading {
    void *values;
    struct mt_loaded loaded;
};
struct mt_reading_plan {
    const struct mt_command_doc *doc;
    void (*prepare)(void *values, struct mt_load_options *options);
    mt_select_writer *write;
    size_t default_rows; /* of a table; 0: all */
    bool frames;         /* stacks are shown */
};
int mt_select_main(const struct mt_reading_plan *plan, void *values, int argc, char **argv);

#endif
