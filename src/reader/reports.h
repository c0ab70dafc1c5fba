/* reports.h: the reports by name: what each needs loaded, what its details mean, who writes it.
 *
 * Decides: one list of reports for the commands and the library, so that both say the same. Context: [tool].
 */
#ifndef MT_READER_REPORTS_H
#define MT_READER_REPORTS_H

#include "analysis/table.h"
#include "export/exporter.h"
#include "export/report.h"
#include "memtap/profile.h"
#include "reader/recording.h"
#include "reader/selection.h"

/* What only some reports have. */
struct mt_report_details {
    enum mt_table_by by; /* table, leaks: any; tree: MT_BY_FUNCTION, else by line */
    bool invert;         /* tree, table, leaks: from what allocated */
    bool stacks;         /* table, leaks: a row a stack */
    bool full_paths;     /* text */
    uint64_t min_age_ns; /* leaks */
    const char *const *wrappers; /* NULL-terminated: more functions that hand memory on (model/place.h); may be NULL */
};

/* A report being made: shown is what report.h's writers ask for. */
struct mt_report_job {
    struct mt_recording *recording;
    struct mt_selection selection;
    const char *suppressions_path; /* NULL: only those of the program */
    struct mt_suppressions suppressions;
    struct mt_report_details details;
    bool native, all_frames;
    bool confidential;   /* the page: without paths */
    uint64_t page_bytes; /* what the page may have; 0: anything */
    struct mt_report_job *before; /* the page shows what changed since that one, loaded with it; NULL: no difference */
    struct mt_load_options load; /* progress only; the rest is settled by what is made */
    struct mt_loaded loaded;
    struct mt_report shown; /* format and rows are the caller's */
    struct mt_places *places;
};

/* Loads what the report needs. MT_E_INVAL: the selection cannot be. mt_report_job_fini also after a failure. */
mt_status mt_report_load(struct mt_report_job *job, enum mt_profile_report report, struct mt_error *err) MT_CHECKED;
mt_status mt_report_write(struct mt_out *out, const struct mt_report_job *job, enum mt_profile_report report,
                          struct mt_error *err) MT_CHECKED;
/* The same for a format of other tools. MT_E_INVAL also: the format holds one process and there are more. */
mt_status mt_export_load(struct mt_report_job *job, const struct mt_exporter *exporter,
                         struct mt_error *err) MT_CHECKED;
mt_status mt_export_write(struct mt_out *out, const struct mt_report_job *job, const struct mt_exporter *exporter,
                          struct mt_error *err) MT_CHECKED;
/* The exporter of a name or, name NULL, of a path's suffix (path may be NULL); MT_E_INVAL with the list of names. */
mt_status mt_export_choose(const char *name, const char *path, const struct mt_exporter **ret,
                           struct mt_error *err) MT_CHECKED;
/* The same for the page (page/page.h): all measures at once, so the selection does not apply. */
mt_status mt_page_load(struct mt_report_job *job, struct mt_error *err) MT_CHECKED;
mt_status mt_page_write_job(struct mt_out *out, const struct mt_report_job *job, struct mt_error *err) MT_CHECKED;
void mt_report_job_fini(struct mt_report_job *job);

#endif
