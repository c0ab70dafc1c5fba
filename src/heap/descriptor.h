/* descriptor.h: the one descriptor the agent keeps in the program, that of its trace.
 *
 * Decides: that the trace is an inode and not a name. What is written goes to the file that was made at the start, whatever
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
typedef mt_status mt_descriptor_opener(const char *path, const struct mt_os_file *wanted, int *ret_fd);

/* Takes over fd, a regular file open at path, in the place of what was kept before. alone: the process has one thread, so
 * that its limits may be changed for a moment. open_again: asked where this process cannot open the path; may be NULL. On
 * failure fd is closed. */
mt_status mt_descriptor_keep(int fd, const char *path, bool alone, mt_descriptor_opener *open_again) MT_CHECKED;
/* A descriptor that leads to the kept file right now; done with it: mt_descriptor_done. MT_E_NOENT: the file has no name any
 * more; MT_E_REPLACED: its path leads to another one; MT_E_TRUNCATED: somebody has emptied it; others: it cannot be opened. */
mt_status mt_descriptor_use(int *ret_fd) MT_CHECKED;
void mt_descriptor_done(int fd);
void mt_descriptor_close(void);
/* Fork child: closes its copy of the parent's. Context: [fork-child]. */
void mt_descriptor_after_fork(void);

#endif
