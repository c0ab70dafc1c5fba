/* tick.c: the clock page: made, sealed, mapped, and let go.
 *
 * Decides: that the page is memory and no file. What programs map must not become shorter, or they die of a SIGBUS; a memfd can be
 * sealed against that, and against anybody else's writing, and is gone when the last process that has it is. Programs open it as a
 * descriptor of the tool's (/proc/PID/fd/N); where they cannot, they ask for it (helper.h).
 */
#include "launch/launch.h"

#include "base/atomic.h"
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u /* Linux 6.3 */
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 16 /* Linux 5.1 */
#endif

static int create_page(void)
{
    int fd = memfd_create(MT_TICK_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) {
        fd = memfd_create(MT_TICK_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    }
    int error = fd >= 0 ? posix_fallocate(fd, 0, MT_TICK_BYTES) : 0; /* no memory would be a SIGBUS later */
    if (error != 0) {
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* After it is mapped here: nobody else will write to it, where the kernel can see to that. */
static bool seal(int fd)
{
    const int size = F_SEAL_SHRINK | F_SEAL_GROW;
    return fcntl(fd, F_ADD_SEALS, size | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == 0 ||
           fcntl(fd, F_ADD_SEALS, size | F_SEAL_SEAL) == 0;
}

void mt_tick_begin(struct mt_tick *tick)
{
    if (mt_os_tsc_is_allowed() && mt_tsc_is_a_clock()) {
        tick->first = mt_tsc_now();
    }
}

/* What mt_tsc_line_since would wait for with the processor busy. */
static void let_time_pass(const struct mt_tick *tick)
{
    uint64_t passed_ns = mt_os_monotonic_ns() - tick->first.ns;
    if (passed_ns < MT_TSC_BASE_NS) {
        mt_os_pause_ns(MT_TSC_BASE_NS - passed_ns);
    }
}

static void draw_line(struct mt_tick *tick)
{
    if (tick->first.ticks != 0) {
        let_time_pass(tick);
        tick->line = mt_tsc_line_since(&tick->first);
        tick->words[MT_TICK_LINE_TICKS] = tick->line.origin.ticks;
        tick->words[MT_TICK_LINE_NS] = tick->line.origin.ns;
        tick->words[MT_TICK_LINE_SCALE] = tick->line.scale;
    }
}

mt_status mt_tick_open(struct mt_tick *tick, struct mt_error *err)
{
    int fd = create_page();
    void *words = fd >= 0 ? mmap(NULL, MT_TICK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (words == MAP_FAILED || !seal(fd)) {
        int error = errno;
        if (words != MAP_FAILED) {
            (void)munmap(words, MT_TICK_BYTES);
        }
        if (fd >= 0) {
            (void)close(fd);
        }
        return mt_error_set_errno(err, error, "cannot make the clock page (memfd_create)");
    }
    (void)snprintf(tick->path, sizeof tick->path, "/proc/%d/fd/%d", (int)getpid(), fd);
    tick->words = words;
    tick->fd = fd;
    mt_store_relaxed(&tick->words[MT_TICK_TOOL_PID], (uint64_t)getpid());
    draw_line(tick);
    mt_tick_now(tick);
    return MT_OK;
}

uint64_t mt_tick_read(const struct mt_tick *tick)
{
    return tick->line.scale != 0 ? mt_tsc_to_ns(&tick->line, mt_tsc_read()) : mt_os_monotonic_ns();
}

void mt_tick_now(struct mt_tick *tick)
{
    uint64_t now = mt_tick_read(tick);
    mt_store_relaxed(&tick->words[MT_TICK_CLOCK], now & ~(uint64_t)7);
}

void mt_tick_ask_snapshot(struct mt_tick *tick)
{
    mt_store_relaxed(&tick->words[MT_TICK_SNAPSHOTS], tick->words[MT_TICK_SNAPSHOTS] + 1);
}

void mt_tick_say_low(struct mt_tick *tick, uint64_t left_bytes, const char *what)
{
    (void)snprintf((char *)&tick->words[MT_TICK_LOW_TEXT], MT_TICK_TEXT_BYTES, "%s", what);
    mt_store_relaxed(&tick->words[MT_TICK_LOW_LEFT], left_bytes);
    mt_store_release(&tick->words[MT_TICK_LOW], tick->words[MT_TICK_LOW] + 1);
}

void mt_tick_close(struct mt_tick *tick)
{
    if (tick->words != NULL) {
        (void)munmap(tick->words, MT_TICK_BYTES);
        (void)close(tick->fd);
        tick->words = NULL;
    }
}
