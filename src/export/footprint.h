/* footprint.h: why the largest RSS is not the peak of the heap.
 *
 * Decides: the parts of the difference, so that they add up. At the largest RSS the process holds mapped files, the
 * recorder's own memory, and the rest; where the rest is more than the heap ever was, that much at least is the
 * allocator's (free blocks, rounding), stacks and static data; where it is less, that much at least of the peak was never
 * touched or is swapped out (decision 0015). Of a process that was not recorded from its start, what was resident before is a part of
 * that rest, and no more of it than the peak leaves room for: some of it may have been freed since. A fork child's RSS has its parent's pages in it, which are not its heap. Context: [tool], pure.
 */
#ifndef MT_EXPORT_FOOTPRINT_H
#define MT_EXPORT_FOOTPRINT_H

#include "export/report.h"

struct mt_footprint {
    uint64_t peak_bytes, rss_bytes; /* rss 0: not known, and so is everything else */
    bool parted;                    /* of some process files and own memory were measured */
    size_t processes; /* that had it together */
    uint64_t file_bytes, own_bytes;
    uint64_t inherited_bytes;  /* of the RSS: what fork children had from their parents when they began */
    uint64_t unmeasured_bytes; /* of the RSS: of processes that lived too short to be looked into */
    uint64_t before_bytes;    /* of the RSS: what was there before the recording began, as far as the peak leaves room for it */
    uint64_t slack_bytes;     /* of the RSS: what is neither of these nor heap */
    uint64_t untouched_bytes; /* of the peak: what is not resident */
    uint64_t reserved_bytes;  /* address space that counts in neither */
};

/* The largest RSS of a run: of several processes, the largest sum of those alive together (at most that: each had its
 * largest at a time of its own). */
uint64_t mt_footprint_rss(const struct mt_report *report);
/* What memory from before a recording is called everywhere. */
#define MT_FOOTPRINT_BEFORE "allocated before memtap came"
/* Of several processes the parts are sums over those alive together when mt_footprint_rss is reached. All zero when no
 * RSS is known, or the peak is only bounded. */
struct mt_footprint mt_footprint_of(const struct mt_report *report);
/* One sentence when peak and RSS differ by more than a quarter of the larger; else NULL. malloc'ed. */
char *mt_footprint_note(const struct mt_footprint *footprint);
/* The note, when there is one, as wrapped lines behind a label. */
void mt_footprint_write(struct mt_out *out, const struct mt_footprint *footprint, const char *label);

#endif
