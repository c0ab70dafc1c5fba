/* process.h: what /proc says of another process, for whoever asks: its state and times, the image it executes, its numbers, and
 * which process writes a file.
 *
 * Decides: a process in a pid namespace of its own calls itself by another number than it has here. A trace has the former; everything
 * that is asked of /proc needs the latter. Context: [tool], any thread.
 */
#ifndef MT_UTIL_PROCESS_H
#define MT_UTIL_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mt_process_stat {
    char state;             /* as in ps */
    uint64_t cpu_ticks;     /* user and kernel */
    uint64_t started_ticks; /* since boot: exec does not change it, and who gets the number later has another */
};
/* thread 0: the process as a whole. False: there is none. */
bool mt_process_stat_read(pid_t pid, pid_t thread, struct mt_process_stat *ret);
/* started_ticks; 0: there is no such process. */
uint64_t mt_process_started(pid_t pid);
/* A number for the program that the process executes: another one after exec, of the same file too. 0: it is not to be seen, or has ended. */
uint64_t mt_process_image(pid_t pid);

/* Its arguments with spaces between them, malloc'ed; empty: they are not to be seen, or there are none. */
char *mt_process_command(pid_t pid);

/* Its numbers, from that in our pid namespace to that which it has for itself. */
struct mt_process_numbers {
    uint64_t items[8];
    size_t count; /* at least 1 */
};
void mt_process_numbers_read(pid_t pid, struct mt_process_numbers *ret);
/* The process that has the file open and calls itself `number`, as it is called here; 0: there is none. Where its descriptors may not
 * be looked at, or are closed and it has the agent, the process of that number is believed to be it. A recorded program that asks looks
 * neither at its own descriptors nor for processes of other namespaces. */
pid_t mt_process_writing(const char *path, uint64_t number);

/* That process, for who asks again and again. All zero at first. */
struct mt_process_writer {
    pid_t pid; /* 0: there is none */
    uint64_t started_ticks, image;
};
/* Looks at descriptors the first time, and again only when that process has ended or executed another program. */
void mt_process_writer_find(struct mt_process_writer *writer, const char *path, uint64_t number);

#endif
