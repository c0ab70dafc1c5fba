/* findings.h: what would stop memtap here.
 *
 * Decides: the checks of `memtap doctor` and how serious each result is: ok, note (works, with a limit), problem (will
 * not work). Each finding says what to do. Reads /proc and the file system; starts nothing but `python3 --version`.
 * Context: [tool].
 */
#ifndef MT_UTIL_FINDINGS_H
#define MT_UTIL_FINDINGS_H

#include <stddef.h>
#include <sys/types.h>

enum mt_finding_level { MT_FINDING_OK, MT_FINDING_NOTE, MT_FINDING_PROBLEM };

struct mt_finding {
    enum mt_finding_level level;
    const char *topic; /* static */
    char *text;        /* what was found and what to do */
};

/* All zero is empty. */
struct mt_findings {
    struct mt_finding *items;
    size_t count;
    size_t capacity;
};

void mt_findings_add(struct mt_findings *findings, enum mt_finding_level level, const char *topic, const char *format,
                     ...) __attribute__((format(printf, 4, 5)));
void mt_findings_clear(struct mt_findings *findings);
enum mt_finding_level mt_findings_worst(const struct mt_findings *findings);

/* This machine and folder, for `memtap run`. */
void mt_findings_host(struct mt_findings *findings);
/* A running process. Returns whether it exists and may be inspected. */
int mt_findings_process(struct mt_findings *findings, pid_t pid);

#endif
