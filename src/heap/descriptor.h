/* descriptor.h: the two descriptors the agent keeps in the program, those of its trace and of the journal beside it.
 *
 * Decides: that a trace is an inode and not a name. What is written goes to the file that was made at the start, whatever
 * has become of its name since (moved, replaced, behind a chroot, no longer ours to open), and never to another one. The
 * program owns its table of descriptors: it may close ours and open something of its own at the same number. So
 * (docs/decisions/0012-kept-descriptor.md)
 *   - the number lies where the program does not look: above its limit where that can be had, else near the end of it;
 *   - device and inode are compared before each use;
 *   - one that is gone is opened again by the path, if that still leads to the same inode, else by the tool.
 * Contexts: [hook] with the guard set, [agent].
 */
#ifndef MT_HEAP_DESCRIPTOR_H
#define MT_HEAP_DESCRIPTOR_H

#include "base/os.h"

enum { MT_PATH_MAX = 4096 };
enum mt_kept { MT_KEPT_TRACE, MT_KEPT_JOURNAL, MT_KEPT__COUNT };
/* journal: its number; 0: the trace. */
typedef mt_status mt_descriptor_opener(uint64_t journal, const struct mt_os_file *wanted, int *ret_fd);

struct mt_keep {
    const char *path;
    uint64_t journal; /* as for the opener */
    bool alone;       /* the process has one thread, so that its limits may be changed for a moment */
    mt_descriptor_opener *open_again; /* asked where this process cannot open the path; may be NULL */
};

/* Takes over fd, a regular file open at the path, in the place of what was kept before. On failure fd is closed. */
mt_status mt_descriptor_keep(enum mt_kept which, int fd, const struct mt_keep *how) MT_CHECKED;
/* A descriptor that leads to the kept file right now; done with it: mt_descriptor_done. MT_E_NOENT: the file has no name any
 * more; MT_E_REPLACED: its path leads to another one; MT_E_TRUNCATED: somebody has emptied it; others: it cannot be opened. */
mt_status mt_descriptor_use(enum mt_kept which, int *ret_fd) MT_CHECKED;
void mt_descriptor_done(enum mt_kept which, int fd);
/* Which file that is. */
const struct mt_os_file *mt_descriptor_file(enum mt_kept which);
/* Does its path lead to it, for this process? */
bool mt_descriptor_is_at_its_path(enum mt_kept which);
/* Removes its name, if that still leads to it. */
void mt_descriptor_remove(enum mt_kept which);
void mt_descriptor_close(enum mt_kept which);
/* Fork child: closes its copies of the parent's. Context: [fork-child]. */
void mt_descriptor_after_fork(void);

#endif
